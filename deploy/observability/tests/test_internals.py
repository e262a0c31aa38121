"""The private parts of prometheus_client that the catalogue uses still exist and contain the same."""

from importlib.metadata import version

from cardwatch_observability.internals import registered_families
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily

HINT = (
    f"prometheus_client {version('prometheus-client')} has changed a private part that "
    "cardwatch_observability/internals.py uses; adapt that module, the only one that uses it"
)


class _Collector:
    def collect(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily("waiting", "Rows that wait.", labels=["receiver"])]


def test_families_without_series_have_their_label_names() -> None:
    registry = CollectorRegistry()
    assert hasattr(registry, "_collector_to_names"), HINT
    Counter("sent", "Messages.", ["topic", "outcome"], registry=registry)
    registry.register(_Collector())  # type: ignore[arg-type]
    found = {family.name: labels for family, labels in registered_families(registry)}
    assert found == {"sent": ("topic", "outcome"), "waiting": ("receiver",)}, HINT
