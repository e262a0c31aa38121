"""Decodes micro-batches of an Avro topic, and gives each message that cannot be decoded a reason code."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import polars as pl
from cardwatch_contracts.errors import IncompatibleSchemaError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry import Registry
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.wire import HEADER, MAGIC_BYTE
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.read import OFFSET, PARTITION, broadcast_rows, cached
from cardwatch_detector.runtime.confluent_avro import decode_avro, is_version_of, schema_id

# Columns in addition to Kafka's.
RECORD: Final = "record"
REASON: Final = "reason"
NEW_ID: Final = "new_schema_id"

# Not a reason code: the registry has not been asked yet.
_NOT_LOOKED_UP: Final = "not_looked_up"
# Schema ids are positive numbers of 32 bits: a frame that begins like this, or higher, has no valid one.
_ABOVE_ALL_IDS: Final = bytes([MAGIC_BYTE, 0x80])
# The placeholder id of the reader's own schema while no real id is known; no registry assigns it.
_UNUSED_ID: Final = 0xFFFF_FFFF


@dataclass
class TopicSchemas:
    """The schema ids that are versions of one schema.

    Attributes:
        name: of the schema, without ``.avsc``.
        identity: a field that every record has.
        subject: what its versions are registered under, if that is known. Most messages have the id of the newest
            version; asking the registry for it in advance spares the first micro-batch from being decoded twice.
    """

    name: str
    identity: str
    registry: Registry
    subject: str | None = None
    _asked_for_newest: bool = False
    _writers: dict[int, str] = field(default_factory=dict)

    @property
    def reader(self) -> str:
        """The text of the newest version, into which every record is decoded."""
        return schema_text(self.name)

    @property
    def writers(self) -> dict[int, str]:
        """The text of the versions met so far, by id."""
        return dict(self._writers)

    def learn_newest(self) -> None:
        """Learn the newest version's id on the first call; do nothing where the registry does not know it."""
        if self._asked_for_newest or self.subject is None:
            return
        self._asked_for_newest = True
        with suppress(RegistryUnavailableError, IncompatibleSchemaError):
            self._writers[self.registry.id_of(self.subject, self.name)] = self.reader

    def look_up(self, schema_id: int) -> Reason | None:
        """Look up an id; returns why its messages cannot be decoded, or None if they can.

        A refusal is not remembered: the schema may be registered before the next message comes.

        Raises:
            RegistryUnavailableError: the registry does not answer.
        """
        text = self.registry.schema_by_id(schema_id)
        if text is None:
            return Reason.UNKNOWN_SCHEMA_ID
        if not is_version_of(text, self.name):
            return Reason.WRONG_SCHEMA
        self._writers[schema_id] = text
        return None


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
    schemas.learn_newest()
    refused_ids: dict[int, Reason] = {}
    while True:
        with cached(_classified(batch, schemas, refused_ids, refusal_reason)) as messages:
            counts = messages.groupBy(REASON, NEW_ID).count().collect()
            new_ids = [row[NEW_ID] for row in counts if row[NEW_ID] is not None]
            if not new_ids:
                by_reason = {row[REASON]: row["count"] for row in counts}
                good = by_reason.pop(None, 0)
                yield DecodedBatch(messages, good, by_reason)
                return
        for new_id in new_ids:
            refusal = schemas.look_up(new_id)
            if refusal is not None:
                refused_ids[new_id] = refusal


def _classified(
    batch: DataFrame, schemas: TopicSchemas, refused_ids: dict[int, Reason], refusal_reason: Callable[[Column], Column]
) -> DataFrame:
    value = F.col("value")
    numbered = F.when(value < F.lit(_ABOVE_ALL_IDS), value)
    number = schema_id(numbered)
    writers = schemas.writers or {_UNUSED_ID: schemas.reader}
    record = F.when(number.isin(list(writers)), decode_avro(numbered, writers, schemas.reader))
    reason: Column = F.when(F.coalesce(F.length(value), F.lit(0)) == 0, Reason.EMPTY_MESSAGE.value)
    reason = reason.when(_framed(value) & number.isNull(), Reason.UNKNOWN_SCHEMA_ID.value)
    reason = reason.when(number.isNull(), Reason.NOT_CONFLUENT_FRAMED.value)
    for refused_id, refusal in refused_ids.items():
        reason = reason.when(number == refused_id, refusal.value)
    reason = reason.when(~number.isin(list(writers)), _NOT_LOOKED_UP)
    # Bytes that are not such a record become a record without fields in Spark.
    reason = reason.when(F.col(RECORD)[schemas.identity].isNull(), Reason.UNDECODABLE_AVRO.value)
    reason = reason.otherwise(refusal_reason(F.col(RECORD)))
    return (
        batch.withColumn(RECORD, record)
        .withColumn(REASON, reason)
        .withColumn(NEW_ID, F.when(F.col(REASON) == _NOT_LOOKED_UP, number))
    )


def _framed(value: Column) -> Column:
    return (value < F.lit(bytes([MAGIC_BYTE + 1]))) & (F.length(value) > HEADER.size)
