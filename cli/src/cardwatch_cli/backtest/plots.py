"""The report's plots, as SVG elements for a page."""

import io
import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import matplotlib as mpl
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from cardwatch_cli.backtest.outputs import signed

_WIDTH_INCHES: Final = 9.0
_INK: Final = "#1f2933"
_QUIET: Final = "#9aa5b1"
_RAISED: Final = "#2f6fb3"
_FRAUD: Final = "#c2410c"
_LOST: Final = "#b4232c"
_GAINED: Final = "#2e7d4f"

_STYLE: Final[Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _QUIET,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # text stays text: small, and can be searched
    "svg.hashsalt": "cardwatch",  # the same figures make the same bytes
}


def alerts_by_day(days: Sequence[date], rules: Sequence[tuple[str, Sequence[int]]]) -> str:
    """One small plot per rule over the same days; each has its own scale, as rules differ by powers of ten."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_INCHES, 0.5 + 0.85 * len(rules)), layout="constrained")
        for axes, (name, alerts) in zip(
            figure.subplots(len(rules), 1, sharex=True, squeeze=False)[:, 0], rules, strict=True
        ):
            axes.bar(days, alerts, width=0.85, color=_RAISED)
            axes.set_title(name, loc="left", fontsize=9, pad=3)
            axes.set_ylim(0, max(1, *alerts) * 1.05)
            axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))
            axes.yaxis.set_major_formatter("{x:,.0f}")
            _date_axis(axes, days)
        return _svg(figure)


def transactions_by_day(days: Sequence[date], transactions: Sequence[int], fraud: Sequence[int] | None) -> str:
    """Transactions per day, and below them fraud per day on its own scale."""
    with mpl.rc_context(_STYLE):
        rows = 1 if fraud is None else 2
        figure = Figure(figsize=(_WIDTH_INCHES, 0.4 + 1.1 * rows), layout="constrained")
        axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
        series = [
            ("transactions", transactions, _QUIET),
            *([] if fraud is None else [("labelled as fraud", fraud, _FRAUD)]),
        ]
        for each, (name, values, colour) in zip(axes, series, strict=True):
            each.bar(days, values, width=0.85, color=colour)
            each.set_title(name, loc="left", fontsize=9, pad=3)
            each.yaxis.set_major_locator(MaxNLocator(2, integer=True))
            each.yaxis.set_major_formatter("{x:,.0f}")
            _date_axis(each, days)
        return _svg(figure)


def precision_and_recall(rules: Sequence[tuple[str, float | None, float | None]]) -> str:
    """Two bars per rule: precision and recall, per transaction."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_INCHES, 0.7 + 0.42 * len(rules)), layout="constrained")
        axes = figure.subplots()
        at = range(len(rules))
        for offset, colour, label, values in (
            (-0.19, _RAISED, "precision", [rule[1] for rule in rules]),
            (0.19, _FRAUD, "recall", [rule[2] for rule in rules]),
        ):
            axes.barh([y + offset for y in at], [value or 0 for value in values], 0.34, color=colour, label=label)
            for y, value in zip(at, values, strict=True):
                shown = "no alerts" if value is None else f"{value:.1%}"
                axes.text((value or 0) + 0.008, y + offset, shown, va="center", fontsize=7.5)
        axes.set_yticks(list(at), [rule[0] for rule in rules])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.08)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        figure.legend(loc="outside upper right", ncols=2, frameon=False)
        return _svg(figure)


def gained_and_lost(rules: Sequence[tuple[str, int, int]]) -> str:
    """Two bars per rule: lost alerts to the left, gained ones to the right."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_INCHES, 0.6 + 0.32 * len(rules)), layout="constrained")
        axes = figure.subplots()
        at = list(range(len(rules)))
        most = max(1, *(max(gained, lost) for _, gained, lost in rules))
        axes.barh(at, [gained for _, gained, _ in rules], 0.6, color=_GAINED)
        axes.barh(at, [-lost for *_, lost in rules], 0.6, color=_LOST)
        for y, (_, gained, lost) in enumerate(rules):
            axes.text(gained + most * 0.01, y, signed(gained), va="center", fontsize=8)
            axes.text(-lost - most * 0.01, y, signed(-lost), va="center", ha="right", fontsize=8)
        axes.axvline(0, color=_INK, linewidth=0.8)
        axes.set_yticks(at, [name for name, *_ in rules])
        axes.invert_yaxis()
        axes.set_xlim(-most * 1.15, most * 1.15)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
        return _svg(figure)


def _date_axis(axes: Any, days: Sequence[date]) -> None:
    locator: Any = AutoDateLocator(  # type: ignore[no-untyped-call]
        minticks=1 if len(days) < 3 else 3, maxticks=10
    )
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _svg(figure: Any) -> str:
    """The figure as an SVG element without prologue that scales with the page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    element = text[text.index("<svg") :]
    return re.sub(
        r'<svg([^>]*?) height="[^"]*"',
        r"<svg\1",
        re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1),
        count=1,
    )
