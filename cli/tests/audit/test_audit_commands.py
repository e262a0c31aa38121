"""``cardwatch audit`` and the histories that read the audit trail, on topics in memory and a table without Spark."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_lakehouse.audit.chain import GENESIS, Content, Link, chain, link_hash
from cardwatch_lakehouse.audit.masking import mask_content
from cardwatch_lakehouse.tables import BRONZE_RULE_CHANGES
from cardwatch_units.timestamps import now_microseconds
from support.delta_tables import write_rows
from typer.testing import Result

RULE = """
- id: spree
  title: Many payments
  scope: card
  measures: {payments: {window: 2m, is: count(*)}}
  when: payments >= %d
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000


class Trail:
    """A deployment with an audit trail."""

    def __init__(self, deployment: Any, directory: Path) -> None:
        self.deployment = deployment
        self.directory = directory
        deployment.topic_reader = lambda settings: self

    def partitions(self, topic: str) -> list[int]:
        return [0]

    def read_all(self, topic: str) -> Iterator[ReceivedMessage]:
        return iter(self.messages(topic))

    def close(self) -> None:
        pass

    def messages(self, topic: str) -> list[ReceivedMessage]:
        """The messages of a topic, an hour old."""
        held = {"rules.v1": self.deployment.rules, "lists.v1": self.deployment.lists}.get(topic, [])
        at = (now_microseconds() - HOUR_US) // 1000 * 1000
        held[:] = [message._replace(topic=topic, broker_time=message.broker_time or at) for message in held]
        return held

    def links(self) -> list[Link]:
        """What the lakehouse would have copied; not masked, because in JSON a time may look like a card number."""
        found: list[Link] = []
        for topic in ("lists.v1", "rules.v1"):
            contents = (
                Content(topic, m.partition, m.offset, m.broker_time, m.key, m.value) for m in self.messages(topic)
            )
            found += chain(contents)
        return found

    def keep(self, links: Sequence[Link], name: str = "tables") -> Path:
        """A table of these links."""
        tables = self.directory / name
        rows = [
            {**link.content._asdict(), "previous_hash": link.previous_hash, "hash": link.hash}
            | {"broker_time": _EPOCH + timedelta(microseconds=link.content.broker_time or 0)}
            for link in links
        ]
        write_rows(tables, BRONZE_RULE_CHANGES, *rows)
        return tables

    def verify(self, tables: Path, *options: object) -> Result:
        return self.deployment.run("audit", "verify", "--tables-dir", tables, *options)  # type: ignore[no-any-return]


@pytest.fixture
def trail(deployment: Any, tmp_path: Path) -> Trail:
    """Three changes of a rule and three of a list."""
    file = tmp_path / "rules.yaml"
    for threshold in (5, 6, 7):
        file.write_text(RULE % threshold, encoding="utf-8")
        assert deployment.run("rules", "apply", file, "--by", "ben").exit_code == 0
    for command in (
        ("add", "trusted", "m1", "--kind", "merchant"),
        ("remove", "trusted", "m1"),
        ("add", "trusted", "m2"),
    ):
        assert deployment.run("lists", *command, "-m", "why").exit_code == 0
    return Trail(deployment, tmp_path)


def test_a_whole_trail_is_verified(trail: Trail) -> None:
    result = trail.verify(trail.keep(trail.links()))
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.split() for line in result.stdout.splitlines() if ".v1" in line]
    assert [row[:7] for row in rows] == [
        ["lists.v1", "0", "3", "2", "3", "0", "0"],
        ["rules.approvals.v1", "0", "0", "0", "0", "0"],
        ["rules.v1", "0", "3", "2", "3", "0", "0"],
    ]
    assert [row[7] for row in rows if len(row) > 7] == [link.hash for link in trail.links() if link.content.offset == 2]


def altered(links: list[Link]) -> list[Link]:
    return [*links[:4], links[4]._replace(content=links[4].content._replace(key=b"x")), links[5]]


def replaced(links: list[Link]) -> list[Link]:
    content = links[4].content._replace(value=None)
    return [*links[:4], Link(content, links[4].previous_hash, link_hash(content, links[4].previous_hash)), links[5]]


def reordered(links: list[Link]) -> list[Link]:
    one, other = links[3].content.offset, links[4].content.offset
    return [
        *links[:3],
        links[4]._replace(content=links[4].content._replace(offset=one)),
        links[3]._replace(content=links[3].content._replace(offset=other)),
        links[5],
    ]


def computed_again(links: list[Link]) -> list[Link]:
    return [*links[:3], *chain([links[3].content, links[4].content._replace(value=b"forged"), links[5].content])]


@pytest.mark.parametrize(
    ("change", "topics", "sentence"),
    [
        (lambda links: links[:4] + links[5:], False, "offset 2: removed: it was chained to another row"),
        (lambda links: links[:3] + links[4:], False, "offset 1: removed: the rows before it were removed"),
        (lambda links: links[:5], True, "offset 2: not copied: the topic holds a message that should have been"),
        (altered, False, "offset 1: altered: the hash of this row does not follow from its content"),
        (replaced, False, "offset 2: removed: it was chained to another row"),
        (reordered, False, "offset 0: altered"),
        (lambda links: [*links, links[5]], False, "offset 2: repeated: expected one row, found 2"),
        (computed_again, True, "offset 1: differs from the topic"),
    ],
)
def test_each_change_of_the_table_is_found_and_named(
    trail: Trail, change: Callable[[list[Link]], list[Link]], topics: bool, sentence: str
) -> None:
    result = trail.verify(trail.keep(change(trail.links())), "--topics" if topics else "--no-topics")
    assert result.exit_code == 1
    assert f"error: rules.v1, partition 0, {sentence}" in result.stderr
    assert "lists.v1" not in result.stderr


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda held: held.pop(1), "offset 1: not in the topic: the message was removed"),
        (lambda held: held.append(held[0]._replace(offset=9)), "offset 9: not copied"),
        (lambda held: held.insert(1, held.pop(1)._replace(value=b"x")), "offset 1: differs from the topic"),
    ],
)
def test_each_change_of_the_topic_is_found_and_named(
    trail: Trail, change: Callable[[list[ReceivedMessage]], object], sentence: str
) -> None:
    tables = trail.keep(trail.links())
    change(trail.deployment.rules)
    result = trail.verify(tables)
    assert result.exit_code == 1
    assert f"error: rules.v1, partition 0, {sentence}" in result.stderr


