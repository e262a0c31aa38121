"""``cardwatch tables rebuild``: silver, gold and alerts made anew, beside the tables as they are."""

import os
import shutil
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.locations import locate
from cardwatch_lakehouse.tables import (
    BRONZE_TRANSACTIONS,
    DERIVED_TABLES,
    GOLD_ALERTS,
    SILVER_TRANSACTIONS,
)
from cardwatch_rules.fields import SCOPE_KEYS
from cardwatch_service.settings import ServiceSettings, load

from cardwatch_cli.output import counted, print_table
from cardwatch_cli.tables.options import TABLES_DIR
from cardwatch_cli.tables.rebuild.compare import Comparison, compare_table
from cardwatch_cli.tables.rebuild.services import run_service

_STAGED: Final = "staged/transactions"
_EVERY_SECONDS: Final = 5.0


class Part(StrEnum):
    """What can be rebuilt, in the order in which it is."""

    SILVER = "silver"
    GOLD = "gold"
    ALERTS = "alerts"


_TABLES: Final = {
    Part.SILVER: (SILVER_TRANSACTIONS,),
    Part.GOLD: DERIVED_TABLES,
    Part.ALERTS: (GOLD_ALERTS,),
}


def rebuild_command(
    to: Annotated[str, typer.Option(help="Directory for the rebuilt tables.", show_default=False)],
    tables_dir: Annotated[
        str, typer.Option(envvar="CARDWATCH_LAKEHOUSE_TABLES_DIR", help="Directory of the tables as they are.")
    ] = TABLES_DIR,
    only: Annotated[str, typer.Option(help="Of silver, gold and alerts, with commas.")] = "silver,gold,alerts",
    rules: Annotated[
        Path | None, typer.Option(help="Rule file (YAML) for the alerts; else rules.v1 with its history.")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(help="With --rules: YAML, list name → values; else the lists of lists.v1.")
    ] = None,
    scopes: Annotated[
        str, typer.Option(envvar="CARDWATCH_DETECTOR_SCOPES", help="Scopes that the detectors evaluate.")
    ] = "card,merchant",
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare with the tables as they are; exit code 1 if they differ.")
    ] = False,
) -> None:
    """Make silver from bronze, and gold and the alerts from silver, into another directory.

    Nothing is overwritten: the tables are made under --to, where none of them may be yet. Compare them with --compare,
    then put them in the place of the old ones while the lakehouse is stopped (docs/rebuild.md).

    \b
    silver  every message of bronze.transactions is decoded, validated and enriched again, with the settings of this
            environment: the registry, the topic prefix and the reference tables have to be the enricher's
    gold    card_days, card_profile and velocity_5m from silver, pipeline_minutes from bronze and silver
    alerts  the rules over silver, evaluated as the backtest does; a rule of rules.v1 counts for the transactions that
            came while it was in force, and late transactions that the detectors did not evaluate are left out

    What only the run knew (when a transaction was enriched or an alert detected, where it was in its topic, retracted
    alerts, what a masked card number was) is taken from the tables as they are, and missing where these lack it. The
    last lines say what could not be rebuilt.

    Examples:

      cardwatch tables rebuild --to rebuilt --compare

      cardwatch tables rebuild --to rebuilt --only alerts --rules my-rules.yaml
    """
    parts, evaluated = _parts(only), _scopes(scopes)
    if locate(to).uri == locate(tables_dir).uri:
        raise ConfigurationError("--to is the directory of the tables as they are; another one would be right")
    _check(to, tables_dir, parts)
    staged = f"{to.rstrip('/')}/{_STAGED}" if Part.SILVER in parts else ""
    if staged:
        _stage(tables_dir, staged)
    _spark(tables_dir, to, staged, parts)
    if Part.ALERTS in parts:
        _alerts(tables_dir, to, parts, rules, lists, evaluated)
    if staged and locate(staged).is_local:
        shutil.rmtree(Path(locate(staged).uri).parent)
    if compare and not _compared(tables_dir, to):
        raise typer.Exit(1)


def _parts(only: str) -> list[Part]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in list(Part)]
    if unknown or not names:
        raise ConfigurationError(f"--only {only!r}: {', '.join(Part)} or some of them would be right")
    return [part for part in Part if part.value in names]


def _scopes(text: str) -> list[str]:
    scopes = [scope.strip() for scope in text.split(",")]
    unknown = [scope for scope in scopes if scope not in SCOPE_KEYS]
    if unknown:
        raise ConfigurationError(f"--scopes: there is no scope {unknown[0]!r}; there are {', '.join(SCOPE_KEYS)}")
    return scopes


