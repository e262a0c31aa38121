"""Decodes micro-batches of an Avro topic, and gives each message that cannot be decoded a reason code."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import polars as pl
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry import Registry
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.subject_schemas import OnOutage, SubjectSchemas
from cardwatch_contracts.topics import default_subject
from cardwatch_contracts.wire import HEADER, MAGIC_BYTE
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.read import OFFSET, PARTITION, broadcast_rows, cached
from cardwatch_detector.runtime.confluent_avro import decode_avro, has_valid_text, schema_id

# Columns in addition to Kafka's.
RECORD: Final = "record"
REASON: Final = "reason"
NEW_ID: Final = "new_schema_id"

# Not a reason code: the registry has not been asked yet.
_NOT_LOOKED_UP: Final = "not_looked_up"
# Schema ids are positive numbers of 32 bits: a frame that begins like this, or higher, has no valid one.
_ABOVE_ALL_IDS: Final = bytes([MAGIC_BYTE, 0x80])
# The reasons of messages whose schema ids are known, None included.
_KNOWN: Final = (None, Reason.UNDECODABLE_AVRO.value)
# The placeholder id of the reader's own schema while no real id is known; no registry assigns it.
_UNUSED_ID: Final = 0xFFFF_FFFF


class TopicSchemas:
    """The schemas that the messages of one topic may be written with.

    Attributes:
        name: of the schema, without ``.avsc``.
        identity: a field that every record has.
        versions: those of the topic's subject, shared by all micro-batches.
    """

    def __init__(
        self,
        name: str,
        identity: str,
        registry: Registry,
        subject: str | None = None,
        *,
        on_outage: OnOutage = lambda waiting: None,
    ) -> None:
        """``subject``: by default that of the schema's topic without a prefix."""
        self.name: Final = name
        self.identity: Final = identity
        subject = default_subject(name) if subject is None else subject
        self.versions: Final = SubjectSchemas(name, registry, subject, on_outage=on_outage)

    @property
    def reader(self) -> str:
        """The text of the newest version, into which every record is decoded."""
        return schema_text(self.name)

    @property
    def writers(self) -> Mapping[int, str]:
        """The text of the versions that are known so far, by id."""
        return self.versions.writers

    def learn(self) -> None:
        """Ask for all versions before the first micro-batch, so that it is not decoded twice.

        Raises:
            RegistryUnavailableError: the registry does not answer, or has lost the subject.
        """
        if not self.writers:
            self.versions.refresh()

    def look_up(self, new_ids: Mapping[int, int], *, known: int) -> dict[int, Reason]:
        """Look up the new ids of a micro-batch; returns those with which nothing is decoded, and why not.

        Args:
            new_ids: by schema id, how many messages have it.
            known: how many messages have ids that are known.

        Raises:
            RegistryUnavailableError: the registry has an outage: the micro-batch has to be repeated.
        """
        known_ids = dict.fromkeys(list(self.writers)[:1], known)
        self.versions.look_up({**known_ids, **new_ids})
        return {number: reason for number in new_ids if (reason := self.versions.refusal(number)) is not None}


@dataclass(frozen=True)
class DecodedBatch:
    """A micro-batch, decoded and cached.

    Attributes:
        messages: Kafka's columns, RECORD (struct) and REASON (null where RECORD is valid).
        record_count: number of messages that were decoded.
        refused_by_reason: number of the others, by reason code.
    """

    messages: DataFrame
    record_count: int
    refused_by_reason: dict[str, int]

    @property
    def message_count(self) -> int:
        """The number of all messages."""
        return self.record_count + sum(self.refused_by_reason.values())

    @property
    def session(self) -> SparkSession:
        """The micro-batch's session."""
        return self.messages.sparkSession

    @cached_property  # Spark analyses each frame that is made
    def records(self) -> DataFrame:
        """The messages that were decoded."""
        return self.messages.where(F.col(REASON).isNull())

    def at_positions(self, positions: pl.DataFrame) -> DataFrame:
        """The decoded messages at some positions: PARTITION and OFFSET, no position twice."""
        if positions.height == self.record_count:
            return self.records
        return self.records.join(broadcast_rows(positions, self.session), [PARTITION, OFFSET], "left_semi")

    @property
    def undecodable(self) -> DataFrame:
        """The messages that were refused."""
        return self.messages.where(F.col(REASON).isNotNull())