def test_a_new_message_has_some_time_to_be_copied(trail: Trail) -> None:
    tables = trail.keep(trail.links())
    trail.deployment.run("lists", "remove", "trusted", "m2")
    trail.deployment.lists[-1] = trail.deployment.lists[-1]._replace(broker_time=now_microseconds() - 60_000_000)
    assert trail.verify(tables).exit_code == 0
    result = trail.verify(tables, "--copied-within", "30s")
    assert (result.exit_code, "offset 3: not copied" in result.stderr) == (1, True)


def test_a_chain_that_was_computed_again_does_not_have_the_saved_heads(trail: Trail) -> None:
    heads = trail.directory / "heads.json"
    assert trail.verify(trail.keep(trail.links()), "--save-heads", heads).exit_code == 0
    assert trail.verify(trail.directory / "tables", "--heads", heads).exit_code == 0
    forged = trail.keep(computed_again(trail.links()), "forged")
    assert trail.verify(forged, "--no-topics").exit_code == 0
    result = trail.verify(forged, "--no-topics", "--heads", heads, "--save-heads", heads)
    assert result.exit_code == 1
    assert "rules.v1, partition 0, offset 2: not the saved head: expected the saved hash" in result.stderr
    assert trail.verify(trail.directory / "tables", "--heads", heads).exit_code == 0, "bad heads are not saved"


def test_findings_as_json(trail: Trail) -> None:
    result = trail.verify(trail.keep(altered(trail.links())), "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert ("rules.v1", 1, "altered") in [(one["topic"], one["offset"], one["problem"]) for one in document["findings"]]
    assert [(one["topic"], one["links"]) for one in document["chains"]] == [("lists.v1", 3), ("rules.v1", 3)]
    assert [one["in_both"] for one in document["topics"]] == [3, 3, 0]


def test_without_a_table_there_is_nothing_to_verify(trail: Trail, tmp_path: Path) -> None:
    result = trail.verify(tmp_path / "nowhere")
    assert result.exit_code == 1
    assert "there are no Delta tables under" in result.stderr


def test_histories_have_what_the_topics_have_lost_and_what_is_newer(trail: Trail) -> None:
    tables = trail.keep(trail.links())
    deployment = trail.deployment
    del deployment.rules[:2]
    del deployment.lists[0]
    # As a broker: offsets go on.
    last = deployment.rules[-1]
    record = {**json.loads(last.value), "revision": 4, "mode": "paused", "action": "paused"}
    deployment.rules.append(last._replace(offset=3, value=json.dumps(record).encode()))

    history = deployment.run("rules", "history", "spree", "--tables-dir", tables, "--json")
    assert history.stderr == ""
    assert [(change["revision"], change["what"]) for change in json.loads(history.stdout)] == [
        (1, "new, live"),
        (2, "changed when"),
        (3, "changed when"),
        (4, "paused"),
    ]
    changes = deployment.run("lists", "history", "--tables-dir", tables, "--json")
    assert [(change["value"], change["present"]) for change in json.loads(changes.stdout)] == [
        ("m1", True),
        ("m1", False),
        ("m2", True),
    ]


def test_histories_without_a_table_say_so(trail: Trail, tmp_path: Path) -> None:
    nowhere = ("--tables-dir", tmp_path / "nowhere")
    del trail.deployment.rules[0]
    history = trail.deployment.run("rules", "history", *nowhere)
    assert history.exit_code == 0
    assert "note: this history is from the topic only, not from the audit trail: there are no Delta tables" in (
        history.stderr
    )
    assert "note: of rule spree, these revisions are missing everywhere: 1" in history.stderr


def test_a_value_that_was_added_and_removed_has_left_both_changes(trail: Trail) -> None:
    shown = trail.deployment.run("lists", "history", "trusted", "--value", "m1").stdout
    rows = [line.split() for line in shown.splitlines() if "trusted" in line]
    assert [row[2:6] for row in rows] == [
        ["User:anna", "trusted", "m1", "added"],
        ["User:anna", "trusted", "m1", "removed"],
    ]
    assert "list nope never existed; the lists are trusted" in trail.deployment.run("lists", "history", "nope").stderr


def test_no_card_number_gets_into_the_trail() -> None:
    number = b"4111111111111111"  # published test number
    for value in (number, b'{"pan": "' + number + b'"}', b"\0\0\0\0\1 " + number + b" "):
        masked = mask_content(Content("rules.v1", 0, 1, None, b"card " + number, value))
        assert masked.redacted
        assert number not in (masked.key or b"") + (masked.value or b"")
        assert mask_content(masked)._replace(redacted=True) == masked
    plain = Content("rules.v1", 0, 1, None, None, None)
    assert mask_content(plain) == plain
    assert link_hash(plain, GENESIS) != link_hash(plain._replace(redacted=True), GENESIS)
