"""Which of Snowflake's errors are transient. No I/O."""

from typing import Final

from snowflake.connector import errors

# Classes of SQLSTATE: connection, transaction rolled back, resources, operator intervention, internal error.
_PASSING_STATES: Final = ("08", "40", "53", "57", "58", "XX")
# Reported as programming errors, although trying again helps.
_PASSING_NUMBERS: Final = frozenset(
    {
        603,  # internal error
        604,  # statement cancelled
        625,  # lock not released in time
        630,  # statement timed out
        90073,  # warehouse is being resumed
        90091,  # transaction aborted
        390111,  # session is gone
        390112,  # session expired
        390114,  # token expired
    }
)
# Somebody has to fix these, whichever class they have.
_LASTING_NUMBERS: Final = frozenset(
    {
        251005,  # no user
        251006,  # no password
        390100,  # wrong user or password
        390144,  # the key pair's token is not valid
        390189,  # the role is not granted
        390201,  # the account or object does not exist, or access is not allowed
    }
)
# A login that got no answer. A refused login carries Snowflake's own number or, in the connector before version 5, its
# text.
_LOGIN_FAILED: Final = 250001
_REFUSED: Final = ("incorrect username or password", "token is invalid")


def is_transient(error: errors.Error) -> bool:
    """Whether the same may succeed in a moment.

    By number where the class misleads, else by class: the connector raises ProgrammingError for what is wrong with a
    statement, a bare DatabaseError for a login, OperationalError for what the network or the service did.
    """
    number = error.errno if isinstance(error.errno, int) else -1
    if number == _LOGIN_FAILED:
        return not any(words in str(error).lower() for words in _REFUSED)
    if number in _PASSING_NUMBERS:
        return True
    if number in _LASTING_NUMBERS or type(error) is errors.DatabaseError:
        return False
    if (error.sqlstate or "").startswith(_PASSING_STATES):
        return True
    return isinstance(error, errors.OperationalError | errors.InterfaceError | errors.InternalError)
