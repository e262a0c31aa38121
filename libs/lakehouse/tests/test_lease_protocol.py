"""The protocol of a lease, with a clock and a store that are passed in: no time passes and nothing is written."""

import json
from typing import Any

import pytest
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_lakehouse.leases.lease import Lease, LeaseTimes
from cardwatch_lakehouse.leases.store import LeaseConflictError, LeaseHeldError, LeaseLostError, LeaseStoreError
from hypothesis import given
from hypothesis import strategies as st
from support.lease_store import TIMES, MemoryStore, World
from support.random_examples import random_examples

TTL = TIMES.ttl_seconds


@pytest.fixture
def world() -> World:
    return World()


def test_the_first_one_gets_it_at_once(world: World) -> None:
    lease, _ = world.process("a")
    lease.acquire()
    lease.check()
    assert (lease.epoch, world.now) == (1, 1000.0)


def test_a_second_one_is_refused_as_soon_as_the_holder_shows_life(world: World) -> None:
    first, _ = world.process("detector-1")
    first.acquire()
    world.meanwhile = first.renew
    second, _ = world.process("detector-2")
    with pytest.raises(LeaseHeldError, match=r"detector on detector-1 \(process 7\), since 2026-11-30T18:00:00Z holds"):
        second.acquire()
    assert world.now == 1000.0 + TIMES.look_seconds
    first.check()
    with pytest.raises(LeaseLostError):
        second.check()


def test_a_silent_holders_lease_is_taken_over_after_its_time_to_live(world: World) -> None:
    first, _ = world.process("a")
    first.acquire()
    waits: list[float] = []
    second, _ = world.process("b")
    second.acquire(lambda record, left: waits.append(left))
    assert world.now == 1000.0 + TTL
    assert waits == [TTL - second_ for second_ in range(15)]
    assert second.epoch == 2


def test_the_wait_is_that_of_the_holder_not_of_the_waiting_one(world: World) -> None:
    first, _ = world.process("a", LeaseTimes(ttl_seconds=40))
    first.acquire()
    second, _ = world.process("b")
    second.acquire()
    assert world.now == 1040.0


def test_nobody_waits_for_a_lease_that_was_given_back(world: World) -> None:
    first, store = world.process("a")
    first.acquire()
    first.release()
    assert store.closed == 1
    second, _ = world.process("b")
    second.acquire()
    assert (second.epoch, world.now) == (2, 1000.0)


def test_nobody_waits_for_a_process_of_this_machine_that_has_ended(world: World) -> None:
    first, _ = world.process("a")
    first.acquire()
    world.dead.add("a")
    second, _ = world.process("a")
    second.acquire()
    assert (second.epoch, world.now) == (2, 1000.0)


def test_one_that_gives_back_while_another_waits_is_followed_at_once(world: World) -> None:
    first, _ = world.process("a")
    first.acquire()
    world.meanwhile = lambda: first.release() if first.epoch else None
    second, _ = world.process("b")
    second.acquire()
    assert (second.epoch, world.now) == (2, 1001.0)


def test_a_loser_is_fenced_before_its_next_write(world: World) -> None:
    first, _ = world.process("a")
    first.acquire()
    second, _ = world.process("b")
    second.acquire()
    for _ in range(2):
        with pytest.raises(LeaseLostError, match=r"lost the lease .* to detector on b \(process 7\).*\(epoch 2\)"):
            first.check()
    with pytest.raises(LeaseLostError):
        first.renew()
    second.check()
    first.release()
    second.renew()


def test_a_holder_stops_acting_before_another_one_may_begin(world: World) -> None:
    lease, store = world.process("a")
    lease.acquire()
    store.down = True
    assert lease.seconds_left == pytest.approx(0.8 * TTL)
    world.now += 0.8 * TTL - 0.001
    lease.check()
    assert 0 < lease.seconds_left < 0.01
    world.now += 0.001
    assert lease.seconds_left <= 0
    with pytest.raises(LeaseStoreError):
        lease.check()
    store.down = False
    lease.check()


def test_a_lease_that_nobody_took_meanwhile_is_good_again_after_an_outage(world: World) -> None:
    lease, store = world.process("a")
    lease.acquire()
    store.down = True
    world.now += 100 * TTL
    with pytest.raises(LeaseStoreError):
        lease.renew()
    store.down = False
    lease.check()
    assert lease.epoch == 1


def test_a_check_asks_the_store_only_where_the_last_renewal_is_too_old(world: World) -> None:
    lease, store = world.process("a")
    lease.acquire()
    store.down = True
    for _ in range(1000):
        lease.check()
    store.down = False
    world.now += TTL
    version = world.file.version
    lease.check()
    assert world.file.version == version + 1


def test_renewals_whose_answers_get_lost_do_not_fence_the_holder(world: World) -> None:
    lease, store = world.process("a")
    lease.acquire()
    store.loses_answers = True
    for _ in range(3):
        with pytest.raises(LeaseStoreError):
            lease.renew()
    store.loses_answers = False
    lease.renew()
    lease.check()


