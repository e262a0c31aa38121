"""Sets the metrics of Spark's streaming queries from their progress reports."""

from datetime import datetime
from typing import Any

from cardwatch_detector.runtime.metrics import QueryMetrics
from cardwatch_detector.runtime.spark_offsets import parse_offsets


def record_progress(progress: dict[str, Any], metrics: QueryMetrics) -> None:
    """Set the metrics from one progress report (StreamingQueryProgress as JSON)."""
    query = str(progress["name"])
    rows = int(progress.get("numInputRows", 0))
    if rows:
        metrics.batches.labels(query).inc()
        metrics.rows.labels(query).inc(rows)
        for phase, milliseconds in progress.get("durationMs", {}).items():
            metrics.batch_seconds.labels(query, phase).set(milliseconds / 1000)
    for operator in progress.get("stateOperators", []):
        metrics.state_rows.labels(query).set(operator["numRowsTotal"])
        metrics.state_bytes.labels(query).set(operator["memoryUsedBytes"])
        metrics.late_rows.labels(query).inc(operator.get("numRowsDroppedByWatermark", 0))
    watermark = progress.get("eventTime", {}).get("watermark")
    if watermark:
        metrics.watermark.labels(query).set(_seconds(watermark))
    for source in progress.get("sources", []):
        _record_source(query, source, metrics, rows)


def _record_source(query: str, source: dict[str, Any], metrics: QueryMetrics, rows: int) -> None:
    ends = parse_offsets(source.get("endOffset"))
    latest = parse_offsets(source.get("latestOffset"))
    starts = parse_offsets(source.get("startOffset"))
    for topic, partitions in ends.items():
        for partition, offset in partitions.items():
            lag = max(0, latest.get(topic, {}).get(partition, offset) - offset)
            metrics.set_lag(query, topic=topic, partition=partition, lag=lag)
        if rows:
            before = starts.get(topic, {})
            metrics.common.consumed.labels(topic).inc(
                max(0, sum(offset - before.get(partition, 0) for partition, offset in partitions.items()))
            )


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso.replace("Z", "+00:00")).timestamp()
