"""The generated files and their content."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from cardwatch_observability.dashboards.detection import detection
from cardwatch_observability.dashboards.detector import detector
from cardwatch_observability.dashboards.enricher import enricher
from cardwatch_observability.dashboards.kafka_and_spark import kafka_and_spark
from cardwatch_observability.dashboards.lakehouse import lakehouse
from cardwatch_observability.dashboards.notifier import notifier
from cardwatch_observability.dashboards.overview import overview
from cardwatch_observability.dashboards.producer import producer
from cardwatch_observability.dashboards.slos import slos
from cardwatch_observability.dashboards.snowflake_loader import snowflake_loader
from cardwatch_observability.slo import recording_rules

DASHBOARDS: Final[tuple[Callable[[], Any], ...]] = (
    overview,
    detection,
    producer,
    enricher,
    detector,
    lakehouse,
    notifier,
    snowflake_loader,
    kafka_and_spark,
    slos,
)

_HEAD: Final = "# Made by scripts/dashboards from deploy/observability: change it there.\n"


def generated() -> Mapping[str, str]:
    """Every generated file: its path below ``deploy`` and its text."""
    files = {}
    for make in DASHBOARDS:
        board = make()
        # Keys in the order of the SDK, so that a change shows as one in the file's history.
        files[f"grafana/dashboards/{board.uid}.json"] = json.dumps(board, cls=JSONEncoder, indent=2) + "\n"
    rules = yaml.safe_dump(recording_rules(), sort_keys=False, width=1000)
    files["prometheus/rules/slo.yml"] = _HEAD + rules
    return files
