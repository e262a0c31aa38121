"""Which differences between a topic and what Cardwatch needs are found, and which of them stop a service."""

from collections.abc import Mapping
from typing import Any

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.topics import (
    ALERTS,
    ALERTS_FEEDBACK,
    ALL_TOPICS,
    DEAD_LETTERS,
    RULE_STATUS,
    RULES,
    TRANSACTIONS_RAW,
    TRANSACTIONS_SILVER,
    Topic,
)
from cardwatch_kafka.topic_check import TopicReport
from cardwatch_kafka.topic_settings import Cluster, ExistingTopic, TopicDifference, compare_topic

DAY_MS = 86_400_000
NEEDED_MS = 31 * 3_600_000

# A broker's defaults (Kafka 4).
DEFAULTS = {
    "cleanup.policy": "delete",
    "retention.ms": str(7 * DAY_MS),
    "retention.bytes": "-1",
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": "3600000",
    "message.timestamp.before.max.ms": str(2**63 - 1),
    "min.insync.replicas": "1",
    "max.message.bytes": "1048588",
    "unclean.leader.election.enable": "false",
}
CLUSTER = Cluster(brokers=3, servers="broker:9092")


def existing(topic: Topic, *, partitions: int | None = None, replicas: int = 3, **changes: str) -> ExistingTopic:
    """The topic as Cardwatch creates it on three brokers, but for some changes (``_`` stands for the dots)."""
    settings = {**DEFAULTS, "min.insync.replicas": "2", **topic.config}
    settings |= {name.replace("_", "."): value for name, value in changes.items()}
    return ExistingTopic(topic.name("p."), partitions or topic.partitions, replicas, settings)


def found(topic: Topic, **changes: Any) -> dict[str, bool]:
    """The settings that differ, and whether that stops a start."""
    differences = compare_topic(topic, existing(topic, **changes), CLUSTER, needed_ms=NEEDED_MS)
    return {one.setting: one.stops for one in differences}


@pytest.mark.parametrize("topic", ALL_TOPICS, ids=lambda topic: topic.base_name)
def test_a_topic_as_cardwatch_creates_it_has_no_differences(topic: Topic) -> None:
    assert found(topic) == {}
    alone = existing(topic, replicas=1, min_insync_replicas="1")
    assert compare_topic(topic, alone, Cluster(1, "broker:9092")) == [], "one broker cannot do better"


@pytest.mark.parametrize(
    ("topic", "changes", "expected"),
    [
        (TRANSACTIONS_RAW, {"message_timestamp_type": "CreateTime"}, {"message.timestamp.type": True}),
        (
            TRANSACTIONS_RAW,
            {"message_timestamp_type": "CreateTime", "message_timestamp_before_max_ms": str(DAY_MS)},
            {"message.timestamp.type": False},
        ),
        (
            TRANSACTIONS_RAW,
            {
                "message_timestamp_type": "CreateTime",
                "message_timestamp_after_max_ms": str(2**63 - 1),
                "message_timestamp_before_max_ms": str(DAY_MS),
            },
            {"message.timestamp.type": True},
        ),
        (TRANSACTIONS_SILVER, {"cleanup_policy": "compact"}, {"cleanup.policy": True}),
        (TRANSACTIONS_SILVER, {"cleanup_policy": "compact,delete"}, {"cleanup.policy": True}),
        (TRANSACTIONS_SILVER, {"cleanup_policy": "delete,compact"}, {"cleanup.policy": True}),
        (RULE_STATUS, {"cleanup_policy": "delete"}, {"cleanup.policy": True, "retention.ms": True}),
        (TRANSACTIONS_SILVER, {"retention_ms": str(NEEDED_MS - 1)}, {"retention.ms": True}),
        (TRANSACTIONS_SILVER, {"retention_ms": str(NEEDED_MS)}, {"retention.ms": False}),
        (TRANSACTIONS_SILVER, {"retention_ms": str(7 * DAY_MS - 1)}, {"retention.ms": False}),
        (TRANSACTIONS_SILVER, {"retention_ms": str(8 * DAY_MS)}, {}),
        (TRANSACTIONS_SILVER, {"retention_ms": "-1"}, {}),
        (ALERTS_FEEDBACK, {"retention_ms": str(30 * DAY_MS)}, {"retention.ms": False}),
        (TRANSACTIONS_SILVER, {"retention_bytes": "1000000"}, {"retention.bytes": False}),
        (ALERTS, {"replicas": 1, "min_insync_replicas": "1"}, {"replication factor": False}),
        (ALERTS, {"min_insync_replicas": "4"}, {"min.insync.replicas": True}),
        (ALERTS, {"min_insync_replicas": "1"}, {"min.insync.replicas": False}),
        (ALERTS, {"min_insync_replicas": "3"}, {"min.insync.replicas": False}),
        (ALERTS, {"unclean_leader_election_enable": "true"}, {"unclean.leader.election.enable": False}),
        (DEAD_LETTERS, {"max_message_bytes": "65535"}, {"max.message.bytes": True}),
        (DEAD_LETTERS, {"max_message_bytes": "500000"}, {"max.message.bytes": False}),
        (TRANSACTIONS_SILVER, {"partitions": 1}, {"partitions": False}),
        (TRANSACTIONS_SILVER, {"partitions": 12}, {}),
        (DEAD_LETTERS, {"partitions": 12}, {}),
        (RULES, {"partitions": 12}, {"partitions": False}),
    ],
)
def test_each_difference_is_found_and_stops_where_results_would_be_wrong(
    topic: Topic, changes: Mapping[str, Any], expected: Mapping[str, bool]
) -> None:
    assert found(topic, **changes) == expected


def test_rules_that_expire_stop_the_detector() -> None:
    """A topic that the broker created by itself, with its own defaults."""
    created = ExistingTopic("p.rules.v1", 1, 1, DEFAULTS)
    differences = compare_topic(RULES, created, Cluster(1, "broker:9092"))
    assert any(one.setting == "retention.ms" and one.stops for one in differences)


def test_a_difference_says_what_where_why_and_how_to_mend_it() -> None:
    (difference,) = compare_topic(ALERTS, existing(ALERTS, min_insync_replicas="4"), CLUSTER)
    assert str(difference) == (
        "topic p.alerts.v1 has min.insync.replicas 4, expected 2: there are only 3 replicas, so that nothing can be "
        "published. To mend it: kafka-configs.sh --bootstrap-server broker:9092 --alter --entity-type topics "
        "--entity-name p.alerts.v1 --add-config min.insync.replicas=2"
    )


def test_what_stops_comes_first_and_is_one_error() -> None:
    found = existing(ALERTS, min_insync_replicas="4", cleanup_policy="compact", partitions=1)
    differences = compare_topic(ALERTS, found, CLUSTER)
    assert [one.stops for one in differences] == [True, True, False]
    with pytest.raises(
        ConfigurationError, match=r"cleanup\.policy.*; .*min\.insync\.replicas.*CARDWATCH_TOPIC_CHECK=warn"
    ):
        TopicReport(differences).require_none_that_stops()
    harmless: list[TopicDifference] = [one for one in differences if not one.stops]
    TopicReport(harmless, missing=["p.rules.v1"]).require_none_that_stops()
