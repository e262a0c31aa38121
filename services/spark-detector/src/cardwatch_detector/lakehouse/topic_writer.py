"""What the writers of tables that come from an Avro topic have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.bronze.quarantine import Quarantined, quarantine
from cardwatch_detector.lakehouse.io.decode import DecodedBatch, TopicSchemas, decode_batch


@dataclass(frozen=True)
class TopicWriter(ABC):
    """Decodes micro-batches and writes what is good; what cannot be decoded goes to quarantine.

    Attributes:
        tables_dir: where the tables are.
        schemas: those that the topic's messages are written with.
        written: called with the number of rows inserted or changed after each commit.
        quarantined: called with the number of undecodable messages by reason after each commit.
        part: tells apart what several writers put into quarantine in one micro-batch.
    """

    tables_dir: str
    schemas: TopicSchemas
    written: Callable[[int], None]
    quarantined: Quarantined

    part: ClassVar[str] = ""

    def __call__(self, batch: DataFrame, batch_id: int) -> int:
        """Write one micro-batch; writing it again changes nothing. Returns the number of its messages."""
        with decode_batch(batch, self.schemas, self.refusal) as messages:
            quarantine(messages, self.tables_dir, batch_id, self.quarantined, self.part)
            if messages.good:
                self.write(messages, batch_id)
            return messages.number

    def refusal(self, record: Column) -> Column:
        """Why a record that was decoded is refused nevertheless, a reason code; null where it is not."""
        return F.lit(None)

    @abstractmethod
    def write(self, messages: DecodedBatch, batch_id: int) -> None:
        """Write those that are good, at least one."""
