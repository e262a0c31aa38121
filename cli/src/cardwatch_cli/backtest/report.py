"""A backtest as one self-contained page of HTML without scripts, so that it can be sent and archived."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cardwatch_rules.backtest.summary import Figures, RuleSummary
from cardwatch_rules.model import Rule
from cardwatch_service.printable import escape_html
from cardwatch_units.durations import format_duration

from cardwatch_cli.backtest import plots
from cardwatch_cli.backtest.outputs import Findings, cannot_write, day_of, signed

_STYLE: Final = """
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: #1f2933; margin: 0; }
main { max-width: 960px; margin: 0 auto; padding: 24px 24px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 40px 0 8px; }
h3 { font-size: 15px; margin: 20px 0 2px; }
p { margin: 6px 0; } .quiet { color: #616e7c; }
.note { background: #fff7e0; border-left: 4px solid #e0a800; padding: 6px 12px; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0; }
.tile { border: 1px solid #dde3ea; border-radius: 6px; padding: 8px 16px; min-width: 110px; }
.tile b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid #e4e9ee; vertical-align: top; }
th { font-weight: 600; border-bottom: 2px solid #b8c2cc; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.all td { font-weight: 600; border-top: 2px solid #b8c2cc; }
code { font: 13px ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; }
@media print { main { max-width: none; } h2 { break-after: avoid; } svg, tr { break-inside: avoid; } }
"""

# The page loads nothing and runs nothing, whatever gets into it. The plots have styles of their own.
_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)

# The largest number of rules in a plot; the table has all of them.
_MAX_PLOTTED_RULES: Final = 24


def write_report(path: Path, findings: Findings, rules: Path, compare: Path | None) -> None:
    """Write the page.

    Args:
        rules: the rule file that was tested, for its name.
        compare: the rule file that it is compared with, for its name.

    Raises:
        ConfigurationError: the page cannot be written.
    """
    try:
        path.write_text(render_page(findings, rules.name, compare.name if compare else None), encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error) from error


def render_page(findings: Findings, rules: str, compare: str | None) -> str:
    """The page; ``rules`` and ``compare`` are names of rule files."""
    body = "\n".join(_parts(findings, rules, compare))
    title = f"Backtest of {escape_html(rules)}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_SECURITY_POLICY}">\n'
        f"<title>{title}</title>\n"
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style></head>\n'
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _parts(findings: Findings, rules: str, compare: str | None) -> Iterator[str]:
    tested, summary = findings.tested, findings.summary
    first, last = int(tested.days["day"][0]), int(tested.days["day"][-1])
    days = [day_of(day) for day in range(first, last + 1)]
    with_alerts = [each for each in summary.rules if each.figures.alerts]
    by_alerts = sorted(with_alerts, key=lambda each: -each.figures.alerts)
    most = {each.rule.rule_id for each in by_alerts[:_MAX_PLOTTED_RULES]}
    shown = [each for each in with_alerts if each.rule.rule_id in most]
    all_shown = len(shown) == len(with_alerts)
    which = "the rules that have any" if all_shown else f"the {_MAX_PLOTTED_RULES} rules with the most"
    yield f"<h1>Backtest of {escape_html(rules)}</h1>"
    against = f", compared with {escape_html(compare)}" if compare else ""
    yield f'<p class="quiet">Transactions from {days[0]} to {days[-1]} (UTC){against}</p>'
    for notice in findings.notices:
        yield f'<p class="note">{escape_html(notice)}.</p>'
    yield _tiles(findings)
    yield "<h2>Rules</h2>"
    yield _rules_table(summary.rules, summary.together, tested.labelled)
    if tested.labelled:
        yield (
            '<p class="quiet">Per transaction. Precision: of the transactions with a raised alert, the share labelled '
            "as fraud. Recall: of the transactions labelled as fraud, the share with a raised alert; recall of hits "
            "also counts those whose alert is suppressed by an earlier one of the same attack.</p>"
        )
        if shown:
            yield "<h2>Precision and recall</h2>"
            yield plots.precision_and_recall(
                [(each.rule.rule_id, each.figures.precision, each.figures.recall) for each in shown]
            )
    if shown:
        yield "<h2>Alerts per day</h2>"
        yield f'<p class="quiet">Raised alerts of {which}; each has its own scale.</p>'
        yield plots.alerts_by_day(
            days, [(each.rule.rule_id, _daily(each.by_day, "alerts", first, last)) for each in shown]
        )
    if findings.differences is not None:
        yield f"<h2>Compared with {escape_html(compare or '')}</h2>"
        yield (
            '<p class="quiet">Alerts, by transaction, that only one of the two raises; of those lost, how many are '
            "still hits that an earlier alert suppresses.</p>"
        )
        changed = [each for each in findings.differences if each.gained.height or each.lost.height]
        if changed:
            yield plots.gained_and_lost([(each.rule_id, each.gained.height, each.lost.height) for each in changed])
        yield _differences_table(findings)
    yield "<h2>Transactions per day</h2>"
    fraud = _daily(tested.days, "fraud", first, last) if tested.labelled else None
    yield plots.transactions_by_day(days, _daily(tested.days, "transactions", first, last), fraud)
    yield "<h2>Keys with the most alerts</h2>"
    yield _keys_table(summary.rules)
    yield "<h2>Definitions of the rules</h2>"
    for each in summary.rules:
        yield _definition(each.rule)


def _tiles(findings: Findings) -> str:
    tested, together = findings.tested, findings.summary.together
    tiles = [
        ("transactions", f"{tested.transactions:,}"),
        ("alerts", f"{together.alerts:,}"),
        ("alerts per day", f"{together.alerts_a_day:,.1f}"),
        ("suppressed hits", f"{together.suppressed:,}"),
        ("of transactions alerted", f"{together.alert_rate:.2%}"),
    ]
    if tested.labelled:
        tiles += [
            ("labelled as fraud", f"{tested.fraud:,}"),
            ("precision", _share(together.precision)),
            ("recall", _share(together.recall)),
        ]
    return (
        '<div class="tiles">'
        + "".join(f'<div class="tile"><b>{value}</b>{name}</div>' for name, value in tiles)
        + "</div>"
    )


def _rules_table(rules: Sequence[RuleSummary], together: Figures, labelled: bool) -> str:
    heads = ["alerts", "per day", "suppressed", "keys", "of transactions"]
    heads += ["precision", "recall", "recall of hits"] if labelled else []
    rows = [
        _row(
            f"<td><code>{escape_html(each.rule.rule_id)}</code><br>{escape_html(each.rule.title)}</td>",
            each.figures,
            labelled,
        )
        for each in rules
    ]
    if len(rules) > 1:
        rows.append(_row("<td>together</td>", together, labelled, "all"))
    return _table(["rule"], heads, rows)


def _row(first: str, figures: Figures, labelled: bool, style: str = "") -> str:
    cells = [
        f"{figures.alerts:,}",
        f"{figures.alerts_a_day:,.1f}",
        f"{figures.suppressed:,}",
        f"{figures.keys:,}",
        f"{figures.alert_rate:.3%}",
    ]
    if labelled:
        cells += [_share(figures.precision), _share(figures.recall), _share(figures.recall_of_hits)]
    return f'<tr class="{style}">{first}' + "".join(f'<td class="n">{cell}</td>' for cell in cells) + "</tr>"


def _differences_table(findings: Findings) -> str:
    labelled = findings.tested.labelled
    rows = []
    for each in findings.differences or ():
        cells = [signed(each.gained.height), signed(-each.lost.height), f"{each.suppressed:,}", f"{each.kept:,}"]
        if labelled:
            cells += [f"{frame['is_fraud'].sum():,}" for frame in (each.gained, each.lost)]
        numbers = "".join(f'<td class="n">{cell}</td>' for cell in cells)
        rows.append(f"<tr><td><code>{escape_html(each.rule_id)}</code></td>{numbers}</tr>")
    heads = [
        "gained",
        "lost",
        "of them suppressed",
        "kept",
        *(["of the gained fraud", "of the lost fraud"] if labelled else []),
    ]
    return _table(["rule"], heads, rows)


def _keys_table(rules: Sequence[RuleSummary]) -> str:
    rows = [
        f"<tr><td>{'' if number else f'<code>{escape_html(each.rule.rule_id)}</code>'}</td>"
        f'<td><code>{escape_html(key)}</code></td><td class="n">{alerts:,}</td></tr>'
        for each in rules
        for number, (key, alerts) in enumerate(each.top_keys)
    ]
    return _table(["rule", "key"], ["alerts"], rows) if rows else "<p>No alerts.</p>"


def _table(texts: Sequence[str], numbers: Sequence[str], rows: Sequence[str]) -> str:
    heads = "".join(f"<th>{head}</th>" for head in texts) + "".join(f'<th class="n">{head}</th>' for head in numbers)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _definition(rule: Rule) -> str:
    lines = [f"<h3><code>{escape_html(rule.rule_id)}</code> version {rule.version}: {escape_html(rule.title)}</h3>"]
    if rule.explanation:
        lines.append(f"<p>{escape_html(rule.explanation)}</p>")
    suppressed = f", suppressed for {format_duration(rule.suppress_us)}" if rule.suppress_us is not None else ""
    lines.append(f'<p class="quiet">scope {rule.scope}, {rule.severity.value}, {rule.mode.value}{suppressed}</p>')
    for measure in rule.measures:
        where = f" where {measure.where}" if measure.where else ""
        text = f"{measure.name} = {measure.expression}{where} over {format_duration(measure.window_us)}"
        lines.append(f"<p><code>{escape_html(text)}</code></p>")
    lines.append(f"<p><code>when {escape_html(rule.when)}</code></p>")
    return "\n".join(lines)


def _daily(frame: Any, column: str, first: int, last: int) -> list[int]:
    """A number for each day, 0 if the frame has no row for it."""
    by_day = dict(zip(frame["day"].to_list(), frame[column].to_list(), strict=True))
    return [int(by_day.get(day, 0)) for day in range(first, last + 1)]


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
