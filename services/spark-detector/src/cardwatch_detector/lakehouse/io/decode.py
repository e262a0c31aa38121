"""Decoding micro-batches of an Avro topic; what cannot be decoded is told apart and goes to quarantine."""

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

from cardwatch_detector.lakehouse.io.read import OFFSET, PARTITION, broadcast_rows
from cardwatch_detector.lakehouse.io.write import cached
from cardwatch_detector.runtime.kafka_source import decode, is_version_of, schema_id

# Columns beside Kafka's.
RECORD: Final = "record"
REASON: Final = "reason"
NEW_ID: Final = "new_schema_id"

# Not a reason: the registry has not been asked yet.
_NOT_LOOKED_UP: Final = "not_looked_up"
# Schema ids are positive numbers of 32 bits: a frame that begins like this, or higher, holds none.
_ABOVE_ALL_IDS: Final = bytes([MAGIC_BYTE, 0x80])
# Stands for the reader's own schema while no message has told one; no registry gives such an id.
_NOBODYS_ID: Final = 0xFFFF_FFFF


@dataclass
class TopicSchemas:
    """Which schema ids are versions of one schema.

    Attributes:
        name: of the schema, without ``.avsc``.
        identity: the field that every record has.
        subject: what its versions are registered under, if that is known: under the id of the newest one most messages
            come, and asked for it before, the registry need not be asked in the middle of the first micro-batch, which
            would then be decoded twice.
    """

    name: str
    identity: str
    registry: Registry
    subject: str | None = None
    _expected: bool = False
    _writers: dict[int, str] = field(default_factory=dict)

    @property
    def reader(self) -> str:
        """The newest version's text: what every record is decoded into."""
        return schema_text(self.name)

    @property
    def writers(self) -> dict[int, str]:
        """The versions met so far: id → text."""
        return dict(self._writers)

    def expect(self) -> None:
        """Learn, the first time, the id that most messages have; nothing where the registry does not tell it."""
        if self._expected or self.subject is None:
            return
        self._expected = True
        with suppress(RegistryUnavailableError, IncompatibleSchemaError):
            self._writers[self.registry.id_of(self.subject, self.name)] = self.reader

    def look_up(self, schema_id: int) -> Reason | None:
        """Learn what an id is; returns why its messages cannot be decoded, or None if they can.

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
        messages: Kafka's columns, RECORD (struct) and REASON (null where RECORD is good).
        good: number of messages that were decoded.
        refused: number of the others, by reason code.
    """

    messages: DataFrame
    good: int
    refused: dict[str, int]

    @property
    def number(self) -> int:
        """Of all messages."""
        return self.good + sum(self.refused.values())

    @property
    def session(self) -> SparkSession:
        """The micro-batch's."""
        return self.messages.sparkSession

    @cached_property  # Spark analyses each frame that is made
    def records(self) -> DataFrame:
        """The messages that were decoded."""
        return self.messages.where(F.col(REASON).isNull())

    def at(self, places: pl.DataFrame) -> DataFrame:
        """Those of the messages that were decoded which are at these places: PARTITION, OFFSET; none of them twice."""
        if places.height == self.good:
            return self.records
        return self.records.join(broadcast_rows(places, self.session), [PARTITION, OFFSET], "left_semi")

    @property
    def undecodable(self) -> DataFrame:
        """The others."""
        return self.messages.where(F.col(REASON).isNotNull())


@contextmanager
def decode_batch(batch: DataFrame, schemas: TopicSchemas, refuse: Callable[[Column], Column]) -> Iterator[DecodedBatch]:
    """Decode a micro-batch, for the length of a ``with``; every message is either decoded or has a reason.

    Args:
        refuse: of a record that could be decoded, the reason for which it is refused nevertheless; or null.

    Raises:
        RegistryUnavailableError: it holds a new schema id, and the registry does not answer.
    """
    schemas.expect()
    refused_ids: dict[int, Reason] = {}
    while True:
        with cached(_classified(batch, schemas, refused_ids, refuse)) as messages:
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
    batch: DataFrame, schemas: TopicSchemas, refused_ids: dict[int, Reason], refuse: Callable[[Column], Column]
) -> DataFrame:
    value = F.col("value")
    numbered = F.when(value < F.lit(_ABOVE_ALL_IDS), value)
    number = schema_id(numbered)
    writers = schemas.writers or {_NOBODYS_ID: schemas.reader}
    record = F.when(number.isin(list(writers)), decode(numbered, writers, schemas.reader))
    reason: Column = F.when(F.coalesce(F.length(value), F.lit(0)) == 0, Reason.EMPTY_MESSAGE.value)
    reason = reason.when(_framed(value) & number.isNull(), Reason.UNKNOWN_SCHEMA_ID.value)
    reason = reason.when(number.isNull(), Reason.NOT_CONFLUENT_FRAMED.value)
    for refused_id, refusal in refused_ids.items():
        reason = reason.when(number == refused_id, refusal.value)
    reason = reason.when(~number.isin(list(writers)), _NOT_LOOKED_UP)
    # Of bytes that are no such record, Spark makes a record without fields.
    reason = reason.when(F.col(RECORD)[schemas.identity].isNull(), Reason.UNDECODABLE_AVRO.value)
    reason = reason.otherwise(refuse(F.col(RECORD)))
    return (
        batch.withColumn(RECORD, record)
        .withColumn(REASON, reason)
        .withColumn(NEW_ID, F.when(F.col(REASON) == _NOT_LOOKED_UP, number))
    )


def _framed(value: Column) -> Column:
    return (value < F.lit(bytes([MAGIC_BYTE + 1]))) & (F.length(value) > HEADER.size)
