"""``cardwatch tables rebuild``: silver, gold and alerts rebuilt into another directory, beside the live tables."""

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
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
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.tables import print_table

from cardwatch_cli.output import counted
from cardwatch_cli.tables.options import TABLES_DIR
from cardwatch_cli.tables.rebuild.compare import Comparison, compare_table
from cardwatch_cli.tables.rebuild.services import run_service
from cardwatch_cli.tables.sole_writer import sole_writer

_STAGED: Final = "staged/transactions"
_PROGRESS_SECONDS: Final = 5.0


class Part(StrEnum):
    """The parts that can be rebuilt, in the order of rebuilding."""

    SILVER = "silver"
    GOLD = "gold"
    ALERTS = "alerts"


_TABLES: Final = {
    Part.SILVER: (SILVER_TRANSACTIONS,),
    Part.GOLD: DERIVED_TABLES,
    Part.ALERTS: (GOLD_ALERTS,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rebuild:
    """What to rebuild.

    Attributes:
        tables_dir: directory of the live tables.
        to: directory of the rebuilt tables.
        parts: the parts to rebuild.
        staged: directory of the enriched messages of bronze; empty if silver is not rebuilt.
    """

    tables_dir: str
    to: str
    parts: list[Part]
    staged: str


def rebuild_command(
    to: Annotated[str, typer.Option(help="Directory for the rebuilt tables.", show_default=False)],
    tables_dir: Annotated[
        str, typer.Option(envvar="CARDWATCH_LAKEHOUSE_TABLES_DIR", help="Directory of the live tables.")
    ] = TABLES_DIR,
    only: Annotated[str, typer.Option(help="The parts to rebuild, separated by commas.")] = "silver,gold,alerts",
    rules: Annotated[
        Path | None, typer.Option(help="Rule file (YAML) for the alerts; default: rules.v1 with its history.")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(help="With --rules: YAML, list name → values; default: the lists of lists.v1.")
    ] = None,
    scopes: Annotated[
        str, typer.Option(envvar="CARDWATCH_DETECTOR_SCOPES", help="Scopes that the detectors evaluate.")
    ] = "card,merchant",
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare with the live tables; exit code 1 if they differ.")
    ] = False,
) -> None:
    """Rebuild silver from bronze, and gold and the alerts from silver, in another directory.

    Nothing is overwritten: the tables are written under --to, where none of them may exist yet. Compare them with
    --compare, then replace the live tables with them while the lakehouse is stopped (docs/rebuild.md).

    \b
    silver  every message of bronze.transactions is decoded, validated and enriched again, with the settings of this
            environment: the registry, the topic prefix and the reference tables must be the enricher's
    gold    card_days, card_profile and velocity_5m from silver, pipeline_minutes from bronze and silver
    alerts  the rules over silver, evaluated as in a backtest; a rule of rules.v1 evaluates the transactions that
            arrived while it was in force, and late transactions that the detectors did not evaluate are left out

    What cannot be computed again (when a transaction was enriched or an alert detected, their offsets, retracted
    alerts, masked card numbers) is copied from the live tables, and missing if they do not have it. The last lines
    report what could not be rebuilt.

    Examples:

      cardwatch tables rebuild --to rebuilt --compare

      cardwatch tables rebuild --to rebuilt --only alerts --rules my-rules.yaml
    """
    parts, evaluated = _parts(only), _scopes(scopes)
    if locate(to).uri == locate(tables_dir).uri:
        raise ConfigurationError("--to: expected another directory than that of the live tables")
    staged = f"{to.rstrip('/')}/{_STAGED}" if Part.SILVER in parts else ""
    rebuild = _Rebuild(tables_dir=tables_dir, to=to, parts=parts, staged=staged)
    _check(rebuild)
    with sole_writer(to, "rebuild") as check:
        if staged:
            _enrich_bronze(tables_dir, staged)
        check()
        _rebuild_with_spark(rebuild)
        check()
        if Part.ALERTS in parts:
            _rebuild_alerts(rebuild, rules, lists, evaluated)
    if staged and locate(staged).is_local:
        shutil.rmtree(Path(locate(staged).uri).parent)
    if compare and not _compare(tables_dir, to):
        raise typer.Exit(1)


def _parts(only: str) -> list[Part]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in list(Part)]
    if unknown or not names:
        raise ConfigurationError(f"--only: expected one or more of {', '.join(Part)}, got {only!r}")
    return [part for part in Part if part.value in names]


def _scopes(text: str) -> list[str]:
    scopes = [scope.strip() for scope in text.split(",")]
    unknown = [scope for scope in scopes if scope not in SCOPE_KEYS]
    if unknown:
        raise ConfigurationError(f"--scopes: expected {', '.join(SCOPE_KEYS)}, got {unknown[0]!r}")
    return scopes


