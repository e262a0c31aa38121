"""What can go wrong between a Delta table and Snowflake.

CardwatchError
├── SourceError          the Delta table cannot be read now
├── HistoryGoneError     the changes since the loaded version can no longer be read
└── WarehouseError       Snowflake refused or did not answer
    └── SupersededError  the recorded progress is not what this process expected: another one wrote it
"""

from cardwatch_contracts.errors import CardwatchError


class SourceError(CardwatchError):
    """A Delta table cannot be read at this moment; a retry may succeed."""


class HistoryGoneError(CardwatchError):
    """The changes since a version can no longer be read; only a load of the whole table helps."""


class WarehouseError(CardwatchError):
    """Snowflake refused a statement, or could not be reached.

    Attributes:
        transient: whether a retry may succeed in a moment (network, lock, internal error of Snowflake).
    """

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


class SupersededError(WarehouseError):
    """Another process recorded progress in between; nothing was written."""

    def __init__(self, table: str) -> None:
        super().__init__(
            f"another process recorded progress of {table} in CARDWATCH_LOADS: another loader works on the same "
            "schema, or a reload was requested; run one loader per schema",
            transient=True,
        )
