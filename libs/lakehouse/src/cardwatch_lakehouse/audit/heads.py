"""The heads of chains: the latest hash of each chain, kept where those who write the tables cannot change it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cardwatch_contracts.errors import ConfigurationError

from cardwatch_lakehouse.audit.chain import Link
from cardwatch_lakehouse.audit.verification import Finding, PartitionSummary, Problem


class Head(NamedTuple):
    """The last link of a partition at some time."""

    topic: str
    partition: int
    offset: int
    hash: str


def heads_text(partitions: Iterable[PartitionSummary]) -> str:
    """The heads as JSON."""
    heads = [Head(one.topic, one.partition, one.last_offset, one.head)._asdict() for one in partitions]
    return json.dumps(heads, indent=2) + "\n"


def parse_heads(text: str, source: str) -> list[Head]:
    """The heads of a file.

    Raises:
        ConfigurationError: it is not what ``heads_text`` writes; names ``source``.
    """
    try:
        return [Head(**one) for one in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{source} holds no heads; expected a file that `cardwatch audit verify --save-heads` has written"
        ) from error


def check_heads(heads: Sequence[Head], found: Mapping[tuple[str, int, int], str]) -> list[Finding]:
    """The heads that a chain does not have any more.

    Args:
        found: topic, partition and offset → the hash that the chain has there.
    """
    findings = []
    for topic, partition, offset, expected in heads:
        now = found.get((topic, partition, offset))
        if now != expected:
            what = "no row" if now is None else f"the hash {now}"
            sentence = f"expected the saved hash {expected}, found {what}: this row or one before it was changed"
            findings.append(Finding(topic, partition, offset, Problem.HEAD, sentence))
    return findings


def hashes_at(heads: Sequence[Head], links: Iterable[Link]) -> dict[tuple[str, int, int], str]:
    """The hashes that links have at the places of heads."""
    wanted = {(head.topic, head.partition, head.offset) for head in heads}
    places = ((link.content[:3], link.hash) for link in links)
    return {place: own for place, own in places if place in wanted}
