"""Python's garbage, which holds Java's.

A frame stands for its plan in Java and for all that the plan holds, such as rows that were handed over to be joined
with. Java may forget them once Python's object is gone. Frames hang in cycles, though, and for old cycles Python looks
through all of its objects, which it does the more seldom the more there are: with those of our imports, once in many
minutes. By then the plans of some hundred micro-batches fill Java's memory
(docs/decisions/0023-python-garbage-collection.md).
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_EVERY_SECONDS: Final = 5.0


@contextmanager
def periodic_garbage_collection(now: Callable[[], float] = time.monotonic) -> Iterator[Callable[[], None]]:
    """For the length of a ``with``: a function to be called often, which now and then has Python look for garbage.

    What is there at its beginning is not looked through again until its end, so that looking takes milliseconds.

    Args:
        now: seconds of a clock that only goes on.
    """
    gc.collect()
    gc.freeze()
    due = now() + _EVERY_SECONDS

    def look() -> None:
        nonlocal due
        if now() >= due:
            gc.collect()
            due = now() + _EVERY_SECONDS

    try:
        yield look
    finally:
        gc.unfreeze()
