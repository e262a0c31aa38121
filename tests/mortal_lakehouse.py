"""The lakehouse with sudden deaths that are quick to come back from: SIGUSR1 ends its queries wherever they are.

Jobs are cancelled and query threads interrupted, no micro-batch is waited for. The process then stops itself (SIGSTOP),
for what is left behind to be looked at. When it is told to go on, its queries start anew from their checkpoints in the
same Spark, which has its classes loaded and compiled already, and whose Delta knows the tables as they were. Only a
process that is killed as a whole forgets that too.
"""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

from cardwatch_detector.lakehouse.bootstrap import run, spark_config
from cardwatch_detector.settings import LakehouseSettings, SparkSettings
from cardwatch_detector.spark_session import build_session
from cardwatch_service.settings import load
from cardwatch_service.shutdown import Shutdown
from pyspark.sql import SparkSession


class Life:
    """From one start of the queries to the next."""

    def __init__(self, session: SparkSession) -> None:
        self.shutdown = Shutdown()
        self._session = session
        self._killer: Thread | None = None

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
    session = build_session("cardwatch-lakehouse", load(SparkSettings), spark_config(load(LakehouseSettings)))
    while True:
        life = Life(session)
        signal.signal(signal.SIGUSR1, life.kill)
        signal.signal(signal.SIGTERM, life.end)
        code = run(life.shutdown)  # in the session that is there
        if not life.killed():
            session.stop()
            return code
        os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    raise SystemExit(main())
