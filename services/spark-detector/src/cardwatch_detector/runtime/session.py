"""The Spark session, with settings that were measured to matter for small micro-batches (docs/decisions)."""

import os
import sys
from collections.abc import Mapping
from typing import Final

from cardwatch_service.logs import get_logger
from cardwatch_units.file_modes import current_umask
from pyspark.sql import SparkSession

from cardwatch_detector.runtime.databricks import on_databricks
from cardwatch_detector.runtime.internals import cache_class_lookups
from cardwatch_detector.runtime.object_stores import CHECKPOINT_FILES, LOCAL_CHECKPOINT_FILES
from cardwatch_detector.runtime.settings import SparkSettings
from cardwatch_detector.runtime.spark_conf_file import names_in, submit_with

# An invalid length must not make the decoder allocate gigabytes: running out of memory would end the process, each time
# that it gets to the message.
_MAX_AVRO_LENGTH: Final = 1 << 20
_AVRO_LIMITS: Final = " ".join(
    f"-Dorg.apache.avro.limits.{what}={_MAX_AVRO_LENGTH}"
    for what in ("string.maxLength", "bytes.maxLength", "collectionItems.maxLength")
)

_log = get_logger(__name__)

JAVA_OPTIONS: Final = "spark.driver.extraJavaOptions"
# A heap of its final size from the start (or half of the machine's memory, if that is less), and 256 MB for classes.
# By default Java starts with much less and collects garbage whenever that is full: a hundred times in its first minute.
_INITIAL_MEMORY: Final = "-XX:InitialRAMPercentage=50 -XX:MetaspaceSize=256m"
# A concurrent collector has no core of its own on a small machine. The optimising compiler pays for what runs several
# times a second, and not for what runs every ten seconds.
STEADY_JVM: Final = f"-XX:+UseSerialGC {_INITIAL_MEMORY}"
# Without that compiler Java keeps room for 48 MB of compiled code only, which the lakehouse's queries fill within a
# minute; Java then interprets all further code, ten times slower, until the process ends.
QUICK_JVM: Final = f"-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m {STEADY_JVM}"
PEAK_JVM: Final = "-XX:+UseParallelGC -XX:NewRatio=1"

# A session that reads and writes Delta tables.
DELTA: Final = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # Delta joins a partition's small files once there are 50; but those of a partition that it finds small files in
    # when the process starts, after every further commit. Counted by table, they are joined by their number alone.
    "spark.databricks.delta.autoCompact.modifiedPartitionsOnly.enabled": "false",
}

# Whether plans are interpreted, or code is generated and compiled for them.
INTERPRETED: Final = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
COMPILED: Final = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}

# Spark shows no value of these options in logs, plans, errors, its event log and its web page: its own defaults, and
# those with which a Kafka client logs in.
_HIDDEN_OPTIONS: Final = "(?i)secret|password|token|access[.]?key|jaas|keystore|ssl[.]key"

_COMMON: Final = {
    "spark.redaction.regex": _HIDDEN_OPTIONS,
    "spark.sql.redaction.options.regex": f"{_HIDDEN_OPTIONS}|url",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    "spark.sql.streaming.metricsEnabled": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.python.unix.domain.socket.enabled": "true",
    # Without Hadoop's native library its local file system forks a process for each chmod; this one does not.
    "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
    CHECKPOINT_FILES: LOCAL_CHECKPOINT_FILES,
    # The jars' loggers; what Cardwatch itself says goes through Python's logging.
    "spark.log.structuredLogging.enabled": "false",
}


def given_session(extra: Mapping[str, str], sessions: type[SparkSession] = SparkSession) -> SparkSession | None:
    """The existing session, where a platform such as Databricks provides one, with ``extra`` settings added.

    Settings that can change in a running session, which are those of SQL, are set unless the cluster's definition has
    set them: that wins. How checkpoints are written is left to the platform. The rest (the JVM's options, class path
    and memory) belongs to the cluster's definition, as in deploy/databricks. The caller must not stop the session.
    """
    if not on_databricks() and sessions.getActiveSession() is None:
        return None
    session = sessions.builder.getOrCreate()
    wanted = {**_COMMON, **extra}
    cluster = session.sparkContext.getConf()
    left = [name for name in wanted if cluster.contains(name) or not session.conf.isModifiable(name)]
    for name in wanted.keys() - {*left, CHECKPOINT_FILES}:
        session.conf.set(name, wanted[name])
    _log.info("using the session of the platform", settings_left_to_the_cluster=left)
    return session


def build_session(app_name: str, settings: SparkSettings, extra: Mapping[str, str]) -> SparkSession:
    """Start Spark in this process (the driver); ``extra`` are further Spark settings.

    Raises:
        ConfigurationError: the file of further settings is wrong.
    """
    if settings.java_home:
        os.environ["JAVA_HOME"] = settings.java_home
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    config = {
        "spark.app.name": app_name,
        "spark.driver.memory": settings.driver_memory,
        # Spark describes each job's plan for its web page, which is off: the description is kept as short as possible.
        "spark.sql.ui.explainMode": "simple",
        **_COMMON,
        # Hadoop's file systems do not ask the process: they give each file a mode of their own.
        "spark.hadoop.fs.permissions.umask-mode": f"{current_umask():03o}",
        **extra,
    }
    if settings.master:
        config["spark.master"] = settings.master
    if settings.master.startswith("local"):
        # All of Spark runs on this machine: nothing listens on any other address, or is reached by one.
        config |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    if settings.classpath:
        # On the JVM's class path and never through spark.jars: those are put on the Python workers' sys.path too,
        # whose zip directories are then read again in every task.
        config |= {
            "spark.driver.extraClassPath": settings.classpath,
            "spark.executor.extraClassPath": settings.classpath,
        }
    java_options = f"{_AVRO_LIMITS} {extra.get(JAVA_OPTIONS, '')}".strip()
    config |= {JAVA_OPTIONS: java_options, "spark.executor.extraJavaOptions": java_options}
    if settings.conf_file is not None:
        # These settings are passed on the command line, and would win over the file.
        config = {name: value for name, value in config.items() if name not in names_in(settings.conf_file)}
        submit_with(settings.conf_file)
    builder = SparkSession.builder
    for name, value in config.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel(settings.log_level)
    cache_class_lookups(session)
    return session
