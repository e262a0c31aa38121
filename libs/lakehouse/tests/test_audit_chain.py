"""The chain of bronze.rule_changes: whatever is done to a link is found, and the place is named."""

import hashlib
from collections.abc import Sequence

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.audit.chain import GENESIS, Content, Link, chain, content_digest, link_hash
from cardwatch_lakehouse.audit.comparison import Comparison, compare_with_topic
from cardwatch_lakehouse.audit.heads import check_heads, hashes_at, heads_text, parse_heads
from cardwatch_lakehouse.audit.verification import Problem, verify_links
from hypothesis import given
from hypothesis import strategies as st

TOPIC = "rules.v1"
NOW = 1_000_000_000

optional_bytes = st.none() | st.binary(max_size=6)
steps = st.integers(min_value=1, max_value=5)  # offsets have gaps: aborted transactions and their markers


@st.composite
def messages(draw: st.DrawFn, topic: str = TOPIC, partition: int = 0, min_size: int = 1) -> list[Content]:
    """The messages of a partition, in order."""
    found: list[Content] = []
    offset = draw(st.integers(min_value=0, max_value=100))
    for _ in range(draw(st.integers(min_value=min_size, max_value=8))):
        time = draw(st.none() | st.integers(min_value=0, max_value=NOW))
        key, value = draw(optional_bytes), draw(optional_bytes)
        found.append(Content(topic, partition, offset, time, key, value, draw(st.booleans())))
        offset += draw(steps)
    return found


chains = messages().map(lambda contents: list(chain(contents)))
long_chains = messages(min_size=3).map(lambda contents: list(chain(contents)))


def ordered(links: Sequence[Link]) -> list[Link]:
    return sorted(links, key=lambda link: link.content[:3])


def found(links: Sequence[Link]) -> list[tuple[Problem, int]]:
    return [(finding.problem, finding.offset) for finding in verify_links(ordered(links)).findings]


@given(st.tuples(messages(), messages(partition=1), messages(topic="lists.v1")))
def test_an_untouched_table_has_no_findings(partitions: tuple[list[Content], ...]) -> None:
    links = [link for contents in partitions for link in chain(contents)]
    verification = verify_links(ordered(links))
    assert verification.findings == []
    assert sum(summary.links for summary in verification.partitions) == len(links)


@given(messages(), st.integers(min_value=0, max_value=8))
def test_a_chain_continues_where_it_ended(contents: list[Content], at: int) -> None:
    first = list(chain(contents[:at]))
    last = list(chain(contents[at:], first[-1].hash if first else GENESIS))
    assert first + last == list(chain(contents))


@given(st.data(), long_chains)
def test_a_removed_link_is_found(data: st.DataObject, links: list[Link]) -> None:
    at = data.draw(st.integers(min_value=0, max_value=len(links) - 2))
    until = data.draw(st.integers(min_value=at + 1, max_value=len(links) - 1))
    assert found(links[:at] + links[until:]) == [(Problem.REMOVED, links[until].content.offset)]


@given(st.data(), chains)
def test_an_altered_link_is_found(data: st.DataObject, links: list[Link]) -> None:
    at = data.draw(st.integers(min_value=0, max_value=len(links) - 1))
    link = links[at]
    content = link.content
    altered = data.draw(
        st.sampled_from(
            [
                link._replace(content=content._replace(key=b"another key")),
                link._replace(content=content._replace(value=b"another value")),
                link._replace(content=content._replace(broker_time=NOW + 1)),
                link._replace(content=content._replace(redacted=not content.redacted)),
                link._replace(content=content._replace(value=None if content.value is not None else b"")),
                link._replace(previous_hash="f" * 64),
                link._replace(hash="f" * 64),
                link._replace(hash=""),
            ]
        )
    )
    problems = found([*links[:at], altered, *links[at + 1 :]])
    assert problems[0] == (Problem.ALTERED, content.offset)
    assert {offset for _, offset in problems[1:]} <= {one.content.offset for one in links[at + 1 : at + 2]}


