"""The lakehouse with sudden deaths that are quick to come back from: SIGUSR1 ends its queries wherever they are.

Jobs are cancelled and query threads interrupted, no micro-batch is waited for. The process then stops itself (SIGSTOP),
for what is left behind to be looked at. When it is told to go on, Spark starts anew in the same Java process, which has
its classes loaded and compiled already. What Delta remembers of its tables is forgotten, as by a new process.
"""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

from cardwatch_detector.lakehouse.bootstrap import run
from cardwatch_service.shutdown import Shutdown
from pyspark import SparkContext
from pyspark.sql import SparkSession


class Life:
    """From one start to the next."""

    def __init__(self) -> None:
        self.shutdown = Shutdown()
        self.killed = False

    def kill(self, *_: object) -> None:
        # Not in the signal's handler: the main thread may be talking to Java, and Java answers it one thing at a time.
        Thread(target=self._kill, daemon=True).start()

    def _kill(self) -> None:
        session = SparkSession._instantiatedSession
        assert session is not None, "killed before Spark had started"
        self.killed = True
        self.shutdown.request()  # or a query that has ended would be started again
        session.sparkContext.cancelAllJobs()
        queries = session.streams.active
        with ThreadPoolExecutor(len(queries)) as pool:
            for query in queries:
                pool.submit(query.stop)

    def end(self, *_: object) -> None:
        self.shutdown.request()


def main() -> int:
    while True:
        life = Life()
        signal.signal(signal.SIGUSR1, life.kill)
        signal.signal(signal.SIGTERM, life.end)
        code = run(life.shutdown)
        if not life.killed:
            return code
        SparkContext._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
        os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    raise SystemExit(main())
