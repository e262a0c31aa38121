"""Replaying a file through a mapping: its fields, the times of sending, and the errors of invalid files."""

import hashlib
import hmac
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
import yaml
from cardwatch_card_numbers.tokens import tokenise
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.topics import TRANSACTIONS_LABELS, TRANSACTIONS_RAW
from cardwatch_contracts.wire import Encoder
from cardwatch_mapping.mapping import Mapping, load_mapping
from cardwatch_mapping.rows import RowReader
from cardwatch_mapping.tables import open_table
from cardwatch_producer.replay import (
    Replayed,
    ReplayEncoder,
    Span,
    event_time_span,
    shift_to_now,
)
from cardwatch_producer.replay import replay as replay_rows

KEY = b"a key of the test suite"
TEST_CARD_NUMBER = "4000000000000002"

FIELDS: dict[str, Any] = {
    "transaction_id": {"column": "id"},
    "event_time": {"column": "at"},
    "card_token": {"column": "customer", "hash": True},
    "card_bin": {"constant": "400000"},
    "card_last_four": {"column": "customer", "last": 4},
    "amount_minor": {"column": "cents", "unit": "minor"},
    "currency": {"constant": "EUR"},
    "merchant_id": {"template": "{chain}-{branch}"},
    "merchant_category_code": {"constant": "5999"},
    "country": {"constant": "DE"},
    "channel": {"constant": "pos"},
}
LABELS = {"is_fraud": {"column": "fraud"}, "scenario": {"column": "kind", "values": {"0": None, "1": "stolen"}}}
HEADER = "id,at,customer,cents,chain,branch,fraud,kind"
ROWS = """\
a,2026-01-31 12:00:00,17,1250,north,007,0,0
b,2026-01-31 12:00:10.5,18,99,north,008,1,1
c,2026-01-31 12:01:00,17,0,south,1,0,0
"""


def mapping_of(fields: dict[str, Any] | None = None, **rest: Any) -> Mapping:
    return Mapping.model_validate({"fields": {**FIELDS, **(fields or {})}, **rest})


def read(path: Path, mapping: Mapping, *, speed: float = math.inf, **more: Any) -> list[Replayed]:
    table = open_table(path)
    reader = RowReader(mapping, table.columns, token_key=KEY, token_key_id="k-1")
    return list(replay_rows(table, mapping, reader, speed=speed, **more))


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    path = tmp_path / "transactions.csv"
    path.write_text(f"{HEADER}\n{ROWS}", encoding="utf-8")
    return path


