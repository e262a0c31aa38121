"""Names of recorded series: those of `deploy/prometheus/rules/lag.yml`, and those that `slo.py` makes.

A test compares them with the rule files.
"""

from typing import Final

TOPIC_END: Final = "cardwatch:topic_end:offset"
"""By ``topic`` and ``partition``: the end offset of a partition, as its readers report it."""
TOPIC_END_RATE: Final = "cardwatch:topic_end:deriv5m"
"""By ``topic``: messages produced per second."""
CONSUMER_LAG: Final = "cardwatch:consumer_lag:messages"
"""By ``job`` and ``topic``: messages that a service has not processed, also while the service itself is dead."""
CONSUMER_LAG_SECONDS: Final = "cardwatch:consumer_lag:seconds"
"""By ``job``: the time in which the messages arrived that it has not processed."""
LAG_IS_BAD: Final = "cardwatch:slo_lag:bad"
"""1 while the lag of a service between a transaction and its alert exceeds the objective."""


def error_ratio(window: str) -> str:
    """By ``slo``: the share of bad events in a window."""
    return f"cardwatch:slo_errors:ratio_rate{window}"
