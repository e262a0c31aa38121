"""Something that goes on in a thread while a test does something else."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event


@contextmanager
def meanwhile(work: Callable[[Event], None]) -> Iterator[None]:
    """For the length of a ``with``: the event tells the work to end, and what it raised comes out then."""
    ended = Event()
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work, ended)
        try:
            yield
        finally:
            ended.set()
        working.result()
