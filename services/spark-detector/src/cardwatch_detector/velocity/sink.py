"""Where a query's results go: Spark's Kafka sink in the engine's hands (``cardwatch.engine.spark.ResultSink``).

Nothing of it runs in Python but one question before each micro-batch, which the driver answers: may it begin, and with
which rules. What was published is reported afterwards, when the detector asks.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_service.logs import get_logger
from cardwatch_service.settings import ServiceSettings
from pyspark.sql import DataFrame
from pyspark.sql.streaming.readwriter import DataStreamWriter

from cardwatch_detector.runtime.failures import REGISTRY_OUTAGE, innermost_cause
from cardwatch_detector.runtime.internals import open_sink_control, sink_reports
from cardwatch_detector.runtime.kafka_source import kafka_options
from cardwatch_detector.runtime.leases import Held
from cardwatch_detector.velocity.rules.rule_set import RuleSet

_FORMAT: Final = "cardwatch.engine.spark.ResultSink"
_CONTROL: Final = "control"
_PUBLISH: Final = "publish"

# A producer that loses and reorders nothing, as all of Cardwatch's are. A message too many is not worth a wait for
# others: a micro-batch ends when all of its messages are acknowledged.
_PRODUCER: Final = {
    "kafka.acks": "all",
    "kafka.enable.idempotence": "true",
    "kafka.linger.ms": "0",
    "kafka.compression.type": "lz4",
    "kafka.delivery.timeout.ms": "120000",
}

_log = get_logger(__name__)


class ResultSink:
    """The sink of one start of a query."""

    def __init__(self, query: str, begin: Callable[[], RuleSet], held: Held) -> None:
        """
        Args:
            query: its name, for the log.
            begin: called before each micro-batch; the rules that it has to be evaluated with.
            held: called before each micro-batch, before it is committed, and whenever the time is over that the last
                call has returned, seconds.

        What either raises fails the query, which publishes and commits nothing more.
        """
        self._query: Final = query
        self._begin: Final = begin
        self._held: Final = held
        self._attached: RuleSet | None = None
        self._control: Final = open_sink_control(self._ask)

    def writer(self, results: DataFrame, kafka: ServiceSettings | None) -> DataStreamWriter:
        """A writer of what the operator returns.

        Args:
            kafka: where messages are published; None publishes nothing, for a query that is only to warm up.
        """
        options = {_CONTROL: str(self._control.id()), _PUBLISH: str(kafka is not None).lower()}
        if kafka is not None:
            options |= kafka_options(kafka) | _PRODUCER
        return results.writeStream.outputMode("update").format(_FORMAT).options(**options)

    def take_reports(self) -> list[Mapping[str, Any]]:
        """The reports of the micro-batches that were published since the last call, in their order."""
        return list(sink_reports(self._control))

    def close(self) -> None:
        """Forget it, once the query has ended."""
        self._control.close()

    def _ask(self, begins: bool) -> str:
        """Answer the engine (``BatchGate``)."""
        try:
            seconds = self._held()
            if begins:
                self._attach(self._begin())
        except RegistryUnavailableError as error:
            return _refused(f"{REGISTRY_OUTAGE}: {error}")
        except Exception as error:  # noqa: BLE001  # goes to the query as one sentence
            _log.exception("the query must not go on", query=self._query)
            return _refused(innermost_cause(str(error)) or type(error).__name__)
        return json.dumps({"refused": "", "held_seconds": seconds})

    def _attach(self, rules: RuleSet) -> None:
        if rules is not self._attached:
            self._control.rules(rules.packed_program, rules.packed_lists)
            self._attached = rules


def _refused(sentence: str) -> str:
    return json.dumps({"refused": sentence, "held_seconds": 0})
