"""Building blocks of PromQL. A window is a duration (``5m``) or one of Grafana's variables."""

from typing import Final

from cardwatch_contracts.topics import Topic

RATE_WINDOW: Final = "$__rate_interval"
"""At least four scrapes, and as wide as a point of the graph."""
SHOWN: Final = "$__range"
"""The time that the dashboard shows."""


def select(metric: str, *matchers: str, job: str = "") -> str:
    """``metric{job="…", matchers…}``."""
    inside = ", ".join((*([f'job="{job}"'] if job else []), *matchers))
    return f"{metric}{{{inside}}}" if inside else metric


def of_topic(*topics: Topic) -> str:
    """A matcher for topics with any deployment's prefix."""
    names = "|".join(topic.base_name.replace(".", "[.]") for topic in topics)
    return f'topic=~"(.*[.])?({names})"'


def rate(series: str, by: str = "", window: str = RATE_WINDOW) -> str:
    """The increase of a counter per second, summed by labels."""
    return f"sum{_by(by)}(rate({series}[{window}]))"


def increase(series: str, by: str = "", window: str = SHOWN) -> str:
    """The increase of a counter in a window, summed by labels."""
    return f"sum{_by(by)}(increase({series}[{window}]))"


def quantile(share: float, histogram: str, *matchers: str, job: str = "", by: str = "") -> str:
    """The value that this share of a histogram's observations does not exceed; empty if there are none."""
    labels = f"le, {by}" if by else "le"
    buckets = select(f"{histogram}_bucket", *matchers, job=job)
    return f"histogram_quantile({share}, sum by ({labels}) (rate({buckets}[{RATE_WINDOW}])))"


def or_zero_while_up(expression: str, job: str, by: str = "") -> str:
    """The expression, or 0 while the service is up and has no such series: a counter begins with its first event."""
    return f'{expression} or 0 * max{_by(by)}(up{{job="{job}"}} == 1)'


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else " "
