"""Each measure of the rule language in SQL, from its definition.

Two kinds. An *aggregate* is one expression of window functions. The others are about one *row*: the first, the last or
the previous of those that the measure looks at. Rows are numbered in the order of (key, event time, transaction id),
and the least or greatest of these places finds the row:

    place      4    5    6    7*            7 is evaluated, 5 does not satisfy `where`
    looked at  x         x    x
               │         └ previous: the greatest place before 7
               └ first: the least place in the window     last: the greatest place in the window, 7 or a tie after it
"""

from typing import Final

from cardwatch_oracle.rule_file import Measure
from cardwatch_oracle.transactions import quoted
from cardwatch_oracle.windows import frame

PLACE: Final = '"its place"'  # no field and no measure has a name with a space
EARTH_RADIUS_KM: Final = 6371.0088

_LEAST_SPEED_TIME_US: Final = 1_000_000
_US_PER_HOUR: Final = 3_600_000_000
_US_PER_SECOND: Final = 1_000_000
_OF_A_ROW: Final = frozenset({"first", "last", "previous", "seconds_since_previous", "distance_km", "speed_kmh"})


def is_of_a_row(measure: Measure) -> bool:
    """Whether `place_sql`, `join_sql` and `row_sql` define it, rather than `aggregate_sql`."""
    return measure.function in _OF_A_ROW


def where_name(measure: Measure) -> str:
    """Column that says whether a transaction satisfies the measure's `where`."""
    return quoted(f"{measure.name} where")


def aggregate_sql(measure: Measure, key: str) -> str:
    """Value of an aggregate over the window of the row, null where the definition says so."""
    field = quoted(measure.fields[0]) if measure.fields else "*"
    over = f"OVER ({frame(key, measure.window_us)})"

    def of(function: str, argument: str, *conditions: str) -> str:
        return f"({function}({argument}){_only(measure, *conditions)} {over})"

    count, total = of("count", field), of("sum", field)
    mean = f"({total}::DOUBLE / {count}::DOUBLE)"  # avg() would round in its own way
    match measure.function:
        case "count":
            return count
        case "count_distinct":
            return of("count", f"DISTINCT {field}")
        case "declines":
            return of("count", "*", "status = 'declined'")
        case "mean":
            return mean
        case "ratio_to_mean":
            return f"{field}::DOUBLE / nullif({mean}, 0)"
        case "stddev":
            squares = of("sum", f"{field}::HUGEINT * {field}::HUGEINT")
            numerator = f"{count}::HUGEINT * {squares} - {total}::HUGEINT * {total}::HUGEINT"
            denominator = f"{count}::HUGEINT * ({count} - 1)"
            return f"CASE WHEN {count} >= 2 THEN sqrt(({numerator})::DOUBLE / ({denominator})::DOUBLE) END"
        case function:  # sum, min, max
            return of(function, field)


def place_name(measure: Measure) -> str:
    """Column with the place of the row that the measure is about, null where there is none."""
    return quoted(f"{measure.name} place")


def place_sql(measure: Measure, key: str) -> str:
    """The place itself; of a previous row also where that is too old for the window, see `join_sql`."""
    seen = _only(measure, *(f"{quoted(field)} IS NOT NULL" for field in measure.fields))
    match measure.function:
        case "first":
            return f"min({PLACE}){seen} OVER ({frame(key, measure.window_us)})"
        case "last":
            return f"max({PLACE}){seen} OVER ({frame(key, measure.window_us)})"
        case _:
            before = f"PARTITION BY {key} ORDER BY {PLACE} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
            return f"max({PLACE}){seen} OVER ({before})"


def join_sql(measure: Measure, rows: str, now: str) -> str:
    """Joins the row at that place of the relation `rows` to the one of `now`, if it lies in the window.

    The last row before this one is the youngest of all, so where that one is too old there is none.
    """
    row = _row(measure)
    return (
        f"LEFT JOIN {rows} AS {row} ON {row}.{PLACE} = {now}.{place_name(measure)}"
        f" AND {row}.event_time > {now}.event_time - {measure.window_us}"
    )


def row_sql(measure: Measure, now: str) -> str:
    """Value from the joined row and the one of `now`."""
    row = _row(measure)
    match measure.function:
        case "seconds_since_previous":
            return f"({now}.event_time - {row}.event_time) / {_US_PER_SECOND}"
        case "distance_km":
            return _distance_sql(row, now)
        case "speed_kmh":
            elapsed_us = f"greatest({now}.event_time - {row}.event_time, {_LEAST_SPEED_TIME_US})"
            return f"{_distance_sql(row, now)} / ({elapsed_us} / {_US_PER_HOUR})"
        case _:
            return f"{row}.{quoted(measure.fields[0])}"


def _row(measure: Measure) -> str:
    return quoted(f"{measure.name} row")


def _only(measure: Measure, *conditions: str) -> str:
    every = [*([where_name(measure)] if measure.where else []), *conditions]
    return f" FILTER (WHERE {' AND '.join(every)})" if every else ""


def _distance_sql(a: str, b: str) -> str:
    """Great-circle distance in kilometres, to the metre; null where either has no location.

    `least` keeps antipodes within asin's domain; as it skips nulls, these are asked for first.
    """
    latitudes, longitudes = ([f"radians({row}.{name}::DOUBLE)" for row in (a, b)] for name in ("latitude", "longitude"))
    haversine = (
        f"sin(({latitudes[1]} - {latitudes[0]}) / 2) ** 2"
        f" + cos({latitudes[0]}) * cos({latitudes[1]}) * sin(({longitudes[1]} - {longitudes[0]}) / 2) ** 2"
    )
    located = " AND ".join(f"{row}.{name} IS NOT NULL" for row in (a, b) for name in ("latitude", "longitude"))
    kilometres = f"{2 * EARTH_RADIUS_KM}e0 * asin(least(1e0, sqrt({haversine})))"
    return f"(CASE WHEN {located} THEN round({kilometres}, 3) END)"