@given(st.data(), long_chains)
def test_an_altered_link_with_a_hash_of_its_own_is_found_at_the_next(data: st.DataObject, links: list[Link]) -> None:
    at = data.draw(st.integers(min_value=0, max_value=len(links) - 2))
    content = links[at].content._replace(value=b"another value")
    forged = Link(content, links[at].previous_hash, link_hash(content, links[at].previous_hash))
    assert found([*links[:at], forged, *links[at + 1 :]]) == [(Problem.REMOVED, links[at + 1].content.offset)]


@given(st.data(), long_chains)
def test_an_inserted_link_is_found(data: st.DataObject, links: list[Link]) -> None:
    # Offsets ten times as far apart, so that there is room between any two.
    links = list(chain(link.content._replace(offset=link.content.offset * 10) for link in links))
    at = data.draw(st.integers(min_value=0, max_value=len(links) - 2))
    content = links[at].content._replace(offset=links[at].content.offset + 3, value=b"inserted")
    inserted = Link(content, links[at].hash, link_hash(content, links[at].hash))
    assert found([*links, inserted]) == [(Problem.INSERTED, content.offset)]


@given(st.data(), chains)
def test_a_repeated_link_is_found(data: st.DataObject, links: list[Link]) -> None:
    link = data.draw(st.sampled_from(links))
    assert found([*links, link]) == [(Problem.REPEATED, link.content.offset)]
    content = link.content._replace(value=b"another value")
    second = Link(content, link.previous_hash, link_hash(content, link.previous_hash))
    for pair in ([second, link], [link, second]):
        others = [one for one in links if one != link]
        assert found([*others, *pair])[0] == (Problem.REPEATED, link.content.offset)


@given(st.data(), long_chains)
def test_reordered_links_are_found(data: st.DataObject, links: list[Link]) -> None:
    one, other = data.draw(st.lists(st.sampled_from(range(len(links))), min_size=2, max_size=2, unique=True))
    swapped = list(links)
    for to, source in ((one, other), (other, one)):
        swapped[to] = links[source]._replace(content=links[source].content._replace(offset=links[to].content.offset))
    altered = {offset for problem, offset in found(swapped) if problem is Problem.ALTERED}
    assert {links[one].content.offset, links[other].content.offset} <= altered


@given(long_chains)
def test_a_link_of_another_partition_is_found(links: list[Link]) -> None:
    moved = [links[0]._replace(content=links[0].content._replace(partition=7)), *links[1:]]
    assert (Problem.ALTERED, links[0].content.offset) in found(moved)
    assert (Problem.REMOVED, links[1].content.offset) in found(moved)


def test_two_contents_never_have_the_same_bytes() -> None:
    plain = Content("t", 0, 1, None, b"ab", b"c")
    others = [
        plain._replace(key=b"a", value=b"bc"),
        plain._replace(key=b"abc", value=b""),
        plain._replace(key=b"abc", value=None),
        plain._replace(key=b"", value=b"abc"),
        plain._replace(key=None, value=b"abc"),
        plain._replace(partition=1, offset=0),
        plain._replace(broker_time=0),
        plain._replace(topic="t0"),
    ]
    assert len({content_digest(content) for content in (plain, *others)}) == len(others) + 1


def test_the_hash_is_the_one_that_the_documentation_defines() -> None:
    """By a second implementation, so that tables of this version can be verified by any later one."""

    def frame(field: bytes) -> bytes:
        return b"\x01" + len(field).to_bytes(8, "big") + field

    content = Content("rules.v1", 0, 17, 1_700_000_000_000_000, b"k", None)
    fields = (b"0" * 64, b"rules.v1", b"0", b"17", b"1700000000000000", b"k")
    data = b"".join(map(frame, fields)) + b"\x00" + frame(b"0")
    assert link_hash(content, GENESIS) == hashlib.sha256(data).hexdigest()


