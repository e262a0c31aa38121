"""The tables' columns are the fields of the schemas whose records they contain."""

import json
from typing import Any

import pytest
from cardwatch_contracts.schemas import schema_text
from cardwatch_lakehouse.tables import ALL_TABLES, GOLD_ALERTS, SILVER_TRANSACTIONS, Table

OF_THE_MESSAGE = {"partition", "offset", "broker_time"}


def sql_type(avro: Any) -> str:
    if isinstance(avro, list):
        (avro,) = (branch for branch in avro if branch != "null")
    if isinstance(avro, dict):
        if avro.get("logicalType") == "timestamp-micros":
            return "TIMESTAMP"
        if avro["type"] == "array":
            return f"ARRAY<{sql_type(avro['items'])}>"
    return {"string": "STRING", "long": "BIGINT", "int": "INT", "double": "DOUBLE"}[avro]


@pytest.mark.parametrize(
    ("table", "schema", "prefix", "derived"),
    [
        (SILVER_TRANSACTIONS, "enriched_transaction", "silver_", {"event_date"}),
        (GOLD_ALERTS, "alert", "alert_", {"label", "labelled_by", "labelled_at", "label_note"}),
    ],
)
def test_columns_are_the_schemas_fields(table: Table, schema: str, prefix: str, derived: set[str]) -> None:
    fields = {field["name"]: field["type"] for field in json.loads(schema_text(schema))["fields"]}
    of_the_message = {prefix + name for name in OF_THE_MESSAGE}
    assert set(table.columns) == set(fields) | of_the_message | derived
    for name, avro in fields.items():
        if name != "measures":  # its values are a union, which SQL has not
            assert table.columns[name] == sql_type(avro), name


def test_measures_have_the_fields_of_the_schema() -> None:
    fields = {field["name"]: field["type"] for field in json.loads(schema_text("alert"))["fields"]}
    names = [field["name"] for field in fields["measures"]["items"]["fields"]]
    columns = [
        part.split(":")[0].strip() for part in GOLD_ALERTS.columns["measures"][len("ARRAY<STRUCT<") :].split(",")
    ]
    assert sorted(columns) == sorted([*names, "value_long"])


def test_paths_are_the_names() -> None:
    assert [table.path("s3a://lake/cardwatch/") for table in ALL_TABLES] == [
        "s3a://lake/cardwatch/bronze/transactions",
        "s3a://lake/cardwatch/bronze/late",
        "s3a://lake/cardwatch/bronze/quarantine",
        "s3a://lake/cardwatch/bronze/alert_events",
        "s3a://lake/cardwatch/bronze/rule_changes",
        "s3a://lake/cardwatch/silver/transactions",
        "s3a://lake/cardwatch/gold/alerts",
        "s3a://lake/cardwatch/gold/alert_labels",
        "s3a://lake/cardwatch/gold/card_days",
        "s3a://lake/cardwatch/gold/card_profile",
        "s3a://lake/cardwatch/gold/velocity_5m",
        "s3a://lake/cardwatch/gold/pipeline_minutes",
    ]


@pytest.mark.parametrize("table", ALL_TABLES)
def test_partition_columns_are_columns(table: Table) -> None:
    assert set(table.partitioned_by) <= set(table.columns)
