"""Profiles, `profile.*` in the rule language: one row per card and UTC day, in SQL from their definition.

A profile of day D is over the days that ended at D − 1 00:00, which are numbered here from 1970-01-01:

    N = 30   D−32  D−31  D−30   …   D−3   D−2  D−1   D
                   [────────────────────────]        t is somewhere in D; in: the days D−31 to D−2, N of them
"""

from typing import Final

import duckdb
import pyarrow as pa

from cardwatch_oracle.duckdb_conditions import profile_column, profile_fields
from cardwatch_oracle.errors import OracleError
from cardwatch_oracle.rule_file import Rule
from cardwatch_oracle.transactions import columns_of, first_line, with_integer_time

# Fields of a profile, and their types in DuckDB; amounts are in minor units of the base currency. The same list is in
# cardwatch_lakehouse.tables and cardwatch_rules.fields; it is repeated here on purpose (see the package's docstring).
FIELDS: Final = {
    "transactions_30d": "BIGINT",
    "mean_amount_minor_30d": "DOUBLE",
    "stddev_amount_minor_30d": "DOUBLE",
    "transactions_90d": "BIGINT",
    "mean_amount_minor_90d": "DOUBLE",
    "stddev_amount_minor_90d": "DOUBLE",
    "max_amount_minor_90d": "BIGINT",
    "active_days_90d": "BIGINT",
    "countries_90d": "VARCHAR[]",
    "hours_90d": "INTEGER[]",
}
SOURCES: Final = ("card_token", "status", "transaction_type", "base_amount_minor", "country")

_KEY: Final = ("card_token", "valid_on")
_US_PER_DAY: Final = 86_400_000_000
_PERIODS_DAYS: Final = (30, 90)


def check_use(rule: Rule) -> None:
    """Raises OracleError if a rule uses profiles where rules cannot have them, or a field that profiles do not have."""
    for measure in rule.measures:
        if measure.where and profile_fields(measure.where):
            raise OracleError(f"rule {rule.rule_id}, measure {measure.name}: profiles are for `when`, not for `where`")
    used = profile_fields(rule.when)
    if used and rule.scope != "card":
        raise OracleError(f"rule {rule.rule_id} uses profiles, which only rules of the scope card have")
    for field in sorted(used - FIELDS.keys()):
        raise OracleError(f"rule {rule.rule_id} uses profile.{field}, which no profile has")


def join_sql(now: str) -> str:
    """Joins the profile that is valid for a row of `now`, if its card has one that day."""
    return (
        f'LEFT JOIN profiles AS "its profile" ON "its profile".{profile_column("card")} = {now}.card_token'
        f' AND "its profile".{profile_column("day")} = {_day_sql(f"{now}.event_time")}'
    )


def compute_profiles(connection: duckdb.DuckDBPyConnection) -> None:
    """Adds the table `profiles`, computed from `transactions`, for each card and day on which there is a transaction.

    Raises OracleError if the transactions lack one of SOURCES.
    """
    if absent := [name for name in SOURCES if name not in columns_of(connection)]:
        raise OracleError(f"profiles are computed from {absent[0]}, which the transactions do not have")
    try:
        connection.execute(_profiles_sql())
    except duckdb.Error as error:
        raise OracleError(f"profiles cannot be computed: {first_line(error)}") from error


def take_profiles(connection: duckdb.DuckDBPyConnection, given: pa.Table) -> None:
    """Adds the table `profiles` from one with the fields of card_profile.avsc, computed elsewhere.

    `valid_on` is the first moment of the UTC day, in microseconds since the epoch or as a timestamp. Raises OracleError
    where a column is missing or has another type, where it is another moment, or where two rows of one card and day
    differ: which of them the detector used is unknown.
    """
    if absent := [name for name in (*_KEY, *FIELDS) if name not in given.column_names]:
        raise OracleError(f"the profiles have no column {absent[0]}, only {', '.join(given.column_names)}")
    fields = [
        f"{_listed(f'{field}::{kind}') if kind.endswith('[]') else f'{field}::{kind}'} AS {profile_column(field)}"
        for field, kind in FIELDS.items()
    ]
    connection.register("given", with_integer_time(given, "valid_on"))
    try:
        # Another moment is an error: the join on days would hide it.
        wrong = connection.execute(
            f"SELECT 1 FROM given WHERE card_token IS NULL OR valid_on IS NULL OR valid_on % {_US_PER_DAY} <> 0"  # noqa: S608
        ).fetchall()
        connection.execute(
            f"CREATE TABLE profiles AS SELECT DISTINCT card_token AS {profile_column('card')}, "  # noqa: S608
            f"{_day_sql('valid_on')} AS {profile_column('day')}, {', '.join(fields)} FROM given"
        )
        contradictory = connection.execute(
            f"SELECT {profile_column('card')} FROM profiles "  # noqa: S608
            f"GROUP BY 1, {profile_column('day')} HAVING count(*) > 1 ORDER BY 1 LIMIT 3"
        ).fetchall()
    except duckdb.Error as error:
        raise OracleError(f"the profiles cannot be used: {first_line(error)}") from error
    finally:
        connection.unregister("given")
    if wrong:
        raise OracleError("every profile needs a card_token and a valid_on at 00:00 UTC, some have none")
    if contradictory:
        cards = ", ".join(str(row[0]) for row in contradictory)
        raise OracleError(f"profiles of one card and day must be equal, those of {cards} differ")


