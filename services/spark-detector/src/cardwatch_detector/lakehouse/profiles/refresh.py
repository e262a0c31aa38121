"""Computes what new silver transactions change: days, then profiles, then the topic of profiles."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final, Protocol

from cardwatch_lakehouse.tables import GOLD_CARD_DAYS, GOLD_CARD_PROFILE, SILVER_TRANSACTIONS
from cardwatch_service.logs import get_logger
from cardwatch_units.timestamps import from_microseconds, now_microseconds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.idempotent_writes import WriteId
from cardwatch_detector.lakehouse.io.read import read_table
from cardwatch_detector.lakehouse.metrics import ProfileMetrics, WriteCounter
from cardwatch_detector.lakehouse.profiles.calendar import (
    RefreshPlan,
    kept_from,
    last_day,
    newest_profile,
    plan_refresh,
)
from cardwatch_detector.lakehouse.profiles.card_days import refresh_days, tokens
from cardwatch_detector.lakehouse.profiles.card_profile import CHANGED_BY, ProfileRefresh, refresh_profiles
from cardwatch_detector.runtime.internals import query_id
from cardwatch_detector.runtime.session import COMPILED
from cardwatch_detector.runtime.session_settings import temporary_settings

_log = get_logger(__name__)

# Up to this many late transactions, only their cards' profiles are computed again.
_MAX_LATE_TRANSACTIONS: Final = 10_000

# There are as many groups as cards: hashing objects would fall back to sorting anyway.
SPARK_SETTINGS: Final[Mapping[str, str]] = {**COMPILED, "spark.sql.execution.useObjectHashAggregateExec": "false"}


class ProfilePublisher(Protocol):
    """Publishes profiles."""

    def publish(self, rows: DataFrame) -> None:
        """Publish rows of GOLD_CARD_PROFILE and wait until the broker has acknowledged all."""


@dataclass(frozen=True)
class ProfileSchedule:
    """When profiles are computed, and for how long they are kept.

    Attributes:
        lateness_us: how far the newest event time must be past a day for it to be settled, microseconds.
        days_kept: the number of days whose profiles are kept.
    """

    lateness_us: int
    days_kept: int


@dataclass
class ProfileWriter:
    """Keeps GOLD_CARD_DAYS, GOLD_CARD_PROFILE and the topic up to date with silver; one for each start of the query.

    Both tables are computed again from what they depend on, so that a micro-batch may be repeated. A profile row names
    the micro-batch that changed it, and Spark commits a micro-batch only when its changes are published: after a crash
    in between it is repeated, changes nothing, and finds by that name what it has to publish.

    A repeated micro-batch may find that more days are settled than before, as silver has grown in between. What it
    writes is therefore the same only for the same newest profile: both are part of the ids of its writes.

    Attributes:
        tables_dir: where the tables are.
        publisher: where changed profiles go.
        counter: counts the rows after each commit.
        spark_settings: of the session while profiles are computed.
    """

    tables_dir: str
    schedule: ProfileSchedule
    publisher: ProfilePublisher
    metrics: ProfileMetrics
    counter: WriteCounter
    spark_settings: Mapping[str, str] = field(default_factory=lambda: SPARK_SETTINGS)
    _newest_day: date | None = field(default=None, init=False)
    _first: bool = field(default=True, init=False)

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Write one micro-batch; repeating it changes nothing and publishes again."""
        started = time.monotonic()
        touched, watermark = _days_and_watermark(batch, self.schedule.lateness_us)
        if watermark is None:  # the table is empty
            return
        session = batch.sparkSession
        changed_by = f"{query_id(session)}/{batch_id}"
        if self._first:
            # The profiles of the newest days may have no rows, so that the tables do not tell the newest computed day.
            watermark = max(watermark, self._watermark_of_silver(session))
            self._newest_day = self._newest_computed(session)
        newest = max(newest_profile(watermark), self._newest_day or date.min)
        planned = plan_refresh(
            touched,
            self._newly_settled(session, newest),
            computed=self._newest_day,
            newest=newest,
            days_kept=self.schedule.days_kept,
        )
        with temporary_settings(session, self.spark_settings):
            write_id = WriteId(batch_id, newest.isoformat())
            if planned.days:
                days = refresh_days(session, self.tables_dir, planned.days, write_id)
                self.counter.rows_written(GOLD_CARD_DAYS, days)
            if planned.valid_on:
                refresh = ProfileRefresh(
                    valid_on=planned.valid_on,
                    kept_from=kept_from(newest, self.schedule.days_kept),
                    changed_by=changed_by,
                    cards=self._late_cards(batch, touched, planned),
                )
                refresh_profiles(session, self.tables_dir, refresh, write_id)
        self._newest_day = newest
        # A process before this one may have committed the first micro-batch's changes without publishing them.
        if planned.valid_on or self._first:
            changed = self._publish(session, changed_by)
            self._report(planned, changed, newest, time.monotonic() - started)
        self._first = False

    def _watermark_of_silver(self, session: SparkSession) -> date:
        silver = read_table(session, self.tables_dir, SILVER_TRANSACTIONS)
        (newest_day,) = silver.agg(F.max("event_date")).collect()[0]  # of the log alone
        _, watermark = _days_and_watermark(silver.where(F.col("event_date") == newest_day), self.schedule.lateness_us)
        return watermark or date.min

    def _newest_computed(self, session: SparkSession) -> date | None:
        """The newest day whose profiles, and the days that they are computed from, are in the tables."""
        days = read_table(session, self.tables_dir, GOLD_CARD_DAYS)
        if days.isEmpty():
            return None
        newest: date | None
        ((newest,),) = read_table(session, self.tables_dir, GOLD_CARD_PROFILE).agg(F.max("valid_on")).collect()
        if newest is not None:
            self._set_newest(newest)
        return newest

    def _newly_settled(self, session: SparkSession, newest: date) -> Collection[date]:
        """The days with transactions that the newest profile reaches and the newest computed one does not."""
        if self._newest_day is not None and newest <= self._newest_day:
            return ()
        silver = read_table(session, self.tables_dir, SILVER_TRANSACTIONS)
        settled = F.col("event_date") <= last_day(newest)
        if self._newest_day is not None:
            settled &= F.col("event_date") > last_day(self._newest_day)
        return [row["event_date"] for row in silver.where(settled).select("event_date").distinct().collect()]

    def _late_cards(self, batch: DataFrame, touched: Mapping[date, int], planned: RefreshPlan) -> DataFrame | None:
        """The cards whose profiles change, where no day is computed for the first time and they are few; else None."""
        if self._newest_day is None or planned.valid_on[-1] > self._newest_day:
            return None
        settled = last_day(self._newest_day)
        if sum(number for day, number in touched.items() if day <= settled) > _MAX_LATE_TRANSACTIONS:
            return None
        return batch.where(F.col("event_date") <= settled).select(F.explode(tokens()).alias("card_token")).distinct()

    def _publish(self, session: SparkSession, changed_by: str) -> int:
        changed = read_table(session, self.tables_dir, GOLD_CARD_PROFILE).where(F.col(CHANGED_BY) == changed_by)
        number = changed.count()
        if number:
            self.counter.rows_written(GOLD_CARD_PROFILE, number)
            self.publisher.publish(changed)
            self.metrics.published.inc(number)
        return number

    def _report(self, planned: RefreshPlan, changed: int, newest: date, seconds: float) -> None:
        if not planned.valid_on and not changed:
            return
        self.metrics.seconds.set(seconds)
        self._set_newest(newest)
        _log.info(
            "profiles computed",
            days=len(planned.days),
            valid_on=[day.isoformat() for day in planned.valid_on],
            published=changed,
            seconds=round(seconds, 1),
        )

    def _set_newest(self, newest: date) -> None:
        self.metrics.newest.set(datetime(newest.year, newest.month, newest.day, tzinfo=UTC).timestamp())


def _days_and_watermark(batch: DataFrame, lateness_us: int) -> tuple[Mapping[date, int], date | None]:
    """The number of a micro-batch's transactions by day, and the day of their newest event time less the lateness.

    That day is no later than by the driver's clock: a transaction from the future settles no day.
    """
    watermark = F.timestamp_micros(F.unix_micros("event_time") - lateness_us)
    days = batch.groupBy("event_date").agg(F.count("*").alias("number"), F.max(F.to_date(watermark)).alias("newest"))
    found = days.collect()
    today = from_microseconds(now_microseconds() - lateness_us).date()
    newest = max((min(row["newest"], today) for row in found), default=None)
    return {row["event_date"]: row["number"] for row in found}, newest
