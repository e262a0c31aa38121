"""Frames in reference cycles are collected within seconds, without examining the objects that imports created."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from cardwatch_detector.runtime.garbage_collection import periodic_garbage_collection


class _Frame:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def only_when_told() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("only_when_told")
def test_a_frame_in_a_reference_cycle_is_collected_after_five_seconds() -> None:
    clock = [100.0]
    with periodic_garbage_collection(lambda: clock[0]) as look:
        for _ in range(2):
            frame = weakref.ref(_Frame())
            clock[0] += 4.9
            look()
            assert frame() is not None
            clock[0] += 0.1
            look()
            assert frame() is None


def test_existing_objects_are_not_examined_meanwhile() -> None:
    with periodic_garbage_collection():
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < gc.get_freeze_count()
    assert gc.get_freeze_count() == 0
