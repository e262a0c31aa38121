"""The Spark session, with what was measured to matter for small micro-batches (docs/decisions)."""

import os
import sys
from collections.abc import Mapping
from typing import Final

from pyspark.sql import SparkSession

from cardwatch_detector.settings import SparkSettings

# A garbled length must not make the decoder ask for gigabytes: running out of memory would end the process, each time
# that it comes to this message.
_LONGEST_IN_AVRO: Final = 1 << 20
_AVRO_LIMITS: Final = " ".join(
    f"-Dorg.apache.avro.limits.{what}={_LONGEST_IN_AVRO}"
    for what in ("string.maxLength", "bytes.maxLength", "collectionItems.maxLength")
)

JAVA_OPTIONS: Final = "spark.driver.extraJavaOptions"
# A concurrent collector has no core of its own on a small machine. The optimising compiler pays for what runs several
# times a second, and not for what runs every ten seconds.
STEADY_JVM: Final = "-XX:+UseSerialGC"
QUICK_JVM: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
PEAK_JVM: Final = "-XX:+UseParallelGC -XX:NewRatio=1"

_COMMON: Final = {
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
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    # The jars' loggers; what Cardwatch itself says goes through Python's logging.
    "spark.log.structuredLogging.enabled": "false",
}


def build_session(app_name: str, settings: SparkSettings, extra: Mapping[str, str]) -> SparkSession:
    """Start Spark in this process (driver) under the settings; ``extra`` are further Spark settings."""
    if settings.java_home:
        os.environ["JAVA_HOME"] = settings.java_home
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(app_name)
    if settings.master:
        builder = builder.master(settings.master)
    if settings.master.startswith("local"):
        # One machine: nothing listens on, or is told, any other address.
        builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    if settings.classpath:
        # On the JVM's class path and never through spark.jars: those are put on the Python workers' sys.path too,
        # whose zip directories are then read again in every task.
        builder = builder.config("spark.driver.extraClassPath", settings.classpath)
        builder = builder.config("spark.executor.extraClassPath", settings.classpath)
    builder = builder.config("spark.driver.memory", settings.driver_memory)
    java_options = f"{_AVRO_LIMITS} {extra.get(JAVA_OPTIONS, '')}".strip()
    for name, value in {
        **_COMMON,
        **extra,
        JAVA_OPTIONS: java_options,
        "spark.executor.extraJavaOptions": java_options,
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel(settings.log_level)
    return session
