"""An outbox keeps what the protocol promises, in SQLite and in PostgreSQL."""

import dataclasses
from typing import Any

import pytest
from cardwatch_notifier.notified_state import Decision
from cardwatch_notifier.outbox.protocol import (
    Arrival,
    Attempt,
    Delivery,
    DeliveryState,
    Outbox,
    OutboxBehindError,
    SourcePartition,
)


def due_ids(outbox: Outbox, kit: Any, receiver: str = "webhook", now: int = 10) -> list[str]:
    return ids(kit.due(outbox, receiver, now), kit)


def ids(deliveries: list[Delivery], kit: Any) -> list[str]:
    names = {kit.alert_id(name): name for name in "abc"}
    return [
        delivery.message.message_id.replace(delivery.message.alert_id, names[delivery.message.alert_id])
        for delivery in deliveries
    ]


def delivered(outbox: Outbox, kit: Any, sequence: int, receiver: str = "webhook") -> None:
    assert kit.keep(outbox, Attempt(sequence, DeliveryState.DELIVERED, at=10), receiver=receiver) == 1


def disabled_reason(outbox: Outbox) -> str:
    return outbox.backlog()[0].disabled_reason


def test_an_alert_is_due_at_every_receiver(outbox: Outbox, kit: Any) -> None:
    assert outbox.accept([kit.arrival(0, "a")], ["webhook", "stdout"], now=5) == [Decision.RAISED]
    delivered(outbox, kit, 1, "stdout")
    assert due_ids(outbox, kit, "webhook") == ["a"]
    assert due_ids(outbox, kit, "stdout") == []


def test_everything_survives_reopening(place: Any, kit: Any) -> None:
    first = place.open()
    first.attach("webhook", "there", 0)
    first.accept([kit.arrival(7, "a")], ["webhook"], now=5)
    identity = first.instance_id()
    first.close()
    second = place.open()
    assert second.positions() == {kit.PARTITION: 8}
    assert due_ids(second, kit) == ["a"]
    assert second.instance_id() == identity
    second.close()


