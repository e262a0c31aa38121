"""The result of a backtest as files and as JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_rules.backtest.alerts import table
from cardwatch_rules.backtest.compare import Difference
from cardwatch_rules.backtest.run import Backtest
from cardwatch_rules.backtest.summary import Figures, RuleSummary, Summary
from cardwatch_rules.model import Rule
from cardwatch_units.timestamps import EPOCH

_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that a backtest reports.

    Attributes:
        tested: the result for the rules and those that they are compared with.
        rules: the rules that were tested, without those that they are compared with.
        summary: the figures of the rules.
        differences: the differences by rule id; None if nothing is compared.
        notices: what limits the result, a sentence each.
        evaluated_seconds: how long it took to read the silver table and to evaluate.
    """

    tested: Backtest
    rules: tuple[Rule, ...]
    summary: Summary
    differences: tuple[Difference, ...] | None
    notices: tuple[str, ...]
    evaluated_seconds: float


def day_of(number: int) -> date:
    """The day that is this many days after 1970-01-01."""
    return EPOCH.date() + timedelta(days=number)


def signed(number: int) -> str:
    """A difference: ``+3``, ``−3``, ``0``."""
    return f"{number:+,}".replace("-", "−") if number else "0"


def write_alerts(path: Path, alerts: Sequence[pl.DataFrame]) -> None:
    """Write alerts to a Parquet file, see ``cardwatch_rules.backtest.alerts.table``.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        table(list(alerts)).write_parquet(path)
    except OSError as error:
        raise cannot_write(path, error) from error


def as_json(findings: Findings, seconds: float) -> str:
    """The figures as JSON; shares are null if there are no labels."""
    tested, summary = findings.tested, findings.summary
    days = [{**row, "day": day_of(row["day"]).isoformat()} for row in tested.days.to_dicts()]
    document: dict[str, Any] = {
        "transactions": tested.transactions,
        "fraud": tested.fraud if tested.labelled else None,
        "first_day": days[0]["day"],
        "last_day": days[-1]["day"],
        "calendar_days": summary.days,
        "seconds": round(seconds, 3),
        "evaluated_seconds": round(findings.evaluated_seconds, 3),
        "notices": list(findings.notices),
        "rules": [_rule(rule) for rule in summary.rules],
        "together": _figures(summary.together),
        "days": days,
    }
    if findings.differences is not None:
        document["compare"] = [
            {
                "id": each.rule_id,
                "gained": each.gained.height,
                "lost": each.lost.height,
                "kept": each.kept,
                "lost_to_suppression": each.suppressed,
            }
            for each in findings.differences
        ]
    return json.dumps(document, indent=2, ensure_ascii=False)


def cannot_write(path: Path, error: OSError) -> ConfigurationError:
    """The error for a file that cannot be written."""
    return ConfigurationError(f"{path} cannot be written: {error.strerror or error}")


def _rule(summary: RuleSummary) -> dict[str, Any]:
    rule = summary.rule
    return {
        "id": rule.rule_id,
        "version": rule.version,
        "title": rule.title,
        "scope": rule.scope,
        "mode": rule.mode.value,
        **_figures(summary.figures),
        "top_keys": [{"key": key, "alerts": alerts} for key, alerts in summary.top_keys],
        "by_day": [{"day": day_of(day).isoformat(), "alerts": alerts} for day, alerts in summary.by_day.iter_rows()],
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        name: round(value, _DIGITS) if isinstance(value, float) else value for name, value in asdict(figures).items()
    }
