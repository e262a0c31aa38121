"""Fakes and builders: a broker that accepts or rejects messages, a stop, and valid transactions."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cardwatch_contracts.wire import Encoder, Record
from cardwatch_enricher.bootstrap import build_pipeline
from cardwatch_enricher.pipeline.pipeline import Pipeline
from cardwatch_enricher.settings import EnricherSettings
from cardwatch_enricher.startup import Settings
from cardwatch_kafka.messages import OutgoingMessage, ReceivedMessage
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings
from cardwatch_service.token_settings import TokenSettings
from support.records import CARD_NUMBER, transaction_document, transaction_record
from support.registry import InMemoryRegistry

RAW, JSON = "transactions.raw.v1", "transactions.json.v1"
RECEIVED_AT = 1_795_564_800_000_000  # 2026-11-25T00:00:00Z

TRANSACTION_SCHEMA_ID = 7
SCHEMA_IDS = {"transaction": TRANSACTION_SCHEMA_ID, "transaction_label": 8}


class FakePublisher:
    """A broker that rejects messages above a size."""

    def __init__(self, largest: int = 1_000_000) -> None:
        self.largest = largest
        self.published: list[OutgoingMessage] = []

    def publish(self, batch: Sequence[OutgoingMessage]) -> list[int]:
        rejected = [index for index, message in enumerate(batch) if _size(message) > self.largest]
        self.published += [message for index, message in enumerate(batch) if index not in rejected]
        return rejected


def _size(message: OutgoingMessage) -> int:
    return len(message.key or b"") + len(message.value or b"")


class FakeStop:
    """A stop that is requested or not, and waits for nothing."""

    def __init__(self, requested: bool = False) -> None:
        self.requested = requested

    def wait(self, seconds: float) -> bool:
        return self.requested


class Make:
    """Builders of records and messages."""

    received_at = RECEIVED_AT
    card_number = CARD_NUMBER
    transaction_schema_id = TRANSACTION_SCHEMA_ID
    encode: Callable[[Record], bytes] = staticmethod(Encoder("transaction", TRANSACTION_SCHEMA_ID))
    publisher = FakePublisher
    stop = FakeStop

    @staticmethod
    def transaction(**changes: Any) -> Record:
        """A valid transaction, with some of its fields changed."""
        return transaction_record(**{"event_time": RECEIVED_AT - 1_000_000, **changes})

    def document(self, **changes: Any) -> dict[str, Any]:
        """The same transaction as legacy producers send it: with a card number."""
        return transaction_document(**{"event_time": RECEIVED_AT - 1_000_000, **changes})

    def avro(self, record: Record | None = None, **changes: Any) -> ReceivedMessage:
        """A message on the raw topic; ``value=`` instead of a record for bytes of one's own."""
        value = None if record is None else self.encode(record)
        return ReceivedMessage(**{"topic": RAW, "partition": 1, "offset": 42, "key": b"k", "value": value,
                             "headers": (), "broker_time": RECEIVED_AT, **changes})  # fmt: skip

    def json(self, document: Any = None, **changes: Any) -> ReceivedMessage:
        """A message on the JSON topic; ``value=`` instead of a document for bytes of one's own."""
        value = json.dumps(document).encode()
        return ReceivedMessage(**{"topic": JSON, "partition": 0, "offset": 3, "key": None, "value": value,
                             "headers": (), "broker_time": RECEIVED_AT, **changes})  # fmt: skip


@pytest.fixture
def make() -> Make:
    return Make()


@pytest.fixture
def registry() -> InMemoryRegistry:
    return InMemoryRegistry(SCHEMA_IDS)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    """A pipeline for all tests that do not change it."""
    return wired(InMemoryRegistry(SCHEMA_IDS), Metrics())


@pytest.fixture(scope="session")
def exempting_pipeline() -> Pipeline:
    """A pipeline with all identifier fields exempted from the search for card numbers."""
    exempt = {"card_number_exempt_fields": "transaction_id, merchant_id, device_id"}
    return wired(InMemoryRegistry(SCHEMA_IDS), Metrics(), **exempt)


@pytest.fixture
def fresh_pipeline(registry: InMemoryRegistry, metrics: Metrics) -> Pipeline:
    return wired(registry, metrics)


def wired(registry: InMemoryRegistry, metrics: Metrics, **service_settings: Any) -> Pipeline:
    settings = Settings(ServiceSettings(**service_settings), EnricherSettings(), TokenSettings())
    return build_pipeline(settings, registry, metrics)
