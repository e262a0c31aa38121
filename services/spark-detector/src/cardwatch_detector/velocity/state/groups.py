"""Which groups of the state a transaction is in. The only place where this is defined, for Spark and for Python."""

from typing import Any


def group_ends(event_us: Any, into_horizon_us: Any, horizon_us: int) -> tuple[Any, Any]:
    """Where the two groups of a transaction end, in microseconds: plain numbers, or Spark's columns.

    Args:
        event_us: the transaction's event time, microseconds.
        into_horizon_us: the event time modulo the horizon, never negative. Python's ``%`` and Spark's ``pmod`` give it.
        horizon_us: how far back windows can reach.

    Returns:
        The end of the group in which it is evaluated, and that of the group in which it is history. Once the watermark
        has come to a group's end, the group is gone.
    """
    evaluated_until = event_us - into_horizon_us + horizon_us
    return evaluated_until, evaluated_until + horizon_us
