"""The velocity query as a process: late transactions, undecodable messages, two scopes in one state."""

import itertools
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from cardwatch_contracts.identity import alert_id
from cardwatch_contracts.topics import TRANSACTIONS_LATE, TRANSACTIONS_SILVER
from cardwatch_contracts.wire import HEADER
from support.file_modes import open_files
from support.records import MINUTE_US, enriched_record

pytestmark = pytest.mark.integration

RULES = """
rules:
  - id: large
    title: Three large payments within an hour
    scope: card
    measures:
      payments: {window: 1h, is: count(*)}
      mean_amount: {window: 1h, is: mean(base_amount_minor)}
    when: payments >= 3 and mean_amount > 1600
  - id: cards
    title: Two cards at one merchant within five minutes
    scope: merchant
    measures: {cards: {window: 5m, is: count(distinct card_token)}}
    when: cards >= 2
"""
NOBODYS_SCHEMA_ID = 900_000
HOUR_US = 60 * MINUTE_US
YEAR_US = 365 * 24 * HOUR_US
LATEST_US, EARLIEST_US = 2**63 - 1, -(2**63)


@pytest.fixture
def detector(start_detector: Callable[..., Any], tmp_path: Path) -> Any:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    return start_detector(
        CARDWATCH_DETECTOR_RULES=str(rules),
        CARDWATCH_DETECTOR_HORIZON_CARD="2h",
        CARDWATCH_DETECTOR_LATENESS="1h",
    )


@pytest.mark.timeout(400)
def test_late_transactions_and_undecodable_messages(detector: Any, tmp_path: Path) -> None:
    # None of these may hold up what comes after them.
    good = detector.encode_payment(0, 0, "a", amount=1)
    detector.send(
        b"",
        b"{}",
        HEADER.pack(0, detector.topics.schema_id(TRANSACTIONS_SILVER)) + b"\xff\xff",
        # Nor ten ids, one of which would restart the query: each restart takes a while, and eight in a row end it.
        *(HEADER.pack(0, NOBODYS_SCHEMA_ID + number) + good[HEADER.size :] for number in range(10)),
        # Text that is not UTF-8 would be another text in the alert.
        detector.encode_payment(0, 0, "a", merchant="m-late").replace(b"m-late", b"\xff" * 6),
        *(encoded_at(detector, moment) for moment in (LATEST_US, EARLIEST_US, LATEST_US - 2 * HOUR_US, -1, 0)),
    )
    for number, minute in ((1, 10), (2, 20), (3, 30)):
        detector.pay(number, minute, card="a", merchant=f"m{number}")
    detector.wait_for(lambda: states(detector) == [("large", "t3", "raised")], "alert")
    assert f'"schema_id": {NOBODYS_SCHEMA_ID}' in detector.log(), "the log says that such messages are not evaluated"

    # Cheap and late: t3's window has it too, and its mean is not large any more.
    detector.pay(4, 15, card="a", merchant="m4", amount=1)
    retracted = [("large", "t3", "raised"), ("large", "t3", "retracted")]
    detector.wait_for(lambda: states(detector) == retracted, "retraction")

    # The same message again, and a second card at a merchant, which the other scope evaluates.
    detector.pay(4, 15, card="a", merchant="m4", amount=1)
    detector.pay(5, 33.5, card="b", merchant="m3")
    detector.wait_for(lambda: len(detector.alerts()) == 3, "alert of the merchant")
    alerts = {alert["rule_id"]: alert for alert in detector.alerts()}
    assert alerts["cards"]["transaction_id"] == "t5"
    assert (alerts["cards"]["key"], alerts["cards"]["merchant_id"], alerts["cards"]["card_token"]) == ("m3", "m3", "b")
    assert (alerts["large"]["key"], alerts["large"]["card_token"]) == ("a", "a"), "the key of a group is a field too"
    assert sorted(alerts["cards"]["evidence_transaction_ids"]) == ["t3", "t5"]
    assert alerts["cards"]["alert_id"] == alert_id("cards", 1, "t5")

    # A day later the watermark has passed that hour: a transaction of that hour is too late, and is counted.
    assert detector.metric("cardwatch_late_transactions_total", scope="card") == 0
    watermark = "cardwatch_spark_watermark_timestamp_seconds"
    numbers = itertools.count(100)

    def a_day_later() -> bool:
        # A micro-batch moves the watermark for the one after it.
        detector.pay(next(numbers), 24 * 60, card="z", merchant="z")
        return detector.metric(watermark) == detector.start_us / 1e6 + 23 * 3600

    detector.wait_for(a_day_later, "watermark an hour behind the newest transaction")
    detector.pay(6, 16, card="a", merchant="m6")
    detector.wait_for(lambda: detector.metric("cardwatch_late_transactions_total", scope="card") > 0, "late rows")
    assert not [alert for alert in detector.alerts() if alert["transaction_id"] == "t6"]

    # It is on the late topic, unchanged, before the micro-batch is committed. Transactions in time are not.
    (late,) = detector.topics.messages(TRANSACTIONS_LATE)
    assert late.value() == detector.encode_payment(6, 16, card="a", merchant="m6")
    assert late.key() == b"a"
    headers = {name: value.decode() for name, value in late.headers()}
    silver = {
        (message.partition(), message.offset()): message for message in detector.topics.messages(TRANSACTIONS_SILVER)
    }
    assert silver[int(headers.pop("silver_partition")), int(headers.pop("silver_offset"))].value() == late.value()
    assert headers == {
        "detector": "detector",
        "query": "velocity-card-merchant",
        "scopes": "card,merchant",
        "watermark_us": str(detector.start_us + 23 * 3_600_000_000),
    }
    assert detector.metric("cardwatch_late_transactions_total", scope="card") == 1
    assert detector.metric("cardwatch_late_transactions_total", scope="merchant") == 1
    assert '"latest_by_seconds": 81840.0' in detector.log(), "22 hours and 44 minutes"

    # Whoever says that it is seventy years later, or two hours: those of now go on being evaluated.
    seconds = time.time()
    detector.send(*(encoded_at(detector, round(seconds * 1e6) + ahead) for ahead in (70 * YEAR_US, 2 * HOUR_US)))

    def follows() -> bool:
        # As above: a micro-batch moves the watermark for the one after it.
        detector.send(encoded_at(detector, round(seconds * 1e6)))
        return bool(detector.metric(watermark) >= seconds - 3600)

    detector.wait_for(follows, "watermark that follows")
    assert detector.metric(watermark) <= time.time() + 60 - 3600, "a minute past the clock, less the lateness"
    for number, minute in ((201, 10), (202, 20), (203, 30)):
        at = round(seconds * 1e6) + (minute - 31) * MINUTE_US
        detector.send(encoded_at(detector, at, transaction_id=f"t{number}", card_token="now", merchant_id=f"m{number}"))
    detector.wait_for(lambda: ("large", "t203", "raised") in states(detector), "alert of now")

    # The state is for its owner only: offsets, changelogs and snapshots of RocksDB.
    assert list((tmp_path / "checkpoint").rglob("*.changelog")) + list((tmp_path / "checkpoint").rglob("*.zip"))
    assert open_files(tmp_path / "checkpoint") == []


