"""The terminal output of a backtest: progress on standard error, tables on standard output."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cardwatch_rules.backtest.compare import Difference
from cardwatch_rules.backtest.summary import Figures, RuleSummary
from cardwatch_service.printable import escape_control_characters
from cardwatch_service.tables import new_table, output_console
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cardwatch_cli.backtest.outputs import Findings, day_of, signed

_PLAIN_EVERY_SECONDS: Final = 5.0
_BARS: Final = "▁▂▃▄▅▆▇█"
_MAX_BARS: Final = 31
_KEYS_SHOWN: Final = 3
_SHARES: Final = (
    "Precision: share of alerted transactions that are fraud. Recall: share of fraud with an alert; of hits: "
    "suppressed alerts counted as well."
)
# The narrowest console with room for bars.
_WIDTH_WITH_BARS: Final = 125


class Screen:
    """Writes tables to standard output, and everything else to standard error."""

    def __init__(self, *, quiet: bool = False, out: Console | None = None, err: Console | None = None) -> None:
        """
        Args:
            quiet: a program reads standard output; progress is still shown on a terminal.
        """
        self._out: Final = out or output_console()
        self._err: Final = err or Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._quiet = quiet
        self._progress: _Progress | None = None
        self.notices: list[str] = []
        """The sentences that were shown with ``notice``."""

    @contextmanager
    def progress(self) -> Iterator["_Progress"]:
        """While this is open, progress is shown: live on a terminal, as a line every few seconds elsewhere."""
        with _Progress(self._err, quiet=self._quiet) as self._progress:
            yield self._progress

    def notice(self, sentence: str) -> None:
        """Show what limits the result."""
        self.notices.append(sentence)
        self._err.print(Text(f"note: {sentence}", style="yellow"))

    def reading(self, done: int, total: int | None) -> None:
        """Show how many rows of a file are read."""
        if self._progress is not None:
            self._progress.show("reading", done, total)

    def show(self, findings: Findings, seconds: float) -> None:
        """Show the figures as tables."""
        tested, summary = findings.tested, findings.summary
        first, last = int(tested.days["day"][0]), int(tested.days["day"][-1])
        labelled = f", {tested.fraud:,} of them labelled as fraud" if tested.labelled else ""
        self._out.print(
            f"{tested.transactions:,} transactions from {day_of(first)} to {day_of(last)}{labelled}; "
            f"{seconds:.1f} s, {findings.evaluated_seconds:.1f} s of it evaluating",
            soft_wrap=True,
        )
        self._out.print(_rules_table(findings, self._out.width >= _WIDTH_WITH_BARS))
        if tested.labelled:
            self._out.print(Text(_SHARES, style="dim"))
        if any(rule.top_keys for rule in summary.rules):
            self._out.print(_keys_table(summary.rules))
        if findings.differences is not None:
            self._out.print(_differences_table(findings.differences, tested.labelled))

    def written(self, *paths: Path) -> None:
        """Show which files were written."""
        for path in paths:
            self._out.print(f"Written: {path}", soft_wrap=True)


class _Progress:
    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._live: Progress | None = None
        self._plain = not quiet
        self._shown = time.monotonic()
        if console.is_terminal:
            self._live = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[rows]}"),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )
            self._task = self._live.add_task("reading", total=None, rows="")

    def __enter__(self) -> "_Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def evaluating(self) -> None:
        """Show that evaluation begins."""
        self.show("evaluating", 0, None)

    def rows(self, done: int, total: int) -> None:
        """Show how many rows are evaluated; a row counts once per scope."""
        self.show("evaluating", done, total)

    def show(self, what: str, done: int, total: int | None) -> None:
        """Show a step and its progress."""
        rows = f"{done:,}" + (f" of {total:,} rows" if total is not None else " rows")
        if self._live is not None:
            self._live.update(self._task, description=what, completed=done, total=total, rows=rows)
        elif self._plain and time.monotonic() - self._shown >= _PLAIN_EVERY_SECONDS:
            self._shown = time.monotonic()
            self._console.print(f"{what}: {rows}")


def sparkline(by_day: dict[int, int], first: int, last: int) -> str:
    """Alerts per day as a line of bars; if there are many days, a bar stands for several."""
    days = last - first + 1
    width = -(-days // _MAX_BARS)
    sums = [
        sum(by_day.get(day, 0) for day in range(at, min(at + width, last + 1))) for at in range(first, last + 1, width)
    ]
    most = max(sums)
    if not most:
        return ""
    return "".join(" " if not each else _BARS[min(len(_BARS) - 1, each * len(_BARS) // (most + 1))] for each in sums)


def _rules_table(findings: Findings, with_bars: bool) -> Table:
    tested, summary = findings.tested, findings.summary
    first, last = int(tested.days["day"][0]), int(tested.days["day"][-1])
    table = new_table(title="Alerts")
    table.add_column("rule", overflow="fold", min_width=12)
    if with_bars:
        table.add_column("by day", no_wrap=True)
    for name in ("alerts", "per day", "sup-\npressed", "keys", "alert\nrate"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("pre-\ncision", "recall", "… of\nhits") if tested.labelled else ():
        table.add_column(name, justify="right", no_wrap=True)
    for each in summary.rules:
        by_day = {int(day): int(alerts) for day, alerts in each.by_day.iter_rows()}
        bars = [sparkline(by_day, first, last)] if with_bars else []
        style = "" if each.figures.alerts else "dim"
        table.add_row(each.rule.rule_id, *bars, *_cells(each.figures, tested.labelled), style=style)
    if len(summary.rules) > 1:
        table.add_section()
        bars = [""] if with_bars else []
        table.add_row("together", *bars, *_cells(summary.together, tested.labelled), style="bold")
    return table


def _cells(figures: Figures, labelled: bool) -> list[str]:
    shares = (figures.precision, figures.recall, figures.recall_of_hits) if labelled else ()
    return [
        f"{figures.alerts:,}",
        f"{figures.alerts_a_day:,.1f}",
        f"{figures.suppressed:,}",
        f"{figures.keys:,}",
        f"{figures.alert_rate:.3%}",
        *("–" if share is None else f"{share:.1%}" for share in shares),
    ]


def _keys_table(rules: Sequence[RuleSummary]) -> Table:
    table = new_table(title="Keys with the most alerts")
    table.add_column("rule", overflow="fold")
    table.add_column("key", no_wrap=True)
    table.add_column("alerts", justify="right")
    for each in rules:
        for number, (key, alerts) in enumerate(each.top_keys[:_KEYS_SHOWN]):
            table.add_row("" if number else each.rule.rule_id, Text(escape_control_characters(key)), f"{alerts:,}")
    return table


def _differences_table(differences: Sequence[Difference], labelled: bool) -> Table:
    table = new_table(title="Compared with the other rules")
    table.add_column("rule", overflow="fold", min_width=12)
    for name in (
        "gained",
        "lost",
        "… now\nsuppressed",
        "kept",
        *(("gained\nfraud", "lost\nfraud") if labelled else ()),
    ):
        table.add_column(name, justify="right")
    for each in differences:
        fraud = (f"{each.gained['is_fraud'].sum():,}", f"{each.lost['is_fraud'].sum():,}") if labelled else ()
        table.add_row(
            each.rule_id,
            Text(signed(each.gained.height), style="green" if each.gained.height else "dim"),
            Text(signed(-each.lost.height), style="red" if each.lost.height else "dim"),
            f"{each.suppressed:,}",
            f"{each.kept:,}",
            *fraud,
        )
    return table
