"""Random transactions of some keys, in the micro-batches in which they arrive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cardwatch_rules.fields import FIELD_KINDS, SCOPE_KEYS

from support.equivalence.rule_sets import SECOND
from support.random_conditions import ConditionGenerator

DAY: Final = 86_400 * SECOND
# Micro-batches lie around this midnight.
MIDNIGHT: Final = 20_000 * DAY
# Two arrivals of one transaction that differ lie no farther apart; a horizon has to be longer.
MOST_SHIFTED_US: Final = 5 * SECOND

_MILLISECOND: Final = 1_000
# Beyond 64 transactions of a key its timeline is one of pages.
_SIZES: Final = (*[(1, 7)] * 60, *[(3, 15)] * 12, *[(10, 40)] * 2, (40, 110), (80, 240))
_LOCATIONS: Final = (None, None, 0.0, 0.5, 48.1, 48.137, 52.5, -33.9, 90.0, -90.0, 11.6, 13.4)

Transaction = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Arrived:
    """What comes with a micro-batch, and the watermark that it finds; microseconds."""

    watermark: int
    transactions: list[Transaction] = field(default_factory=list)
    profiles: list[Mapping[str, Any]] = field(default_factory=list)
    repeated: bool = False

    @property
    def now(self) -> int:
        """The time of the operator's clock, microseconds."""
        return max(self.watermark, 0) + 7 * SECOND

    def in_time(self) -> list[Transaction]:
        """The transactions that are not late."""
        return [one for one in self.transactions if one["event_time"] >= self.watermark]


History = Sequence[Arrived]


def random_history(chance: ConditionGenerator, name: str, batches: int, lateness_us: int, *, profiled: bool) -> History:
    """A history whose keys and transaction ids begin with a name, so that many can be evaluated together."""
    first, last = chance.choice(_SIZES)
    number = chance.randrange(first, last)
    span = chance.choice([5, 20, 20, 60, 100, 400, 2_000]) * SECOND
    coming: list[tuple[int, Transaction]] = []
    for at in range(number):
        transaction = _transaction(chance, name, at, MIDNIGHT + _time(chance, span) - span // 2, few_keys=number > 40)
        coming.append((_arrival(chance, transaction, lateness_us), transaction))
        if chance.randrange(6) == 0:
            again = _again(chance, transaction)
            coming.append((_arrival(chance, again, lateness_us), again))
    coming.sort(key=lambda pair: pair[0])
    cuts = sorted(chance.randrange(len(coming) + 1) for _ in range(batches - 1))
    history: list[Arrived] = []
    newest, watermark = 0, 0
    for begin, end in zip([0, *cuts], [*cuts, len(coming)], strict=True):
        own: list[Transaction] = [
            {**transaction, "offset": begin + at} for at, (_, transaction) in enumerate(coming[begin:end])
        ]
        profiles = _profiles(chance, name) if profiled else []
        history.append(Arrived(watermark, own, profiles, repeated=chance.randrange(5) == 0))
        newest = max([newest, *(one["event_time"] for one in own)])
        watermark = max(watermark, (newest - lateness_us) // _MILLISECOND * _MILLISECOND)
    return history


def _time(chance: ConditionGenerator, span: int) -> int:
    """Many are equal, and many a window apart, or a microsecond less or more than that."""
    return chance.randrange(span // SECOND + 1) * SECOND + chance.choice([0, 0, 0, 0, 250_000, 1, -1, 999_999])


def _arrival(chance: ConditionGenerator, transaction: Transaction, lateness_us: int) -> int:
    delay = lateness_us * chance.choice([3, 1, 1, 1, 1, 1, 1]) if chance.randrange(4) else SECOND
    return int(transaction["event_time"]) + chance.randrange(delay + 1)


def _transaction(
    chance: ConditionGenerator, name: str, number: int, event_time: int, *, few_keys: bool
) -> dict[str, Any]:
    fields = chance.fields()
    keys = ["a", "a", "a", "b"] if few_keys else ["a", "a", "b", None]
    for key_field in SCOPE_KEYS.values():
        key = chance.choice(keys)
        fields[key_field] = None if key is None else f"{name}:{key}"
    for axis in ("latitude", "longitude"):
        fields[axis] = chance.choice(_LOCATIONS)
    fields["status"] = chance.choice(["approved", "approved", "declined", None])
    # Ids that sort otherwise by UTF-16 than by code points.
    fields["transaction_id"] = f"{name}:{chance.choice(['', '', 'ﬁ', '𝄞'])}{number}"
    return {**fields, "event_time": event_time, "raw_broker_time": event_time + chance.randrange(1_000)}


def _again(chance: ConditionGenerator, transaction: Transaction) -> Transaction:
    """A second arrival: mostly the same, which its producer owes; else another time, or other fields."""
    changes: dict[str, Any] = {"raw_broker_time": transaction["raw_broker_time"] + chance.randrange(3)}
    match chance.randrange(6):
        case 0:
            shift = chance.randrange(-MOST_SHIFTED_US, MOST_SHIFTED_US + 1)
            changes["event_time"] = transaction["event_time"] + shift
        case 1:
            fixed = {"transaction_id", *SCOPE_KEYS.values()}
            other = chance.choice([field for field in FIELD_KINDS if field not in fixed])
            changes[other] = chance.field(other)
    return {**transaction, **changes}


def _profiles(chance: ConditionGenerator, name: str) -> list[Mapping[str, Any]]:
    """At most one per card and day."""
    return [
        {"key": f"{name}:{card}", "valid_on": MIDNIGHT - day * DAY, "profile": chance.row()["profile"]}
        for card in "ab"
        for day in (0, 1)
        if chance.randrange(4) == 0
    ]