class TestComparison:
    @staticmethod
    def compare(copied: Sequence[Content], held: Sequence[Content], before: int = NOW + 2) -> Comparison:
        digests = {content.offset: content_digest(content) for content in copied}
        masked = [(content, content._replace(value=b"****", redacted=True)) for content in held]
        return compare_with_topic(TOPIC, 0, digests, masked, must_be_copied_before=before)

    @given(messages())
    def test_a_topic_that_holds_the_same(self, contents: list[Content]) -> None:
        assert self.compare(contents, contents) == Comparison((), len(contents), 0, 0)

    @given(messages())
    def test_a_masked_copy_is_the_same(self, contents: list[Content]) -> None:
        copied = [content._replace(value=b"****", redacted=True) for content in contents]
        assert self.compare(copied, contents).findings == ()

    @given(st.data(), messages(min_size=2))
    def test_another_message_at_an_offset(self, data: st.DataObject, contents: list[Content]) -> None:
        at = data.draw(st.integers(min_value=0, max_value=len(contents) - 1))
        held = [*contents[:at], contents[at]._replace(value=b"another"), *contents[at + 1 :]]
        (finding,) = self.compare(contents, held).findings
        assert (finding.problem, finding.offset) == (Problem.DIFFERS, contents[at].offset)

    @given(st.data(), messages(min_size=3))
    def test_a_message_that_one_of_both_does_not_have(self, data: st.DataObject, contents: list[Content]) -> None:
        at = data.draw(st.integers(min_value=1, max_value=len(contents) - 2))
        without = contents[:at] + contents[at + 1 :]
        (finding,) = self.compare(without, contents).findings
        assert (finding.problem, finding.offset) == (Problem.NOT_IN_TABLE, contents[at].offset)
        (finding,) = self.compare(contents, without).findings
        assert (finding.problem, finding.offset) == (Problem.NOT_IN_TOPIC, contents[at].offset)

    @given(messages(min_size=2))
    def test_a_removed_end_is_found_after_a_while(self, contents: list[Content]) -> None:
        contents = [content._replace(broker_time=5) for content in contents]
        (finding,) = self.compare(contents[:-1], contents, before=6).findings
        assert (finding.problem, finding.offset) == (Problem.NOT_COPIED, contents[-1].offset)
        assert self.compare(contents[:-1], contents, before=5) == Comparison((), len(contents) - 1, 1, 0)

    @given(messages(min_size=2))
    def test_a_topic_that_has_lost_its_beginning(self, contents: list[Content]) -> None:
        assert self.compare(contents, contents[1:]) == Comparison((), len(contents) - 1, 0, 1)
        assert self.compare(contents, []) == Comparison((), 0, 0, len(contents))


class TestHeads:
    @given(long_chains)
    def test_saved_heads_are_found_again_in_a_longer_chain(self, links: list[Link]) -> None:
        heads = parse_heads(heads_text(verify_links(links[:-1]).partitions), "file")
        assert check_heads(heads, hashes_at(heads, links)) == []

    @given(long_chains)
    def test_a_chain_that_was_computed_again_does_not_have_them(self, links: list[Link]) -> None:
        heads = parse_heads(heads_text(verify_links(links).partitions), "file")
        forged = list(chain([links[0].content._replace(value=b"forged"), *(link.content for link in links[1:])]))
        assert verify_links(forged).findings == []
        (finding,) = check_heads(heads, hashes_at(heads, forged))
        assert finding.problem is Problem.HEAD
        (finding,) = check_heads(heads, hashes_at(heads, links[:-1]))
        assert "found no row" in finding.sentence

    @pytest.mark.parametrize("text", ["", "{}x", "[1]", '[{"topic": "t"}]', '{"a": 1}', "[[]]", "7"])
    def test_another_file_is_a_sentence(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match=r"heads\.json holds no heads; expected a file that"):
            parse_heads(text, "heads.json")
