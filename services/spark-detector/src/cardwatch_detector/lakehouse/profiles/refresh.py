"""One micro-batch of new silver transactions: days, then profiles, then the topic."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final, Protocol

from cardwatch_lakehouse.tables import GOLD_CARD_DAYS, GOLD_CARD_PROFILE, SILVER_TRANSACTIONS
from cardwatch_service.logs import get
from cardwatch_service.metrics import Metrics
from prometheus_client import Counter, Gauge
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from cardwatch_detector.lakehouse.io.read import read_table
from cardwatch_detector.lakehouse.io.write import query_id
from cardwatch_detector.lakehouse.profiles.calendar import Plan, kept_from, last_day, newest_profile, plan
from cardwatch_detector.lakehouse.profiles.card_days import refresh_days
from cardwatch_detector.lakehouse.profiles.card_profile import CHANGED_BY, refresh_profiles
from cardwatch_detector.runtime.session import COMPILED
from cardwatch_detector.runtime.session_settings import temporary_settings

PROFILES_PUBLISHED_TOTAL: Final = "cardwatch_lakehouse_profiles_published_total"
NEWEST_PROFILE_SECONDS: Final = "cardwatch_lakehouse_newest_profile_timestamp_seconds"
PROFILE_REFRESH_SECONDS: Final = "cardwatch_lakehouse_profile_refresh_seconds"

_log = get(__name__)

# Late transactions up to which only their cards' profiles are made again.
_FEW: Final = 10_000

# There are as many groups as cards: hashing objects would fall back to sorting anyway.
_SETTINGS: Final = {**COMPILED, "spark.sql.execution.useObjectHashAggregateExec": "false"}


class Publisher(Protocol):
    """Publishes profiles."""

    def publish(self, rows: DataFrame) -> None:
        """Publish and wait until the broker has acknowledged all."""


class ProfileMetrics:
    """What is counted of the profiles, beside the rows that are written."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self.published: Final = Counter(
            PROFILES_PUBLISHED_TOTAL, "Profiles acknowledged by the broker.", registry=registry
        )
        self.newest: Final = Gauge(
            NEWEST_PROFILE_SECONDS,
            "Beginning of the newest day that there are profiles for.",
            registry=registry,
        )
        self.seconds: Final = Gauge(
            PROFILE_REFRESH_SECONDS, "What the last refresh of profiles took.", registry=registry
        )


