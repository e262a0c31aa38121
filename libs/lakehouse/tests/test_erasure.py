"""Erasing a card: from every table, from old files and from the log; and nothing else."""

import json
from datetime import date
from pathlib import Path

import pytest
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.maintenance import erasure
from cardwatch_lakehouse.maintenance.log_redaction import redact_action
from cardwatch_lakehouse.tables import (
    BRONZE_LATE,
    BRONZE_QUARANTINE,
    BRONZE_TRANSACTIONS,
    GOLD_ALERT_LABELS,
    GOLD_ALERTS,
    GOLD_CARD_DAYS,
    GOLD_CARD_PROFILE,
    GOLD_VELOCITY_5M,
    SILVER_TRANSACTIONS,
)
from deltalake import DeltaTable
from support.delta_tables import CARD, NOON, OTHER, bronze_row, files_containing, silver_row, write_rows

TOKEN = CARD.encode()


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Two cards in every table; of CARD 14 rows and of OTHER 8."""
    yesterday = date(2024, 11, 19)
    write_rows(tmp_path, SILVER_TRANSACTIONS, silver_row(1, CARD), silver_row(2, OTHER))
    write_rows(
        tmp_path, SILVER_TRANSACTIONS, silver_row(3, CARD, event_date=yesterday), silver_row(4, CARD, raw_topic="json")
    )
    write_rows(
        tmp_path,
        BRONZE_TRANSACTIONS,
        bronze_row(1, b"\0avro" + TOKEN, key=TOKEN),
        bronze_row(2, b"\0avro" + OTHER.encode(), key=OTHER.encode()),
        bronze_row(3, b"found by its key", key=TOKEN),
    )
    write_rows(
        tmp_path,
        BRONZE_TRANSACTIONS,
        bronze_row(4, b'{"card_number": "****"}', topic="json"),  # found by its place, as silver says
        bronze_row(5, b'{"transaction_id": "tx-0004", "card_number": "****"}', topic="json"),  # sent twice
        bronze_row(4, b"another partition's", day=yesterday, topic="raw"),
    )
    write_rows(
        tmp_path, BRONZE_LATE, {**bronze_row(7, b"late" + TOKEN), "card_token": CARD}, bronze_row(8, b"late, another")
    )
    write_rows(tmp_path, BRONZE_QUARANTINE, bronze_row(9, b"broken" + TOKEN[:32]), bronze_row(10, b"broken"))
    write_rows(
        tmp_path,
        GOLD_ALERTS,
        {"alert_id": "a1", "scope": "card", "key": CARD, "card_token": CARD},
        {"alert_id": "a2", "scope": "merchant", "key": "m", "card_token": CARD},
        {
            "alert_id": "a3",
            "scope": "merchant",
            "key": "m",
            "card_token": OTHER,
            "evidence_transaction_ids": ["tx-0001", "tx-0002"],
        },
    )
    write_rows(tmp_path, GOLD_ALERT_LABELS, {"alert_id": "a2"}, {"alert_id": "a3"})
    write_rows(tmp_path, GOLD_CARD_DAYS, *({"card_token": card, "day": yesterday} for card in (CARD, OTHER)))
    write_rows(tmp_path, GOLD_CARD_PROFILE, *({"card_token": card, "valid_on": yesterday} for card in (CARD, OTHER)))
    write_rows(
        tmp_path,
        GOLD_VELOCITY_5M,
        *({"dimension": "card", "key": card, "window_date": NOON.date()} for card in (CARD, OTHER)),
    )
    return tmp_path


def rows(lake: Path, name: str) -> int:
    return DeltaTable(str(lake / name.replace(".", "/"))).count()


def erase(lake: Path) -> erasure.Erasure:
    done, catalog = erasure.Erasure(), Catalog(str(lake))
    erasure.delete_rows(catalog, CARD, done)
    erasure.purge(catalog, CARD, done)
    return done


def test_exactly_the_rows_of_the_card_are_deleted(lake: Path) -> None:
    done = erase(lake)
    assert done.rows == {
        "silver.transactions": 3,
        "bronze.transactions": 4,
        "bronze.late": 1,
        "bronze.quarantine": 1,
        "gold.alerts": 2,
        "gold.alert_labels": 1,
        "gold.card_days": 1,
        "gold.card_profile": 1,
        "gold.velocity_5m": 1,
    }
    left = {name: rows(lake, name) for name in done.rows}
    assert left == {**dict.fromkeys(done.rows, 1), "bronze.transactions": 2}
    (alert,) = DeltaTable(str(lake / "gold/alerts")).to_pyarrow_table().to_pylist()
    assert alert["evidence_transaction_ids"] == ["tx-0002"]


def test_no_file_contains_the_card_afterwards(lake: Path) -> None:
    # In a checkpoint, too, and in files that were joined since.
    DeltaTable(str(lake / "silver/transactions")).create_checkpoint()
    DeltaTable(str(lake / "silver/transactions")).optimize.compact()
    words = [TOKEN, b'"tx-0004", "card_number"']
    assert len(files_containing(lake, words)) > 15
    done = erase(lake)
    assert files_containing(lake, words) == []
    assert done.left == []
    assert done.unfinished == []
    history = DeltaTable(str(lake / "silver/transactions")).history()
    assert any("***" in json.dumps(entry) for entry in history), "the history shows what was done, but not the card"


def test_an_interrupted_erasure_continues_with_the_files(lake: Path) -> None:
    catalog = Catalog(str(lake))
    erasure.delete_rows(catalog, CARD, erasure.Erasure())
    # The current version of silver no longer has the card's JSON messages; its old files do.
    assert erasure.find_card(catalog, CARD).messages.keys() == {("raw", 0, 1), ("raw", 0, 3), ("json", 0, 4)}
    assert erase(lake).rows == {}
    assert files_containing(lake, [TOKEN, b'"tx-0004", "card_number"']) == []


def test_a_dry_run_deletes_nothing(lake: Path) -> None:
    done = erasure.Erasure()
    erasure.delete_rows(Catalog(str(lake)), CARD, done, dry_run=True)
    assert done.rows["bronze.transactions"] == 4
    assert rows(lake, "bronze.transactions") == 6


def test_a_file_that_is_being_written_is_left_and_named(lake: Path) -> None:
    silver = lake / "silver/transactions"
    (some, *_) = (path for path in files_containing(silver, [TOKEN]) if path.suffix == ".parquet")
    new = some.with_name("part-00009-being-written.parquet")
    new.write_bytes(some.read_bytes())
    done = erase(lake)
    assert new.exists()
    assert done.unfinished == [f"silver.transactions/{new.relative_to(silver)}"]


def test_bounds_that_name_the_card_are_left_out_of_the_log() -> None:
    stats = {"numRecords": 2, "minValues": {"card_token": CARD, "n": 1}, "maxValues": {"card_token": "f", "n": 2}}
    line = json.dumps({"add": {"path": "p", "partitionValues": {}, "stats": json.dumps(stats)}})
    cleaned = json.loads(json.loads(redact_action(line, CARD))["add"]["stats"])
    assert cleaned == {"numRecords": 2, "minValues": {"n": 1}, "maxValues": {"card_token": "f", "n": 2}}
    assert redact_action(line, OTHER) == line
