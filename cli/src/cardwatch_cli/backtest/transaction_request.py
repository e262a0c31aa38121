"""The transactions that a backtest needs from its source, the silver table or a file.

A source returns one lazy frame with one row per ``transaction_id``: ``event_time`` in integer microseconds, the fields
that the rules use and their scopes' keys, and ``is_fraud`` if there are labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from cardwatch_rules.backtest.alerts import IS_FRAUD
from cardwatch_rules.backtest.period import Period
from cardwatch_rules.backtest.run import fields_read, history_us
from cardwatch_rules.model import Rule

# The columns that every source must have.
IDENTITY: Final = ("transaction_id", "event_time")


@dataclass(frozen=True, slots=True)
class TransactionRequest:
    """The rules and the period to read transactions for.

    Attributes:
        rules: the rules whose fields and keys are read.
        period: the period of the alerts; transactions are read from earlier on, as the rules need history.
        fraud: ids of the transactions labelled as fraud; None to use the source's own labels, if it has any.
    """

    rules: Sequence[Rule]
    period: Period
    fraud: pl.Series | None = None

    @property
    def fields(self) -> list[str]:
        """Rule fields to read, keys included."""
        return sorted(fields_read(self.rules) - set(IDENTITY))

    @property
    def read(self) -> Period:
        """The period with the history that its alerts depend on."""
        return self.period.with_history(history_us(self.rules))

    def labelled(self, transactions: pl.LazyFrame) -> pl.LazyFrame:
        """The transactions, with ``is_fraud`` by ``fraud`` if that is given."""
        if self.fraud is None:
            return transactions
        return transactions.with_columns(pl.col("transaction_id").is_in(self.fraud.implode()).alias(IS_FRAUD))


def first_line(error: Exception) -> str:
    """The first line of a library's error message."""
    return str(error).strip().split("\n", 1)[0]
