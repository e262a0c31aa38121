"""Columns and records of the same rows have the same values."""

from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_mapping.mapping import Mapping, default_of
from cardwatch_mapping.rows import RowReader
from cardwatch_mapping.tables import open_table

KEY = b"a key of the test suite"
MAPPING: dict[str, Any] = {
    "fields": {
        "transaction_id": {"column": "id"},
        "event_time": {"column": "at", "epoch": "s"},
        "card_number": {"column": "pan"},
        "amount_minor": {"column": "amount", "unit": "major"},
        "currency": {"constant": "EUR"},
        "merchant_id": {"template": "m-{shop}"},
        "merchant_category_code": {"constant": "5999"},
        "country": {"constant": "DE"},
        "channel": {"constant": "pos"},
    },
    "labels": {"is_fraud": {"column": "fraud"}},
}
ROWS = "id,at,pan,amount,shop,fraud\na,1700000000,4000000000000002,12.50,1,0\nb,1700000001,4000000000000002,3,2,yes\n"


def reader_and_batch(folder: Path, rows: str = ROWS) -> tuple[RowReader, Any]:
    path = folder / "rows.csv"
    path.write_text(rows, encoding="utf-8")
    table, mapping = open_table(path), Mapping.model_validate(MAPPING)
    (batch,) = table.batches(mapping.columns())
    return RowReader(mapping, table.columns, token_key=KEY, token_key_id="k-1"), batch


def test_columns_hold_what_records_hold(tmp_path: Path) -> None:
    reader, batch = reader_and_batch(tmp_path)
    records = [row.record for row in reader(batch)]
    columns = reader.columns(batch, list(records[0]))
    for at, record in enumerate(records):
        assert {**reader.constants, **{name: values[at] for name, values in columns.values.items()}} == record
    assert columns.is_fraud == [False, True]


def test_only_fields_asked_for_are_looked_at(tmp_path: Path) -> None:
    reader, batch = reader_and_batch(tmp_path, ROWS.replace("12.50", "much"))
    assert reader.columns(batch, ["card_bin"]).values == {"card_bin": ["400000", "400000"]}
    reader, batch = reader_and_batch(tmp_path, ROWS.replace("12.50", "much"))
    with pytest.raises(ConfigurationError, match="row 1, column amount: expected an amount, got 'much'"):
        reader.columns(batch, ["amount_minor"])


@pytest.mark.parametrize("amount", ["1e999999999", "1e999999", "1e18", "-92233720368547758.09", "NaN", "Infinity"])
def test_an_amount_that_64_bits_do_not_hold_is_a_mistake(tmp_path: Path, amount: str) -> None:
    reader, batch = reader_and_batch(tmp_path, ROWS.replace("12.50", amount).replace(",3,", ",text,"))
    with pytest.raises(ConfigurationError, match=f"row 1, column amount: expected an amount, got '{amount}'"):
        reader.columns(batch, ["amount_minor"])


def test_rows_are_counted_over_batches(tmp_path: Path) -> None:
    reader, batch = reader_and_batch(tmp_path)
    reader.columns(batch, ["transaction_id"])
    _, wrong = reader_and_batch(tmp_path, ROWS.replace("1700000001", "then"))
    with pytest.raises(ConfigurationError, match=r"row 4, column at: expected a number \(s\), got 'then'"):
        reader.columns(wrong, ["event_time"])


def test_a_field_that_is_left_out_has_the_schemas_default() -> None:
    assert (default_of("status"), default_of("device_id")) == ("approved", None)
    with pytest.raises(KeyError):
        default_of("merchant_id")