def _check(rebuild: _Rebuild) -> None:
    """Check before any work that the source table exists, and that the rebuilt tables do not."""
    needed = BRONZE_TRANSACTIONS if Part.SILVER in rebuild.parts else SILVER_TRANSACTIONS
    if needed.name not in Catalog(rebuild.tables_dir).names():
        raise ConfigurationError(f"there is no table {needed.name} under {rebuild.tables_dir} to rebuild from")
    rebuilt = {table.name for part in rebuild.parts for table in _TABLES[part]}
    to = locate(rebuild.to)
    try:
        present = rebuilt.intersection(Catalog(rebuild.to).names())
    except ConfigurationError:  # the directory does not exist yet
        present = set()
    if present or (rebuild.staged and to.is_local and Path(to.uri, _STAGED).exists()):
        what = ", ".join(sorted(present)) or "files of an interrupted rebuild"
        raise ConfigurationError(f"--to: {rebuild.to} contains {what} already, expected a directory without")


def _enrich_bronze(tables_dir: str, staged: str) -> None:
    total = Catalog(tables_dir).summary(BRONZE_TRANSACTIONS.name).rows
    reported_at = time.monotonic()
    counts: dict[str, Any] = {}
    arguments = ("from-bronze", "--tables-dir", tables_dir, "--to", staged)
    for report in run_service("cardwatch-enricher", arguments, dict(os.environ)):
        counts = report
        if time.monotonic() - reported_at > _PROGRESS_SECONDS:
            reported_at = time.monotonic()
            _report(f"silver: {counts['messages']:,} of {total or 0:,} messages enriched")
    refused = counts.get("refused", {})
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in refused.items())
    _report(
        f"silver: {counted(counts.get('messages', 0), 'message')} of bronze, {counts.get('enriched', 0):,} enriched, "
        f"{sum(refused.values()):,} refused{f' ({reasons})' if reasons else ''}"
    )
    if counts.get("restored"):
        _report(f"silver: {counts['restored']:,} with a masked card number were copied from the live silver table")
    if counts.get("masked"):
        _report(
            f"silver: {counts['masked']:,} with a masked card number could not be rebuilt: the live silver table has "
            "no row of them, because they were refused, repeated a transaction, or were lost"
        )


def _rebuild_with_spark(rebuild: _Rebuild) -> None:
    arguments = ["rebuild", "--tables-dir", rebuild.tables_dir, "--to", rebuild.to]
    arguments += ["--staged", rebuild.staged] if rebuild.staged else []
    arguments += ["--gold" if Part.GOLD in rebuild.parts else "--no-gold"]
    arguments += ["--alerts" if Part.ALERTS in rebuild.parts else "--no-alerts"]
    _report("starting Spark")
    for report in run_service("cardwatch-detector", arguments, _with_spark(os.environ)):
        _report(f"{report['table']}: {counted(report['rows'], 'row')}")


def _with_spark(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with the JDK and the jars of the embedded platform, unless others are set."""
    result = dict(environment)
    if "CARDWATCH_SPARK_CLASSPATH" not in result:
        from cardwatch_platform import PlatformSettings
        from cardwatch_platform.artifacts import load_lock
        from cardwatch_platform.embedded import spark_classpath, spark_java_home

        settings = PlatformSettings()
        result["CARDWATCH_SPARK_CLASSPATH"] = spark_classpath(settings, load_lock())
        result.setdefault("CARDWATCH_SPARK_JAVA_HOME", str(spark_java_home(settings)))
    return result


def _rebuild_alerts(rebuild: _Rebuild, rules: Path | None, lists: Path | None, scopes: list[str]) -> None:
    from cardwatch_cli.tables.rebuild.alerts import AlertTables, rebuild_alerts
    from cardwatch_cli.tables.rebuild.rules import from_file, from_topics

    found = from_topics(load_settings(ServiceSettings)) if rules is None else from_file(rules, lists)
    for notice in found.notices:
        _report(f"alerts: {notice}")
    silver_dir = rebuild.to if Part.SILVER in rebuild.parts else rebuild.tables_dir
    tables = AlertTables(live=rebuild.tables_dir, silver=silver_dir, rebuilt=rebuild.to)
    alerts = rebuild_alerts(tables, found, scopes)
    _report(f"{GOLD_ALERTS.name}: {counted(alerts.rows, 'row')}, {alerts.retracted:,} of them retracted alerts")
    if alerts.late:
        _report(
            f"alerts: {counted(alerts.late, 'transaction')} left out that arrived too late for a detector "
            "(bronze.late); `cardwatch backtest` shows what they would have raised"
        )
    if alerts.without_live_columns:
        _report(
            f"alerts: {alerts.without_live_columns:,} are not in the live table: without evidence and detection time"
        )


def _compare(tables_dir: str, to: str) -> bool:
    """Print how the rebuilt tables differ from the live ones; returns whether they are equal."""
    live, rebuilt = Catalog(tables_dir), Catalog(to)
    live_names = set(live.names())
    found: list[Comparison] = []
    for name in rebuilt.names():
        if name not in live_names:
            _report(f"{name} is not in {tables_dir}: there is nothing to compare it with")
            continue
        found.append(compare_table(live, rebuilt, name))
    print_table(
        ("table", "rows", "rebuilt", "missing", "extra", "different", "in columns", "for example"),
        [
            (
                one.name,
                *(f"{number:,}" for number in (one.live, one.rebuilt, one.missing, one.extra, one.different)),
                ", ".join(one.columns),
                one.example,
            )
            for one in found
        ],
    )
    return all(one.equal for one in found)


def _report(text: str) -> None:
    typer.echo(text, err=True)
