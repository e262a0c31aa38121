"""Silver transactions for the detector's benchmarks, made in a few microseconds each.

Cards are drawn evenly; merchants, BINs, devices and addresses by Zipf's law with exponent 1. What does not change from
message to message is encoded once: the parts of a message are joined as bytes, and the first message is decoded again
to see that they are the schema's.
"""

import itertools
import random
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tests_on_path  # noqa: F401 - makes support importable
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.topics import TRANSACTIONS_SILVER
from cardwatch_contracts.wire import Decoder, Encoder
from confluent_kafka import Producer
from lakehouse_load import avro_long
from support.records import enriched_record

SECOND_US: Final = 1_000_000

HOT_MERCHANT: Final = "merchant-0"
_MARK: Final = "card-part-ends"
_ID: Final = "00000000000000000000000000000000"


@dataclass(frozen=True)
class Population:
    """How many there are of each; ``hot_share`` of all transactions are at the first merchant."""

    cards: int
    merchants: int = 20_000
    bins: int = 200
    devices: int = 50_000
    addresses: int = 50_000
    hot_share: float = 0.0
    seed: int = 7


class SilverLoad:
    """Sends transactions to the silver topic, keyed by card as the enricher does."""

    def __init__(self, bootstrap: str, registry_url: str, prefix: str, population: Population) -> None:
        registry = ConfluentRegistry(registry_url)
        subject = TRANSACTIONS_SILVER.subject(prefix)
        self._encode = Encoder("enriched_transaction", registry.id_of(subject, "enriched_transaction"))
        self._topic = TRANSACTIONS_SILVER.name(prefix)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 5,
                "queue.buffering.max.messages": 500_000,
            }
        )
        self._numbers = itertools.count()
        self._draw = random.Random(population.seed)
        self._run = self._draw.getrandbits(64)
        self._cards, self._rests = _parts(self._encode, population)
        self._frame = self._encode(enriched_record())[:5]
        decode = Decoder("enriched_transaction", registry, subject)
        _, value = self.message(10 * SECOND_US, 11 * SECOND_US)
        found = decode(value)
        if (found["event_time"], found["raw_broker_time"]) != (10 * SECOND_US, 11 * SECOND_US):
            raise SystemExit("the schema of silver transactions has changed: silver_load.py has to follow it")

    def message(self, event_us: int, broker_us: int) -> tuple[bytes, bytes]:
        """Key and value of the next transaction."""
        transaction_id = f"{self._run:016x}{next(self._numbers):016x}".encode()
        token, card = self._cards[self._draw.randrange(len(self._cards))]
        rest = self._rests[self._draw.randrange(len(self._rests))]
        broker_time = avro_long(broker_us)  # raw_broker_time, and enriched_at
        before = (self._frame, avro_long(len(transaction_id)), transaction_id, avro_long(event_us))
        return token, b"".join((*before, card, rest, broker_time, broker_time))

    def send(self, event_us: int, broker_us: int) -> None:
        """Send the next transaction; waits while the queue is full."""
        key, value = self.message(event_us, broker_us)
        sent = False
        while not sent:
            try:
                self._producer.produce(self._topic, key=key, value=value)
                sent = True
            except BufferError:
                self._producer.poll(0.5)

    def poll(self) -> None:
        """Let the client take delivery reports."""
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until all is with the broker."""
        self._producer.flush()


def _parts(encode: Any, population: Population) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    """The encoded fields of each card, with its token, and those of transactions at merchants."""
    draw = np.random.default_rng(population.seed)
    bins = _zipf(draw, population.bins, population.cards)
    cards = []
    for number in range(population.cards):
        token = f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"
        fields = (token, "benchmark", f"{400_000 + int(bins[number])}", f"{number % 10_000:04}")
        cards.append((token.encode(), b"".join(_text(field) for field in fields)))
    count = 200_000
    merchants, devices, addresses = (
        _zipf(draw, number, count) for number in (population.merchants, population.devices, population.addresses)
    )
    merchants = np.where(draw.random(count) < population.hot_share, 0, merchants)
    amounts, chances = draw.integers(100, 20_000, count), draw.random((count, 3))
    rests = []
    for at in range(count):
        online = chances[at, 0] < 0.4
        record = enriched_record(
            transaction_id=_ID,
            event_time=0,
            card_token=_MARK,
            card_token_key_id="",
            card_bin="",
            card_last_four="",
            amount_minor=int(amounts[at]),
            merchant_id=f"merchant-{merchants[at]}",
            country="DE" if chances[at, 1] < 0.97 else "FR",
            channel="ecom" if online else "pos",
            status="declined" if chances[at, 2] < 0.05 else "approved",
            device_id=f"device-{devices[at]}" if online else None,
            ip_address=f"10.{addresses[at] >> 16}.{addresses[at] >> 8 & 255}.{addresses[at] & 255}" if online else None,
            latitude=52.5,
            longitude=13.4,
            raw_topic="transactions.raw.v1",
            raw_broker_time=0,
            enriched_at=0,
        )
        # Frame, id, event time and the card's fields before; the two times, each one byte for 0, after.
        before = 5 + 1 + len(_ID) + 1 + len(_text(_MARK)) + 3
        rests.append(encode(record)[before:-2])
    return cards, rests


def _zipf(draw: np.random.Generator, number: int, count: int) -> Any:
    """Numbers below ``number``; the n-th is drawn in proportion to 1 / (n + 1)."""
    weights = 1 / np.arange(1, number + 1)
    return np.searchsorted(np.cumsum(weights / weights.sum()), draw.random(count)).clip(0, number - 1)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return avro_long(len(encoded)) + encoded
