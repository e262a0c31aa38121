"""Measures such as ``count(distinct country)``: parsed, the kind of value that they have, and the values it can be."""

import re
from math import inf
from typing import Final

from cardwatch_rules.contradictions import Domain
from cardwatch_rules.fields import FIELD_KINDS, NUMBER_RANGES, TEXT_VALUES
from cardwatch_rules.model import OF_TRANSACTIONS, Aggregate, Measure
from cardwatch_rules.rule_text import RuleMistakeError
from cardwatch_rules.type_check import Kind

_MEASURE: Final = re.compile(
    r"(?P<function>[a-z_]+)\s*\(\s*(?P<distinct>distinct\s+)?(?P<argument>\*|[a-z_]*)\s*\)", re.I
)
_NUMERIC: Final = sorted(name for name, kind in FIELD_KINDS.items() if kind in {Kind.INTEGER, Kind.DOUBLE})
# Sums of doubles depend on the order of the addition, so aggregates that sum take integers only.
_INTEGER: Final = sorted(name for name, kind in FIELD_KINDS.items() if kind is Kind.INTEGER)
_FIELDS_OF: Final = {
    Aggregate.SUM: _INTEGER,
    Aggregate.MEAN: _INTEGER,
    Aggregate.STDDEV: _INTEGER,
    Aggregate.RATIO_TO_MEAN: _INTEGER,
    Aggregate.MIN: _NUMERIC,
    Aggregate.MAX: _NUMERIC,
}
_SPELLINGS: Final = ", ".join(
    f"{kind.value}(*)" if kind in OF_TRANSACTIONS else f"{kind.value}(FIELD)"
    for kind in Aggregate
    if kind is not Aggregate.COUNT_DISTINCT
).replace("count(*)", "count(*), count(distinct FIELD)")


def parse_aggregate(place: tuple[str, ...], text: str) -> tuple[Aggregate, str | None]:
    """The aggregate of a measure, and the field that it aggregates; None if it looks at whole transactions.

    Args:
        place: where the measure is within its rule, for errors.
        text: such as ``count(distinct country)``.

    Raises:
        RuleMistakeError: there is no such aggregate, or it does not take this field.
    """
    match = _MEASURE.fullmatch(text.strip())
    function = match["function"].lower() if match else ""
    if match is None or function not in set(Aggregate):
        raise RuleMistakeError(place, f"expected one of {_SPELLINGS}, got `{text}`")
    argument, distinct = match["argument"].lower(), bool(match["distinct"])
    if distinct and function != "count":
        raise RuleMistakeError(place, "only count takes `distinct`")
    aggregate = Aggregate.COUNT_DISTINCT if distinct else Aggregate(function)
    if aggregate in OF_TRANSACTIONS:
        if argument not in {"*", ""}:
            hint = f"; did you mean count(distinct {argument})?" if aggregate is Aggregate.COUNT else ""
            raise RuleMistakeError(place, f"expected {function}(*), got `{text}`{hint}")
        return aggregate, None
    allowed = _FIELDS_OF.get(aggregate, sorted(FIELD_KINDS))
    if argument not in allowed:
        what = "there is no field" if argument not in FIELD_KINDS else f"{function} cannot take"
        raise RuleMistakeError(place, f"{what} `{argument or '(nothing)'}`; expected one of {', '.join(allowed)}")
    return aggregate, argument


def measure_kind(measure: Measure) -> Kind:
    """The kind of value that a measure has in a condition."""
    match measure.aggregate:
        case Aggregate.COUNT | Aggregate.COUNT_DISTINCT | Aggregate.DECLINES | Aggregate.SUM:
            return Kind.INTEGER
        case Aggregate.MIN | Aggregate.MAX | Aggregate.FIRST | Aggregate.LAST | Aggregate.PREVIOUS:
            return FIELD_KINDS[measure.field or ""]
        case _:
            return Kind.DOUBLE


def measure_domain(measure: Measure) -> Domain:
    """The values that a measure can have."""
    kind = measure_kind(measure)
    match measure.aggregate:
        case Aggregate.COUNT | Aggregate.DECLINES | Aggregate.COUNT_DISTINCT:
            # Without a condition, the transaction itself is always counted.
            itself = measure.aggregate is Aggregate.COUNT and measure.where is None
            return Domain(kind, low=1 if itself else 0)
        case Aggregate.MIN | Aggregate.MAX | Aggregate.FIRST | Aggregate.LAST | Aggregate.PREVIOUS | Aggregate.MEAN:
            low, high = NUMBER_RANGES.get(measure.field or "", (-inf, inf))
            return Domain(kind, low, high, TEXT_VALUES.get(measure.field or ""))
        case Aggregate.SUM | Aggregate.RATIO_TO_MEAN:
            return Domain(kind, low=0 if NUMBER_RANGES.get(measure.field or "", (-1, 0))[0] >= 0 else -inf)
        case _:
            return Domain(kind, low=0)