@contextmanager
def decode_batch(
    batch: DataFrame, schemas: TopicSchemas, refusal_reason: Callable[[Column], Column]
) -> Iterator[DecodedBatch]:
    """Decode a micro-batch, for the length of a ``with``; every message has either a record or a reason.

    Args:
        refusal_reason: the reason code for which a decoded record is refused nevertheless, or null.

    Raises:
        RegistryUnavailableError: it holds a new schema id, and the registry does not answer.
    """
    schemas.learn()
    refused: dict[int, Reason] | None = None
    while True:
        with cached(_classified(batch, schemas, refused, refusal_reason)) as messages:
            counts = messages.groupBy(REASON, NEW_ID).count().collect()
            new_ids = {row[NEW_ID]: row["count"] for row in counts if row[NEW_ID] is not None}
            if refused is None:
                refused = schemas.look_up(new_ids, known=sum(row["count"] for row in counts if row[REASON] in _KNOWN))
            if not new_ids:
                by_reason = {row[REASON]: row["count"] for row in counts}
                good = by_reason.pop(None, 0)
                yield DecodedBatch(messages, good, by_reason)
                return


def _classified(
    batch: DataFrame,
    schemas: TopicSchemas,
    refused: Mapping[int, Reason] | None,
    refusal_reason: Callable[[Column], Column],
) -> DataFrame:
    """Kafka's columns, RECORD, REASON and NEW_ID, which is null once ``refused`` is given."""
    value = F.col("value")
    numbered = F.when(value < F.lit(_ABOVE_ALL_IDS), value)
    number = schema_id(numbered)
    writers = schemas.writers or {_UNUSED_ID: schemas.reader}
    record = F.when(number.isin(list(writers)), decode_avro(numbered, writers, schemas.reader))
    reason: Column = F.when(F.coalesce(F.length(value), F.lit(0)) == 0, Reason.EMPTY_MESSAGE.value)
    reason = reason.when(_framed(value) & number.isNull(), Reason.UNKNOWN_SCHEMA_ID.value)
    reason = reason.when(number.isNull(), Reason.NOT_CONFLUENT_FRAMED.value)
    if refused is None:
        reason = reason.when(~number.isin(list(writers)), _NOT_LOOKED_UP)
    else:
        # Of unknown ids there may be as many as messages; of the others there are few, because few were asked for.
        wrong = [schema_id for schema_id, why in refused.items() if why is Reason.WRONG_SCHEMA]
        reason = reason.when(number.isin(wrong), Reason.WRONG_SCHEMA.value)
        reason = reason.when(~number.isin(list(writers)), Reason.UNKNOWN_SCHEMA_ID.value)
    # Bytes that are not such a record become a record without fields in Spark. Nor is text that is not UTF-8: Python,
    # which reads the columns later, would fail on it.
    reason = reason.when(F.col(RECORD)[schemas.identity].isNull(), Reason.UNDECODABLE_AVRO.value)
    reason = reason.when(~has_valid_text(F.col(RECORD), schemas.reader), Reason.UNDECODABLE_AVRO.value)
    reason = reason.otherwise(refusal_reason(F.col(RECORD)))
    return (
        batch.withColumn(RECORD, record)
        .withColumn(REASON, reason)
        .withColumn(NEW_ID, F.when(F.col(REASON) == _NOT_LOOKED_UP, number))
    )


def _framed(value: Column) -> Column:
    return (value < F.lit(bytes([MAGIC_BYTE + 1]))) & (F.length(value) > HEADER.size)
