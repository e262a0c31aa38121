"""What the writers of tables that come from an Avro topic have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from pyspark.sql import DataFrame

from cardwatch_detector.lakehouse.decode import Decoded, Schemas, decoded
from cardwatch_detector.lakehouse.quarantine import Quarantined, quarantine


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
    schemas: Schemas
    written: Callable[[int], None]
    quarantined: Quarantined

    part: ClassVar[str] = ""

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Write one micro-batch; writing it again changes nothing."""
        with decoded(batch, self.schemas) as found:
            messages = self.checked(found)
            quarantine(messages, self.tables_dir, batch_id, self.quarantined, self.part)
            if messages.good:
                self.write(messages, batch_id)

    def checked(self, messages: Decoded) -> Decoded:
        """The same, those refused that are no good for another reason than their encoding."""
        return messages

    @abstractmethod
    def write(self, messages: Decoded, batch_id: int) -> None:
        """Write those that are good, at least one."""
