"""``cardwatch backtest``: rules over transactions of the past, before they go live."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from cardwatch_contracts.errors import ConfigurationError, configuration_errors
from cardwatch_rules.backtest.compare import compare as compared
from cardwatch_rules.backtest.period import OPEN_END, OPEN_START, Period
from cardwatch_rules.backtest.run import THREADS, backtest
from cardwatch_rules.backtest.summary import summarise
from cardwatch_rules.model import Mode, Rule
from cardwatch_rules.parse import load_rules
from cardwatch_rules.sql import lists_in
from cardwatch_units.timestamps import parse_time

from cardwatch_cli.backtest.labels import read_labels
from cardwatch_cli.backtest.outputs import Findings, as_json, write_alerts
from cardwatch_cli.backtest.screen import Screen
from cardwatch_cli.backtest.silver import open_silver
from cardwatch_cli.backtest.wanted import Wanted
from cardwatch_cli.lists.files import read_list_file


def backtest_command(
    rules: Annotated[Path, typer.Option(help="Rule file (YAML) to test.", show_default=False)],
    compare: Annotated[
        Path | None,
        typer.Option(help="The rule file as it is now: shows which alerts --rules gains and loses against it."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Alerts from this time on, ISO 8601, UTC: 2026-11-01 or 2026-11-01T12:00."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Alerts before this time, ISO 8601, UTC.")] = None,
    tables_dir: Annotated[
        str, typer.Option(envvar="CARDWATCH_LAKEHOUSE_TABLES_DIR", help="Directory with silver/transactions in it.")
    ] = ".cardwatch/tables",
    input_file: Annotated[
        Path | None, typer.Option("--input", help="Test on this CSV or Parquet file instead; needs --mapping.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML: which column of the file is which field; see config/mappings.")
    ] = None,
    lists: Annotated[Path | None, typer.Option(help="YAML: list name → values, for rules with in list('…').")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet with transaction_id, is_fraud; in place of the mapping's own labels."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write every alert of --rules to this Parquet file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write one self-contained HTML page with plots.")] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead of a table.")] = False,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Pieces evaluated at the same time.")] = THREADS,
) -> None:
    """Say what rules would have raised over transactions of the past.

    Reads the silver table (Delta) under --tables-dir, or any CSV or Parquet file with --input and --mapping, and
    evaluates the rules exactly as the detector does: the same windows, the same suppression, the same alert ids.
    Transactions before --from are read as far back as windows and suppression reach, so that alerts in the range are
    exact; at the very beginning of the data windows are as empty as the data is. Shadow rules are evaluated, paused
    ones are not.

    Where transactions are labelled (labels in the mapping, or --labels), precision is the share of alerted transactions
    that are fraud, recall the share of fraudulent transactions that have an alert: per transaction, not per attack.

    Examples:

      cardwatch backtest --rules new.yaml --compare config/rules/demo.yaml --from 2026-11-01 --report report.html

      cardwatch backtest --rules new.yaml --input year.parquet --mapping config/mappings/handbook.yaml --json
    """
    began = time.monotonic()
    screen = Screen(quiet=as_json_)
    new = _active(load_rules(rules), rules, screen)
    old = () if compare is None else _active(load_rules(compare), compare, screen)
    period = Period(_moment(start, "--from", OPEN_START), _moment(end, "--to", OPEN_END))
    if period.start_us >= period.end_us:
        raise ConfigurationError(f"--from {start} is not before --to {end}")
    wanted = Wanted(tuple(dict.fromkeys((*new, *old))), period, None if labels is None else read_labels(labels))
    known_lists = _lists(lists, wanted.rules, screen)
    with screen.progress() as progress, _transactions(tables_dir, input_file, mapping, wanted, screen) as found:
        progress.evaluating()
        tested_at = time.monotonic()
        tested = backtest(found, wanted.rules, period, known_lists, threads=threads, on_progress=progress.rows)
        seconds = time.monotonic() - tested_at
        if not tested.transactions:
            raise ConfigurationError(_nothing(found, start, end))
    findings = Findings(
        tested=tested,
        summary=summarise(tested, new),
        differences=tuple(compared(tested, new, old)) if compare is not None else None,
        notices=tuple(screen.notices),
        evaluated_seconds=seconds,
    )
    if output is not None:
        write_alerts(output, [tested.alerts[rule] for rule in new])
    if report is not None:
        # Plots take a second to import.
        from cardwatch_cli.backtest.report import write_report

        write_report(report, findings, rules, compare)
    if as_json_:
        print(as_json(findings, time.monotonic() - began))
    else:
        screen.show(findings, time.monotonic() - began)
        screen.written(*(path for path in (output, report) if path is not None))


@contextmanager
def _transactions(
    tables_dir: str, input_file: Path | None, mapping: Path | None, wanted: Wanted, screen: Screen
) -> Iterator[pl.LazyFrame]:
    if input_file is None:
        if mapping is not None:
            raise ConfigurationError("--mapping is for --input; the silver table needs none")
        yield open_silver(tables_dir, wanted)
        return
    if mapping is None:
        raise ConfigurationError(
            "--input needs --mapping: a YAML file that says which column is which field, "
            "see config/mappings/handbook.yaml"
        )
    # With it comes all that a transaction from elsewhere needs, for which the silver table should not wait.
    from cardwatch_cli.backtest.file_input import open_file

    with open_file(input_file, mapping, wanted, screen.notice, screen.reading) as found:
        yield found


def _active(rules: tuple[Rule, ...], path: Path, screen: Screen) -> tuple[Rule, ...]:
    """The rules that are evaluated.

    Raises:
        ConfigurationError: there is none.
    """
    paused = [rule.rule_id for rule in rules if rule.mode is Mode.PAUSED]
    if paused:
        screen.notice(f"paused in {path} and not evaluated: {', '.join(paused)}")
    active = tuple(rule for rule in rules if rule.mode is not Mode.PAUSED)
    if not active:
        raise ConfigurationError(f"{path} has no rule that is live or shadow; there is nothing to test")
    return active


def _lists(path: Path | None, rules: Sequence[Rule], screen: Screen) -> dict[str, frozenset[str]]:
    """The lists of a file; says which others the rules look into."""
    known = {} if path is None else {name: frozenset(values) for name, values in read_list_file(path, None).items()}
    texts = [text for rule in rules for text in (rule.when, *(measure.where for measure in rule.measures)) if text]
    missing = sorted({name for text in texts for name in lists_in(text)} - known.keys())
    if missing:
        screen.notice(
            f"nothing is known of the list {', '.join(missing)}, so it is empty; --lists FILE gives its values"
        )
    return known


def _moment(text: str | None, option: str, otherwise: int) -> int:
    """Microseconds since epoch UTC.

    Raises:
        ConfigurationError: it is no ISO 8601 time.
    """
    if text is None:
        return otherwise
    with configuration_errors(option):
        return parse_time(text)


def _nothing(transactions: pl.LazyFrame, start: str | None, end: str | None) -> str:
    if start is None and end is None:
        return "there are no transactions to test on"
    asked = " ".join(part for part in (f"from {start}" if start else "", f"before {end}" if end else "") if part)
    read = int(transactions.select(pl.len()).collect().item())
    before = f"; the {read:,} that were read for the windows lie before" if read else ""
    return f"there are no transactions {asked}{before}"
