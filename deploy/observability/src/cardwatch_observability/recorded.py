"""Names of recorded series: those of `deploy/prometheus/rules/lag.yml`, and those that `slo.py` makes.

A test compares them with the rule files.
"""

from typing import Final

TOPIC_END: Final = "cardwatch:topic_end:offset"
"""By ``topic`` and ``partition``: where a partition ends, as whoever reads it knows."""
TOPIC_END_RATE: Final = "cardwatch:topic_end:deriv5m"
"""By ``topic``: messages a second that come to it."""
CONSUMER_LAG: Final = "cardwatch:consumer_lag:messages"
"""By ``job`` and ``topic``: what a service has still before it, also while the service itself is dead."""
CONSUMER_LAG_SECONDS: Final = "cardwatch:consumer_lag:seconds"
"""By ``job``: how long what it has before it took to come."""
LAG_IS_BAD: Final = "cardwatch:slo_lag:bad"
"""1 while something on the way of an alert is further behind than the objective says."""


def error_ratio(window: str) -> str:
    """By ``slo``: the share that was bad in a window."""
    return f"cardwatch:slo_errors:ratio_rate{window}"
