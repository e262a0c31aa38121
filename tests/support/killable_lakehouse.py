"""The lakehouse with sudden deaths that are quick to come back from: SIGUSR1 ends its queries wherever they are.

Jobs are cancelled and query threads interrupted, no micro-batch is waited for. The process then stops itself (SIGSTOP),
for what is left behind to be looked at. When it is told to go on, its queries start anew from their checkpoints in the
same Spark, which has its classes loaded and compiled already, and whose Delta knows the tables as they were. Only a
process that is killed as a whole forgets that too.

Queries are started one after the other, in each life another one first: with the processor to itself that one is soon
where a kill is to strike it. All at once they would take turns, and be struck half way, all of them.
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
from cardwatch_service.settings import load
from cardwatch_service.shutdown import Shutdown
from pyspark.sql import DataFrame, SparkSession

_HEAD_START_SECONDS: Final = 1.5


class Life:
    """From one start of the queries to the next.

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
        """In place of the service's own."""
        at = self._number % len(queries)
        first, *others = [*queries[at:], *queries[:at]]
        later = [replace(query, source=partial(self._later, query)) for query in others]
        run_queries(application, [first, *later], prepare)

    def _later(self, query: LakehouseQuery, session: SparkSession) -> DataFrame:
        self.shutdown.wait(_HEAD_START_SECONDS)
        return query.source(session)

    def kill(self, *_: object) -> None:
        # Not in the signal's handler: the main thread may be talking to Java, and Java answers it one thing at a time.
        self._killer = Thread(target=self._kill, daemon=True)
        self._killer.start()

    def killed(self) -> bool:
        """Whether it ended by ``kill``, which is over."""
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
    parser.add_argument("life", type=int, help="number of its first life: which query is started first")
    first_life: int = parser.parse_args().life
    config = bootstrap.spark_config(load(LakehouseSettings))
    session = build_session("cardwatch-lakehouse", load(SparkSettings), config)
    for number in count(first_life):
        life = Life(session, number)
        signal.signal(signal.SIGUSR1, life.kill)
        signal.signal(signal.SIGTERM, life.end)
        code = bootstrap.run(life.shutdown, run_queries=life.run_queries)  # in the session that is there
        if not life.killed():
            session.stop()
            return code
        os.kill(os.getpid(), signal.SIGSTOP)
    raise AssertionError("there is always a next life")


if __name__ == "__main__":
    raise SystemExit(main())