def test_a_renewal_whose_answer_got_lost_counts_only_when_it_is_written_again(world: World) -> None:
    lease, store = world.process("a")
    lease.acquire()
    store.loses_answers = True
    with pytest.raises(LeaseStoreError):
        lease.renew()
    store.loses_answers = False
    world.now += TTL - 1
    version = world.file.version
    lease.renew()
    assert world.file.version == version + 1, "others see it from now on, so it must count from now on"


def test_an_answer_that_the_client_asked_for_twice_is_this_processes_own(world: World) -> None:
    lease, store = world.process("a")

    def create_twice(content: bytes) -> Any:
        MemoryStore.create(store, content)
        raise LeaseConflictError("exists")

    store.create = create_twice  # type: ignore[method-assign]
    lease.acquire()
    lease.renew()
    assert lease.epoch == 1


def test_of_two_that_take_over_at_the_same_moment_one_is_refused(world: World) -> None:
    first, _ = world.process("a")
    first.acquire()
    second, _ = world.process("b")
    third, _ = world.process("c")
    world.dead.add("a")
    original = MemoryStore.read

    def read_then_third_takes(self: MemoryStore) -> Any:
        found = original(self)
        MemoryStore.read = original  # type: ignore[method-assign]
        third.acquire()
        return found

    MemoryStore.read = read_then_third_takes  # type: ignore[method-assign]
    try:
        with pytest.raises(LeaseHeldError, match="detector on c"):
            second.acquire()
    finally:
        MemoryStore.read = original  # type: ignore[method-assign]
    third.check()


def test_a_deleted_lease_ends_its_holder(world: World) -> None:
    lease, _ = world.process("a")
    lease.acquire()
    world.file.content = None
    with pytest.raises(LeaseLostError, match="has been deleted"):
        lease.renew()


def test_a_request_to_stop_ends_the_wait(world: World) -> None:
    first, _ = world.process("a")
    first.acquire()
    second, store = world.process("b")
    world.sleep = lambda seconds: True  # type: ignore[method-assign]
    second, store = world.process("b")
    with pytest.raises(LeaseHeldError):
        second.acquire()
    assert store.closed == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"epoch": 1}', b"\xff", b"9" * 5000, b'{"epoch": {"a": 1}}'],
)
def test_a_file_that_is_no_lease_is_left_alone(world: World, content: bytes) -> None:
    world.file.content = content
    lease, store = world.process("a")
    with pytest.raises(ConfigurationError, match=r"velocity.json is not a lease of this version.*delete it"):
        lease.acquire()
    assert (world.file.content, store.closed) == (content, 1)


@pytest.mark.parametrize("changes", [{"epoch": 0}, {"epoch": "1"}, {"ttl_seconds": 1e9}, {"ttl_seconds": -1}, {"x": 1}])
def test_a_lease_with_absurd_values_is_left_alone(world: World, changes: dict[str, Any]) -> None:
    first, _ = world.process("a")
    first.acquire()
    assert world.file.content is not None
    world.file.content = json.dumps({**json.loads(world.file.content), **changes}).encode()
    with pytest.raises(ConfigurationError):
        world.process("b")[0].acquire()


ACTIONS = st.sampled_from(
    ["renew", "check", "restart", "kill", "outage", "recovery", "lose", "wait", "long", "release"]
)


@random_examples(200, deadline=None)
@given(st.data())
def test_there_are_never_two_that_may_write(data: st.DataObject) -> None:
    """Three hosts with restarts, kills, outages and lost answers, interleaved at every look of a waiting one."""
    world = World()
    running: dict[str, tuple[Lease, MemoryStore]] = {}
    depth = 0
    epochs: list[int] = []

    def may_write(lease: Lease, store: MemoryStore) -> bool:
        before, store.down = store.down, True
        try:
            lease.check()
        except CardwatchError:
            return False
        finally:
            store.down = before
        return True

    def act() -> None:
        nonlocal depth
        host = data.draw(st.sampled_from("abc"))
        action = data.draw(ACTIONS)
        lease, store = running.get(host, (None, None))
        try:
            if action == "wait":
                world.now += data.draw(st.floats(0, 5))
            elif action == "long":
                world.now += 2 * TTL
            elif action == "restart" and depth == 0:
                depth += 1
                lease, store = world.process(host)
                lease.acquire()
                running[host] = (lease, store)
                epochs.append(lease.epoch)
            elif lease is None or store is None:
                pass
            elif action == "renew":
                lease.renew()
            elif action == "check":
                lease.check()
            elif action == "kill":
                del running[host]
            elif action == "release":
                del running[host]
                lease.release()
            else:
                store.down = action == "outage"
                store.loses_answers = action == "lose"
        except CardwatchError:
            pass
        finally:
            if action == "restart":
                depth = 0
        assert sum(may_write(*process) for process in running.values()) <= 1

    world.meanwhile = act
    for _ in range(data.draw(st.integers(1, 25))):
        act()
    assert epochs == sorted(set(epochs)), "the fencing token only rises"
