"""How the rows of each table lie in its files, for the questions asked of it, and by which column rows grow old."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cardwatch_lakehouse.tables import (
    BRONZE_ALERT_EVENTS,
    BRONZE_LATE,
    BRONZE_QUARANTINE,
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
        order: the column by which the rows of a partition are put in order once nobody writes to it any more; empty
            leaves them in the order in which they came, in fewer files.
        time: the column that says how old a row is, a DATE or TIMESTAMP; empty where rows do not grow old.
    """

    order: tuple[str, ...] = ()
    time: str = ""


# What is asked of silver is a card. While a day is being written, its files stay in the order of time: the writer looks
# for repeated transactions in those of the last hours alone.
_LAYOUTS: Final[Mapping[str, Layout]] = {
    BRONZE_TRANSACTIONS.name: Layout(time="ingest_date"),
    BRONZE_LATE.name: Layout(time="broker_time"),
    # By when it came here: the broker's time of a message that another service refused may be unknown.
    BRONZE_QUARANTINE.name: Layout(time="quarantined_at"),
    BRONZE_ALERT_EVENTS.name: Layout(time="broker_time"),
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
    """The layout of a table; of one that is not known here: joined files, and rows that stay."""
    return _LAYOUTS.get(name, _PLAIN)
