"""How many bytes of messages the enricher has in memory."""

import pytest
from cardwatch_enricher.stream.fetch_budget import MESSAGE_OVERHEAD_BYTES, FetchBudget, message_bytes

MAX_BYTES = 1000


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_fetched_while_the_limit_is_reached() -> None:
    budget = FetchBudget(MAX_BYTES, 0.02)
    budget.add(MAX_BYTES - 1, budget.assignment)
    assert budget.has_room()
    budget.add(5000, budget.assignment)
    assert not budget.has_room()
    with budget.processing(5000):
        assert not budget.has_room()
    assert budget.has_room()
    assert budget.held_bytes == MAX_BYTES - 1


def test_a_batch_that_fails_is_released_too() -> None:
    budget = FetchBudget(MAX_BYTES, 0.02)
    budget.add(MAX_BYTES, budget.assignment)
    with pytest.raises(RuntimeError), budget.processing(MAX_BYTES):
        raise RuntimeError
    assert budget.has_room()


def test_messages_of_an_earlier_assignment_do_not_count() -> None:
    budget = FetchBudget(MAX_BYTES, 0.02)
    before = budget.assignment
    budget.add(MAX_BYTES, before)
    budget.start_assignment()
    assert budget.has_room()
    budget.add(MAX_BYTES, before)  # a fetch that was under way
    assert budget.has_room()
    with budget.processing(MAX_BYTES):  # a batch that was being processed
        pass
    assert budget.held_bytes == 0


def test_messages_that_the_client_dropped_do_not_count_for_ever() -> None:
    clock = Clock()
    budget = FetchBudget(MAX_BYTES, 0.02, clock)
    budget.add(MAX_BYTES, budget.assignment)
    clock.now += 5
    assert not budget.has_room()
    clock.now += 0.1
    assert budget.has_room()


def test_a_batch_that_waits_for_a_broker_keeps_counting() -> None:
    clock = Clock()
    budget = FetchBudget(MAX_BYTES, 0.02, clock)
    budget.add(MAX_BYTES, budget.assignment)
    with budget.processing(MAX_BYTES):
        clock.now += 3600
        assert not budget.has_room()


def test_keys_and_headers_count_as_well_as_values() -> None:
    assert message_bytes(None, None, None) == MESSAGE_OVERHEAD_BYTES
    assert message_bytes(b"kk", b"vvv", (("name", b"12"), ("n", None))) == MESSAGE_OVERHEAD_BYTES + 2 + 3 + 4 + 2 + 1
