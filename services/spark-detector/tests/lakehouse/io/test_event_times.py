"""Times at the ends of what 64 bits hold: refused or kept, and never the end of a query."""

from typing import Any

from cardwatch_contracts.late_headers import WATERMARK_US
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.values import EARLIEST_EVENT_TIME, LATEST_EVENT_TIME
from cardwatch_detector.lakehouse.bronze.late import late_rows
from cardwatch_detector.lakehouse.io.decode import RECORD
from cardwatch_detector.lakehouse.io.event_times import implausible_time
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

LONGS = (
    -(2**63),
    -1,
    EARLIEST_EVENT_TIME - 1,
    EARLIEST_EVENT_TIME,
    LATEST_EVENT_TIME - 1,
    LATEST_EVENT_TIME,
    2**63 - 1,
)


def test_only_times_of_this_calendar_are_a_transactions(spark: Any) -> None:
    rows = spark.createDataFrame([(us,) for us in LONGS], "us BIGINT")
    records = rows.select("us", F.struct(F.timestamp_micros("us").alias("event_time")).alias(RECORD))
    found = {
        row["us"]: row["reason"]
        for row in records.select("us", implausible_time(F.col(RECORD)).alias("reason")).collect()
    }
    expected = {
        us: None if EARLIEST_EVENT_TIME <= us < LATEST_EVENT_TIME else Reason.EVENT_TIME_IMPLAUSIBLE for us in LONGS
    }
    assert found == expected


def test_a_late_transaction_may_be_late_by_any_number(spark: Any) -> None:
    rows = spark.createDataFrame(
        [(us, str(watermark)) for us in LONGS for watermark in LONGS], "us BIGINT, watermark STRING"
    )
    header = F.struct(F.lit(WATERMARK_US).alias("key"), F.encode("watermark", "UTF-8").alias("value"))
    record = F.struct(
        F.lit("t").alias("transaction_id"), F.timestamp_micros("us").alias("event_time"), F.lit("c").alias("card_token")
    )
    messages = rows.select(
        record.alias(RECORD), F.array(header).alias("headers"), F.lit(b"v").alias("value"), F.lit(0).alias("partition"),
        F.lit(0).cast("bigint").alias("offset"), F.current_timestamp().alias("timestamp"),
    )  # fmt: skip
    found = late_rows(messages).select("lateness_seconds").collect()
    expected = [(watermark - us) / 1e6 for us in LONGS for watermark in LONGS]
    assert all(
        abs(row[0] - seconds) <= 1e-6 * max(1.0, abs(seconds)) for row, seconds in zip(found, expected, strict=True)
    )
