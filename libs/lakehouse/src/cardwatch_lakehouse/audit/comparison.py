"""Compares the chain of a partition with the messages that its topic still holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cardwatch_lakehouse.audit.chain import Content, content_digest
from cardwatch_lakehouse.audit.verification import Finding, Problem


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison has found.

    Attributes:
        compared: number of messages that are in both.
        newer: number of messages that have not been copied yet.
        older: number of links before the first message that the topic holds.
    """

    findings: tuple[Finding, ...]
    compared: int
    newer: int
    older: int


def compare_with_topic(
    topic: str,
    partition: int,
    digests: Mapping[int, bytes],
    messages: Iterable[tuple[Content, Content]],
    *,
    must_be_copied_before: int,
) -> Comparison:
    """Compare the links of a partition with the messages of its topic.

    Args:
        digests: offset → ``content_digest`` of each link.
        messages: all that the topic holds in this partition, in order, each as it is and with card numbers masked.
        must_be_copied_before: a message that the broker appended before this time has to be in the table; microseconds
            since 1970-01-01 UTC.
    """
    last_copied = max(digests, default=-1)
    findings: list[Finding] = []
    held: set[int] = set()
    newer = 0

    def report(offset: int, problem: Problem, sentence: str) -> None:
        findings.append(Finding(topic, partition, offset, problem, sentence))

    for content, masked in messages:
        offset = content.offset
        held.add(offset)
        digest = digests.get(offset)
        if digest is not None:
            if digest not in (content_digest(content), content_digest(masked)):
                report(offset, Problem.DIFFERS, "the topic holds another message at this offset than the table")
        elif offset <= last_copied:
            report(offset, Problem.NOT_IN_TABLE, "the topic holds a message that the table does not have")
        elif content.broker_time is None or content.broker_time < must_be_copied_before:
            report(
                offset,
                Problem.NOT_COPIED,
                "the topic holds a message that should have been copied by now: the lakehouse does not run or is "
                "behind, or the end of the chain was removed",
            )
        else:
            newer += 1
    begin = min(held, default=last_copied + 1)
    for offset in sorted(offset for offset in digests if offset > begin and offset not in held):
        report(offset, Problem.NOT_IN_TOPIC, "the message was removed from the topic, which keeps all for ever")
    older = sum(offset < begin for offset in digests)
    return Comparison(tuple(findings), len(held & digests.keys()), newer, older)
