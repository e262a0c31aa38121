"""The one module that uses private parts of PySpark, Spark's JVM classes and Py4J.

Any of them may change with the next version. ``tests/runtime/test_internals.py`` fails when a version is pinned that
this module was not checked against, and says how to check it.
"""

import json
from collections.abc import Callable
from typing import Any, ClassVar, Final

from cardwatch_contracts.errors import ConfigurationError
from py4j.java_gateway import JavaClass, JavaMember, JavaPackage, JVMView
from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.listener import StreamingQueryListener
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.runtime.spark_offsets import Offsets, parse_offsets

CHECKED_VERSIONS: Final = {"pyspark": "4.1.1", "py4j": "0.10.9.9"}
"""The versions that this module was checked against."""

# The local property with the id of the query that a micro-batch belongs to.
_QUERY_ID_PROPERTY: Final = "sql.streaming.queryId"


def query_id(session: SparkSession) -> str:
    """The id of the streaming query whose micro-batch has this session; it comes from the query's checkpoint.

    Raises:
        RuntimeError: outside of a micro-batch.
    """
    found = session.sparkContext.getLocalProperty(_QUERY_ID_PROPERTY)
    if not found:
        raise RuntimeError("a micro-batch is written outside its streaming query")
    return str(found)


def hadoop_path(session: SparkSession, path: str) -> tuple[Any, Any]:
    """A path as Hadoop's ``Path``, and its ``FileSystem``."""
    jvm: Any = session.sparkContext._jvm
    made = jvm.org.apache.hadoop.fs.Path(path)
    return made, made.getFileSystem(session._jsparkSession.sessionState().newHadoopConf())


def write_atomically(session: SparkSession, path: str, content: bytes) -> None:
    """Write a file, or replace it, so that a reader finds all of the one or all of the other: as Spark's checkpoints
    do it on the file system that the path is on. Where a platform has no such class, it is written as any file.
    """
    jvm: Any = session.sparkContext._jvm
    target, file_system = hadoop_path(session, path)
    managers = jvm.org.apache.spark.sql.execution.streaming.checkpointing.CheckpointFileManager
    if not isinstance(managers, JavaClass):
        stream = file_system.create(target, True)
        stream.write(content)
        stream.close()
        return
    manager = managers.create(target.getParent(), session._jsparkSession.sessionState().newHadoopConf())
    manager.mkdirs(target.getParent())
    stream = manager.createAtomic(target, True)
    try:
        stream.write(content)
    except BaseException:
        stream.cancel()
        raise
    stream.close()


def committed_offsets(query: StreamingQuery) -> Offsets:
    """The Kafka offsets up to which a query has committed, also while it is idle or has just been restarted.

    Spark reports offsets only with the progress of micro-batches; the running query always knows them.
    """
    try:
        return _stream_progress_offsets(query._jsq.streamingQuery().committedOffsets())
    except Py4JError:  # the query ended in the meantime
        return {}


def last_batch_timestamp(query: StreamingQuery) -> str:
    """When the last finished micro-batch began, as Spark writes it; empty before the first one ends.

    ``StreamingQuery.lastProgress`` converts the whole report to JSON, too slow to be asked many times a second.
    """
    last = query._jsq.lastProgress()
    return "" if last is None else str(last.timestamp())


def progress_mark(session: SparkSession, query: StreamingQuery) -> object:
    """A value that is another one after each task, job and micro-batch of a query.

    The status tracker's own list of jobs would cost a call into the JVM for each of them.
    """
    tracker = session.sparkContext.statusTracker()
    jvm: Any = session.sparkContext._jvm
    jobs = tracker._jtracker.getJobIdsForGroup(str(query.runId))
    job = int(jvm.java.util.Arrays.stream(jobs).max().orElse(-1))
    info = tracker.getJobInfo(job) if job >= 0 else None
    stages = [tracker.getStageInfo(stage) for stage in info.stageIds] if info is not None else []
    done = [(one.stageId, one.numCompletedTasks, one.numFailedTasks) for one in stages if one is not None]
    return job, done, query.status["message"], committed_offsets(query), last_batch_timestamp(query)


def delete_path(session: SparkSession, path: str) -> None:
    """Delete a directory, with all that is in it, on any Hadoop file system."""
    target, file_system = hadoop_path(session, path)
    file_system.delete(target, True)


def _engine() -> Any:
    """The rule engine's class.

    Raises:
        ConfigurationError: its jar is not on Spark's class path.
    """
    jvm: Any = SparkContext._jvm
    operator = jvm.cardwatch.engine.spark.VelocityOperator
    if not isinstance(operator, JavaClass):
        raise ConfigurationError(
            "the rule engine's jar (cardwatch-engine) is not on Spark's class path: images have it, `cardwatch "
            "platform jars` prints a class path with it for CARDWATCH_SPARK_CLASSPATH, and `make wheels` puts it "
            "beside the wheels"
        )
    return operator