def micros(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def test_a_csv_row_becomes_a_transaction_that_the_schema_takes(csv_file: Path) -> None:
    first, second, third = read(csv_file, mapping_of(labels=LABELS))
    assert first.record == {
        "transaction_id": "a",
        "event_time": micros("2026-01-31T12:00:00"),
        "card_token": hmac.new(KEY, b"17", hashlib.sha256).hexdigest()[:32],
        "card_token_key_id": "k-1",
        "card_bin": "400000",
        "card_last_four": "0017",
        "amount_minor": 1250,
        "currency": "EUR",
        "merchant_id": "north-007",
        "merchant_category_code": "5999",
        "country": "DE",
        "channel": "pos",
    }
    assert (first.label, third.label) == (None, None)
    assert second.label == {"transaction_id": "b", "is_fraud": True, "scenario": "stolen", "expected_refusal": None}
    assert second.record["event_time"] == micros("2026-01-31T12:00:10.5")
    encode = ReplayEncoder(Encoder("transaction", 1), Encoder("transaction_label", 2))
    assert [out.topic for out in encode(second)] == [TRANSACTIONS_LABELS.name(), TRANSACTIONS_RAW.name()]
    assert [out.key for out in encode(first)] == [first.record["card_token"].encode()]


def test_parquet_and_csv_give_the_same_transactions(csv_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "transactions.parquet"
    lines = [line.split(",") for line in ROWS.splitlines()]
    columns = dict(zip(HEADER.split(","), zip(*lines, strict=True), strict=True))
    numbers = {"customer": pa.int32(), "cents": pa.int32(), "fraud": pa.int8(), "kind": pa.int8()}
    arrays: dict[str, Any] = {
        name: pa.array([int(v) for v in values], numbers[name]) if name in numbers else pa.array(values)
        for name, values in columns.items()
    }
    arrays["at"] = pa.array([datetime.fromisoformat(v) for v in columns["at"]], pa.timestamp("ns"))
    pyarrow.parquet.write_table(pa.table(arrays), path)
    assert read(path, mapping_of(labels=LABELS)) == read(csv_file, mapping_of(labels=LABELS))


def test_a_card_number_becomes_a_token_at_once(tmp_path: Path) -> None:
    path = tmp_path / "cards.csv"
    path.write_text(f"{HEADER},pan\n{ROWS.splitlines()[0]},{TEST_CARD_NUMBER}\n", encoding="utf-8")
    fields = {k: v for k, v in FIELDS.items() if k not in ("card_token", "card_bin", "card_last_four")}
    mapping = Mapping.model_validate({"fields": {**fields, "card_number": {"column": "pan"}}})
    (row,) = read(path, mapping)
    identity = tokenise(TEST_CARD_NUMBER, KEY)
    assert (row.record["card_token"], row.record["card_bin"], row.record["card_last_four"]) == tuple(identity)
    assert TEST_CARD_NUMBER not in str(row)


def test_a_wrong_card_number_is_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "cards.csv"
    path.write_text(f"{HEADER},pan\n{ROWS.splitlines()[0]},4000000000000003\n", encoding="utf-8")
    fields = {k: v for k, v in FIELDS.items() if k not in ("card_token", "card_bin", "card_last_four")}
    mapping = Mapping.model_validate({"fields": {**fields, "card_number": {"column": "pan"}}})
    with pytest.raises(
        ConfigurationError, match=r"row 1, column pan: expected a card number .*, got something else"
    ) as caught:
        read(path, mapping)
    assert "4000000000000003" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "cents"), [("12.50", 1250), ("0.1", 10), ("1.005", 101), ("1.0049", 100), ("19", 1900), ("-3", -300)]
)
def test_amounts_in_major_units_are_exact_and_rounded_half_up(tmp_path: Path, text: str, cents: int) -> None:
    path = tmp_path / "amounts.csv"
    path.write_text(f"{HEADER}\na,2026-01-31 12:00:00,17,{text},n,1,0,0\n", encoding="utf-8")
    (row,) = read(path, mapping_of({"amount_minor": {"column": "cents", "unit": "major"}}))
    assert row.record["amount_minor"] == cents


@pytest.mark.parametrize(
    ("text", "source", "zone", "expected"),
    [
        ("2026-07-01 12:00:00", {}, "UTC", "2026-07-01T12:00:00"),
        ("2026-07-01 12:00:00", {}, "Europe/Berlin", "2026-07-01T10:00:00"),
        ("2026-07-01T12:00:00+05:30", {}, "Europe/Berlin", "2026-07-01T06:30:00"),
        ("01.07.2026 12:00", {"format": "%d.%m.%Y %H:%M"}, "Europe/Berlin", "2026-07-01T10:00:00"),
        ("1782907200.25", {"epoch": "s"}, "UTC", "2026-07-01T12:00:00.25"),
        ("1782907200250", {"epoch": "ms"}, "Europe/Berlin", "2026-07-01T12:00:00.25"),
    ],
)
def test_times(tmp_path: Path, text: str, source: dict[str, str], zone: str, expected: str) -> None:
    path = tmp_path / "times.csv"
    path.write_text(f"{HEADER}\na,{text},17,1,n,1,0,0\n", encoding="utf-8")
    (row,) = read(path, mapping_of({"event_time": {"column": "at", **source}}, time_zone=zone))
    assert row.record["event_time"] == micros(expected)


def test_naive_timestamps_of_parquet_are_in_the_mappings_zone(tmp_path: Path) -> None:
    path = tmp_path / "times.parquet"
    columns = {name: ["1"] for name in HEADER.split(",")}
    at = pa.array([datetime(2026, 7, 1, 12)], pa.timestamp("us"))
    pyarrow.parquet.write_table(pa.table({**columns, "at": at}), path)
    (row,) = read(path, mapping_of(time_zone="Europe/Berlin"))
    assert row.record["event_time"] == micros("2026-07-01T10:00:00")


def test_speed_divides_the_distances_of_sending_and_leaves_those_of_event_time(csv_file: Path) -> None:
    rows = read(csv_file, mapping_of(), speed=60.0)
    assert [row.send_at for row in rows] == pytest.approx([0.0, 10.5 / 60, 1.0])
    assert rows[2].record["event_time"] - rows[0].record["event_time"] == 60_000_000
    assert [row.send_at for row in read(csv_file, mapping_of())] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("speed", [1.0, 60.0, math.inf])