@dataclass
class ProfileWriter:
    """Keeps GOLD_CARD_DAYS, GOLD_CARD_PROFILE and the topic up with silver; one for each start of the query.

    Both tables are made anew from what they depend on, so that a micro-batch may be done again. A profile row says
    which micro-batch changed it, and Spark takes a micro-batch for done only when what it changed is published: after a
    crash in between it comes again, changes nothing, and finds by that what it has to publish.

    A repeated micro-batch may find that more days are settled than before, as silver has gone on in between. What it
    writes is therefore the same only for the same newest profile: both go into the identity of its writes.

    Attributes:
        tables_dir: where the tables are.
        lateness_us: how far the newest event time must be past a day for it to be settled, microseconds.
        days_kept: days whose profiles are kept.
        publisher: where changed profiles go.
        days_written, profiles_written: called with the number of rows after each commit.
    """

    tables_dir: str
    lateness_us: int
    days_kept: int
    publisher: Publisher
    metrics: ProfileMetrics
    days_written: Callable[[int], None]
    profiles_written: Callable[[int], None]
    _made: date | None = field(default=None, init=False)
    _first: bool = field(default=True, init=False)

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        """Do one micro-batch; doing it again changes nothing and publishes again."""
        started = time.monotonic()
        touched, watermark = _seen(batch, self.lateness_us)
        if watermark is None:  # of an empty table
            return
        session = batch.sparkSession
        changed_by = f"{query_id(session)}/{batch_id}"
        if self._first:
            # The profiles of the newest days may have no rows, so that the tables do not tell how far they were made.
            watermark = max(watermark, self._watermark_of_silver(session))
            self._made = self._newest_made(session)
        newest = max(newest_profile(watermark), self._made or date.min)
        planned = plan(touched, self._newly_settled(session, newest), self._made, newest, self.days_kept)
        with temporary_settings(session, _SETTINGS):
            if planned.days:
                self.days_written(refresh_days(session, self.tables_dir, planned.days, batch_id, newest.isoformat()))
            if planned.valid_on:
                oldest, cards = kept_from(newest, self.days_kept), self._late_cards(batch, touched, planned)
                refresh_profiles(
                    session, self.tables_dir, planned.valid_on, oldest, changed_by, cards, batch_id, newest.isoformat()
                )
        self._made = newest
        # What the first micro-batch changed may have been committed, and not published, by a process before this one.
        if planned.valid_on or self._first:
            changed = self._publish(session, changed_by)
            self._tell(planned, changed, newest, time.monotonic() - started)
        self._first = False

    def _watermark_of_silver(self, session: SparkSession) -> date:
        silver = read_table(session, self.tables_dir, SILVER_TRANSACTIONS)
        (newest_day,) = silver.agg(F.max("event_date")).collect()[0]  # of the log alone
        _, watermark = _seen(silver.where(F.col("event_date") == newest_day), self.lateness_us)
        return watermark or date.min

    def _newest_made(self, session: SparkSession) -> date | None:
        """The newest day whose profile, with all that it is made of, is there."""
        days = read_table(session, self.tables_dir, GOLD_CARD_DAYS)
        if days.isEmpty():
            return None
        newest: date | None
        ((newest,),) = read_table(session, self.tables_dir, GOLD_CARD_PROFILE).agg(F.max("valid_on")).collect()
        if newest is not None:
            self._show(newest)
        return newest

    def _newly_settled(self, session: SparkSession, newest: date) -> Collection[date]:
        """The days with transactions that the newest profile reaches and the newest one made does not."""
        if self._made is not None and newest <= self._made:
            return ()
        silver = read_table(session, self.tables_dir, SILVER_TRANSACTIONS)
        settled = F.col("event_date") <= last_day(newest)
        if self._made is not None:
            settled &= F.col("event_date") > last_day(self._made)
        return [row["event_date"] for row in silver.where(settled).select("event_date").distinct().collect()]

    def _late_cards(self, batch: DataFrame, touched: Mapping[date, int], planned: Plan) -> DataFrame | None:
        """The cards whose profiles change, where none is made for the first time and they are few."""
        if self._made is None or planned.valid_on[-1] > self._made:
            return None
        settled = last_day(self._made)
        if sum(number for day, number in touched.items() if day <= settled) > _FEW:
            return None
        return batch.where(F.col("event_date") <= settled).select("card_token").distinct()

    def _publish(self, session: SparkSession, changed_by: str) -> int:
        changed = read_table(session, self.tables_dir, GOLD_CARD_PROFILE).where(F.col(CHANGED_BY) == changed_by)
        number = changed.count()
        if number:
            self.profiles_written(number)
            self.publisher.publish(changed)
            self.metrics.published.inc(number)
        return number

    def _tell(self, planned: Plan, changed: int, newest: date, seconds: float) -> None:
        if not planned.valid_on and not changed:
            return
        self.metrics.seconds.set(seconds)
        self._show(newest)
        _log.info(
            "profiles made",
            days=len(planned.days),
            profiles_of=[day.isoformat() for day in planned.valid_on],
            published=changed,
            seconds=round(seconds, 1),
        )

    def _show(self, newest: date) -> None:
        self.metrics.newest.set(datetime(newest.year, newest.month, newest.day, tzinfo=UTC).timestamp())


def _seen(batch: DataFrame, lateness_us: int) -> tuple[Mapping[date, int], date | None]:
    """The number of a micro-batch's transactions by day; and the day of their newest event time less the lateness."""
    watermark = F.timestamp_micros(F.unix_micros("event_time") - lateness_us)
    days = batch.groupBy("event_date").agg(F.count("*").alias("number"), F.max(F.to_date(watermark)).alias("newest"))
    found = days.collect()
    newest = max((row["newest"] for row in found), default=None)
    return {row["event_date"]: row["number"] for row in found}, newest
