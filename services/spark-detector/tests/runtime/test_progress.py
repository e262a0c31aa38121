"""Spark's progress reports as metrics, and settings."""

from typing import Any

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_detector.runtime.confluent_avro import projection
from cardwatch_detector.runtime.kafka_source import kafka_options
from cardwatch_detector.runtime.metrics import RESTARTS_TOTAL, QueryMetrics
from cardwatch_detector.runtime.progress import record_progress
from cardwatch_detector.velocity.metrics import LATE_TOTAL, LateMetrics
from cardwatch_detector.velocity.settings import VelocitySettings
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings, load_settings


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def progress(query: str, start: int | None, end: int, latest: int, rows: int) -> dict[str, Any]:
    return {
        "name": query,
        "numInputRows": rows,
        "durationMs": {"triggerExecution": 250, "addBatch": 200},
        "eventTime": {"watermark": "2026-01-01T00:00:00.000Z"},
        "stateOperators": [{"numRowsTotal": 12, "memoryUsedBytes": 3_000, "numRowsDroppedByWatermark": 2}],
        "sources": [
            {
                "startOffset": None if start is None else {"silver": {"0": start}},
                "endOffset": {"silver": {"0": end}},
                "latestOffset": {"silver": {"0": latest}},
            }
        ],
    }


def test_a_micro_batch_is_counted() -> None:
    metrics = Metrics()
    queries = QueryMetrics(metrics, {"velocity-card": ["silver"]})
    record_progress(progress("velocity-card", None, 10, 15, rows=10), queries)
    record_progress(progress("velocity-card", 10, 15, 15, rows=5), queries)
    assert value(metrics, "cardwatch_messages_consumed_total", topic="silver") == 15
    assert value(metrics, "cardwatch_spark_batches_total", query="velocity-card") == 2
    assert value(metrics, "cardwatch_spark_late_rows_total", query="velocity-card") == 4
    assert value(metrics, "cardwatch_spark_state_rows", query="velocity-card") == 12
    assert value(metrics, "cardwatch_spark_watermark_timestamp_seconds", query="velocity-card") == 1_767_225_600
    assert value(metrics, "cardwatch_consumer_lag_messages", topic="silver", partition="0") == 0
    assert (
        value(metrics, "cardwatch_spark_batch_duration_seconds", query="velocity-card", phase="triggerExecution")
        == 0.25
    )


def test_the_position_is_that_of_the_slowest_query() -> None:
    metrics = Metrics()
    queries = QueryMetrics(metrics, {"velocity-card": ["silver"], "velocity-merchant": ["silver"], "bronze": ["raw"]})

    def position() -> float | None:
        return value(metrics, "cardwatch_consumer_position_offset", topic="silver", partition="0")

    queries.set_position("velocity-card", {"silver": {"0": 9}})
    assert position() == 0, "the merchant query has said nothing yet"
    queries.set_position("velocity-merchant", {"silver": {"0": 4}})
    assert position() == 4
    queries.set_position("velocity-merchant", {"silver": {"0": 9}})
    assert position() == 9


def test_lag_is_that_of_the_slowest_query() -> None:
    metrics = Metrics()
    queries = QueryMetrics(metrics, {"a": ["silver"], "b": ["silver"]})
    record_progress(progress("a", 0, 10, 30, rows=10), queries)
    record_progress(progress("b", 0, 25, 30, rows=25), queries)
    assert value(metrics, "cardwatch_consumer_lag_messages", topic="silver", partition="0") == 20


@pytest.mark.parametrize(
    ("variable", "text", "sentence"),
    [
        ("CARDWATCH_DETECTOR_SCOPES", "card,planet", "unknown scope 'planet'"),
        ("CARDWATCH_DETECTOR_LATENESS", "soon", "expected a duration such as 90s, 10m, 24h or 7d, got 'soon'"),
        ("CARDWATCH_DETECTOR_HORIZON_CARD", "-1h", "expected a duration such as 90s, 10m, 24h or 7d, got '-1h'"),
        ("CARDWATCH_DETECTOR_TUNED_FOR", "fun", "CARDWATCH_DETECTOR_TUNED_FOR"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(VelocitySettings)
    assert sentence in str(caught.value)
    assert variable in str(caught.value)


def test_scopes_and_horizons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_DETECTOR_SCOPES", "merchant, card")
    monkeypatch.setenv("CARDWATCH_DETECTOR_HORIZON_CARD", "2h")
    settings = load_settings(VelocitySettings)
    assert settings.scope_list() == ["merchant", "card"]
    assert settings.horizon_us("card") == 7_200_000_000


def test_kafka_options_quote_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("CARDWATCH_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
    monkeypatch.setenv("CARDWATCH_KAFKA_SASL_USERNAME", "me")
    monkeypatch.setenv("CARDWATCH_KAFKA_SASL_PASSWORD", 'a"b\\c')
    config = kafka_options(load_settings(ServiceSettings))["kafka.sasl.jaas.config"]
    assert config == (
        'org.apache.kafka.common.security.scram.ScramLoginModule required username="me" password="a\\"b\\\\c";'
    )


def test_a_projection_keeps_only_what_is_asked_for() -> None:
    assert '"transaction_id"' in projection("enriched_transaction", ["transaction_id"])
    assert '"country"' not in projection("enriched_transaction", ["transaction_id"])
    with pytest.raises(ConfigurationError, match="no field colour"):
        projection("enriched_transaction", ["colour"])


def test_failures_are_counted_from_zero() -> None:
    # Prometheus's increase() misses the first value of a new series.
    metrics = Metrics()
    QueryMetrics(metrics, {"velocity-card": ["silver"]})
    LateMetrics(metrics, "", ["card"])
    assert metrics.registry.get_sample_value(RESTARTS_TOTAL, {"query": "velocity-card"}) == 0
    assert metrics.registry.get_sample_value(LATE_TOTAL, {"scope": "card"}) == 0
