"""Spark settings for the stores that tables and checkpoints are on (docs/object-stores.md)."""

import os
from collections.abc import Iterable, Mapping
from typing import Final

CHECKPOINT_FILES: Final = "spark.sql.streaming.checkpointFileManagerClass"
_SPARK_STREAMING: Final = "org.apache.spark.sql.execution.streaming.checkpointing"
# Writes to a temporary file and renames it, which starts no second process on a local disk (see ``session``).
LOCAL_CHECKPOINT_FILES: Final = f"{_SPARK_STREAMING}.FileSystemBasedCheckpointFileManager"
# The same through Hadoop's FileContext, whose rename fails where the file exists: Spark's default for such stores.
_RENAMED_CHECKPOINT_FILES: Final = f"{_SPARK_STREAMING}.FileContextBasedCheckpointFileManager"
# S3 has no rename: a file is there once its upload is completed, and a cancelled write is never completed.
_S3_CHECKPOINT_FILES: Final = "org.apache.spark.internal.io.cloud.AbortableStreamBasedCheckpointFileManager"

_LOCAL_SCHEMES: Final = ("", "file")
_S3: Final = "s3a"
_GCS: Final = "gs"


def for_stores(
    tables_dirs: Iterable[str], checkpoint_dir: str, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Spark's settings for where tables and checkpoints are; none for what is on this machine.

    They contain no credentials: the connectors look for those themselves, in the environment first.

    Args:
        environment: the endpoint and region are in ``AWS_ENDPOINT_URL`` and ``AWS_REGION``, as for other readers.
    """
    checkpoints = _scheme(checkpoint_dir)
    schemes = {checkpoints, *map(_scheme, tables_dirs)}
    config: dict[str, str] = {}
    if _S3 in schemes:
        config |= _s3(environment)
    if _GCS in schemes:
        config |= {
            "spark.hadoop.fs.gs.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFileSystem",
            "spark.hadoop.fs.AbstractFileSystem.gs.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFS",
        }
    if checkpoints not in _LOCAL_SCHEMES:
        config[CHECKPOINT_FILES] = _S3_CHECKPOINT_FILES if checkpoints == _S3 else _RENAMED_CHECKPOINT_FILES
    return config


def is_local(path: str) -> bool:
    """Whether a directory is on this machine."""
    return _scheme(path) in _LOCAL_SCHEMES


def _scheme(path: str) -> str:
    scheme, separator, _ = path.partition(":/")
    return scheme if separator else ""


def _s3(environment: Mapping[str, str]) -> dict[str, str]:
    # Not fs.s3a.performance.flags=create: with it, create(path, overwrite=False) overwrites. Delta commits by that.
    config = {}
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL", "")
    if endpoint:
        config["spark.hadoop.fs.s3a.endpoint"] = endpoint
        # Servers other than Amazon's seldom have a host name for each bucket.
        config["spark.hadoop.fs.s3a.path.style.access"] = "true"
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION", "")
    if region:
        config["spark.hadoop.fs.s3a.endpoint.region"] = region
    return config
