"""Alert records from the transitions that the rules found."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cardwatch_contracts.identity import alert_id
from cardwatch_contracts.values import SHOWN_FIELDS
from cardwatch_rules.model import Rule
from cardwatch_rules.transitions import Transitions


def alert_records(
    found: Transitions, keys: Sequence[str], *, evidence_limit: int, detected_at_us: int
) -> Iterator[dict[str, Any]]:
    """Records of alert.avsc for one rule's transitions.

    Args:
        keys: the key of each group number.
        evidence_limit: how many transaction ids an alert lists at most; the newest ones.
        detected_at_us: microseconds, for all of them.
    """
    rule, hits, frame = found.hits.rule, found.hits, found.transactions
    rows = frame[hits.rows]
    ids = frame["transaction_id"]
    window_us = rule.longest_window_us
    not_suppressed: Iterable[str | None] = [None] * len(rows)
    for shown, group, event_time, measures, first, after, broker_time, counted_on in zip(
        rows.select(SHOWN_FIELDS).iter_rows(named=True),
        rows["group"],
        rows["event_time"],
        hits.measures.iter_rows() if rule.measures else [()] * len(rows),
        hits.longest.first.tolist(),
        hits.longest.after.tolist(),
        found.cause_broker_time.tolist(),
        found.counted_on or not_suppressed,
        strict=True,
    ):
        yield {
            **shown,
            "alert_id": alert_id(rule.rule_id, rule.version, shown["transaction_id"]),
            "status": found.status,
            **_rule_fields(rule),
            "key": keys[group],
            "event_time": event_time,
            "measures": [
                {
                    "name": measure.name,
                    "expression": measure.expression,
                    "window_us": measure.window_us,
                    "value": None if isinstance(value, str) else value,
                    "text": value if isinstance(value, str) else None,
                }
                for measure, value in zip(rule.measures, measures, strict=True)
            ],
            "window_start": event_time - window_us,
            "evidence_transaction_ids": ids[max(first, after - evidence_limit) : after].to_list(),
            "evidence_count": after - first,
            "raw_broker_time": broker_time,
            "detected_at": detected_at_us,
            "suppressed_by": counted_on and alert_id(rule.rule_id, rule.version, counted_on),
        }


def _rule_fields(rule: Rule) -> dict[str, Any]:
    return {
        "rule_id": rule.rule_id,
        "rule_version": rule.version,
        "rule_title": rule.title,
        "severity": rule.severity.value,
        "mode": rule.mode.value,
        "scope": rule.scope,
    }
