"""Which hits of a rule raise an alert and which are suppressed, in SQL."""


def told_by_sql(hits: str, key: str, suppress_us: int) -> str:
    """The hits with the column `told by`: id of the transaction whose alert each is counted on, null where it raises.

    `hits` is a relation with `key`, transaction_id and event_time; `suppress_us`, S here, is in microseconds.

        hits     ├──┼──┼──┼──┼──┼──┼──┼──┤        gaps below S
        opens    │                                the one before it is S or more away, or there is none
        goes on           ├──┼──┼──┼──┼──┤        the last opening one is S or more away
        slots    ├────┤       ├────┤       ├────┤ first halves of [k·2S, (k+1)·2S)
        repeats               │             │     the first that goes on in each slot
    """
    period_us = 2 * suppress_us
    in_order = f"PARTITION BY {key} ORDER BY event_time, transaction_id"
    until_now = f"{in_order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    # % has the sign of the dividend, and slots also go on before 1970.
    return f"""
SELECT *, CASE WHEN NOT "raises" THEN
    arg_max(transaction_id, "its number") FILTER (WHERE "raises") OVER ({until_now}) END AS "told by"
FROM (
  SELECT *, "opens" OR ("may repeat" AND "its number" = min("its number") OVER (
      PARTITION BY {key}, event_time - "into the period", "may repeat")) AS "raises"
  FROM (
    SELECT *, "last opening" <= event_time - {suppress_us} AND "into the period" < {suppress_us} AS "may repeat"
    FROM (
      SELECT *, max(event_time) FILTER (WHERE "opens") OVER ({until_now}) AS "last opening"
      FROM (
        SELECT *,
          coalesce(lag(event_time) OVER ({in_order}) <= event_time - {suppress_us}, true) AS "opens",
          row_number() OVER ({in_order}) AS "its number",
          (event_time % {period_us} + {period_us}) % {period_us} AS "into the period"
        FROM {hits}
      )
    )
  )
)"""  # noqa: S608
