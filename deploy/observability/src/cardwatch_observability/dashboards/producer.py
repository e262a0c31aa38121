"""The dashboard of the producer."""

from typing import Any

from cardwatch_service.metrics import PUBLISHED_TOTAL

from cardwatch_observability.catalogue import PRODUCER
from cardwatch_observability.dashboards.frame import Row, make, process_row
from cardwatch_observability.panels import NUMBER, PER_SECOND, Query, figure, graph
from cardwatch_observability.promql import increase, rate, select


def producer() -> Any:
    """Messages that the producer sends."""
    return make(
        "cardwatch-producer",
        "Producer",
        "What the simulator or a replay sends. Other producers have no metrics here: see the enricher's dashboard.",
        [_sent_row(), process_row(PRODUCER)],
    )


def _sent_row() -> Row:
    published = select(PUBLISHED_TOTAL, job=PRODUCER)
    return Row(
        "Sent",
        [
            figure("Messages", "Acknowledged by the broker.", PER_SECOND, Query(rate(published))),
            figure("Messages, in the time shown", "Acknowledged by the broker.", NUMBER, Query(increase(published))),
            graph(
                "Acknowledged by topic",
                "Falls to 0 while the broker does not answer: messages wait, and none is lost.",
                PER_SECOND,
                Query(rate(published, by="topic"), "{{topic}}"),
            ),
        ],
    )
