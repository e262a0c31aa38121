"""A rotation of the token key on a running pipeline: enricher and detector before, during and after it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cardwatch_card_numbers.tokens import tokenise
from cardwatch_contracts.topics import TRANSACTIONS_JSON, TRANSACTIONS_SILVER
from support.kafka import KafkaTopics
from support.platforms import Platform
from support.processes import ServiceProcess, installed_command, service_environment
from support.records import CARD_NUMBER, EVENT_TIME_US, MINUTE_US, transaction_document

pytestmark = [pytest.mark.integration, pytest.mark.faults]

# The switch is at EVENT_TIME_US, which is a midnight; minutes below count from it.
SWITCH_DAY: Final = "2026-11-24"
K1, K2 = ("0f1e2d3c4b5a69788796a5b4c3d2e1f0" * 2, "8796a5b4c3d2e1f00f1e2d3c4b5a6978" * 2)
BEFORE: Final = {"CARDWATCH_TOKEN_KEY": K1, "CARDWATCH_TOKEN_KEY_ID": "k1"}
DURING: Final = {
    **BEFORE,
    "CARDWATCH_TOKEN_NEXT_KEY": K2,
    "CARDWATCH_TOKEN_NEXT_KEY_ID": "k2",
    "CARDWATCH_TOKEN_NEXT_FROM": SWITCH_DAY,
}
AFTER: Final = {"CARDWATCH_TOKEN_KEY": K2, "CARDWATCH_TOKEN_KEY_ID": "k2"}
OLD, NEW = (tokenise(CARD_NUMBER, bytes.fromhex(key)).card_token for key in (K1, K2))

RULES = """
rules:
  - id: three
    title: Three payments within an hour, told once
    scope: card
    measures: {payments: {window: 1h, is: count(*)}}
    when: payments >= 3
    suppress: 30m
  - id: cards
    title: Two cards at one merchant
    scope: merchant
    measures: {cards: {window: 1h, is: count(distinct card_token)}}
    when: cards >= 2
"""


class Pipeline:
    """An enricher and a detector that are started again with other keys, on the same topics and state."""

    def __init__(
        self, platform: Platform, prefix: str, directory: Path, start_detector: Callable[..., Any], rules: Path
    ) -> None:
        self._new_enricher = lambda keys: ServiceProcess(
            [installed_command("cardwatch-enricher")],
            service_environment(platform, prefix, **keys),
            directory / "enricher.log",
        )
        self._new_detector = lambda keys: start_detector(
            CARDWATCH_DETECTOR_RULES=str(rules),
            CARDWATCH_DETECTOR_HORIZON_CARD="6h",
            CARDWATCH_DETECTOR_LATENESS="1h",
            **keys,
        )
        self.topics = KafkaTopics(platform, prefix)
        self.sent = 0
        self.enricher: Any = None
        self.detector: Any = None

    def restart(self, keys: dict[str, str]) -> None:
        self.stop()
        self.enricher = self._new_enricher(keys)
        self.enricher.start()
        self.enricher.wait_for(self.enricher.is_ready, "readiness")
        self.detector = self._new_detector(keys)
        self.detector.wait_for(self.detector.is_ready, "readiness")

    def stop(self) -> None:
        for process in (self.enricher, self.detector):
            if process is not None and process.is_running:
                process.stop(60)

    def pay(self, *minutes: int) -> None:
        """One payment at a time, each of them evaluated before the next one comes."""
        for minute in minutes:
            document = transaction_document(
                transaction_id=f"t{minute}", event_time=EVENT_TIME_US + minute * MINUTE_US, merchant_id="m"
            )
            self.topics.send(TRANSACTIONS_JSON, json.dumps(document).encode(), b"k")
            self.topics.flush()
            self.sent += 1
            self.enricher.wait_for(lambda: len(self.silver()) == self.sent, "silver")

    def silver(self) -> dict[str, dict[str, Any]]:
        return {record["transaction_id"]: record for record in self.topics.records(TRANSACTIONS_SILVER)}

    def alerts(self) -> set[tuple[str, str, str, str]]:
        return {(a["rule_id"], a["transaction_id"], a["status"], a["key"]) for a in self.detector.alerts()}


@pytest.mark.timeout(900)
def test_windows_and_suppressions_reach_across_the_switch(
    platform: Platform, topic_prefix: str, tmp_path: Path, start_detector: Callable[..., Any]
) -> None:
    (rules := tmp_path / "rules.yaml").write_text(RULES)
    pipeline = Pipeline(platform, topic_prefix, tmp_path, start_detector, rules)
    try:
        pipeline.restart(BEFORE)
        pipeline.pay(-200)
        pipeline.restart(DURING)
        pipeline.pay(-40, -20, -5)
        expected = {("three", "t-5", "raised", OLD)}
        pipeline.detector.wait_for(lambda: pipeline.alerts() == expected, "alert before the switch")
        # Across the switch: the third payment of the hour again, counted on the alert before.
        pipeline.pay(10)
        expected |= {("three", "t10", "suppressed", NEW)}
        pipeline.detector.wait_for(lambda: pipeline.alerts() == expected, "suppressed alert after the switch")
        # The next key alone: its state goes on where it was.
        pipeline.restart(AFTER)
        pipeline.pay(20)
        expected |= {("three", "t20", "suppressed", NEW)}
        pipeline.detector.wait_for(lambda: pipeline.alerts() == expected, "suppressed alert after the rotation")
        pipeline.stop()
    finally:
        pipeline.enricher.kill()
    assert {name: (row["card_token"], row["other_card_token"]) for name, row in pipeline.silver().items()} == {
        "t-200": (OLD, None),
        "t-40": (OLD, NEW),
        "t-20": (OLD, NEW),
        "t-5": (OLD, NEW),
        "t10": (NEW, OLD),
        "t20": (NEW, None),
    }
    # One card all the time: the merchant's rule never counted two.
    assert {rule for rule, *_ in pipeline.alerts()} == {"three"}
