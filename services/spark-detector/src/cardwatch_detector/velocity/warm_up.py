"""Runs a query's plan on synthetic transactions before the service reports itself as ready.

A JVM that has just started takes some ten seconds over its first micro-batches: it loads classes and opens state
stores. The warm-up does this before the first real transaction, so that no alert waits for it.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cardwatch_contracts.topics import TRANSACTIONS_SILVER
from cardwatch_contracts.wire import Encoder
from cardwatch_service.logs import get_logger
from cardwatch_service.shutdown import Shutdown
from cardwatch_units.timestamps import MICROSECONDS_PER_SECOND, now_microseconds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.streaming.query import StreamingQuery

from cardwatch_detector.runtime.leases import always_held
from cardwatch_detector.runtime.object_stores import CHECKPOINT_FILES, LOCAL_CHECKPOINT_FILES
from cardwatch_detector.runtime.session_settings import temporary_settings
from cardwatch_detector.velocity.query import VelocityQuery
from cardwatch_detector.velocity.rules.rule_set import RuleSet
from cardwatch_detector.velocity.sink import ResultSink

_log = get_logger(__name__)

_BATCHES: Final = 3
_TRANSACTIONS: Final = 64
_ROWS_PER_BATCH: Final = 100
_MAX_WARM_UP_SECONDS: Final = 120.0


def warm_up(session: SparkSession, query: VelocityQuery, shutdown: Shutdown) -> None:
    """Run the query's plan for a few micro-batches on a scratch state; nothing is published.

    Raises:
        CardwatchError: the registry does not answer, or a schema is not registered.
    """
    with _run(session, query) as run:
        wait_until_warm(run, shutdown)


@dataclass
class WarmUp:
    """A running warm-up.

    Attributes:
        batches: micro-batches that have been evaluated.
    """

    query: StreamingQuery | None = None
    batches: int = 0

    @property
    def done(self) -> bool:
        """Whether there is nothing more to wait for: the batches are evaluated, or the query has failed."""
        return self.warm or (self.query is not None and not self.query.isActive)

    @property
    def warm(self) -> bool:
        """Whether all micro-batches of the warm-up were evaluated."""
        return self.batches >= _BATCHES


def wait_until_warm(run: WarmUp, shutdown: Shutdown, max_seconds: float = _MAX_WARM_UP_SECONDS) -> None:
    """Wait until the warm-up is done, a stop is requested, or ``max_seconds`` have passed; logs which it was."""
    begin = time.monotonic()
    while not run.done and not shutdown.requested and time.monotonic() - begin <= max_seconds:
        time.sleep(0.05)
    seconds = round(time.monotonic() - begin, 1)
    if run.warm:
        _log.info("warmed up", seconds=seconds)
    elif shutdown.requested:
        _log.info("stopped before it was warmed up", seconds=seconds)
    elif run.done:
        _log.warning("the warm-up failed, starting anyway", seconds=seconds)
    else:
        _log.warning("not warmed up in time, starting anyway", seconds=max_seconds)


@contextmanager
def _run(session: SparkSession, query: VelocityQuery) -> Iterator[WarmUp]:
    run = WarmUp()
    begun = 0
    name = f"{query.name}-warm-up"

    def begin() -> RuleSet:
        nonlocal begun
        run.batches = begun  # those before this one
        begun += 1
        return query.reports.rules.rule_set()

    results = query.planner.plan(_synthetic_messages(session, query), name)
    sink = ResultSink(name, begin, always_held)

    # The scratch checkpoint is on this machine, wherever the real one is.
    local = temporary_settings(session, {CHECKPOINT_FILES: LOCAL_CHECKPOINT_FILES})
    with tempfile.TemporaryDirectory(prefix="cardwatch-warm-up-", ignore_cleanup_errors=True) as scratch, local:
        run.query = sink.writer(results, None).queryName(name).option("checkpointLocation", scratch).start()
        try:
            yield run
        finally:
            run.query.stop()
            sink.close()


def _synthetic_messages(session: SparkSession, query: VelocityQuery) -> DataFrame:
    service = query.planner.service
    prefix = service.topic_prefix
    schema_id = service.registry().id_of(TRANSACTIONS_SILVER.subject(prefix), "enriched_transaction")
    encode = Encoder("enriched_transaction", schema_id)
    now = now_microseconds()
    values = [encode(synthetic_transaction(at, now + at * MICROSECONDS_PER_SECOND)) for at in range(_TRANSACTIONS)]
    rows = (
        session.readStream.format("rate-micro-batch")
        .option("rowsPerBatch", _ROWS_PER_BATCH)
        .option("numPartitions", 3)
        .load()
        .coalesce(query.planner.settings.partitions)
    )
    which = (F.col("value") % _TRANSACTIONS + 1).cast("int")
    value = F.element_at(F.array(*(F.lit(value) for value in values)), which)
    return rows.select(
        F.lit(TRANSACTIONS_SILVER.name(prefix)).alias("topic"),
        F.lit(0).alias("partition"),
        F.col("value").alias("offset"),
        value.alias("value"),
        F.array().cast("array<struct<key: string, value: binary>>").alias("headers"),
    )


def synthetic_transaction(at: int, event_time: int) -> dict[str, object]:
    """A silver transaction; several of them share a few cards and merchants, so that windows are not empty."""
    return {
        "transaction_id": f"warm-up-{at}",
        "event_time": event_time,
        "card_token": f"{at % 8:032x}",
        "card_token_key_id": "warm-up",
        "card_bin": "400000",
        "card_last_four": "0000",
        "amount_minor": 100 * at,
        "currency": "EUR",
        "merchant_id": f"warm-up-{at % 4}",
        "merchant_category_code": "5999",
        "country": "DE" if at % 3 else "FR",
        "channel": "pos" if at % 2 else "ecom",
        "transaction_type": "purchase",
        "status": "approved" if at % 5 else "declined",
        "base_currency": "EUR",
        "base_amount_minor": 100 * at,
        "merchant_category_group": "other",
        "bin_country": "DE",
        "hour_of_day": 12,
        "day_of_week": 1,
        "raw_topic": "",
        "raw_partition": 0,
        "raw_offset": at,
        "raw_broker_time": event_time,
        "enriched_at": event_time,
    }