def encoded_at(detector: Any, event_time: int, **fields: Any) -> bytes:
    """The silver message of a payment of 20 euros at a time, microseconds since 1970."""
    amounts = {"amount_minor": 2000, "base_amount_minor": 2000}
    record = enriched_record(
        **{"transaction_id": "t", "card_token": "x", **amounts, "event_time": event_time, **fields}
    )
    return bytes(detector.topics.encode(TRANSACTIONS_SILVER, record))


def states(detector: Any) -> list[tuple[str, str, str]]:
    return [(alert["rule_id"], alert["transaction_id"], alert["status"]) for alert in detector.alerts()]


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_a_jvm_that_hangs_makes_it_unhealthy(start_detector: Callable[..., Any], tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    detector = start_detector(CARDWATCH_DETECTOR_RULES=str(rules), CARDWATCH_STALL_SECONDS="20")
    detector.pay(1, 0, "a")
    detector.wait_for(lambda: sum(detector.positions().values()) == detector.sent, "end of what it reads")
    (java,) = [one for one in psutil.Process(detector.process.pid).children(recursive=True) if one.name() == "java"]
    assert detector.get("/healthz").status_code == 200
    java.send_signal(signal.SIGSTOP)
    try:
        detector.wait_for(lambda: detector.get("/healthz").status_code == 503, "failing health", 60)
        assert "has given no sign of life" in detector.get("/healthz").text
    finally:
        java.send_signal(signal.SIGCONT)
    detector.wait_for(lambda: detector.get("/healthz").status_code == 200, "health")
