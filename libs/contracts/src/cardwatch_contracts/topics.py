"""The topics: names, what they carry, how they are kept. The only place where they are defined."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_DAY_MS: Final = 24 * 60 * 60 * 1000

# The broker stamps every message itself: latency is counted from a clock that no producer can set wrong.
_LOG_APPEND_TIME: Final = {"message.timestamp.type": "LogAppendTime"}

_COMPACTED: Final = {"cleanup.policy": "compact"}

# Every message for ever, whatever its key: neither a tombstone nor a repeated key removes an earlier one, as compaction
# would. The broker's own time is the one that no writer can choose.
_KEPT_FOR_EVER: Final = {
    **_LOG_APPEND_TIME,
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
}


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes:
        base_name: name without the deployment's prefix, ``<what>.<layer>.v<n>``.
        schema: file name in ``schemas/`` without ``.avsc``, or None for a topic that is not Avro.
        partitions: how many partitions the set-up step creates (an existing topic keeps its own).
        config: topic settings for the set-up step.
    """

    base_name: str
    schema: str | None
    partitions: int = 3
    config: Mapping[str, str] = field(default_factory=dict)

    def name(self, prefix: str = "") -> str:
        """The topic's full name under a deployment's prefix (``CARDWATCH_TOPIC_PREFIX``)."""
        return prefix + self.base_name

    def subject(self, prefix: str = "") -> str:
        """The registry subject of its values (TopicNameStrategy: topic name + ``-value``)."""
        return f"{self.name(prefix)}-value"


TRANSACTIONS_RAW: Final = Topic(
    "transactions.raw.v1", "transaction", config={**_LOG_APPEND_TIME, "retention.ms": str(7 * _DAY_MS)}
)
TRANSACTIONS_JSON: Final = Topic(
    "transactions.json.v1", None, config={**_LOG_APPEND_TIME, "retention.ms": str(7 * _DAY_MS)}
)
TRANSACTIONS_SILVER: Final = Topic(
    "transactions.silver.v1", "enriched_transaction", config={**_LOG_APPEND_TIME, "retention.ms": str(7 * _DAY_MS)}
)
TRANSACTIONS_LABELS: Final = Topic(
    "transactions.labels.v1", "transaction_label", partitions=1, config={"retention.ms": str(30 * _DAY_MS)}
)
DEAD_LETTERS: Final = Topic(
    "transactions.dlq.v1", "dead_letter", partitions=1, config={**_LOG_APPEND_TIME, "retention.ms": str(30 * _DAY_MS)}
)
ALERTS: Final = Topic("alerts.v1", "alert", config={**_LOG_APPEND_TIME, "retention.ms": str(30 * _DAY_MS)})
# Not compacted: a label with an earlier time may come later (a file of old labels), and must not remove the one that
# counts. People give few labels, so all are kept.
ALERTS_FEEDBACK: Final = Topic(
    "alerts.feedback.v1", "alert_feedback", partitions=1, config={**_LOG_APPEND_TIME, "retention.ms": "-1"}
)
RULES: Final = Topic("rules.v1", "rule", partitions=1, config=_KEPT_FOR_EVER)
LISTS: Final = Topic("lists.v1", "list_entry", partitions=1, config=_KEPT_FOR_EVER)
# Apart from the rules, so that some users can have the right to change rules, and others the right to approve that.
RULE_APPROVALS: Final = Topic("rules.approvals.v1", "rule_approval", partitions=1, config=_KEPT_FOR_EVER)
RULE_STATUS: Final = Topic("rules.status.v1", "rule_status", partitions=1, config=_COMPACTED)

CARD_PROFILES: Final = Topic(
    "cards.profile.v1", "card_profile", config={**_LOG_APPEND_TIME, "retention.ms": str(7 * _DAY_MS)}
)
TRANSACTIONS_LATE: Final = Topic(
    "transactions.late.v1",
    "enriched_transaction",
    partitions=1,
    config={**_LOG_APPEND_TIME, "retention.ms": str(30 * _DAY_MS)},
)

# Every message of these is copied to the audit trail, bronze.rule_changes.
AUDITED_TOPICS: Final = (RULES, LISTS, RULE_APPROVALS)

ALL_TOPICS: Final = (
    TRANSACTIONS_RAW,
    TRANSACTIONS_JSON,
    TRANSACTIONS_SILVER,
    TRANSACTIONS_LABELS,
    DEAD_LETTERS,
    ALERTS,
    RULES,
    LISTS,
    RULE_STATUS,
    CARD_PROFILES,
    TRANSACTIONS_LATE,
    ALERTS_FEEDBACK,
    RULE_APPROVALS,
)

# Read from their first message at every start, in the order of partition 0: what is deleted there counts no more.
REPLAYED_TOPICS: Final = (*AUDITED_TOPICS, RULE_STATUS)


def default_subject(schema: str) -> str:
    """The registry subject of the topic that a schema is for, in a deployment without a prefix.

    Args:
        schema: file name in ``schemas/`` without ``.avsc``.
    """
    # The late topic has its transactions as they were in the silver topic, which comes first.
    return next(topic.subject() for topic in ALL_TOPICS if topic.schema == schema)