def _profiles_sql() -> str:
    """Counted transactions are added up by card and day first: a frame of days is far smaller than one of transactions.

    Days without a counted transaction stay, for they need a profile too. `sum / count`, as measures have it: the
    result of `avg` and `stddev_samp` would depend on the order of addition. Hours are bits until the end, since a frame
    of lists takes as long as all else together.
    """
    means = [
        f"""total_{days}::DOUBLE / n_{days}::DOUBLE AS {profile_column(f"mean_amount_minor_{days}d")},
  CASE WHEN n_{days} >= 2 THEN sqrt((n_{days} * squares_{days} - total_{days} * total_{days})::DOUBLE
    / (n_{days} * (n_{days} - 1))::DOUBLE) END AS {profile_column(f"stddev_amount_minor_{days}d")},
  n_{days}::BIGINT AS {profile_column(f"transactions_{days}d")}"""
        for days in _PERIODS_DAYS
    ]
    sums = [
        f"coalesce(sum(n) OVER last_{days}, 0)::HUGEINT AS n_{days}, sum(total) OVER last_{days} AS total_{days},"
        f" sum(squares) OVER last_{days} AS squares_{days}"
        for days in _PERIODS_DAYS
    ]
    frames = [
        f"last_{days} AS (PARTITION BY card_token ORDER BY day RANGE BETWEEN {days + 1} PRECEDING AND 2 PRECEDING)"
        for days in _PERIODS_DAYS
    ]
    return f"""CREATE TABLE profiles AS
WITH counted AS (
  SELECT card_token, {_day_sql("event_time")} AS day, country,
    date_part('hour', make_timestamp(event_time))::INTEGER AS hour,
    base_amount_minor::HUGEINT AS amount,
    coalesce(status = 'approved' AND transaction_type <> 'refund', false) AS counts
  FROM transactions
  WHERE card_token IS NOT NULL
), daily AS (
  SELECT card_token, day,
    count(*) FILTER (WHERE counts) AS n,
    sum(amount) FILTER (WHERE counts) AS total,
    sum(amount * amount) FILTER (WHERE counts) AS squares,
    max(amount) FILTER (WHERE counts) AS largest,
    list(DISTINCT country) FILTER (WHERE counts AND country IS NOT NULL) AS countries,
    bit_or(1::BIGINT << hour) FILTER (WHERE counts) AS hour_bits
  FROM counted
  GROUP BY card_token, day
), framed AS (
  SELECT card_token, day,
    {", ".join(sums)},
    max(largest) OVER last_90 AS largest,
    count(*) FILTER (WHERE n > 0) OVER last_90 AS active_days,
    list(countries) FILTER (WHERE countries IS NOT NULL) OVER last_90 AS countries,
    bit_or(hour_bits) OVER last_90 AS hour_bits
  FROM daily
  WINDOW {", ".join(frames)}
)
SELECT card_token AS {profile_column("card")}, day AS {profile_column("day")},
  {", ".join(means)},
  largest::BIGINT AS {profile_column("max_amount_minor_90d")},
  active_days AS {profile_column("active_days_90d")},
  {_listed("list_sort(list_distinct(flatten(coalesce(countries, []))))")} AS {profile_column("countries_90d")},
  list_filter(range(24), lambda hour: (hour_bits >> hour) & 1 = 1)::INTEGER[] AS {profile_column("hours_90d")}
FROM framed
WHERE n_90 > 0"""  # noqa: S608


def _day_sql(time_us: str) -> str:
    """Number of the UTC day of a moment; not `//`, which rounds towards 1970 from both sides."""
    return f"(make_timestamp({time_us})::DATE - DATE '1970-01-01')"


def _listed(values: str) -> str:
    """A list for `in`: null in an empty list is false in DuckDB, and null in the rule language."""
    return f"(CASE WHEN len({values}) = 0 THEN [NULL] ELSE {values} END)"
