"""What can go wrong between a Delta table and Snowflake.

CardwatchError
├── SourceError          the Delta table cannot be read now
├── HistoryGoneError     what changed since the loaded version can no longer be told
└── WarehouseError       Snowflake refused or did not answer
    └── SupersededError  the recorded progress is not what this process believed: another one wrote it
"""

from cardwatch_contracts.errors import CardwatchError


class SourceError(CardwatchError):
    """A Delta table cannot be read at this moment; trying again may do."""


class HistoryGoneError(CardwatchError):
    """The changes since a version cannot be told any more; only a load of the whole table helps."""


class WarehouseError(CardwatchError):
    """Snowflake refused a statement, or could not be reached.

    Attributes:
        transient: whether the same may succeed in a moment (network, lock, internal error of theirs).
    """

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


class SupersededError(WarehouseError):
    """Progress was recorded by somebody else in between; nothing was written."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"somebody else recorded progress of {table} in CARDWATCH_LOADS: another loader works on the same schema, "
            "or a reload was asked for; one loader a schema would be right",
            transient=True,
        )
