"""A service's health endpoint and metrics, read over HTTP."""

from dataclasses import dataclass
from typing import Final

import httpx
from cardwatch_service.metrics import CONSUMER_POSITION
from prometheus_client.parser import text_string_to_metric_families

_TIMEOUT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a metric."""

    name: str
    labels: dict[str, str]
    value: float


class Probe:
    """An HTTP client for the health and metrics port of one service."""

    def __init__(self, port: int) -> None:
        # One client for all requests: creating one loads the system's certificates, which costs more than a request.
        self._client: Final = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=_TIMEOUT_SECONDS, trust_env=False
        )

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def not_ready_because(self) -> str:
        """Why the service is not ready; empty when it is."""
        try:
            response = self._client.get("/readyz")
        except httpx.HTTPError:
            return "it is starting"
        return "" if response.is_success else response.text.strip()

    def samples(self) -> list[Sample]:
        """All samples of all metrics; none while the service does not answer."""
        try:
            response = self._client.get("/metrics")
        except httpx.HTTPError:
            return []
        return [
            Sample(sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(response.text)
            for sample in family.samples
        ]

    def positions(self) -> dict[tuple[str, int], int]:
        """The next offset to process, by topic and partition; the lowest one where several queries read a partition."""
        positions: dict[tuple[str, int], int] = {}
        for sample in self.samples():
            if sample.name != CONSUMER_POSITION:
                continue
            partition = (sample.labels["topic"], int(sample.labels["partition"]))
            positions[partition] = min(int(sample.value), positions.get(partition, int(sample.value)))
        return positions

    def value(self, name: str) -> float | None:
        """Sum of a metric over its labels; None while the service does not answer or does not have it."""
        values = [sample.value for sample in self.samples() if sample.name == name]
        return sum(values) if values else None
