"""A program: Spark reads one topic and writes another, once with each of several groups of connection settings.

It prints and logs everything about it that Spark tells: plans, the error of a query that failed, and Spark's own log at
INFO. Arguments: a JSON file with the settings (environment variables by name of the group), the source topic, and a
directory for checkpoints and the event log.
"""

import json
import os
import sys
from pathlib import Path

from cardwatch_detector.runtime.kafka_source import kafka_options, read_topic
from cardwatch_detector.runtime.session import build_session
from cardwatch_detector.runtime.settings import SparkSettings
from cardwatch_service.settings import ServiceSettings, load_settings
from pyspark.errors import StreamingQueryException
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, expr


def main(groups: Path, source: str, directory: Path) -> None:
    """Run all groups in one session, which keeps an event log."""
    (directory / "events").mkdir(parents=True)
    event_log = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file://{directory}/events"}
    event_log |= {"spark.eventLog.compress": "false"}
    session = build_session("secured", load_settings(SparkSettings), event_log)
    for name, environment in json.loads(groups.read_text()).items():
        for variable in [variable for variable in os.environ if variable.startswith("CARDWATCH_KAFKA_")]:
            del os.environ[variable]
        os.environ.update(environment)
        _copy(session, load_settings(ServiceSettings), source, f"{source}.by-{name}", directory / name)
    session.stop()


def _copy(session: SparkSession, settings: ServiceSettings, source: str, target: str, directory: Path) -> None:
    rows = read_topic(session, settings, [source], 1000).select("key", "value")
    # Not all of its plan: before a stream is started, Spark shows its source twice, once with every option as it is.
    rows.explain()
    sink = rows.writeStream.format("kafka").options(**kafka_options(settings)).option("topic", target)
    query = sink.option("checkpointLocation", str(directory / "stream")).trigger(availableNow=True).start()
    query.awaitTermination()
    query.explain(True)
    print(json.dumps(query.lastProgress, default=str))

    # As the topic of card profiles is written: in batches.
    batch = session.read.format("kafka").options(**kafka_options(settings)).option("subscribe", source).load()
    batch.select("key", "value").write.format("kafka").options(**kafka_options(settings)).option("topic", target).save()

    failing = rows.select(col("key"), expr("raise_error('on purpose')").cast("string").alias("value"))
    sink = failing.writeStream.format("kafka").options(**kafka_options(settings)).option("topic", target)
    query = sink.option("checkpointLocation", str(directory / "failing")).trigger(availableNow=True).start()
    try:
        query.awaitTermination()
    except StreamingQueryException as error:
        print(error, error.getErrorClass() if hasattr(error, "getErrorClass") else "")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
