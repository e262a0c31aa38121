"""``cardwatch backtest``: rules over transactions of the past, before they go live."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import polars as pl
import typer
from cardwatch_contracts.errors import ConfigurationError, configuration_errors
from cardwatch_rules.backtest.compare import compare as compare_rules
from cardwatch_rules.backtest.period import OPEN_END, OPEN_START, Period
from cardwatch_rules.backtest.run import THREADS, backtest
from cardwatch_rules.backtest.summary import summarise
from cardwatch_rules.model import Mode, Rule
from cardwatch_rules.parse import load_rules
from cardwatch_rules.sql import lists_in
from cardwatch_units.timestamps import from_microseconds, parse_time

from cardwatch_cli.backtest.labels import read_labels
from cardwatch_cli.backtest.outputs import Findings, as_json, write_alerts
from cardwatch_cli.backtest.screen import Screen
from cardwatch_cli.backtest.silver import open_silver
from cardwatch_cli.backtest.transaction_request import TransactionRequest
from cardwatch_cli.lists.files import read_list_file

_TABLES_DIR: Final = ".cardwatch/tables"

RulesOption = Annotated[Path, typer.Option(help="Rule file (YAML) to test.", show_default=False)]
CompareOption = Annotated[
    Path | None,
    typer.Option(help="The current rule file: shows which alerts --rules gains and loses compared with it."),
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", help="Alerts from this time on, ISO 8601, UTC: 2026-11-01 or 2026-11-01T12:00."),
]
ToOption = Annotated[str | None, typer.Option("--to", help="Alerts before this time, ISO 8601, UTC.")]
TablesDirOption = Annotated[
    str, typer.Option(envvar="CARDWATCH_LAKEHOUSE_TABLES_DIR", help="Directory that contains silver/transactions.")
]
InputOption = Annotated[
    Path | None, typer.Option("--input", help="Test on this CSV or Parquet file instead; needs --mapping.")
]
MappingOption = Annotated[
    Path | None, typer.Option(help="YAML that maps the file's columns to fields; see config/mappings.")
]
ListsOption = Annotated[Path | None, typer.Option(help="YAML: list name → values, for rules with in list('…').")]
LabelsOption = Annotated[
    Path | None,
    typer.Option(help="CSV or Parquet with transaction_id, is_fraud; replaces the mapping's own labels."),
]
OutputOption = Annotated[Path | None, typer.Option(help="Write every alert of --rules to this Parquet file.")]
ReportOption = Annotated[Path | None, typer.Option(help="Write one self-contained HTML page with plots.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the figures as JSON instead of a table.")]
ThreadsOption = Annotated[int, typer.Option(min=1, max=64, help="Chunks evaluated at the same time.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """What to test, and on which transactions.

    Attributes:
        rules: the rule file to test.
        compare: the rule file to compare with.
        period: the alerts' period.
        tables_dir: the directory of the silver table; not read if there is an ``input_file``.
        input_file: a CSV or Parquet file of transactions, with its ``mapping``.
        lists: the file with the values of lists.
        labels: the file that says which transactions are fraud.
        threads: chunks evaluated at the same time.
        rows_in_memory: further rows of an input file are spilled to temporary files; None for the default.
    """

    rules: Path
    compare: Path | None = None
    period: Period = field(default_factory=Period)
    tables_dir: str = _TABLES_DIR
    input_file: Path | None = None
    mapping: Path | None = None
    lists: Path | None = None
    labels: Path | None = None
    threads: int = THREADS
    rows_in_memory: int | None = None


def backtest_command(
    rules: RulesOption,
    compare: CompareOption = None,
    start: FromOption = None,
    end: ToOption = None,
    tables_dir: TablesDirOption = _TABLES_DIR,
    input_file: InputOption = None,
    mapping: MappingOption = None,
    lists: ListsOption = None,
    labels: LabelsOption = None,
    output: OutputOption = None,
    report: ReportOption = None,
    as_json_: JsonOption = False,
    threads: ThreadsOption = THREADS,
) -> None:
    """Show which alerts rules would have raised on transactions of the past.

    Reads the silver table (Delta) under --tables-dir, or any CSV or Parquet file with --input and --mapping, and
    evaluates the rules exactly as the detector does: the same windows, the same suppression, the same alert ids.
    Transactions before --from are read as far back as windows and suppression reach, so that alerts in the range are
    exact; at the very beginning of the data, windows are only as full as the data. Shadow rules are evaluated, paused
    rules are not.

    If transactions are labelled (labels in the mapping, or --labels), precision is the share of alerted transactions
    that are fraud, recall the share of fraudulent transactions that have an alert: per transaction, not per attack.

    Examples:

      cardwatch backtest --rules new.yaml --compare config/rules/demo.yaml --from 2026-11-01 --report report.html

      cardwatch backtest --rules new.yaml --input year.parquet --mapping config/mappings/handbook.yaml --json
    """
    began = time.monotonic()
    screen = Screen(quiet=as_json_)
    options = BacktestOptions(
        rules=rules, compare=compare, period=_period(start, end), tables_dir=tables_dir, input_file=input_file,
        mapping=mapping, lists=lists, labels=labels, threads=threads,
    )  # fmt: skip
    findings = run_backtest(options, screen)
    _write_files(findings, options, output=output, report=report)
    if as_json_:
        print(as_json(findings, time.monotonic() - began))
    else:
        screen.show(findings, time.monotonic() - began)
        screen.written(*(path for path in (output, report) if path is not None))


def run_backtest(options: BacktestOptions, screen: Screen) -> Findings:
    """Evaluate the rules; progress and notices go to the screen.

    Raises:
        ConfigurationError: a file or table is wrong, or there are no transactions to test on.
    """
    new = _active(load_rules(options.rules), options.rules, screen)
    old = () if options.compare is None else _active(load_rules(options.compare), options.compare, screen)
    fraud = None if options.labels is None else read_labels(options.labels)
    request = TransactionRequest(tuple(dict.fromkeys((*new, *old))), options.period, fraud)
    lists = _lists(options.lists, request.rules, screen)
    with screen.progress() as progress, _transactions(options, request, screen) as found:
        progress.evaluating()
        began = time.monotonic()
        tested = backtest(
            found, request.rules, options.period, lists, threads=options.threads, on_progress=progress.rows
        )
        seconds = time.monotonic() - began
        if not tested.transactions:
            raise ConfigurationError(_no_transactions(found, options.period))
    return Findings(
        tested=tested,
        rules=new,
        summary=summarise(tested, new),
        differences=tuple(compare_rules(tested, new, old)) if options.compare is not None else None,
        notices=tuple(screen.notices),
        evaluated_seconds=seconds,
    )


def _write_files(findings: Findings, options: BacktestOptions, *, output: Path | None, report: Path | None) -> None:
    if output is not None:
        write_alerts(output, [findings.tested.alerts[rule] for rule in findings.rules])
    if report is not None:
        # Loading matplotlib takes a second.
        from cardwatch_cli.backtest.report import write_report

        write_report(report, findings, options.rules, options.compare)


@contextmanager
def _transactions(options: BacktestOptions, request: TransactionRequest, screen: Screen) -> Iterator[pl.LazyFrame]:
    if options.input_file is None:
        if options.mapping is not None:
            raise ConfigurationError("--mapping is for --input only; the silver table needs none")
        yield open_silver(options.tables_dir, request)
        return
    if options.mapping is None:
        raise ConfigurationError(
            "--input needs --mapping: a YAML file that maps the columns to fields, such as "
            "config/mappings/handbook.yaml"
        )
    # Loads the tokenisation and reference tables, which the silver table does not need.
    from cardwatch_cli.backtest.file_input import ROWS_IN_MEMORY, open_file

    with open_file(
        options.input_file,
        options.mapping,
        request,
        notice=screen.notice,
        on_rows=screen.reading,
        rows_in_memory=options.rows_in_memory or ROWS_IN_MEMORY,
    ) as found:
        yield found


def _active(rules: tuple[Rule, ...], path: Path, screen: Screen) -> tuple[Rule, ...]:
    """The rules that are not paused.

    Raises:
        ConfigurationError: all of them are paused.
    """
    paused = [rule.rule_id for rule in rules if rule.mode is Mode.PAUSED]
    if paused:
        screen.notice(f"paused in {path} and not evaluated: {', '.join(paused)}")
    active = tuple(rule for rule in rules if rule.mode is not Mode.PAUSED)
    if not active:
        raise ConfigurationError(f"{path}: expected a rule that is live or shadow; there is none to test")
    return active


def _lists(path: Path | None, rules: Sequence[Rule], screen: Screen) -> dict[str, frozenset[str]]:
    """The lists of a file; a notice names the lists that rules use and the file does not have."""
    known = {} if path is None else {name: frozenset(values) for name, values in read_list_file(path, None).items()}
    texts = [text for rule in rules for text in (rule.when, *(measure.where for measure in rule.measures)) if text]
    missing = sorted({name for text in texts for name in lists_in(text)} - known.keys())
    if missing:
        screen.notice(f"expected values of the list {', '.join(missing)} in --lists FILE; it is empty in this test")
    return known


def _period(start: str | None, end: str | None) -> Period:
    period = Period(_time(start, "--from", OPEN_START), _time(end, "--to", OPEN_END))
    if period.start_us >= period.end_us:
        raise ConfigurationError(f"expected --from before --to, got {start} and {end}")
    return period


def _time(text: str | None, option: str, default: int) -> int:
    """A time in microseconds since 1970-01-01 UTC.

    Raises:
        ConfigurationError: the text is not an ISO 8601 time.
    """
    if text is None:
        return default
    with configuration_errors(option):
        return parse_time(text)


def _no_transactions(transactions: pl.LazyFrame, period: Period) -> str:
    if period == Period():
        return "there are no transactions to test on"
    bounds = [
        f"{word} {_shown(time_us)}"
        for word, time_us, default in (("from", period.start_us, OPEN_START), ("before", period.end_us, OPEN_END))
        if time_us != default
    ]
    read = int(transactions.select(pl.len()).collect().item())
    before = f"; the {read:,} that were read for the windows are earlier" if read else ""
    return f"there are no transactions {' '.join(bounds)}{before}"


def _shown(time_us: int) -> str:
    return from_microseconds(time_us).isoformat().removesuffix("+00:00").removesuffix("T00:00:00")
