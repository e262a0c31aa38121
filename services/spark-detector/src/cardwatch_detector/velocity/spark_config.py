"""Spark settings of the velocity query."""

from collections.abc import Mapping
from typing import Final

from cardwatch_detector.runtime.object_stores import for_stores
from cardwatch_detector.runtime.session import INTERPRETED, JAVA_OPTIONS, PEAK_JVM, STEADY_JVM
from cardwatch_detector.velocity.settings import VelocitySettings

# Generated code that holds a literal of the micro-batch (its time, the watermark) is compiled again in each: for small
# batches interpreting is faster, for large ones compiling pays.
_INTERPRET: Final = {**INTERPRETED, JAVA_OPTIONS: STEADY_JVM}
_COMPILE: Final = {JAVA_OPTIONS: PEAK_JVM}


def spark_config(settings: VelocitySettings) -> Mapping[str, str]:
    """The velocity query's Spark settings beyond those of every session."""
    config = {
        "spark.sql.shuffle.partitions": str(settings.partitions),
        "spark.sql.streaming.stateStore.providerClass": (
            "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
        ),
        # A commit appends what has changed to a log, and snapshots are made in the background: without this each
        # micro-batch flushes all of RocksDB and uploads its files.
        "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
        # Counting the rows costs a read for each write.
        "spark.sql.streaming.stateStore.rocksdb.trackTotalNumberOfRows": "false",
        # Halves the state, at no processor time that could be measured (decision 0035).
        "spark.sql.streaming.stateStore.rocksdb.compression": "lz4",
        # Logs of changes are kept for so many micro-batches beyond the last snapshot. A restart needs the last one; the
        # default of 100 is half of a small state's checkpoint.
        "spark.sql.streaming.minBatchesToRetain": "20",
        # The default of 8 MB holds next to nothing of the state: nearly each read would decompress a block.
        "spark.sql.streaming.stateStore.rocksdb.blockCacheSizeMB": str(settings.state_cache_mb),
        "spark.shuffle.compress": "false",
    }
    config |= _INTERPRET if settings.tuned_for == "latency" else _COMPILE
    return config | for_stores((), settings.checkpoint_dir)
