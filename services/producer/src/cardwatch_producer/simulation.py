"""The simulation: one message after another, with the time at which each is to be sent. A pure iterator, no I/O.

The schedule consists of slots, ``rate`` per second, each with one transaction: a fraudulent one where one is due,
otherwise an ordinary one. A transaction happens at its slot's time. Some are sent late: they happened at their slot's
time and are sent up to ``max_late_seconds`` after, in the slots' order otherwise. Everything is drawn from generators
seeded by ``seed``, one for each purpose, so that for example another share of late messages leaves the transactions
as they are.
"""

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final
from uuid import uuid5

from cardwatch_contracts.identity import NAMESPACE
from cardwatch_service.token_settings import DEVELOPMENT_KEY_ID
from cardwatch_units.timestamps import MICROSECONDS_PER_DAY, MICROSECONDS_PER_SECOND

from cardwatch_producer.defects import Defect, Format, defects_of
from cardwatch_producer.fraud import Fraudsters, Planned
from cardwatch_producer.payments import OrdinaryTraffic
from cardwatch_producer.population import FEWEST_CARDS, FEWEST_MERCHANTS, Population

_DUPLICATE_WITHIN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """What is simulated.

    Attributes:
        rate: transactions per second, duplicates not counted.
        seed: of all random numbers.
        start_us: event time of the start, microseconds since 1970-01-01 UTC.
        duration_seconds: infinity for a simulation without end.
        max_messages: stop after this many messages, duplicates counted; None for no limit.
        fraud_fraction: share of transactions that are fraud, as far as whole episodes allow.
        late_fraction, max_late_seconds: share of transactions that are sent late, and by how much at most.
        duplicate_fraction: share of transactions of which the same message is sent again within 5 s.
        invalid_fraction: share of messages that are made invalid on purpose, each in one of the ways of ``defects``.
        json_fraction: share of transactions that are sent as JSON.
    """

    rate: float
    seed: int
    start_us: int
    duration_seconds: float = math.inf
    max_messages: int | None = None
    fraud_fraction: float = 0.02
    late_fraction: float = 0.0
    max_late_seconds: float = 60.0
    duplicate_fraction: float = 0.0
    invalid_fraction: float = 0.0
    json_fraction: float = 0.0
    token_key_id: str = DEVELOPMENT_KEY_ID

    def cards_needed(self) -> int:
        """How many cards are needed so that no holder pays twice in a short time."""
        return int(min(2_000_000, max(50_000, 4 * self.rate * min(self.duration_seconds, 240.0))))

    def merchants_needed(self) -> int:
        """How many merchants keep each one's traffic ordinary (about one payment a minute and a half)."""
        return int(min(200_000, max(20_000, 100 * self.rate)))


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        send_at: seconds after the start.
        record: the transaction as in schemas/transaction.avsc.
        card_number: the PAN, which a JSON message holds in place of the token.
        format: how it is sent.
        label: record of schemas/transaction_label.avsc that goes with it, if there is something to say.
        episode: number and scenario of the fraud episode, for fraud.
        defect: how the message is made invalid, None for a valid one.
    """

    send_at: float
    record: dict[str, Any]
    card_number: str
    format: Format = "avro"
    label: dict[str, Any] | None = None
    episode: str | None = None
    defect: Defect | None = None
    late: bool = False
    duplicate: bool = False


def simulate(config: SimulationConfig, population: Population) -> Iterator[Message]:
    """The messages in the order in which they are to be sent."""
    messages = _in_sending_order(config, _transactions(config, population))
    if config.max_messages is None:
        yield from messages
        return
    for _, message in zip(range(config.max_messages), messages, strict=False):
        yield message


def make_population(
    config: SimulationConfig, token_key: bytes, cards: int | None = None, merchants: int | None = None
) -> Population:
    """The population of a simulation; without numbers, one that is large enough for its rate and duration."""
    return Population(
        seed=config.seed,
        cards=max(FEWEST_CARDS, config.cards_needed() if cards is None else cards),
        merchants=max(FEWEST_MERCHANTS, config.merchants_needed() if merchants is None else merchants),
        token_key=token_key,
    )


def _random(config: SimulationConfig, purpose: str) -> Random:
    return Random(f"{config.seed}/{purpose}")  # noqa: S311 (reproducible, and no secret)


def _ends_at(config: SimulationConfig) -> float:
    if config.max_messages is None:
        return config.duration_seconds
    # Duplicates take their share of max_messages; with them the slots last that long.
    return min(config.duration_seconds, config.max_messages / (config.rate * (1 + config.duplicate_fraction)))


def _transactions(config: SimulationConfig, population: Population) -> Iterator[Message]:
    """One message per slot, in the order in which the transactions happen."""
    clock = _random(config, "clock")
    traffic = OrdinaryTraffic(population, _random(config, "ordinary"))
    ends_at = _ends_at(config)
    fraudsters = Fraudsters(population, traffic, _random(config, "fraud"), ends_at=ends_at)
    start_of_day = config.start_us % MICROSECONDS_PER_DAY / MICROSECONDS_PER_SECOND
    due: list[tuple[float, int, str, Planned]] = []
    planned_count = 0
    budget = 0.0
    next_plan_at = 0.0
    slot = 0
    while (slot + 1) / config.rate <= config.duration_seconds * (1 + 1e-12):
        at = (slot + clock.random()) / config.rate
        hour_utc = int((start_of_day + at) // 3600 % 24)
        budget += config.fraud_fraction
        # An episode overdraws the budget; over time the share is as configured.
        if budget > 0 and at >= next_plan_at and config.fraud_fraction > 0:
            episode = fraudsters.plan(at, hour_utc)
            if episode is None:
                next_plan_at = at + 0.5  # none fits, or no card is free: try again later
            else:
                budget -= episode.fraud_count
                for planned in episode.payments:
                    planned_count += 1
                    heapq.heappush(due, (planned.due, planned_count, episode.scenario, planned))
        scenario: str | None = None
        if due and due[0][0] <= at:
            _, _, scenario, planned = heapq.heappop(due)
            payment = planned.payment
            is_fraud = planned.is_fraud
        else:
            payment = traffic.payment(at, hour_utc)
            is_fraud = False
        # 32 digits in a row: with a UUID's hyphens, one in 25,000 would pass for a card number. The start is part of
        # it, or a second run with the same seed would send nothing but duplicates of the first.
        transaction_id = uuid5(NAMESPACE, f"simulation|{config.seed}|{config.start_us}|{slot}").hex
        record = payment.record(
            transaction_id, config.start_us + int(at * MICROSECONDS_PER_SECOND), config.token_key_id
        )
        yield Message(
            send_at=at,
            record=record,
            card_number=payment.card.number,
            label=_label(transaction_id, scenario=scenario) if is_fraud else None,
            episode=scenario,
        )
        slot += 1


def _label(transaction_id: str, *, scenario: str | None = None, refusal: str | None = None) -> dict[str, Any]:
    return {
        "transaction_id": transaction_id,
        "is_fraud": scenario is not None,
        "scenario": scenario,
        "expected_refusal": refusal,
    }


def _in_sending_order(config: SimulationConfig, transactions: Iterator[Message]) -> Iterator[Message]:
    """Choose format, defects, delays and duplicates, and order by the time of sending."""
    defects, delivery, formats = (_random(config, purpose) for purpose in ("defects", "delivery", "formats"))
    ends_at = _ends_at(config)
    waiting: list[tuple[float, int, Message]] = []
    count = 0
    for message in transactions:
        at = message.send_at
        message_format: Format = "json" if formats.random() < config.json_fraction else "avro"
        # All numbers are drawn even where they are not needed, so that changing one share leaves the others' messages
        # alone.
        invalid, late, again = (
            defects.random() < config.invalid_fraction,
            delivery.random() < config.late_fraction,
            delivery.random() < config.duplicate_fraction,
        )
        delay, gap = delivery.random(), delivery.random()
        copies: list[Message] = []
        if invalid and message.episode is None:
            defect = defects.choice(defects_of(message_format))
            label = _label(message.record["transaction_id"], refusal=str(defect.reason))
            copies.append(replace(message, format=message_format, defect=defect, label=label))
        else:
            # Nothing is sent after the end: what happens close to it can only be a little late.
            room = max(0.0, ends_at - at)
            send_at = at + delay * min(config.max_late_seconds, room) if late else at
            copies.append(replace(message, format=message_format, send_at=send_at, late=late))
            if again:
                again_at = send_at + gap * min(_DUPLICATE_WITHIN_SECONDS, max(0.0, ends_at - send_at))
                copies.append(
                    replace(message, format=message_format, send_at=again_at, label=None, episode=None, duplicate=True)
                )
        for copy in copies:
            count += 1
            heapq.heappush(waiting, (copy.send_at, count, copy))
        while waiting and waiting[0][0] <= at:
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]
