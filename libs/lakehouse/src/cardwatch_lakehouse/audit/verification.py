"""Recomputes chains and says which links are wrong, and how."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from cardwatch_lakehouse.audit.chain import GENESIS, Link


class Problem(StrEnum):
    """What is wrong at one place."""

    ALTERED = "altered"
    REMOVED = "removed"
    INSERTED = "inserted"
    REPEATED = "repeated"
    DIFFERS = "differs from the topic"
    NOT_IN_TABLE = "not in the table"
    NOT_IN_TOPIC = "not in the topic"
    NOT_COPIED = "not copied"
    HEAD = "not the saved head"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with an audit trail.

    Attributes:
        offset: of the link or message that it is about.
        sentence: what was expected and what was found.
    """

    topic: str
    partition: int
    offset: int
    problem: Problem
    sentence: str

    def __str__(self) -> str:
        return f"{self.topic}, partition {self.partition}, offset {self.offset}: {self.problem}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class PartitionSummary:
    """The chain of one partition in numbers.

    Attributes:
        links: how many.
        head: the last link's hash.
    """

    topic: str
    partition: int
    links: int
    first_offset: int
    last_offset: int
    head: str


@dataclass(frozen=True, slots=True)
class Verification:
    """The result for all chains of a table."""

    partitions: Sequence[PartitionSummary]
    findings: Sequence[Finding]


def verify_links(links: Iterable[Link]) -> Verification:
    """Recompute the chains of all partitions.

    A chain alone proves that no link was changed by somebody who did not recompute all later ones. That, and whether
    links at its end were removed, shows a comparison with the topic or with a head that was kept elsewhere.

    Args:
        links: ordered by topic, partition and offset.
    """
    partitions: list[PartitionSummary] = []
    findings: list[Finding] = []
    for (topic, partition), own in groupby(links, key=lambda link: (link.content.topic, link.content.partition)):
        checked = _Partition(topic, partition)
        for offset, same in groupby(own, key=lambda link: link.content.offset):
            checked.take(offset, list(same))
        partitions.append(checked.summary())
        findings += checked.findings
    return Verification(partitions, findings)


class _Partition:
    """Goes through the links of one partition."""

    def __init__(self, topic: str, partition: int) -> None:
        self.findings: list[Finding] = []
        self._topic = topic
        self._partition = partition
        self._links = 0
        self._expected = GENESIS
        # Hash → offset, with the place before the first link.
        self._offsets = {GENESIS: -1}
        self._first_offset = -1
        self._last_offset = -1

    def take(self, offset: int, rows: Sequence[Link]) -> None:
        """Check the rows of the next offset: one, unless somebody has added to them."""
        if len(rows) > 1:
            self._report(offset, Problem.REPEATED, f"expected one row, found {len(rows)}")
        link = next((row for row in rows if row.is_intact and row.previous_hash == self._expected), rows[0])
        if not link.is_intact:
            self._report(offset, Problem.ALTERED, "the hash of this row does not follow from its content")
        elif link.previous_hash != self._expected:
            self._report_break(offset, link)
        if not self._links:
            self._first_offset = offset
        self._links += 1
        self._last_offset = offset
        self._expected = link.hash
        self._offsets[link.hash] = offset

    def summary(self) -> PartitionSummary:
        """The chain in numbers, after its last link."""
        return PartitionSummary(
            self._topic, self._partition, self._links, self._first_offset, self._last_offset, self._expected
        )

    def _report_break(self, offset: int, link: Link) -> None:
        follows = self._offsets.get(link.previous_hash)
        if follows is not None:
            between = [at for at in self._offsets.values() if at > follows]
            for inserted in between:
                self._report(
                    inserted,
                    Problem.INSERTED,
                    f"offset {offset} was chained to {_place(follows)}, so that this row was added later",
                )
        elif self._links:
            self._report(
                offset,
                Problem.REMOVED,
                f"it was chained to another row than the one before it: rows between offsets {self._last_offset} "
                f"and {offset} were removed, or offset {self._last_offset} was replaced",
            )
        else:
            self._report(offset, Problem.REMOVED, "the rows before it were removed: it is not the first of its chain")

    def _report(self, offset: int, problem: Problem, sentence: str) -> None:
        self.findings.append(Finding(self._topic, self._partition, offset, problem, sentence))


def _place(offset: int) -> str:
    return "the beginning" if offset < 0 else f"offset {offset}"