def test_shifted_the_latest_is_now_when_it_is_sent_and_none_is_ever_in_the_future(csv_file: Path, speed: float) -> None:
    table, mapping = open_table(csv_file), mapping_of()
    reader = RowReader(mapping, table.columns, token_key=KEY, token_key_id="k-1")
    span = event_time_span(table, mapping, reader, None)
    assert span == Span(micros("2026-01-31T12:00:00"), micros("2026-01-31T12:01:00"))
    now = micros("2026-11-24T00:00:00")
    rows = read(csv_file, mapping, speed=speed, shift_us=shift_to_now(span, now, speed))
    assert rows[-1].record["event_time"] == now + round(rows[-1].send_at * 1_000_000)
    assert all(row.record["event_time"] <= now + round(row.send_at * 1_000_000) for row in rows)
    if speed == 1.0:
        assert rows[0].record["event_time"] == now


def test_limit(csv_file: Path) -> None:
    assert [row.record["transaction_id"] for row in read(csv_file, mapping_of(), limit=2)] == ["a", "b"]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            "a,2026-01-31 12:00:00,17,12.5,n,1,0,0",
            "row 2, column cents: expected a whole number of minor units, got '12.5'",
        ),
        (
            "a,2026-01-31 12:00:00,17,,n,1,0,0",
            "row 2, column cents: expected a whole number of minor units, got nothing",
        ),
        ("a,31/01/2026,17,1,n,1,0,0", "row 2, column at: expected an ISO 8601 time, got '31/01/2026'"),
        (",2026-01-31 12:00:00,17,1,n,1,0,0", "row 2, column id: expected a value, got nothing"),
        ("a,2026-01-31 12:00:00,17,1,,1,0,0", "row 2, the template {chain}-{branch}: expected a value, got nothing"),
        (
            "a,2026-01-31 12:00:00,17,1,n,1,perhaps,0",
            "row 2, column fraud: expected 1 or 0, true or false, got 'perhaps'",
        ),
        ("a,2026-01-31 12:00:00,17,1,n,1,1,9", "row 2, column kind: expected one of 0, 1, got '9'"),
    ],
)
def test_a_wrong_value_is_named_with_its_row_and_column(tmp_path: Path, row: str, sentence: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(f"{HEADER}\n{ROWS.splitlines()[0]}\n{row}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read(path, mapping_of(labels=LABELS))
    assert sentence in str(caught.value)


def test_a_column_that_is_not_there_is_named_with_those_that_are(csv_file: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(csv_file, mapping_of({"amount_minor": {"column": "amount", "unit": "minor"}}))
    assert str(caught.value) == (
        "the mapping reads amount_minor from column amount, "
        "but the file's columns are id, at, customer, cents, chain, branch, fraud, kind"
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"amount_minor": {"column": "cents"}}, "amount_minor has no unit"),
        ({"amonut": {"column": "cents"}}, "there is no field amonut; the fields are transaction_id"),
        ({"currency": {"constant": "EUR", "column": "c"}}, "exactly one of column, constant and template"),
        ({"currency": {"colunm": "c"}}, "fields.currency.colunm: Extra inputs are not permitted"),
        ({"card_number": {"column": "pan"}}, "card_number gives card_token, card_bin, card_last_four as well"),
        ({"event_time": {"constant": "now"}}, "event_time must come from a column"),
        ({"country": {"constant": "DE", "epoch": "s"}}, "country has a format or epoch"),
    ],
)
def test_a_wrong_mapping_is_named(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump({"fields": {**FIELDS, **change}}), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_mapping(path)
    assert sentence in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_missing_in_a_mapping_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump({"fields": {"event_time": {"column": "at"}, "country": {"constant": "DE"}}}))
    with pytest.raises(ConfigurationError, match="no source for transaction_id, card_token, card_bin"):
        load_mapping(path)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for name, sentence in [
        ("a.xlsx", r"expected a file that ends in \.csv, \.tsv, \.parquet or \.pq"),
        ("gone.csv", "cannot be read"),
    ]:
        with pytest.raises(ConfigurationError, match=sentence):
            open_table(tmp_path / name)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_table(broken)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_mapping(tmp_path / "gone.yaml")


def test_the_handbooks_mapping_is_valid() -> None:
    mapping = load_mapping(Path(__file__).parents[3] / "config" / "mappings" / "handbook.yaml")
    assert mapping.columns() == [
        "TRANSACTION_ID",
        "TX_DATETIME",
        "CUSTOMER_ID",
        "TX_AMOUNT_CENTS",
        "TERMINAL_ID",
        "TX_FRAUD",
        "TX_FRAUD_SCENARIO",
    ]
