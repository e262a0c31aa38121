"""The pipeline over messages that bronze keeps, for a rebuild of silver. No I/O of its own.

Bronze masks the digits of card numbers, so a message that held one no longer says all that it said. What it said is in
silver, if it was accepted at the time: silver's row names the message that it came from.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from cardwatch_contracts.wire import Record

from cardwatch_enricher.message import Enriched, RawMessage
from cardwatch_enricher.pipeline import Pipeline

Place = tuple[str, int, int]
"""Topic, partition and offset of a message."""

Recorded = Callable[[Collection[Place]], Mapping[Place, Record]]
"""What silver says that messages said, records of ``transaction.avsc``; without those that it has no row of."""


@dataclass(frozen=True, slots=True)
class BronzeMessage:
    """A row of bronze: a message, and whether digits of it are masked."""

    message: RawMessage
    masked: bool


@dataclass(slots=True)
class Counts:
    """What became of the messages.

    Attributes:
        messages: how many were looked at: the sum of the others.
        enriched: duplicates included.
        restored: of these, those whose card number is masked and whose content is therefore that of silver.
        masked: those with a masked card number that silver has no row of: refused at the time, or repeating a
            transaction; or silver has lost it.
        refused: by reason code.
    """

    messages: int = 0
    enriched: int = 0
    restored: int = 0
    masked: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                "messages": self.messages,
                "enriched": self.enriched,
                "restored": self.restored,
                "masked": self.masked,
                "refused": dict(sorted(self.refused.items())),
            }
        )


class FromBronze:
    """Enriches the messages of bronze."""

    def __init__(self, pipeline: Pipeline, recorded: Recorded, progress: Callable[[Counts], None]) -> None:
        """
        Args:
            progress: told the counts so far after each batch.
        """
        self._pipeline: Final = pipeline
        self._recorded: Final = recorded
        self._progress: Final = progress
        self.counts: Final = Counts()

    def rows(self, batches: Iterable[list[BronzeMessage]]) -> Iterator[list[Record]]:
        """Records of ``enriched_transaction.avsc``, a list for each batch; what is refused is counted.

        Raises:
            RegistryUnavailableError: the registry does not answer.
        """
        for batch in batches:
            masked = {_place(row.message) for row in batch if row.masked}
            recorded = self._recorded(masked) if masked else {}
            yield [record for row in batch if (record := self._record(row, recorded)) is not None]
            self._progress(self.counts)

    def _record(self, row: BronzeMessage, recorded: Mapping[Place, Record]) -> Record | None:
        counts, known = self.counts, None
        counts.messages += 1
        if row.masked:
            known = recorded.get(_place(row.message))
            if known is None:
                counts.masked += 1
                return None
        outcome = self._pipeline(row.message, known)
        if not isinstance(outcome, Enriched):
            counts.refused[outcome.reason.value] += 1
            return None
        counts.enriched += 1
        counts.restored += row.masked
        return outcome.record


def _place(message: RawMessage) -> Place:
    return message.topic, message.partition, message.offset
