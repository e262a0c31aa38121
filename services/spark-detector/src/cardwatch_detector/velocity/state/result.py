"""What the Python workers return to the driver: one row per alert, or one with a report on the rules."""

from typing import Any, Final, cast

import pyarrow as pa

from cardwatch_detector.runtime.arrow_schemas import spark_type

RESULT: Final = pa.schema(
    cast(
        Any,
        [
            pa.field("key", pa.string()),
            pa.field("value", pa.binary()),
            pa.field("rule_id", pa.string()),
            pa.field("status", pa.string()),
            pa.field("mode", pa.string()),
            pa.field("event_time", pa.int64()),
            pa.field("raw_broker_time", pa.int64()),
            pa.field("detected_at", pa.int64()),
            pa.field("report", pa.string()),
        ],
    )
)
"""The message to publish and what metrics need of it. A row with only ``report`` is ``active_rules.worker_report``."""

RESULT_TYPE: Final = spark_type(RESULT)
"""The same as a Spark type."""
