"""The pipeline over the messages in bronze, for a rebuild of silver. No I/O of its own.

Bronze masks the digits of card numbers, so a message that held one is no longer complete. Its content is in silver, if
it was accepted at the time: silver's row names the message that it came from.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from cardwatch_contracts.wire import Record
from cardwatch_kafka.messages import ReceivedMessage

from cardwatch_enricher.pipeline.outcomes import Enriched
from cardwatch_enricher.pipeline.pipeline import Pipeline

Place = tuple[str, int, int]
"""Topic, partition and offset of a message."""

SilverRecords = Callable[[Collection[Place]], Mapping[Place, Record]]
"""The content of messages as silver has it: records of ``transaction.avsc``, none for messages without a row."""


@dataclass(frozen=True, slots=True)
class BronzeMessage:
    """A row of bronze: a message, and whether digits of it are masked."""

    message: ReceivedMessage
    masked: bool


@dataclass(slots=True)
class Counts:
    """How many messages had which outcome.

    Attributes:
        messages: how many were read: the sum of enriched, masked and refused.
        enriched: duplicates included.
        restored: of the enriched, those whose card number is masked and whose content was taken from silver.
        masked: those with a masked card number that silver has no row of: refused at the time, or a duplicate of a
            transaction; or silver has lost it.
        refused: by reason code.
    """

    messages: int = 0
    enriched: int = 0
    restored: int = 0
    masked: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(
            {
                "messages": self.messages,
                "enriched": self.enriched,
                "restored": self.restored,
                "masked": self.masked,
                "refused": dict(sorted(self.refused.items())),
            }
        )


class BronzeEnrichment:
    """Enriches the messages in bronze."""

    def __init__(self, pipeline: Pipeline, silver_records: SilverRecords, progress: Callable[[Counts], None]) -> None:
        """
        Args:
            progress: called with the counts so far after each batch.
        """
        self._pipeline: Final = pipeline
        self._silver_records: Final = silver_records
        self._progress: Final = progress
        self.counts: Final = Counts()

    def enrich(self, batches: Iterable[list[BronzeMessage]]) -> Iterator[list[Record]]:
        """Records of ``enriched_transaction.avsc``, a list for each batch; what is refused is counted.

        Raises:
            RegistryUnavailableError: the registry does not answer.
        """
        for batch in batches:
            masked = {_place(row.message) for row in batch if row.masked}
            known = self._silver_records(masked) if masked else {}
            # No outage is suspected: what is in bronze stays as it is, however long one waits.
            self._pipeline.look_up([row.message for row in batch], suspect_outage=False)
            yield [record for row in batch if (record := self._record(row, known)) is not None]
            self._progress(self.counts)

    def _record(self, row: BronzeMessage, known: Mapping[Place, Record]) -> Record | None:
        counts, content = self.counts, None
        counts.messages += 1
        if row.masked:
            content = known.get(_place(row.message))
            if content is None:
                counts.masked += 1
                return None
        outcome = self._pipeline(row.message, content)
        if not isinstance(outcome, Enriched):
            counts.refused[outcome.reason.value] += 1
            return None
        counts.enriched += 1
        counts.restored += row.masked
        return outcome.record


def _place(message: ReceivedMessage) -> Place:
    return message.topic, message.partition, message.offset
