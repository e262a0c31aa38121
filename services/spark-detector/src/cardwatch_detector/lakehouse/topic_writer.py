"""What the writers of tables that come from an Avro topic have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.bronze.quarantine import quarantine
from cardwatch_detector.lakehouse.io.decode import DecodedBatch, TopicSchemas, decode_batch
from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId
from cardwatch_detector.lakehouse.metrics import WriteCounter


@dataclass(frozen=True)
class TopicWriter(ABC):
    """Decodes micro-batches and writes the records; messages that cannot be decoded go to quarantine.

    Attributes:
        tables_dir: where the tables are.
        schemas: the schemas that the topic's messages are written with.
        counter: counts the rows after each commit.
        part: tells apart what several writers put into quarantine in one micro-batch.
    """

    tables_dir: str
    schemas: TopicSchemas
    counter: WriteCounter

    part: ClassVar[str] = ""

    def __call__(self, batch: DataFrame, batch_id: int) -> int:
        """Write one micro-batch; writing it again changes nothing. Returns the number of its messages."""
        with decode_batch(batch, self.schemas, self.refusal_reason) as messages:
            if messages.refused_by_reason:
                quarantine(messages, self.tables_dir, WriteId(batch_id, self.part))
                self.counter.messages_quarantined(messages.refused_by_reason)
            if messages.record_count:
                self.write(messages, batch_id)
            return messages.message_count

    def refusal_reason(self, record: Column) -> Column:
        """The reason code for which a decoded record is refused nevertheless; null where it is accepted."""
        return F.lit(None)

    @abstractmethod
    def write(self, messages: DecodedBatch, batch_id: int) -> None:
        """Write the records, of which there is at least one."""
