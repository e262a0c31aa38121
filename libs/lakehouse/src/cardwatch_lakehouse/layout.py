"""How the rows of each table are sorted in its files for typical queries, and the column that says how old they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cardwatch_lakehouse.tables import (
    BRONZE_ALERT_EVENTS,
    BRONZE_LATE,
    BRONZE_QUARANTINE,
    BRONZE_RULE_CHANGES,
    BRONZE_TRANSACTIONS,
    GOLD_ALERT_LABELS,
    GOLD_ALERTS,
    GOLD_CARD_DAYS,
    GOLD_CARD_PROFILE,
    GOLD_PIPELINE_MINUTES,
    GOLD_VELOCITY_5M,
    SILVER_TRANSACTIONS,
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of one table.

    Attributes:
        order: the column by which the rows of a partition are sorted when it is no longer written to; if empty, small
            files are merged without sorting.
        time: the column that says how old a row is, a DATE or TIMESTAMP; empty if rows are kept forever.
    """

    order: tuple[str, ...] = ()
    time: str = ""


# Queries of silver are for a card. While a day is being written, its files stay in order of time: the writer looks for
# repeated transactions in the files of the last hours only.
_LAYOUTS: Final[Mapping[str, Layout]] = {
    BRONZE_TRANSACTIONS.name: Layout(time="ingest_date"),
    BRONZE_LATE.name: Layout(time="broker_time"),
    # The time of arrival here: the broker's time of a message that another service refused may be unknown.
    BRONZE_QUARANTINE.name: Layout(time="quarantined_at"),
    BRONZE_ALERT_EVENTS.name: Layout(time="broker_time"),
    BRONZE_RULE_CHANGES.name: Layout(),  # the audit trail: its rows are kept forever
    SILVER_TRANSACTIONS.name: Layout(order=("card_token",), time="event_date"),
    GOLD_ALERTS.name: Layout(time="event_time"),
    GOLD_ALERT_LABELS.name: Layout(time="labelled_at"),
    GOLD_CARD_DAYS.name: Layout(time="day"),
    GOLD_CARD_PROFILE.name: Layout(time="valid_on"),
    GOLD_VELOCITY_5M.name: Layout(time="window_date"),
    GOLD_PIPELINE_MINUTES.name: Layout(time="minute_date"),
}
_PLAIN: Final = Layout()


def layout_of(name: str) -> Layout:
    """The layout of a table; for an unknown table: no sorting, and rows that are kept forever."""
    return _LAYOUTS.get(name, _PLAIN)
