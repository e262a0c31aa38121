"""Groups of events in, encoded alerts out: the part of the velocity query that Spark's Python workers run."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from cardwatch_contracts.identity import alert_id
from cardwatch_contracts.wire import Decoder
from cardwatch_detector.velocity.rules.rule_set import RuleSet
from cardwatch_detector.velocity.state.evaluation import Evaluation, flatten
from cardwatch_rules.parse import parse_rules
from support.registry import InMemoryRegistry

RULES = parse_rules("""
rules:
  - id: three
    title: Three in ten seconds
    scope: card
    severity: high
    measures:
      n: {window: 10s, is: count(*)}
      spent: {window: 5s, is: sum(base_amount_minor), where: status = 'approved'}
    when: n >= 3
""")
SECOND = 1_000_000
BATCH = 1_800_000_000_000_000


@dataclass(frozen=True)
class FixedRuleSet:
    """Always the same rule set."""

    rule_set: RuleSet

    def current(self) -> RuleSet:
        return self.rule_set


def event(number: int, second: int, *, new: bool = True, amount: int = 100) -> dict[str, Any]:
    return {
        "stamp": stamp(second * SECOND, BATCH if new else BATCH - 1),
        "transaction": transaction(number, second, amount),
    }


def stamp(*times_us: int) -> bytes:
    return b"".join((us + 2**63).to_bytes(8, "big") for us in times_us)


def transaction(number: int, second: int, amount: int) -> dict[str, Any]:
    return {
        "transaction_id": f"t{number}",
        "card_token": "",
        "card_bin": "400000",
        "card_last_four": "1234",
        "merchant_id": "m",
        "country": "DE",
        "amount_minor": amount,
        "currency": "EUR",
        "base_amount_minor": amount,
        "status": "approved",
        "raw_broker_time": second * SECOND + 5,
    }


def batch(*groups: tuple[str, int, list[dict[str, Any]]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [
            {"scope": "card", "key": key, "evaluate_from": start * SECOND, "batch": stamp(BATCH), "events": events}
            for key, start, events in groups
        ]
    )


def run(evaluation: Evaluation, *batches: pa.RecordBatch) -> list[dict[str, Any]]:
    decode = Decoder("alert", InMemoryRegistry({"alert": 4}))
    return [
        decode(row["value"]) | {"_row": row}
        for result in evaluation.function()(iter(batches))
        for row in result.to_pylist()
    ]


def test_flatten_numbers_the_groups() -> None:
    groups = batch(("a", 1, [event(1, 2), event(2, 3, new=False)]), ("b", 9, [event(3, -9)]))
    keys, frame = flatten(pa.Table.from_batches([groups]), "card_token")
    assert keys == ["a", "b"]
    assert frame["group"].to_list() == [0, 0, 1]
    assert frame["evaluate_from"].to_list() == [SECOND, SECOND, 9 * SECOND]
    assert frame["event_time"].to_list() == [2 * SECOND, 3 * SECOND, -9 * SECOND]
    assert frame["is_new"].to_list() == [True, False, True]
    assert frame["transaction_id"].to_list() == ["t1", "t2", "t3"]


def test_the_key_comes_from_the_group() -> None:
    groups = batch(("a", 1, [event(1, 2), event(2, 3)]), ("b", 9, [event(3, 9)]))
    _, frame = flatten(pa.Table.from_batches([groups]), "card_token")
    assert frame["card_token"].to_list() == ["a", "a", "b"], "it is not stored with the event"
    _, frame = flatten(pa.Table.from_batches([groups]), "merchant_id")
    assert frame["merchant_id"].to_list() == ["m", "m", "m"], "another scope's key is"


def test_flatten_takes_several_batches() -> None:
    table = pa.Table.from_batches([batch(("a", 0, [event(1, 2)])), batch(("b", 0, [event(2, 3), event(3, 4)]))])
    keys, frame = flatten(table, "card_token")
    assert keys == ["a", "b"]
    assert frame["group"].to_list() == [0, 1, 1]


def test_an_alert_carries_its_evidence() -> None:
    evaluation = Evaluation(FixedRuleSet(RuleSet(RULES)), alert_schema_id=4, evidence_limit=2)
    (alert,) = run(evaluation, batch(("c", 0, [event(1, 2), event(2, 3), event(3, 8, amount=70)])))
    assert alert["alert_id"] == alert_id("three", 1, "t3")
    assert (alert["status"], alert["severity"], alert["scope"], alert["key"]) == ("raised", "high", "card", "c")
    assert alert["measures"] == [
        {"name": "n", "expression": "count(*)", "window_us": 10 * SECOND, "value": 3, "text": None},
        {"name": "spent", "expression": "sum(base_amount_minor)", "window_us": 5 * SECOND, "value": 70, "text": None},
    ]
    assert alert["evidence_transaction_ids"] == ["t2", "t3"], "the newest, as many as the limit"
    assert alert["evidence_count"] == 3
    assert alert["window_start"] == -2 * SECOND
    assert alert["raw_broker_time"] == 8 * SECOND + 5
    assert (alert["_row"]["key"], alert["_row"]["rule_id"]) == ("c", "three")


def test_a_late_arrival_is_the_cause() -> None:
    evaluation = Evaluation(FixedRuleSet(RuleSet(RULES)), alert_schema_id=4, evidence_limit=10)
    late = event(2, 3)
    late["transaction"]["raw_broker_time"] = 99 * SECOND
    (alert,) = run(evaluation, batch(("c", 0, [event(1, 2, new=False), event(3, 8, new=False), late])))
    assert alert["transaction_id"] == "t3"
    assert alert["raw_broker_time"] == 99 * SECOND, "latency counts from the message that made the difference"


def test_nothing_found_is_nothing_said() -> None:
    evaluation = Evaluation(FixedRuleSet(RuleSet(RULES)), alert_schema_id=4, evidence_limit=10)
    assert run(evaluation, batch(("c", 0, [event(1, 2)]))) == []
    assert run(evaluation) == []
