"""The report of a demo run as text for a person."""

from collections.abc import Sequence
from typing import Any

from cardwatch_cli.demo.report import Report


def render_report(report: Report, problems: Sequence[str]) -> str:
    """The report as lines of text, and the problems or that there are none."""
    rows: list[tuple[str, Any]] = [
        ("messages produced", f"{report.produced:,} ({report.transactions:,} valid transactions)"),
        ("  silver", f"{report.silver:,}"),
        ("  refused (dead letters)", f"{report.dead_letters:,}"),
        *((f"    {reason}", f"{count:,}") for reason, count in report.dead_letters_by_reason.items()),
        ("alerts raised", _raised(report)),
        *((f"    {rule}", f"{count:,}") for rule, count in report.alerts_by_rule.items()),
        ("delivered to the webhook", _delivered(report)),
        ("latency, broker to webhook", "  ".join(f"{k} {_ms(v)}" for k, v in report.latency_ms.items())),
        ("precision / recall", f"{_share(report.precision)} / {_share(report.recall)}"),
        *((f"rows in {table}", f"{count:,}") for table, count in report.delta_rows.items()),
        (
            "oracle",
            f"{report.oracle['expected']:,} expected, {report.oracle['missing']:,} missing, "
            f"{report.oracle['extra']:,} extra",
        ),
    ]
    if report.first_alert_seconds is not None:
        rows.append(("first alert", f"{report.first_alert_seconds:.1f} s after the command"))
    width = max(len(name) for name, _ in rows) + 2
    lines = [f"  {name:<{width}}{value}" for name, value in rows]
    result = [f"  ✗ {problem}" for problem in problems] or [
        "  ✓ every alert that the transactions call for was raised and delivered exactly once, and no other"
    ]
    return "\n".join([*lines, "", *result])


def _raised(report: Report) -> str:
    notes = [f"{report.alerts_retracted:,} retracted"] if report.alerts_retracted else []
    notes += [f"{report.alerts_suppressed:,} more suppressed"] if report.alerts_suppressed else []
    notes += [f"{report.alerts_shadow:,} by shadow rules"] if report.alerts_shadow else []
    return f"{report.alerts_raised:,}" + (f" ({', '.join(notes)})" if notes else "")


def _delivered(report: Report) -> str:
    return f"{report.delivered:,}" + (f" ({report.delivery_retries:,} retries)" if report.delivery_retries else "")


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
