"""How the notifier joins its consumer group, and which of the outbox's offsets it reads from."""

from typing import Any

import pytest
from cardwatch_kafka.group_consumer import OffsetsUnavailableError
from cardwatch_kafka.messages import TopicPartition
from cardwatch_notifier.intake.kafka_source import outbox_offsets, source_config
from cardwatch_notifier.outbox.protocol import Outbox, OutboxUnavailableError
from cardwatch_service.metrics import Metrics


def test_only_a_notifier_with_an_outbox_to_itself_is_a_static_member() -> None:
    assert source_config({}, "group", "outbox-1")["group.instance.id"] == "group-outbox-1"
    assert "group.instance.id" not in source_config({}, "group", None)


def test_only_committed_messages_are_read_and_no_offset_is_committed_unasked() -> None:
    config = source_config({"bootstrap.servers": "broker:9092"}, "group", None)
    assert (config["bootstrap.servers"], config["group.id"]) == ("broker:9092", "group")
    assert (config["isolation.level"], config["enable.auto.commit"]) == ("read_committed", False)
    assert config["partition.assignment.strategy"] == "range"


def test_offsets_of_a_topic_that_was_created_again_do_not_count(outbox: Outbox, kit: Any) -> None:
    outbox.accept([kit.arrival(6, "a")], ["webhook"], now=5)
    assert outbox_offsets(outbox, "topic-id", Metrics())() == {TopicPartition("alerts.v1", 0): 7}
    assert outbox_offsets(outbox, "another-id", Metrics())() == {}


class AwayOutbox:
    def positions(self) -> dict[Any, int]:
        raise OutboxUnavailableError("the outbox does not answer")


def test_an_unavailable_outbox_is_counted_and_reported() -> None:
    away: Any = AwayOutbox()
    metrics = Metrics()
    with pytest.raises(OffsetsUnavailableError, match="the outbox does not answer"):
        outbox_offsets(away, "topic-id", metrics)()
    assert metrics.registry.get_sample_value("cardwatch_errors_total", {"kind": "outbox"}) == 1
