"""What is asked of a source of transactions, be it the silver table or a file.

A source gives one lazy frame: a row a ``transaction_id``; ``event_time`` in integer microseconds; the fields that the
rules use and their scopes' keys; ``is_fraud`` where there are labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from cardwatch_rules.backtest.alerts import IS_FRAUD
from cardwatch_rules.backtest.period import Period
from cardwatch_rules.backtest.run import fields_read, history_us
from cardwatch_rules.model import Rule

# Without which nothing can be tested.
IDENTITY: Final = ("transaction_id", "event_time")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a source.

    Attributes:
        rules: whose fields and keys are read.
        period: read from the rules' history before it on.
        fraud: ids of the transactions labelled as fraud; None where a source's own labels count, if it has any.
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
        """With ``is_fraud`` by ``fraud``, where that is given."""
        if self.fraud is None:
            return transactions
        return transactions.with_columns(pl.col("transaction_id").is_in(self.fraud.implode()).alias(IS_FRAUD))


def first_line(error: Exception) -> str:
    """What an error of a library says, as far as a sentence can take it."""
    return str(error).strip().split("\n", 1)[0]
