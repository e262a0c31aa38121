"""Short ways to write down what happened: ``pos("10:00", 25, merchant="cafe")``.

Times are ``"10:00"`` or ``"10:00:30"`` on Tuesday; ``"mon 22:15"`` is the evening before. Amounts are euros. What a
transaction does not say is the same for all of them: one card, one shop, one country.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl
from cardwatch_rules.fields import PROFILE_KINDS, SCOPE_KEYS, polars_schema, profile_name
from cardwatch_rules.polars_types import polars_type
from cardwatch_rules.profiles import ARRIVED, with_profiles

Event = dict[str, Any]
Habit = Mapping[str, Any]

_MONDAY: Final = datetime(2025, 3, 3, tzinfo=UTC)
_DAYS: Final = {"mon": 0, "tue": 1}

# Short names for timelines.
_NAMES: Final = {
    "card": "card_token",
    "bin": "card_bin",
    "issuer": "bin_country",
    "merchant": "merchant_id",
    "group": "merchant_category_group",
    "device": "device_id",
    "ip": "ip_address",
}

_ORDINARY: Final[Event] = {
    "card_token": "card",
    "card_bin": "453201",
    "merchant_id": "shop",
    "merchant_category_code": "5999",
    "merchant_category_group": "retail",
    "country": "DE",
    "bin_country": "DE",
    "currency": "EUR",
    "transaction_type": "purchase",
    "device_id": None,
    "ip_address": None,
}


def moment(text: str) -> datetime:
    """``"10:00"``, ``"10:00:30"``, ``"mon 22:15"``."""
    day, _, clock = text.rpartition(" ")
    hours, minutes, seconds = (*clock.split(":"), "0")[:3]
    return _MONDAY + timedelta(days=_DAYS[day or "tue"], hours=int(hours), minutes=int(minutes), seconds=int(seconds))


def _transaction(
    time: str | datetime, eur: float, *, refused: bool = False, place: tuple[float, float] | None = None, **said: Any
) -> Event:
    when = moment(time) if isinstance(time, str) else time
    cents = round(eur * 100)
    latitude, longitude = place or (None, None)
    return {
        **_ORDINARY,
        "event_time": (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1),
        "hour_of_day": when.hour,
        "day_of_week": when.isoweekday(),
        "amount_minor": cents,
        "base_amount_minor": cents,
        "status": "declined" if refused else "approved",
        "latitude": latitude,
        "longitude": longitude,
        **{_NAMES.get(name, name): value for name, value in said.items()},
    }


def pos(time: str | datetime, eur: float = 20, **said: Any) -> Event:
    """A purchase at a terminal."""
    return _transaction(time, eur, **{"channel": "pos", **said})


def online(time: str | datetime, eur: float = 20, **said: Any) -> Event:
    """A purchase on the internet."""
    return _transaction(time, eur, **{"channel": "ecom", **said})


def phone(time: str | datetime, eur: float = 20, **said: Any) -> Event:
    """A purchase by telephone or letter."""
    return _transaction(time, eur, **{"channel": "moto", **said})


def atm(time: str | datetime, eur: float = 100, **said: Any) -> Event:
    """A withdrawal at a cash machine."""
    ordinary = {"channel": "atm", "transaction_type": "withdrawal", "group": "cash", "merchant": "bank"}
    return _transaction(time, eur, **{**ordinary, **said})


def refund(time: str | datetime, eur: float = 20, **said: Any) -> Event:
    """Money back, at a terminal unless it says otherwise."""
    return _transaction(time, eur, **{"channel": "pos", "transaction_type": "refund", **said})


def row(make: Callable[..., Event], time: str, eur: Any = 20, *, times: int, every: int, **said: Any) -> list[Event]:
    """The same transaction ``times`` times, one ``every`` so many seconds.

    ``{n}`` in a text is the number of the transaction, from 1; a function is called with it.
    """

    def of(value: Any, n: int) -> Any:
        return value.format(n=n) if isinstance(value, str) else value(n) if callable(value) else value

    return [
        make(
            moment(time) + timedelta(seconds=every * (n - 1)),
            of(eur, n),
            **{name: of(value, n) for name, value in said.items()},
        )
        for n in range(1, times + 1)
    ]


@dataclass(frozen=True, slots=True)
class Case:
    """A timeline of transactions, and the one for which a rule holds, if any.

    Attributes:
        alert: id of the transaction that raises the rule's alert, None where none does.
        habit: the profile of every card on Tuesday, None where there is none.
    """

    what: str
    events: tuple[Event, ...]
    alert: str | None
    lists: Mapping[str, frozenset[str]]
    habit: Habit | None = None
    rule_id: str = ""

    @property
    def name(self) -> str:
        """As pytest shows it."""
        return f"{self.rule_id}: {'not ' if self.alert is None else ''}{self.what}"


def habit(**said: Any) -> Habit:
    """A profile, by fields of card_profile.avsc: 60 payments of some 20 EUR in 90 days, by day, at home."""
    ordinary = {
        "transactions_30d": 20,
        "mean_amount_minor_30d": 2000.0,
        "stddev_amount_minor_30d": 1000.0,
        "transactions_90d": 60,
        "mean_amount_minor_90d": 2000.0,
        "stddev_amount_minor_90d": 1000.0,
        "max_amount_minor_90d": 9000,
        "active_days_90d": 40,
        "countries_90d": ["AT", "DE"],
        "hours_90d": [8, 9, 10, 11, 12, 17, 18, 19],
    }
    assert said.keys() <= ordinary.keys()
    return ordinary | said


def fires(
    what: str,
    *story: Event | list[Event],
    after: Sequence[Event] = (),
    habit: Habit | None = None,
    **lists: str,
) -> Case:
    """The last transaction of the story raises an alert; no earlier one, and none of those after it, is a hit.

    What comes after is near enough that only the rule's condition on the transaction itself keeps it from being one.
    ``trusted_merchants="shop"`` puts the shop on a list.
    """
    return _case(what, [*story, *after], lists, habit, alert=len(_flat(story)) - 1)


def quiet(what: str, *story: Event | list[Event], habit: Habit | None = None, **lists: str) -> Case:
    """A near miss: no transaction of the story is a hit."""
    return _case(what, story, lists, habit, alert=None)


def no_part(others: Mapping[str, Event], *story: Event | list[Event], **lists: str) -> list[Case]:
    """Near misses: the timeline lacks one transaction, and none of the others before it counts as that one."""
    return [quiet(f"without counting {what}", other, *story, **lists) for what, other in others.items()]


def of(rule_id: str, *cases: Case) -> list[Case]:
    """The cases of a rule."""
    return [replace(case, rule_id=rule_id) for case in cases]


def _case(
    what: str,
    story: Iterable[Event | list[Event]],
    lists: Mapping[str, str],
    habit: Habit | None,
    *,
    alert: int | None,
) -> Case:
    events = _flat(story)
    times = [event["event_time"] for event in events]
    assert times == sorted(times), f"{what}: the transactions of a timeline must be in order"
    numbered = tuple({"transaction_id": f"t{number:03}", **event} for number, event in enumerate(events))
    named = {name.replace("_", "-"): frozenset({value}) for name, value in lists.items()}
    return Case(what, numbered, None if alert is None else numbered[alert]["transaction_id"], named, habit)


def _flat(story: Iterable[Event | list[Event]]) -> list[Event]:
    return [event for part in story for event in (part if isinstance(part, list) else [part])]


def frame_of(events: Iterable[Event], scope: str, habit: Habit | None = None) -> pl.DataFrame:
    """The evaluator's input for a scope: keys numbered, transactions without a key left out.

    Args:
        habit: the profile of each card on Tuesday.
    """
    key = SCOPE_KEYS[scope]
    kept = [event for event in events if event[key] is not None]
    keys = {value: number for number, value in enumerate(sorted({event[key] for event in kept}))}
    found = pl.DataFrame(kept, schema=polars_schema() | {"event_time": pl.Int64()}).with_columns(
        group=pl.Series([keys[event[key]] for event in kept], dtype=pl.Int64)
    )
    tuesday = (moment("00:00") - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    profiles = pl.DataFrame(
        [
            {
                "group": number,
                "event_time": tuesday,
                ARRIVED: 0,
                **{profile_name(field): value for field, value in (habit or {}).items()},
            }
            for number in keys.values()
            if habit is not None
        ],
        schema={
            **dict.fromkeys(("group", "event_time", ARRIVED), pl.Int64()),
            **{name: polars_type(kind) for name, kind in PROFILE_KINDS.items()},
        },
    )
    return with_profiles(found.sort("group", "event_time", "transaction_id"), profiles)
