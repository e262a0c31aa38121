"""The rule engine as Spark runs it: the operator in jvm/ (``cardwatch.engine.spark``), what goes in and what comes out.

The operator keeps every transaction of a key as state, evaluates the rules of the micro-batch over exact windows, and
returns what changes about alerts. Rules are not part of the plan: they travel with each micro-batch
(``rules.rule_set``).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cardwatch_contracts.schemas import schema_text
from cardwatch_rules.fields import PROFILE_DAY, PROFILE_FIELDS, PROFILE_SCOPE, RULE_FIELDS, SCOPE_KEYS
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.runtime.internals import velocity_operator

# Columns of records, which go in: `event_time`, null for what is in no window; the message's partition, offset and
# value, where traces are on its headers, and the key to publish it under if it is too late; and the transaction, or
# where they are wanted the profile, as a struct of which the other one is null.
EVENT_TIME: Final = "event_time"
PARTITION: Final = "partition"
OFFSET: Final = "offset"
VALUE: Final = "value"
HEADERS: Final = "headers"
MESSAGE_KEY: Final = "message_key"
TRANSACTION: Final = "transaction"
PROFILE: Final = "profile"

_CLOCK: Final = "clock"
_TIME_DIGITS: Final = 18


def fields_to_read() -> list[str]:
    """What the operator takes of a silver message."""
    return sorted({EVENT_TIME, "transaction_id", "card_last_four", "raw_broker_time", *RULE_FIELDS})


def profile_fields_to_read() -> list[str]:
    """What the operator takes of a profile message."""
    return sorted({SCOPE_KEYS[PROFILE_SCOPE], PROFILE_DAY, *PROFILE_FIELDS})


@dataclass(frozen=True, kw_only=True)
class Output:
    """How what the operator finds is published.

    Attributes:
        alerts, late: full names of the topics of alerts and of late transactions.
        alert_schema_id: under which the schema of alerts is registered.
        evidence_limit: transaction ids in an alert at most.
        detector, query: names that late transactions carry.
    """

    alerts: str
    late: str
    alert_schema_id: int
    evidence_limit: int
    detector: str
    query: str


@dataclass(frozen=True, kw_only=True)
class Operator:
    """What the operator is started with; it does not change while a query runs.

    Attributes:
        horizons_us: scope → how far back from an arrival windows and suppression reach, microseconds.
        lateness_us: how far behind the newest event time a transaction may come, microseconds.
        ahead_us: how far past the driver's clock an event time may move the watermark, microseconds.
        profiled: whether records have profiles.
        trace_share: the share of the sampled traces that are recorded, 0 to 1; None where traces are off.
    """

    horizons_us: Mapping[str, int]
    lateness_us: int
    ahead_us: int
    profiled: bool
    output: Output
    trace_share: float | None = None

    def results(self, records: DataFrame) -> DataFrame:
        """The streaming frame of alerts, late transactions and reports about rules (ResultRows in the engine).

        Raises:
            ConfigurationError: the engine's jar is not on Spark's class path.
        """
        clock = _no_later_than(F.col(EVENT_TIME), self.ahead_us)
        if self.profiled:
            # A profile's day may lie ahead; only transactions move the watermark.
            clock = F.when(F.col(PROFILE).isNotNull(), F.timestamp_seconds(F.lit(0))).otherwise(clock)
        # The operator tells late transactions itself; without the column Spark drops none before.
        marked = records.withColumn(_CLOCK, clock).withWatermark(_CLOCK, f"{self.lateness_us} microseconds")
        return velocity_operator(marked.drop(_CLOCK), self._options())

    def _options(self) -> str:
        output = self.output
        scopes = [
            {"name": scope, "key_field": SCOPE_KEYS[scope], "horizon_us": horizon}
            for scope, horizon in self.horizons_us.items()
        ]
        options = {
            "scopes": scopes,
            "profile_scope": PROFILE_SCOPE if self.profiled else None,
            "alerts": {
                "topic": output.alerts,
                "schema": schema_text("alert"),
                "schema_id": output.alert_schema_id,
                "evidence_limit": output.evidence_limit,
            },
            "late": {"topic": output.late, "detector": output.detector, "query": output.query},
            "trace_share": self.trace_share,
        }
        return json.dumps(options)


def _no_later_than(event_time: Column, ahead_us: int) -> Column:
    """The event time as far as it may move the watermark: one message from the future must not make all others late.

    Spark logs the time of a micro-batch with its offsets before it runs (``current_timestamp`` in a streaming plan), so
    that a repeated micro-batch has the same limit. Where an event is evaluated does not depend on it.
    """
    limit = F.unix_micros(F.current_timestamp()) + F.lit(ahead_us)
    # As texts: a number that changes with each micro-batch would have Spark compile its code for each of them.
    earlier = F.least(_in_digits(F.unix_micros(event_time)), _in_digits(limit))
    return F.when(event_time.isNotNull(), F.timestamp_micros(earlier.cast("long")))


def _in_digits(us: Column) -> Column:
    """Microseconds from 1970 to 9998 as text whose order is the order of times."""
    return F.lpad(us.cast("string"), _TIME_DIGITS, "0")
