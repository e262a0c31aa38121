"""Locations of tables as delta-rs expects them."""

from pathlib import Path

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_lakehouse.catalog import one_line
from cardwatch_lakehouse.locations import for_spark, locate, takes_one_writer
from cardwatch_lakehouse.tables import GOLD_ALERTS


@pytest.mark.parametrize(
    ("setting", "uri"),
    [
        (".cardwatch/tables", ".cardwatch/tables"),
        ("/data/tables/", "/data/tables"),
        ("file:///data/my%20tables/", "/data/my tables"),
        ("file:/data/tables", "/data/tables"),  # as Hadoop writes it
        ("s3a://lake/cardwatch/", "s3://lake/cardwatch"),
        ("s3://lake", "s3://lake"),
        ("abfss://lake@account.dfs.core.windows.net/t", "abfss://lake@account.dfs.core.windows.net/t"),
        ("gs://lake/t", "gs://lake/t"),
    ],
)
def test_a_setting_is_translated_into_a_location(setting: str, uri: str) -> None:
    place = locate(setting, {})
    assert place.uri == uri
    assert place.is_local == ("://" not in uri)
    assert place.of(GOLD_ALERTS.name).uri == f"{uri}/gold/alerts"


def test_spark_gets_absolute_paths_only() -> None:
    assert for_spark(".cardwatch/tables") == str(Path.cwd() / ".cardwatch/tables")
    assert for_spark("../tables/") == str(Path.cwd().parent / "tables")
    others = ["/data/tables/", "file:/data/my%20tables", "s3a://lake/t", "abfss://lake@account/t", "dbfs:/t", ""]
    assert [for_spark(other) for other in others] == others


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("", "is empty"),
        ("hdfs://name/t", "can be read by Spark only"),
        ("dbfs:/t".replace(":/", "://"), "can be read by Spark only"),
        ("s3a://", "expected a bucket in the tables.* directory, s3a://bucket/directory, got s3a://"),
    ],
)
def test_a_mistake_is_a_sentence(setting: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        locate(setting, {})


def test_s3_is_where_the_environment_says() -> None:
    local = locate("s3a://lake", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}).storage_options
    assert local["aws_endpoint_url"] == "http://127.0.0.1:9000"
    assert local["aws_allow_http"] == "true"
    both = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000", "AWS_ENDPOINT_URL_S3": "https://s3.example"}
    assert locate("s3a://lake", both).storage_options["aws_endpoint_url"] == "https://s3.example"
    assert "aws_allow_http" not in locate("s3a://lake", both).storage_options
    assert "aws_endpoint_url" not in locate("gs://lake", both).storage_options


def test_credentials_stay_in_the_environment() -> None:
    secret = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token"}
    assert not {"id", "secret", "token"} & set(locate("s3a://lake", secret).storage_options.values())


def test_an_answer_in_xml_is_one_sentence() -> None:
    answer = (
        "Generic S3 error\n  \x1b[31m↳\x1b[0m Server returned 404: "
        "<?xml?>\n<Error><Message>No such bucket</Message></Error>"
    )
    assert one_line(OSError(answer)) == "Generic S3 error: Server returned 404: No such bucket"


def test_only_s3_is_limited_to_one_writer() -> None:
    assert takes_one_writer("s3a://lake/t")
    assert takes_one_writer("s3://lake/t")
    others = ("/tables", "abfss://lake@a.dfs.core.windows.net/t", "gs://lake/t", "file:///tables", "hdfs://name/tables")
    assert not any(map(takes_one_writer, others))
