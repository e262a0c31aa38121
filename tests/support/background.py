"""Work in a background thread while a test does something else."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event


@contextmanager
def run_in_background(work: Callable[[Event], None]) -> Iterator[None]:
    """Run ``work`` in a thread for the length of a ``with``.

    At the end the event that it was given is set, and its exception, if it raised one, is raised here.
    """
    ended = Event()
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work, ended)
        try:
            yield
        finally:
            ended.set()
        working.result()