def state_layout() -> str:
    """How the rule engine's state is laid out (``VelocityOperator.stateLayout``).

    Raises:
        ConfigurationError: the engine's jar is not on Spark's class path.
    """
    return str(_engine().stateLayout())


def velocity_operator(records: DataFrame, options: str) -> DataFrame:
    """The rule engine's operator over a stream of records (``cardwatch.engine.spark.VelocityOperator.alerts``).

    Raises:
        ConfigurationError: the engine's jar is not on Spark's class path.
    """
    return DataFrame(_engine().alerts(records._jdf, options), records.sparkSession)


def open_sink_control(ask: Callable[[bool], str]) -> Any:
    """A ``cardwatch.engine.spark.SinkControl``, which asks the function (``BatchGate.ask``) from the query's thread."""
    context: Any = SparkContext._active_spark_context
    ensure_callback_server_started(context._gateway)  # type: ignore[no-untyped-call]
    return context._jvm.cardwatch.engine.spark.SinkControl.open(_BatchGate(ask))


def sink_reports(control: Any) -> list[dict[str, Any]]:
    """The reports that a sink control has kept since the last call; none where Java has ended."""
    try:
        reports: list[dict[str, Any]] = json.loads(control.takeReports())
    except (Py4JError, OSError):
        return []
    return reports


class _BatchGate:
    """The object that the JVM asks."""

    def __init__(self, ask: Callable[[bool], str]) -> None:
        self._ask = ask

    def ask(self, begins: bool) -> str:
        """As ``cardwatch.engine.spark.BatchGate``."""
        return self._ask(begins)

    class Java:
        """For Py4J: the interface that this object has in the JVM."""

        implements: ClassVar = ["cardwatch.engine.spark.BatchGate"]


class JsonProgressListener(StreamingQueryListener):
    """Calls a function with each progress report, sent after a micro-batch's commit, as parsed JSON.

    Spark's own Python listener rebuilds each report field by field, some hundred calls into the JVM: at a few
    micro-batches per second that took a fifth of the detector's processor time. This one takes a report as one JSON
    text.
    """

    def __init__(self, on_progress: Callable[[dict[str, Any]], None]) -> None:
        self._receiver: Final = _JsonReceiver(on_progress)
        self._wrapper: Any = None

    @property
    def _jlistener(self) -> Any:
        if self._wrapper is None:
            jvm: Any = SparkContext._jvm
            self._wrapper = jvm.PythonStreamingQueryListenerWrapper(self._receiver)
        return self._wrapper

    def onQueryStarted(self, event: Any) -> None:  # noqa: N802 - Spark's interface
        """Spark calls the receiver instead."""

    def onQueryProgress(self, event: Any) -> None:  # noqa: N802 - Spark's interface
        """Spark calls the receiver instead."""

    def onQueryTerminated(self, event: Any) -> None:  # noqa: N802 - Spark's interface
        """Spark calls the receiver instead."""


class _JsonReceiver:
    """The object that the JVM calls."""

    def __init__(self, on_progress: Callable[[dict[str, Any]], None]) -> None:
        self._on_progress = on_progress

    def onQueryStarted(self, event: Any) -> None:  # noqa: N802 - Spark's interface
        """Nothing to report yet."""

    def onQueryProgress(self, event: Any) -> None:  # noqa: N802 - Spark's interface
        """A micro-batch is committed."""
        self._on_progress(json.loads(event.progress().json()))

    def onQueryIdle(self, event: Any) -> None:  # noqa: N802 - Spark's interface
        """Nothing has changed."""

    def onQueryTerminated(self, event: Any) -> None:  # noqa: N802 - Spark's interface
        """The supervisor reports and restarts."""

    class Java:
        """For Py4J: the interface that this object has in the JVM."""

        implements: ClassVar = ["org.apache.spark.sql.streaming.PythonStreamingQueryListener"]


class _Class(JavaClass):  # type: ignore[misc]  # Py4J has no types
    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if isinstance(found, JavaMember):  # and not a static field: its value may change
            self.__dict__[name] = found
        return found


class _Names(JVMView):  # type: ignore[misc]  # as above
    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if isinstance(found, JavaClass):
            found.__class__ = _Class
        if isinstance(found, JavaClass | JavaPackage):
            self.__dict__[name] = found
        return found


def cache_class_lookups(session: SparkSession) -> None:
    """Make a session look up each of Java's classes and static methods only once.

    PySpark asks for them by name for each column, literal and ``select``, and Py4J then tries one package after the
    other: each miss searches all jars on the class path, some three hundred. A name stands for the same class as long
    as Java runs (measured in docs/decisions/0021-py4j-class-lookups.md).
    """
    jvm: Any = session.sparkContext._jvm
    jvm.__class__ = _Names


def _stream_progress_offsets(progress: Any) -> Offsets:
    """The Kafka offsets in what Spark calls a StreamProgress: those of each source of a query.

    Raises:
        Py4JError: the query has ended in the meantime.
    """
    values = progress.values().iterator()
    merged: Offsets = {}
    while values.hasNext():
        merged.update(parse_offsets(values.next().json()))
    return merged
