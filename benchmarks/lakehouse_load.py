"""The load of the lakehouse's benchmark: transactions as raw and as silver messages, late transactions, and alerts.

Sending a message takes a few microseconds, because everything but identity and event time, the first two fields of both
schemas, is encoded only once for some thousand messages.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import tests_on_path  # noqa: F401 - makes support importable
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_LATE, TRANSACTIONS_RAW, TRANSACTIONS_SILVER, Topic
from cardwatch_contracts.wire import Decoder, Encoder
from confluent_kafka import Producer
from support.records import alert_record, enriched_record

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US

_TEMPLATES = 5_000
_ID_LENGTH = 32
# Shares of the transactions that are sent twice, sent late, and alerted; the share of the alerts that is retracted; and
# the share of the transactions that is too late for a detector.
_TWICE, _DELAYED, _ALERTED, _RETRACTED, _LATE = 0.02, 0.01, 0.01, 0.05, 0.001
# The maximum number of messages between the first and the second time that a transaction is sent.
_APART = 50_000


def silver_template(draw: random.Random, cards: int, now_us: int) -> dict[str, Any]:
    """A silver transaction whose id and event time are replaced in each message."""
    return enriched_record(
        transaction_id="0" * _ID_LENGTH,
        event_time=now_us,
        card_token=f"{draw.randrange(cards) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}",
        card_last_four=f"{draw.randrange(10_000):04}",
        amount_minor=draw.randrange(100, 20_000),
        merchant_id=f"merchant-{draw.randrange(5_000)}",
        merchant_category_code=draw.choice(("5411", "5812", "5541", "5999")),
        country=draw.choices(("DE", "FR", "US"), (90, 7, 3))[0],
        channel=draw.choice(("pos", "ecom")),
        status="declined" if draw.random() < 0.05 else "approved",
        device_id=f"device-{draw.randrange(50_000)}",
        latitude=52.5,
        longitude=13.4,
        merchant_category_group=draw.choice(("groceries", "restaurants", "fuel", "other")),
        hour_of_day=12,
        raw_topic="transactions.raw.v1",
        raw_partition=draw.randrange(3),
        raw_offset=draw.randrange(10**7),
        enriched_at=now_us + 20_000,
    )


@dataclass
class Sent:
    """How much was sent to the topics.

    Attributes:
        transactions: number of distinct transactions.
        messages: number of messages in the raw topic, and as many in the silver topic.
        alerts: number of distinct alerts.
        late: number of messages in the late topic.
    """

    transactions: int = 0
    messages: int = 0
    alerts: int = 0
    late: int = 0


@dataclass
class Load:
    """Sends transactions to the topics of one deployment's prefix."""

    bootstrap: str
    registry_url: str
    prefix: str
    cards: int = 100_000
    seed: int = 7
    sent: Sent = field(default_factory=Sent)

    def __post_init__(self) -> None:
        registry = ConfluentRegistry(self.registry_url)
        self._draw = random.Random(self.seed)
        now_us = time.time_ns() // 1000
        records = [silver_template(self._draw, self.cards, now_us) for _ in range(_TEMPLATES)]
        self._records = records
        self._raw = self._templates(TRANSACTIONS_RAW, registry, records)
        self._silver = self._templates(TRANSACTIONS_SILVER, registry, records)
        self._keys = [record["card_token"].encode() for record in records]
        self._alert = Encoder("alert", registry.id_of(ALERTS.subject(self.prefix), "alert"))
        self._again: list[tuple[int, bytes, int]] = []
        self._producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 50,
                "queue.buffering.max.messages": 500_000,
                "enable.idempotence": True,
            }
        )

    def _templates(
        self, topic: Topic, registry: ConfluentRegistry, records: list[dict[str, Any]]
    ) -> list[Callable[[bytes, int], bytes]]:
        schema = str(topic.schema)
        encode = Encoder(schema, registry.id_of(topic.subject(self.prefix), schema))
        made = [_template(encode(record), record["event_time"]) for record in records]
        decode = Decoder(schema, registry, topic.subject(self.prefix))
        probe = decode(made[0](b"f" * _ID_LENGTH, records[0]["event_time"] + 1))
        if (probe["transaction_id"], probe["event_time"]) != ("f" * _ID_LENGTH, records[0]["event_time"] + 1):
            raise SystemExit(f"{schema}.avsc does not begin with transaction_id and event_time any more")
        return made

    def send(self, event_us: int) -> None:
        """Send one transaction with its event time, and the messages that belong to it."""
        draw = self._draw
        number, identity = draw.randrange(_TEMPLATES), b"%032x" % draw.getrandbits(128)
        chance = draw.random()
        if chance < _DELAYED:
            event_us -= draw.randrange(HOUR_US)
        self._transaction(number, identity, event_us)
        self.sent.transactions += 1
        if draw.random() < _TWICE:
            self._again.append((self.sent.transactions + draw.randrange(_APART), identity, number | event_us << 16))
        if draw.random() < _ALERTED:
            self._send_alert(number, identity, event_us)
        if draw.random() < _LATE:
            self._send_late(number, identity, event_us)
        if self.sent.transactions % 1_000 == 0:
            self._send_again(self.sent.transactions)
            self._producer.poll(0)

    def finish(self) -> Sent:
        """Send the pending second messages, and wait until the broker has acknowledged everything."""
        self._send_again(self.sent.transactions + _APART)
        if self._producer.flush(120):
            raise SystemExit("the broker does not accept the messages")
        return self.sent

    def _send_again(self, until: int) -> None:
        for _, identity, packed in [due for due in self._again if due[0] <= until]:
            self._transaction(packed & 0xFFFF, identity, packed >> 16)
        self._again = [due for due in self._again if due[0] > until]

    def _transaction(self, number: int, identity: bytes, event_us: int) -> None:
        key = self._keys[number]
        self._produce(TRANSACTIONS_RAW, self._raw[number](identity, event_us), key)
        self._produce(TRANSACTIONS_SILVER, self._silver[number](identity, event_us), key)
        self.sent.messages += 1

    def _send_alert(self, number: int, identity: bytes, event_us: int) -> None:
        shown = self._records[number]
        transaction = {
            **shown,
            "transaction_id": identity.decode(),
            "event_time": event_us,
            "raw_broker_time": event_us,
        }
        record = alert_record(transaction, rule_id="velocity", detected_at=event_us + 300_000)
        key = shown["card_token"].encode()
        statuses = ("raised", "retracted") if self._draw.random() < _RETRACTED else ("raised",)
        for status in statuses:
            self._produce(ALERTS, self._alert({**record, "status": status}), key)
        self.sent.alerts += 1

    def _send_late(self, number: int, identity: bytes, event_us: int) -> None:
        headers = {
            "detector": "detector",
            "query": "velocity-card-merchant",
            "scopes": "card,merchant",
            "watermark_us": str(event_us + HOUR_US),
            "silver_partition": "0",
            "silver_offset": str(self.sent.messages),
        }
        encoded = [(name, text.encode()) for name, text in headers.items()]
        self._produce(TRANSACTIONS_LATE, self._silver[number](identity, event_us), self._keys[number], encoded)
        self.sent.late += 1

    def _produce(self, topic: Topic, value: bytes, key: bytes, headers: Any = None) -> None:
        while True:
            try:
                self._producer.produce(topic.name(self.prefix), value, key, headers=headers)
                break
            except BufferError:
                self._producer.poll(0.2)


def _template(message: bytes, event_us: int) -> Callable[[bytes, int], bytes]:
    """A function (identity, event time) → message, which replaces both in an encoded message."""
    before, after = message.split(b"0" * _ID_LENGTH, 1)
    rest = after[len(avro_long(event_us)) :]
    return lambda identity, at: b"".join((before, identity, avro_long(at), rest))


def avro_long(number: int) -> bytes:
    """A number that is not negative, as Avro writes a long."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def paced(rate: float, seconds: float) -> Iterator[int]:
    """Yield the send times (microseconds) of a rate for a duration, each when its time has come."""
    begin = time.monotonic()
    number = 0
    while (passed := time.monotonic() - begin) < seconds:
        due = int(passed * rate)
        while number < due:
            yield time.time_ns() // 1000
            number += 1
        time.sleep(0.02)
