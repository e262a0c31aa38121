"""The dashboard of the enricher."""

from typing import Any

from cardwatch_contracts.topics import DEAD_LETTERS, TRANSACTIONS_SILVER
from cardwatch_service.metrics import CONSUMED_TOTAL, PUBLISHED_TOTAL, REFUSED_TOTAL

from cardwatch_observability.catalogue import ENRICHER
from cardwatch_observability.dashboards.frame import Row, lag_panels, make, process_row
from cardwatch_observability.dashboards.latency import latency_queries
from cardwatch_observability.panels import PER_SECOND, SECONDS, SHARE, AnyPanel, Limits, Query, figure, graph
from cardwatch_observability.promql import of_topic, or_zero_while_up, rate, select

_CONSUMED = rate(select(CONSUMED_TOTAL, job=ENRICHER))
_SILVER = rate(select(PUBLISHED_TOTAL, of_topic(TRANSACTIONS_SILVER), job=ENRICHER))
_DEAD_LETTERS = rate(select(PUBLISHED_TOTAL, of_topic(DEAD_LETTERS), job=ENRICHER))
_REFUSED = select(REFUSED_TOTAL, job=ENRICHER)


def enricher() -> Any:
    """From raw to silver."""
    return make(
        "cardwatch-enricher",
        "Enricher",
        "Raw and JSON messages in, silver transactions or dead letters out.",
        [
            Row("Messages", [*_figures(), *_graphs()]),
            Row("Lag", lag_panels(ENRICHER)),
            process_row(ENRICHER),
        ],
    )


def _figures() -> list[AnyPanel]:
    return [
        figure("Consumed", "Raw and JSON messages.", PER_SECOND, Query(_CONSUMED)),
        figure("Silver", "Transactions published.", PER_SECOND, Query(_SILVER)),
        figure(
            "Refused",
            "Share of the consumed messages.",
            SHARE,
            Query(f"({or_zero_while_up(rate(_REFUSED), ENRICHER)}) / ({_CONSUMED} > 0)"),
            limits=Limits(0.02, 0.05),
        ),
    ]


def _graphs() -> list[AnyPanel]:
    return [
        graph(
            "In and out",
            "Consumed messages are silver transactions plus dead letters.",
            PER_SECOND,
            Query(rate(select(CONSUMED_TOTAL, job=ENRICHER), by="topic"), "{{topic}} consumed"),
            Query(_SILVER, "silver"),
            Query(or_zero_while_up(_DEAD_LETTERS, ENRICHER), "dead letters"),
        ),
        graph(
            "Refused by reason",
            "Reason codes of the dead letters.",
            PER_SECOND,
            Query(or_zero_while_up(rate(_REFUSED, by="reason"), ENRICHER), "{{reason}}"),
            stacked=True,
        ),
        graph(
            "Latency",
            "From the broker's time of the raw message to that of its silver message.",
            SECONDS,
            *latency_queries('start="raw_broker_time"', 'end="silver_published"', job=ENRICHER),
        ),
    ]
