"""Counts of a run, and the line of JSON that a run prints at its end."""

import json
from dataclasses import dataclass, field

from cardwatch_contracts.topics import TRANSACTIONS_JSON, TRANSACTIONS_LABELS, TRANSACTIONS_RAW

from cardwatch_producer.simulation import Message


@dataclass(slots=True)
class Summary:
    """Counts of a run. ``invalid``, ``duplicates``, ``late`` and the fraud are of what was sent."""

    invalid: int = 0
    duplicates: int = 0
    late: int = 0
    fraud_transactions: int = 0
    _episodes: set[str] = field(default_factory=set)

    def add(self, message: Message) -> None:
        """Count one simulated message."""
        self.invalid += message.defect is not None
        self.duplicates += message.duplicate
        self.late += message.late
        if message.label is not None and message.label["is_fraud"]:
            self.add_fraud(message.label["scenario"])

    def add_fraud(self, episode: str | None) -> None:
        """Count one fraudulent transaction, of an episode if it is known of which."""
        self.fraud_transactions += 1
        if episode is not None:
            self._episodes.add(episode)

    def as_json(self, acknowledged: dict[str, int], failed: int, seconds: float, topic_prefix: str = "") -> str:
        """One line of JSON.

        Args:
            acknowledged: messages that the broker acknowledged, by topic, its name with the deployment's prefix.
            failed: messages that it refused for good.
            seconds: how long the run took.
        """
        transactions = (TRANSACTIONS_RAW.name(topic_prefix), TRANSACTIONS_JSON.name(topic_prefix))
        return json.dumps(
            {
                "produced": sum(acknowledged.get(name, 0) for name in transactions),
                "by_topic": acknowledged,
                "labels": acknowledged.get(TRANSACTIONS_LABELS.name(topic_prefix), 0),
                "invalid": self.invalid,
                "duplicates": self.duplicates,
                "late": self.late,
                "fraud_episodes": len(self._episodes),
                "fraud_transactions": self.fraud_transactions,
                "failed": failed,
                "seconds": round(seconds, 3),
            }
        )