def _check(to: str, tables_dir: str, parts: list[Part]) -> None:
    """Before any work is done: what is needed is there, and what will be made is not."""
    there = Catalog(tables_dir).names()
    needed = BRONZE_TRANSACTIONS if Part.SILVER in parts else SILVER_TRANSACTIONS
    if needed.name not in there:
        raise ConfigurationError(f"there is no table {needed.name} under {tables_dir}; it is what is rebuilt from")
    made = {table.name for part in parts for table in _TABLES[part]}
    try:
        present = made.intersection(Catalog(to).names())
    except ConfigurationError:  # nothing is there yet
        present = set()
    if present or (Part.SILVER in parts and locate(to).is_local and Path(locate(to).uri, _STAGED).exists()):
        what = ", ".join(sorted(present)) or "what an interrupted rebuild left"
        raise ConfigurationError(f"{to} holds {what} already; a directory without it would be right")


def _stage(tables_dir: str, staged: str) -> None:
    total = Catalog(tables_dir).summary(BRONZE_TRANSACTIONS.name).rows
    shown = time.monotonic()
    counts: dict[str, Any] = {}
    arguments = ("from-bronze", "--tables-dir", tables_dir, "--to", staged)
    for told in run_service("cardwatch-enricher", arguments, dict(os.environ)):
        counts = told
        if time.monotonic() - shown > _EVERY_SECONDS:
            shown = time.monotonic()
            _say(f"silver: {counts['messages']:,} of {total or 0:,} messages enriched")
    refused = counts.get("refused", {})
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in refused.items())
    _say(
        f"silver: {counted(counts.get('messages', 0), 'message')} of bronze, {counts.get('enriched', 0):,} good ones, "
        f"{sum(refused.values()):,} refused{f' ({reasons})' if reasons else ''}"
    )
    if counts.get("restored"):
        _say(f"silver: {counts['restored']:,} with a masked card number, as silver has them")
    if counts.get("masked"):
        _say(
            f"silver: {counts['masked']:,} with a masked card number could not be rebuilt: silver has no row of them, "
            "since they were refused or repeated a transaction, or because it has lost them"
        )


def _spark(tables_dir: str, to: str, staged: str, parts: list[Part]) -> None:
    arguments = ["rebuild", "--tables-dir", tables_dir, "--to", to]
    arguments += ["--staged", staged] if staged else []
    arguments += ["--gold" if Part.GOLD in parts else "--no-gold"]
    arguments += ["--alerts" if Part.ALERTS in parts else "--no-alerts"]
    _say("starting Spark")
    for told in run_service("cardwatch-detector", arguments, _with_spark(os.environ)):
        _say(f"{told['table']}: {counted(told['rows'], 'row')}")


def _with_spark(environment: Any) -> dict[str, str]:
    """With the JDK and the jars that the embedded platform has, where none are set."""
    result = dict(environment)
    if "CARDWATCH_SPARK_CLASSPATH" not in result:
        from cardwatch_platform import PlatformSettings
        from cardwatch_platform.artifacts import load_lock
        from cardwatch_platform.embedded import spark_classpath, spark_java_home

        settings = PlatformSettings()
        result["CARDWATCH_SPARK_CLASSPATH"] = spark_classpath(settings, load_lock())
        result.setdefault("CARDWATCH_SPARK_JAVA_HOME", str(spark_java_home(settings)))
    return result


def _alerts(
    tables_dir: str, to: str, parts: list[Part], rules: Path | None, lists: Path | None, scopes: list[str]
) -> None:
    from cardwatch_cli.tables.rebuild.alerts import rebuild_alerts
    from cardwatch_cli.tables.rebuild.rules import from_file, from_topics

    found = from_topics(load(ServiceSettings)) if rules is None else from_file(rules, lists)
    for notice in found.notices:
        _say(f"alerts: {notice}")
    silver_dir = to if Part.SILVER in parts else tables_dir
    made = rebuild_alerts(tables_dir, silver_dir, to, found, scopes)
    _say(f"{GOLD_ALERTS.name}: {counted(made.rows, 'row')}, {made.retracted:,} of them retracted ones as they were")
    if made.late:
        _say(
            f"alerts: {counted(made.late, 'transaction')} left out that came too late for a detector (bronze.late); "
            "`cardwatch backtest` says what they would have raised"
        )
    if made.without_facts:
        _say(f"alerts: {made.without_facts:,} are not in the table as it is: without evidence and time of detection")


def _compared(tables_dir: str, to: str) -> bool:
    live, made = Catalog(tables_dir), Catalog(to)
    there = set(live.names())
    found: list[Comparison] = []
    for name in made.names():
        if name not in there:
            _say(f"{name} is not in {tables_dir}: nothing to compare it with")
            continue
        found.append(compare_table(live, made, name))
    print_table(
        ("table", "rows", "rebuilt", "missing", "extra", "different", "in columns", "for example"),
        [
            (
                one.name, f"{one.live:,}", f"{one.made:,}", f"{one.missing:,}", f"{one.extra:,}", f"{one.different:,}",
                ", ".join(one.columns), one.example,
            )
            for one in found
        ],
    )  # fmt: skip
    return all(one.equal for one in found)


def _say(text: str) -> None:
    typer.echo(text, err=True)
