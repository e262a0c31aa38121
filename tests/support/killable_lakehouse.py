"""The lakehouse as a process whose queries a test can kill without killing Spark, which takes long to start.

SIGUSR1 cancels all jobs and interrupts the threads of all queries; no micro-batch is waited for. The process then stops
itself (SIGSTOP), so that the test can look at what is left behind. On SIGCONT the queries start again from their
checkpoints in the same Spark session, which has its classes loaded and compiled, and whose Delta has cached the tables'
state. Only SIGKILL for the whole process loses that cache too.

Queries are started one after the other, a different one first each time: alone on the processor, that one soon reaches
the point where a kill is to hit it. If all started at once, all would be hit half way.
"""

import os
import signal
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import count
from threading import Thread
from typing import Any, Final

from cardwatch_detector.lakehouse import bootstrap
from cardwatch_detector.lakehouse.query import LakehouseQuery
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.runtime.application import SparkApplication, run_queries
from cardwatch_detector.runtime.session import build_session
from cardwatch_detector.runtime.settings import SparkSettings
from cardwatch_service.settings import load_settings
from cardwatch_service.shutdown import Shutdown
from pyspark.sql import DataFrame, SparkSession

_HEAD_START_SECONDS: Final = 1.5


class Life:
    """The time from one start of the queries to the next.

    Attributes:
        number: which query is started first; the others follow in their order.
    """

    def __init__(self, session: SparkSession, number: int) -> None:
        self.shutdown = Shutdown()
        self._session = session
        self._number = number
        self._killer: Thread | None = None

    def run_queries(
        self, application: SparkApplication, queries: Sequence[Any], prepare: Callable[[SparkSession], None]
    ) -> None:
        """Run the queries, with a head start for one of them; takes the place of the runtime's function."""
        at = self._number % len(queries)
        first, *others = [*queries[at:], *queries[:at]]
        later = [replace(query, source=partial(self._later, query)) for query in others]
        run_queries(application, [first, *later], prepare)

    def _later(self, query: LakehouseQuery, session: SparkSession) -> DataFrame:
        self.shutdown.wait(_HEAD_START_SECONDS)
        return query.source(session)

    def kill(self, *_: object) -> None:
        # Not in the signal's handler: the main thread may be waiting for an answer of Java on the same connection.
        self._killer = Thread(target=self._kill, daemon=True)
        self._killer.start()

    def killed(self) -> bool:
        """Whether ``kill`` ended it; waits until the kill is done."""
        if self._killer is not None:
            self._killer.join()
        return self._killer is not None

    def _kill(self) -> None:
        self.shutdown.request()  # or a query that has ended would be started again
        self._session.sparkContext.cancelAllJobs()
        queries = self._session.streams.active
        with ThreadPoolExecutor(max(1, len(queries))) as pool:
            for query in queries:
                pool.submit(query.stop)

    def end(self, *_: object) -> None:
        self.shutdown.request()


def main() -> int:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("life", type=int, help="which query is started first, by its number")
    first_life: int = parser.parse_args().life
    config = bootstrap.spark_config(load_settings(LakehouseSettings))
    session = build_session("cardwatch-lakehouse", load_settings(SparkSettings), config)
    for number in count(first_life):
        life = Life(session, number)
        signal.signal(signal.SIGUSR1, life.kill)
        signal.signal(signal.SIGTERM, life.end)
        code = bootstrap.run(life.shutdown, run_queries=life.run_queries)  # in the session that is there
        if not life.killed():
            session.stop()
            return code
        os.kill(os.getpid(), signal.SIGSTOP)
    raise AssertionError("the loop ends with the process only")


if __name__ == "__main__":
    raise SystemExit(main())
