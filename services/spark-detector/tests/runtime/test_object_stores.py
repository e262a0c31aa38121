"""Spark's settings for object stores, and a deployment's own."""

from pathlib import Path

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_detector.runtime.object_stores import CHECKPOINT_FILES, for_stores
from cardwatch_detector.runtime.spark_conf_file import names_in, submit_with


@pytest.mark.parametrize("directory", [".cardwatch/tables", "/data/tables", "file:///data/tables"])
def test_local_directories_need_no_settings(directory: str) -> None:
    assert for_stores([directory], directory, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}) == {}


def test_s3_is_where_the_environment_says() -> None:
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000", "AWS_REGION": "eu-central-1"}
    assert for_stores(["s3a://lake/t"], "/checkpoints", environment) == {
        "spark.hadoop.fs.s3a.endpoint": "http://127.0.0.1:9000",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.endpoint.region": "eu-central-1",
    }


def test_credentials_are_not_in_the_settings() -> None:
    secret = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
    assert not {"id", "secret", "token"} & set(for_stores(["s3a://lake/t"], "s3a://lake/c", secret).values())


@pytest.mark.parametrize(
    ("checkpoint_dir", "files"),
    [
        ("s3a://lake/c", "org.apache.spark.internal.io.cloud.AbortableStreamBasedCheckpointFileManager"),
        ("abfss://lake@a.dfs.core.windows.net/c", "FileContextBasedCheckpointFileManager"),
        ("gs://lake/c", "FileContextBasedCheckpointFileManager"),
        ("hdfs://name/c", "FileContextBasedCheckpointFileManager"),
    ],
)
def test_checkpoints_are_written_as_the_store_can(checkpoint_dir: str, files: str) -> None:
    assert for_stores(["/tables"], checkpoint_dir, {})[CHECKPOINT_FILES].endswith(files)
    assert CHECKPOINT_FILES not in for_stores([checkpoint_dir], "/checkpoints", {})


def test_gcs_has_its_classes_named() -> None:
    assert {name for name in for_stores(["gs://lake/t"], "", {}) if ".gs.impl" in name} == {
        "spark.hadoop.fs.gs.impl",
        "spark.hadoop.fs.AbstractFileSystem.gs.impl",
    }


def test_a_file_of_settings_is_read_by_spark_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my spark.conf"
    file.write_text(
        "# a comment \\\nspark.hadoop.fs.s3a.access.key  id\nspark.executor.memory=4g\n! another\n\n"
        "spark.hadoop.a: one, \\\n  two\nspark.sql.shuffle.partitions 4\n"
    )
    assert names_in(file) == {
        "spark.hadoop.fs.s3a.access.key",
        "spark.executor.memory",
        "spark.hadoop.a",
        "spark.sql.shuffle.partitions",
    }
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--verbose pyspark-shell")
    submit_with(file)
    import os

    assert os.environ["PYSPARK_SUBMIT_ARGS"] == (
        f"--properties-file '{file}' --load-spark-defaults --verbose pyspark-shell"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("spark.driver.extraJavaOptions -Xss4m", "JDK_JAVA_OPTIONS"),
        ("fs.s3a.endpoint x", "expected names that begin with spark."),
    ],
)
def test_a_wrong_file_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "spark.conf"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=sentence):
        names_in(file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        names_in(tmp_path / "absent.conf")


def test_the_settings_do_not_allow_overwriting_existing_files() -> None:
    """docs/decisions/0012: with it, Delta's commits overwrite each other even where they looked first."""
    assert not [name for name in for_stores(["s3a://lake/t"], "s3a://lake/c", {}) if "performance" in name]
