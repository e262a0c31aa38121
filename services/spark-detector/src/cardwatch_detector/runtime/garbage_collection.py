"""Periodic garbage collection of Py4J references.

A DataFrame in Python references a plan in the JVM and all that the plan holds, such as broadcast rows. The JVM can
free them only when the Python object is gone. DataFrames are part of reference cycles, though, and CPython's collector
looks for old cycles the more rarely the more objects there are: with those of our imports, once in many minutes. By
then the plans of some hundred micro-batches fill the JVM's heap (docs/decisions/0023-python-garbage-collection.md).
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_COLLECT_EVERY_SECONDS: Final = 5.0


@contextmanager
def periodic_garbage_collection(now: Callable[[], float] = time.monotonic) -> Iterator[Callable[[], None]]:
    """For the length of a ``with``: a function that runs the collector when it is due, to be called often.

    Objects that exist at the beginning are not examined again until the end, so that a collection takes milliseconds.

    Args:
        now: a monotonic clock, seconds.
    """
    gc.collect()
    gc.freeze()
    due = now() + _COLLECT_EVERY_SECONDS

    def collect_if_due() -> None:
        nonlocal due
        if now() >= due:
            gc.collect()
            due = now() + _COLLECT_EVERY_SECONDS

    try:
        yield collect_if_due
    finally:
        gc.unfreeze()
