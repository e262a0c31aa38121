"""The sink of a query on a real Spark: what it asks, what it reports, and how a query ends that may not go on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.errors import CardwatchError, RegistryUnavailableError
from cardwatch_detector.runtime.failures import REGISTRY_OUTAGE, innermost_cause
from cardwatch_detector.velocity.rules.rule_set import RuleSet
from cardwatch_detector.velocity.sink import ResultSink
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

RESULTS = (
    "topic string, key string, value binary, headers array<struct<key: string, value: binary>>, event_time bigint, "
    "rule_id string, status string, mode string, raw_broker_time bigint, span string, late_scopes string, "
    "late_by bigint, report string"
)
RULES = RuleSet()
ALERT: dict[str, Any] = {
    "topic": "alerts", "event_time": 1, "rule_id": "r", "status": "raised", "mode": "live", "raw_broker_time": 2,
}  # fmt: skip
RULE_REPORT = {"report": '{"rows":1}'}


class Query:
    """A query of results that are read from files; each start has its own sink, as the detector's."""

    def __init__(self, session: SparkSession, directory: Path) -> None:
        self.failure: Exception | None = None
        self.held_seconds = 60.0
        self.begun = 0
        self._session, self._directory, self._files = session, directory, 0
        self.sink = ResultSink("query", self._begin, self._held)
        (directory / "in").mkdir()

    def start(self) -> StreamingQuery:
        self.sink = ResultSink("query", self._begin, self._held)
        results = self._session.readStream.schema(RESULTS).json(str(self._directory / "in"))
        writer = self.sink.writer(results, None)
        return writer.option("checkpointLocation", str(self._directory / "checkpoint")).start()

    def find(self, *rows: dict[str, Any]) -> None:
        self._files += 1
        made = self._directory / "in" / f".{self._files}"
        made.write_text("\n".join(map(json.dumps, rows)))
        made.rename(self._directory / "in" / f"{self._files}.json")

    def _begin(self) -> RuleSet:
        self.begun += 1
        return RULES

    def _held(self) -> float:
        if self.failure is not None:
            raise self.failure
        return self.held_seconds


@pytest.fixture
def query(spark: SparkSession, tmp_path: Path) -> Iterator[Query]:
    made = Query(spark, tmp_path)
    yield made
    made.sink.close()


def run(query: Query) -> None:
    started = query.start()
    try:
        started.processAllAvailable()
    finally:
        started.stop()


def test_each_micro_batch_asks_for_its_rules_and_is_reported_once(query: Query) -> None:
    query.find(ALERT, ALERT, RULE_REPORT)
    started = query.start()
    started.processAllAvailable()
    (report,) = query.sink.take_reports()
    assert (report["alerts"], len(report["latencies"]), report["rules"]) == (
        [["r", "raised", "live", 2]], 2, ['{"rows":1}'],
    )  # fmt: skip
    assert report["began_at"] < report["ended_at"]
    query.find({"topic": "late", "late_scopes": "card,merchant", "late_by": 7})
    started.processAllAvailable()
    started.stop()
    (report,) = query.sink.take_reports()
    assert (report["late"], report["latest_by"], report["alerts"]) == ({"card,merchant": 1}, 7, [])
    assert (query.sink.take_reports(), query.begun) == ([], 2)


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (CardwatchError("this process has lost the lease"), "this process has lost the lease"),
        (RegistryUnavailableError("it is down"), f"{REGISTRY_OUTAGE}: it is down"),
        (KeyError(), "KeyError"),
    ],
)
def test_a_query_that_may_not_go_on_says_why_and_repeats_its_micro_batch(
    query: Query, failure: Exception, sentence: str
) -> None:
    query.failure = failure
    query.find(ALERT)
    with pytest.raises(StreamingQueryException) as raised:
        run(query)
    assert sentence in innermost_cause(str(raised.value))
    assert (query.sink.take_reports(), query.begun) == ([], 0)
    query.failure = None
    run(query)
    assert len(query.sink.take_reports()) == 1


def test_a_lease_that_is_lost_while_tasks_run_keeps_the_micro_batch_from_being_committed(query: Query) -> None:
    query.held_seconds = 0  # to be asked again before each message, and before the commit
    answers = iter([None, None, CardwatchError("lost in between")])
    held = query._held

    def lose() -> float:
        query.failure = next(answers, None) or query.failure
        return held()

    query._held = lose  # type: ignore[method-assign]
    query.find(ALERT)
    with pytest.raises(StreamingQueryException, match="lost in between"):
        run(query)
    assert (query.sink.take_reports(), query.begun) == ([], 1)
