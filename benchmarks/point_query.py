"""How long a query for one card's last 24 hours takes in 50 million silver transactions.

Creates the table as the service and maintenance leave it (closed days ordered by card, the current day ordered by time,
in 50 files). Then it queries one card after another, with the functions of `cardwatch tables query` and with the
command itself.

    python benchmarks/point_query.py --dir .cardwatch/silver50m   # keeps the table there for the next run
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from cardwatch_cli.tables.query import open_lake, run_query
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.layout import layout_of
from cardwatch_lakehouse.maintenance.optimize import joined_writer, ordered_writer
from cardwatch_lakehouse.tables import SILVER_TRANSACTIONS
from deltalake import write_deltalake

BAR_MS = 300
FIRST_DAY = datetime(2026, 10, 1, tzinfo=UTC)
HOUR_US = 3_600_000_000
LIVE_HOURS = 23  # of the day that is being written
LIVE_FILES = 50
TIMES = pa.timestamp("us", "UTC")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--cards", type=int, default=1_200_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--asked", type=int, default=20, help="number of cards to query")
    parser.add_argument(
        "--dir", type=Path, help="directory of the table, created if missing and kept; by default a temporary one"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tables_dir = args.dir or Path(scratch)
        tokens = hexadecimal(np.random.default_rng(7), args.cards)
        if not Path(SILVER_TRANSACTIONS.path(str(tables_dir))).exists():
            make(tables_dir, tokens, args.rows, args.days)
        measure(tables_dir, tokens, args.days, args.asked)


def make(tables_dir: Path, tokens: pa.Array, rows: int, days: int) -> None:
    """Write the days of the table one by one."""
    path = SILVER_TRANSACTIONS.path(str(tables_dir))
    layout = layout_of(SILVER_TRANSACTIONS.name)
    rng = np.random.default_rng(1)
    for number in range(days):
        live = number == days - 1
        day = transactions(rng, tokens, FIRST_DAY + timedelta(days=number), rows // days, LIVE_HOURS if live else 24)
        common: dict[str, Any] = {"partition_by": ["event_date"], "mode": "append"}
        if live:
            size = -(-day.num_rows // LIVE_FILES)
            for first in range(0, day.num_rows, size):
                write_deltalake(path, day.slice(first, size), writer_properties=joined_writer(layout), **common)
        else:
            # The order and the files are those that `cardwatch tables optimize` leaves.
            ordered = day.sort_by([(name, "ascending") for name in layout.order])
            write_deltalake(path, ordered, target_file_size=128 << 20, writer_properties=ordered_writer(), **common)
        print(f"day {number + 1} of {days}", file=sys.stderr)


def transactions(rng: np.random.Generator, tokens: pa.Array, day: datetime, count: int, hours: int) -> pa.Table:
    """A day's transactions in order of time, all columns; some cards pay more often than others."""
    start = int(day.timestamp() * 1e6)
    times = np.sort(rng.integers(start, start + hours * HOUR_US, count))
    cards = (len(tokens) * rng.random(count) ** 1.5).astype(np.int64)
    numbers = np.arange(count)

    def one_of(*values: Any) -> pa.Array:
        return pa.array(values).take(pa.array(rng.integers(0, len(values), count)))

    columns: Mapping[str, Any] = {
        "transaction_id": hexadecimal(rng, count),
        "event_time": pa.array(times, TIMES),
        "card_token": tokens.take(pa.array(cards)),
        "card_token_key_id": one_of("dev-1"),
        "card_bin": one_of(*(str(400_000 + number) for number in range(200))),
        "card_last_four": one_of(*(f"{number:04d}" for number in range(10_000))),
        "amount_minor": rng.integers(100, 100_000, count),
        "currency": one_of("EUR", "USD", "GBP"),
        "merchant_id": one_of(*(f"merchant-{number:05d}" for number in range(20_000))),
        "merchant_category_code": one_of("5411", "5812", "5999"),
        "country": one_of("DE", "US", "FR", "GB"),
        "channel": one_of("ecom", "pos"),
        "transaction_type": one_of("purchase", "refund"),
        "status": one_of("approved", "declined"),
        "device_id": hexadecimal(rng, count),
        "ip_address": one_of(*(f"10.0.{number >> 8}.{number & 255}" for number in range(60_000))),
        "latitude": rng.uniform(-90, 90, count),
        "longitude": rng.uniform(-180, 180, count),
        "base_currency": one_of("EUR"),
        "base_amount_minor": rng.integers(100, 100_000, count),
        "merchant_category_group": one_of("grocery", "restaurants", "other"),
        "bin_country": one_of("DE", "US", "FR", "GB"),
        "hour_of_day": pa.array((times // HOUR_US % 24).astype(np.int32)),
        "day_of_week": pa.array(np.full(count, day.isoweekday(), np.int32)),
        "raw_topic": one_of("transactions.raw.v1"),
        "raw_partition": pa.array((cards % 3).astype(np.int32)),
        "raw_offset": numbers,
        "raw_broker_time": pa.array(times + 50_000, TIMES),
        "enriched_at": pa.array(times + 80_000, TIMES),
        "silver_partition": pa.array((cards % 3).astype(np.int32)),
        "silver_offset": numbers,
        "silver_broker_time": pa.array(times + 90_000, TIMES),
        "event_date": pa.array(np.full(count, day.date(), "datetime64[D]")),
    }
    return pa.table({name: columns[name] for name in SILVER_TRANSACTIONS.columns})


def hexadecimal(rng: np.random.Generator, count: int) -> pa.Array:
    """Random texts of 32 hexadecimal digits, as tokens and ids are."""
    ends = pa.py_buffer(np.arange(0, 32 * count + 1, 32, dtype=np.int32))
    return pa.StringArray.from_buffers(count, ends, pa.py_buffer(rng.bytes(16 * count).hex().encode()))


def measure(tables_dir: Path, tokens: pa.Array, days: int, asked: int) -> None:
    """Query one card after another and print the times."""
    since = FIRST_DAY + timedelta(days=days - 2, hours=LIVE_HOURS)
    catalog = Catalog(str(tables_dir))
    summary = catalog.summary(SILVER_TRANSACTIONS.name)
    print(f"{summary.rows:,} rows in {summary.files} files, {summary.size / 1e9:.1f} GB")
    rng = np.random.default_rng()
    asking, found = [], []
    for card in rng.integers(0, len(tokens), asked):
        sql = question(tokens[int(card)].as_py(), since)
        started = time.perf_counter()
        with open_lake(catalog) as lake:
            found.append(run_query(lake, sql).num_rows)
        asking.append((time.perf_counter() - started) * 1000)
    command = [
        str(Path(sys.executable).with_name("cardwatch")),
        "tables",
        "query",
        sql,
        "--tables-dir",
        str(tables_dir),
    ]
    started = time.perf_counter()
    subprocess.run([*command, "--format", "csv"], check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - started
    print(f"{asked} cards, {sum(found)} rows found")
    print(
        f"log, plan and files: p50 {statistics.median(asking):.0f} ms, slowest {max(asking):.0f} ms (bar: {BAR_MS} ms)"
    )
    print(f"the whole command, with the start of Python: {whole:.1f} s")


def question(token: str, since: datetime) -> str:
    """The SQL for one card's transactions since a time."""
    return (
        "SELECT * FROM silver.transactions "
        f"WHERE card_token = '{token}' AND event_time > TIMESTAMPTZ '{since:%Y-%m-%d %H:%M:%S}Z' ORDER BY event_time"
    )


if __name__ == "__main__":
    main()
