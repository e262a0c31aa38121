"""The SQLite outbox keeps what the protocol promises."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_notifier import sqlite_outbox, transitions
from cardwatch_notifier.outbox import Arrival, Attempt, DeliveryState, Partition
from cardwatch_notifier.sqlite_outbox import SqliteOutbox
from cardwatch_notifier.transitions import Verdict


def due_ids(outbox: SqliteOutbox, kit: Any, receiver: str = "webhook", now: int = 10) -> list[str]:
    names = {kit.alert_id(name): name for name in "abc"}
    return [
        delivery.message.message_id.replace(delivery.message.alert_id, names[delivery.message.alert_id])
        for delivery in outbox.due(receiver, now, 100)
    ]


def delivered(outbox: SqliteOutbox, sequence: int, receiver: str = "webhook") -> None:
    outbox.record(receiver, [Attempt(sequence, DeliveryState.DELIVERED, at=10)])


def test_an_alert_is_due_at_every_receiver(outbox: SqliteOutbox, kit: Any) -> None:
    assert outbox.accept([kit.arrival(0, "a")], ["webhook", "stdout"], now=5) == [Verdict.RAISED]
    delivered(outbox, 1, "stdout")
    assert due_ids(outbox, kit, "webhook") == ["a"]
    assert due_ids(outbox, kit, "stdout") == []


def test_everything_survives_reopening(tmp_path: Path, kit: Any) -> None:
    first = SqliteOutbox(tmp_path / "o.db")
    first.attach("webhook", "there", 0)
    first.accept([kit.arrival(7, "a")], ["webhook"], now=5)
    identity = first.instance_id()
    first.close()
    second = SqliteOutbox(tmp_path / "o.db")
    assert second.positions() == {kit.PARTITION: 8}
    assert due_ids(second, kit) == ["a"]
    assert second.instance_id() == identity
    second.close()


def test_every_commit_is_synced_to_the_disk(outbox: SqliteOutbox) -> None:
    assert outbox._connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert outbox._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_an_offset_is_accepted_once(outbox: SqliteOutbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a"), kit.arrival(1, "a", "retracted")], ["webhook"], now=5)
    # Read again from the start after a crash: raising it anew would tell the receiver a third thing.
    assert outbox.accept([kit.arrival(0, "a"), kit.arrival(1, "a", "retracted")], ["webhook"], now=6) == []
    delivered(outbox, 1)
    delivered(outbox, 2)
    assert due_ids(outbox, kit) == []


def test_a_topic_made_anew_starts_from_its_own_offset(outbox: SqliteOutbox, kit: Any) -> None:
    outbox.accept([kit.arrival(500, "a")], ["webhook"], now=5)
    anew = Partition("alerts.v1", "another-id", 0)
    assert outbox.accept([Arrival(anew, 0, kit.alert("b"))], ["webhook"], now=6) == [Verdict.RAISED]
    assert outbox.positions() == {kit.PARTITION: 501, anew: 1}


def test_a_refused_message_moves_the_position(outbox: SqliteOutbox, kit: Any) -> None:
    assert outbox.accept([Arrival(kit.PARTITION, 3, None)], ["webhook"], now=5) == []
    assert outbox.positions() == {kit.PARTITION: 4}


def test_a_batch_is_taken_as_a_whole_or_not_at_all(
    outbox: SqliteOutbox, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies between the first and the second alert of a transaction."""
    calls = 0
    decide = transitions.decide

    def dying(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return decide(*args)

    monkeypatch.setattr(sqlite_outbox, "decide", dying)
    batch = [kit.arrival(0, "a"), kit.arrival(1, "b")]
    with pytest.raises(KeyboardInterrupt):
        outbox.accept(batch, ["webhook"], now=5)
    assert outbox.positions() == {}
    assert due_ids(outbox, kit) == []
    assert outbox.accept(batch, ["webhook"], now=6) == [Verdict.RAISED, Verdict.RAISED]
    assert due_ids(outbox, kit) == ["a", "b"]


def test_an_alerts_messages_wait_for_each_other(outbox: SqliteOutbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a"), kit.arrival(1, "a", "retracted"), kit.arrival(2, "b")], ["webhook"], now=5)
    assert due_ids(outbox, kit) == ["a", "b"]
    delivered(outbox, 1)
    assert due_ids(outbox, kit) == ["a-2", "b"]


def test_a_message_waits_behind_one_that_was_given_up(outbox: SqliteOutbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a"), kit.arrival(1, "a", "retracted")], ["webhook"], now=5)
    outbox.record("webhook", [Attempt(1, DeliveryState.FAILED, at=6, rejected=True, error="it answered 400")])
    assert due_ids(outbox, kit) == []
    assert outbox.retry("webhook", now=7) == 1
    assert due_ids(outbox, kit) == ["a"]
    assert outbox.due("webhook", 10, 1)[0].rejections == 0


def test_retry_leaves_other_receivers_alone(outbox: SqliteOutbox, kit: Any) -> None:
    outbox.attach("stdout", "stdout", 0)
    outbox.accept([kit.arrival(0, "a")], ["webhook", "stdout"], now=5)
    for receiver in ("webhook", "stdout"):
        outbox.record(receiver, [Attempt(1, DeliveryState.FAILED, at=6)])
    assert outbox.retry("stdout", now=7) == 1
    assert [backlog.failed for backlog in outbox.backlog()] == [0, 1]  # stdout, webhook
    assert outbox.retry(None, now=7) == 1


def test_a_retry_waits_for_its_time(outbox: SqliteOutbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a")], ["webhook"], now=5)
    outbox.record("webhook", [Attempt(1, DeliveryState.PENDING, at=6, next_attempt_at=100)])
    assert due_ids(outbox, kit, now=99) == []
    assert outbox.next_due_at("webhook", 99) == 100
    assert due_ids(outbox, kit, now=100) == ["a"]
    assert outbox.due("webhook", 100, 1)[0].attempts == 1


def test_a_shadow_alert_is_remembered_but_due_nowhere(outbox: SqliteOutbox, kit: Any) -> None:
    assert outbox.accept([kit.arrival(0, "a", "raised", "shadow")], ["webhook"], now=5) == [Verdict.SHADOW]
    assert due_ids(outbox, kit) == []
    assert outbox._connection.execute("SELECT status, mode, told FROM alerts").fetchall() == [
        ("raised", "shadow", None)
    ]


def test_a_disabled_receiver_is_enabled_by_another_address_or_by_retry(outbox: SqliteOutbox) -> None:
    outbox.disable("webhook", "it answered 410 Gone", now=5)
    outbox.attach("webhook", "there", now=6)
    assert outbox.disabled_reason("webhook") == "it answered 410 Gone"
    outbox.attach("webhook", "elsewhere", now=7)
    assert outbox.disabled_reason("webhook") == ""
    outbox.disable("webhook", "it answered 410 Gone", now=8)
    outbox.retry(None, now=9)
    assert outbox.disabled_reason("webhook") == ""


def test_pruning_removes_what_everybody_has_and_keeps_what_is_known(outbox: SqliteOutbox, kit: Any) -> None:
    batch = [kit.arrival(0, "a"), kit.arrival(1, "b")]
    outbox.accept(batch, ["webhook", "stdout"], now=5)
    delivered(outbox, 1)
    delivered(outbox, 1, "stdout")
    delivered(outbox, 2)  # b is still due at stdout
    assert outbox.prune(before=5) == 0
    assert outbox.prune(before=6) == 1
    assert due_ids(outbox, kit, "stdout") == ["b"]
    assert outbox.accept([kit.arrival(2, "a")], ["webhook"], now=7) == [Verdict.REPEATED]


def test_the_backlog_counts(outbox: SqliteOutbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a")], ["webhook"], now=5)
    outbox.accept([kit.arrival(1, "b"), kit.arrival(2, "c")], ["webhook"], now=8)
    delivered(outbox, 1)
    (backlog,) = outbox.backlog()
    assert (backlog.pending, backlog.delivered, backlog.failed, backlog.oldest_pending_at) == (2, 1, 0, 8)


def test_a_full_disk_ends_in_a_sentence(outbox: SqliteOutbox, kit: Any) -> None:
    pages = outbox._connection.execute("PRAGMA page_count").fetchone()[0]
    outbox._connection.execute(f"PRAGMA max_page_count = {pages}")
    many = [kit.arrival(offset, f"n{offset}") for offset in range(200)]
    with pytest.raises(CardwatchError, match=r"cannot be written: database or disk is full"):
        outbox.accept(many, ["webhook"], now=5)
    assert outbox.positions() == {}


def test_another_layout_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    SqliteOutbox(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match="layout 99 of a newer Cardwatch"):
        SqliteOutbox(path)


def test_looking_at_an_outbox_does_not_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no outbox at"):
        SqliteOutbox(tmp_path / "o.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "o.db"
    path.write_text("these are my notes, not a database; " * 100)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        SqliteOutbox(path)