def test_an_offset_is_accepted_once(outbox: Outbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a"), kit.arrival(1, "a", "retracted")], ["webhook"], now=5)
    # Read again from the start after a crash: raising it again would send the receiver a third message.
    assert outbox.accept([kit.arrival(0, "a"), kit.arrival(1, "a", "retracted")], ["webhook"], now=6) == []
    delivered(outbox, kit, 1)
    delivered(outbox, kit, 2)
    assert due_ids(outbox, kit) == []


def test_a_topic_created_again_starts_from_its_own_offset(outbox: Outbox, kit: Any) -> None:
    outbox.accept([kit.arrival(500, "a")], ["webhook"], now=5)
    recreated = SourcePartition("alerts.v1", "another-id", 0)
    assert outbox.accept([Arrival(recreated, 0, kit.alert("b"))], ["webhook"], now=6) == [Decision.RAISED]
    assert outbox.positions() == {kit.PARTITION: 501, recreated: 1}


def test_a_refused_message_moves_the_position(outbox: Outbox, kit: Any) -> None:
    assert outbox.accept([Arrival(kit.PARTITION, 3, None)], ["webhook"], now=5) == []
    assert outbox.positions() == {kit.PARTITION: 4}


def test_an_alerts_messages_wait_for_each_other(outbox: Outbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a"), kit.arrival(1, "a", "retracted"), kit.arrival(2, "b")], ["webhook"], now=5)
    assert due_ids(outbox, kit) == ["a", "b"]
    delivered(outbox, kit, 1)
    assert due_ids(outbox, kit) == ["a-2", "b"]


def test_a_message_waits_behind_one_that_is_parked(outbox: Outbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a"), kit.arrival(1, "a", "retracted")], ["webhook"], now=5)
    kit.keep(outbox, Attempt(1, DeliveryState.FAILED, at=6, rejected=True, error="it answered 400"))
    assert due_ids(outbox, kit) == []
    assert outbox.retry("webhook", now=7) == 1
    assert due_ids(outbox, kit) == ["a"]
    assert kit.due(outbox)[0].rejections == 0


def test_retry_leaves_other_receivers_alone(outbox: Outbox, kit: Any) -> None:
    outbox.attach("stdout", "stdout", 0)
    outbox.accept([kit.arrival(0, "a")], ["webhook", "stdout"], now=5)
    for receiver in ("webhook", "stdout"):
        kit.keep(outbox, Attempt(1, DeliveryState.FAILED, at=6), receiver=receiver)
    assert outbox.retry("stdout", now=7) == 1
    assert [backlog.failed for backlog in outbox.backlog()] == [0, 1]  # stdout, webhook
    assert outbox.retry(None, now=7) == 1


def test_a_retry_waits_for_its_time(outbox: Outbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a")], ["webhook"], now=5)
    kit.keep(outbox, Attempt(1, DeliveryState.PENDING, at=6, next_attempt_at=100))
    assert due_ids(outbox, kit, now=99) == []
    assert outbox.next_due_at("webhook", 99) == 100
    assert due_ids(outbox, kit, now=100) == ["a"]
    assert kit.due(outbox, now=100)[0].attempts == 1


def test_a_shadow_alert_is_remembered_but_due_nowhere(outbox: Outbox, place: Any, kit: Any) -> None:
    assert outbox.accept([kit.arrival(0, "a", "raised", "shadow")], ["webhook"], now=5) == [Decision.SHADOW]
    assert due_ids(outbox, kit) == []
    assert place.rows("SELECT status, mode, told FROM alerts") == [("raised", "shadow", None)]


def test_a_disabled_receiver_is_enabled_by_another_address_or_by_retry(outbox: Outbox) -> None:
    outbox.disable("webhook", "it answered 410 Gone", now=5)
    outbox.attach("webhook", "there", now=6)
    assert disabled_reason(outbox) == "it answered 410 Gone"
    outbox.attach("webhook", "elsewhere", now=7)
    assert disabled_reason(outbox) == ""
    outbox.disable("webhook", "it answered 410 Gone", now=8)
    outbox.retry(None, now=9)
    assert disabled_reason(outbox) == ""


def test_pruning_removes_delivered_messages_and_keeps_alert_states(outbox: Outbox, kit: Any) -> None:
    batch = [kit.arrival(0, "a"), kit.arrival(1, "b")]
    outbox.accept(batch, ["webhook", "stdout"], now=5)
    delivered(outbox, kit, 1)
    delivered(outbox, kit, 1, "stdout")
    delivered(outbox, kit, 2)  # b is still due at stdout
    assert outbox.prune(before=5) == 0
    assert outbox.prune(before=6) == 1
    assert due_ids(outbox, kit, "stdout") == ["b"]
    assert outbox.accept([kit.arrival(2, "a")], ["webhook"], now=7) == [Decision.REPEATED]


def test_the_backlog_counts(outbox: Outbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a")], ["webhook"], now=5)
    outbox.accept([kit.arrival(1, "b"), kit.arrival(2, "c")], ["webhook"], now=8)
    delivered(outbox, kit, 1)
    (backlog,) = outbox.backlog()
    assert (backlog.pending, backlog.delivered, backlog.failed, backlog.oldest_pending_at) == (2, 1, 0, 8)


def test_a_leased_delivery_is_not_leased_again(outbox: Outbox, kit: Any) -> None:
    outbox.accept([kit.arrival(offset, name) for offset, name in enumerate("abc")], ["webhook"], now=5)
    assert ids(outbox.lease("webhook", 10, 2), kit) == ["a", "b"]
    assert ids(outbox.lease("webhook", 10, 2), kit) == ["c"]
    assert outbox.lease("webhook", 10, 2) == []
    assert outbox.renew("webhook", [1, 3, 99]) == {1, 3}
    assert outbox.release("webhook", [2]) == 1
    assert ids(outbox.lease("webhook", 10, 2), kit) == ["b"]


def test_an_alerts_second_message_is_not_leased_while_the_first_is(outbox: Outbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a"), kit.arrival(1, "a", "retracted")], ["webhook"], now=5)
    (first,) = outbox.lease("webhook", 10, 100)
    assert outbox.lease("webhook", 10, 100) == []
    retry = Attempt(first.message.sequence, DeliveryState.PENDING, at=11, next_attempt_at=20, error="503")
    assert outbox.record("webhook", [retry]) == 1
    assert outbox.lease("webhook", 19, 100) == []
    assert ids(outbox.lease("webhook", 20, 100), kit) == ["a"]


def test_an_attempt_without_a_lease_is_not_recorded(outbox: Outbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a")], ["webhook"], now=5)
    done = Attempt(1, DeliveryState.DELIVERED, at=10)
    assert outbox.record("webhook", [done]) == 0
    outbox.lease("webhook", 10, 1)
    assert [outbox.record("webhook", [done]) for _ in range(2)] == [1, 0], "repeated after an answer that was lost"
    assert outbox.backlog()[0].delivered == 1


def test_nothing_is_leased_for_a_disabled_receiver(outbox: Outbox, kit: Any) -> None:
    outbox.accept([kit.arrival(0, "a")], ["webhook", "stdout"], now=5)
    assert outbox.disable("webhook", "it answered 410 Gone", now=6) is True
    assert outbox.disable("webhook", "it answered 410 Gone", now=7) is False
    assert outbox.lease("webhook", 10, 100) == []
    assert due_ids(outbox, kit, "stdout") == ["a"]


def test_a_restored_outbox_accepts_only_messages_from_its_own_offset_on(outbox: Outbox, kit: Any) -> None:
    """It was restored from a backup, or failed over without its last commits, under a reader that is further on."""
    outbox.accept([kit.arrival(0, "a")], ["webhook"], now=5)
    later = dataclasses.replace(kit.arrival(7, "c"), previous_end=5)
    with pytest.raises(OutboxBehindError, match=r"at offset 1 of alerts\.v1-0 and was at 5"):
        outbox.accept([later], ["webhook"], now=6)
    assert outbox.positions() == {kit.PARTITION: 1}
    assert due_ids(outbox, kit) == ["a"]
    missed = dataclasses.replace(
        kit.arrival(3, "b"), previous_end=1
    )  # compacted, or a transaction's marker: no 1 and 2
    linked = dataclasses.replace(later, previous_end=4)
    assert outbox.accept([missed, linked], ["webhook"], now=7) == [Decision.RAISED, Decision.RAISED]
    assert outbox.positions() == {kit.PARTITION: 8}


def test_offsets_without_a_message_are_not_taken_for_a_loss(outbox: Outbox, kit: Any) -> None:
    """The marker at the end of a transaction, and the messages of an aborted one, have offsets and never arrive."""
    committed = [kit.arrival(0, "a"), dataclasses.replace(kit.arrival(1, "b"), previous_end=1)]  # 2 is their marker
    outbox.accept(committed, ["webhook"], now=5)
    after_marker = dataclasses.replace(kit.arrival(3, "c"), previous_end=2)
    after_aborted = dataclasses.replace(kit.arrival(105, "d"), previous_end=4)  # 4 to 104
    assert outbox.accept([after_marker, after_aborted], ["webhook"], now=6) == [Decision.RAISED, Decision.RAISED]
    # Started again, it reads on from the stored position, where a marker is.
    assert outbox.positions() == {kit.PARTITION: 106}
    after_start = dataclasses.replace(kit.arrival(107, "e"), previous_end=106)
    assert outbox.accept([after_start], ["webhook"], now=7) == [Decision.RAISED]
    assert outbox.positions() == {kit.PARTITION: 108}


def test_messages_of_one_batch_keep_the_order_of_their_events(outbox: Outbox, kit: Any) -> None:
    batch = [
        kit.arrival(offset, name, status)
        for offset, (name, status) in enumerate(
            [("b", "raised"), ("a", "raised"), ("a", "retracted"), ("b", "retracted"), ("a", "raised")]
        )
    ]
    outbox.accept(batch, ["webhook", "stdout"], now=5)
    seen: list[str] = []
    for _ in range(3):
        deliveries = outbox.lease("webhook", 10, 100)
        seen.extend(ids(deliveries, kit))
        outbox.record(
            "webhook", [Attempt(one.message.sequence, DeliveryState.DELIVERED, at=11) for one in reversed(deliveries)]
        )
    assert seen == ["b", "a", "a-2", "b-2", "a-3"]


def test_a_message_keeps_the_fields_of_its_alert(outbox: Outbox, kit: Any) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traced = dataclasses.replace(kit.alert("a"), trace_context=trace)
    outbox.accept([Arrival(kit.PARTITION, 0, traced), kit.arrival(1, "b")], ["webhook"], now=5)
    (first, second) = (delivery.message for delivery in kit.due(outbox))
    fields = ("alert_id", "body", "event_time", "raw_broker_time", "detected_at", "trace_context")
    assert [getattr(first, field) for field in fields] == [getattr(traced, field) for field in fields]
    assert (first.message_id, first.created_at, second.trace_context) == (traced.alert_id, 5, None)


class Crash(BaseException):
    """The process is gone."""


@pytest.mark.faults
def test_a_crash_between_any_two_statements_leaves_all_or_nothing(place: Any, kit: Any) -> None:
    batch = [kit.arrival(0, "a"), kit.arrival(1, "b"), kit.arrival(2, "a", "retracted"), kit.arrival(3, "c")]
    done = [Attempt(1, DeliveryState.DELIVERED, at=11), Attempt(2, DeliveryState.DELIVERED, at=11)]

    def life(die_at: int | None) -> int:
        """Take the batch in and deliver two of it; returns how many statements that took."""
        box = place.open()
        box.attach("webhook", "there", 0)
        with kit.mortal(box, die_at, Crash) as statements:
            box.accept(batch, ["webhook", "stdout"], now=5)
            box.lease("webhook", 10, 2)
            box.record("webhook", done)
        box.close()
        return len(statements)

    statements = life(None)
    assert statements >= 8
    for die_at in range(statements):
        place.empty()
        with pytest.raises(Crash):
            life(die_at)
        place.run_leases_out()
        box = place.open()
        (webhook,) = box.backlog()
        taken = box.positions() == {kit.PARTITION: 4}
        counts = (webhook.pending, webhook.delivered)
        assert counts in ([(4, 0), (2, 2)] if taken else [(0, 0)]), f"died at statement {die_at}"
        assert due_ids(box, kit, "stdout") == (["a", "b", "c"] if taken else []), f"died at statement {die_at}"
        box.close()
        life(None)
        assert place.rows("SELECT count(*) FROM messages") == [(4,)], f"died at statement {die_at}"
