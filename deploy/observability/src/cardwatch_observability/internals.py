"""Private parts of the library prometheus_client. A test fails if another version has changed them."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry


def registered_families(registry: CollectorRegistry) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Every metric family of a registry with its label names, also if it has no series yet.

    The registry's collectors and the label names of a family without series are private.
    """
    for collector in registry._collector_to_names:
        for family in collector.collect():
            labels = getattr(collector, "_labelnames", ()) or getattr(family, "_labelnames", ())
            yield family, tuple(labels)
