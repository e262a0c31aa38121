"""The Delta tables: names, paths, columns. The only place where they are defined, a file per layer.

Times are TIMESTAMP: microseconds, UTC. Every row has the position of the Kafka message that it came from.
"""

from typing import Final

from cardwatch_lakehouse.tables.bronze import (
    BRONZE_ALERT_EVENTS,
    BRONZE_LATE,
    BRONZE_QUARANTINE,
    BRONZE_RULE_CHANGES,
    BRONZE_TRANSACTIONS,
)
from cardwatch_lakehouse.tables.gold import (
    GOLD_ALERT_LABELS,
    GOLD_ALERTS,
    GOLD_CARD_DAYS,
    GOLD_CARD_PROFILE,
    GOLD_PIPELINE_MINUTES,
    GOLD_VELOCITY_5M,
)
from cardwatch_lakehouse.tables.silver import SILVER_TRANSACTIONS
from cardwatch_lakehouse.tables.table import Table

__all__ = [
    "ALL_TABLES",
    "BRONZE_ALERT_EVENTS",
    "BRONZE_LATE",
    "BRONZE_QUARANTINE",
    "BRONZE_RULE_CHANGES",
    "BRONZE_TRANSACTIONS",
    "DERIVED_TABLES",
    "GOLD_ALERTS",
    "GOLD_ALERT_LABELS",
    "GOLD_CARD_DAYS",
    "GOLD_CARD_PROFILE",
    "GOLD_PIPELINE_MINUTES",
    "GOLD_VELOCITY_5M",
    "SILVER_TRANSACTIONS",
    "Table",
]

DERIVED_TABLES: Final = (GOLD_CARD_DAYS, GOLD_CARD_PROFILE, GOLD_VELOCITY_5M, GOLD_PIPELINE_MINUTES)
"""The tables that are computed from bronze and silver, and can be rebuilt from them."""

ALL_TABLES: Final = (
    BRONZE_TRANSACTIONS,
    BRONZE_LATE,
    BRONZE_QUARANTINE,
    BRONZE_ALERT_EVENTS,
    BRONZE_RULE_CHANGES,
    SILVER_TRANSACTIONS,
    GOLD_ALERTS,
    GOLD_ALERT_LABELS,
    GOLD_CARD_DAYS,
    GOLD_CARD_PROFILE,
    GOLD_VELOCITY_5M,
    GOLD_PIPELINE_MINUTES,
)
