"""The dashboard of the notifier."""

from typing import Any

from cardwatch_notifier.metrics import (
    DELIVERIES_TOTAL,
    DELIVERY_LATENCY_SECONDS,
    OLDEST_PENDING_SECONDS,
    OUTBOX_AVAILABLE,
    OUTBOX_MESSAGES,
    RECEIVER_DISABLED,
    TRANSITIONS_TOTAL,
)

from cardwatch_observability.catalogue import NOTIFIER
from cardwatch_observability.dashboards.frame import Row, lag_panels, make, process_row
from cardwatch_observability.panels import NUMBER, PER_SECOND, SECONDS, SHARE, AnyPanel, Limits, Query, figure, graph
from cardwatch_observability.promql import SHOWN, quantile, rate, select


def notifier() -> Any:
    """From alerts to receivers."""
    return make(
        "cardwatch-notifier",
        "Notifier",
        "Alert events in, messages to receivers out, with an outbox between them.",
        [
            Row("Delivery", [*_figures(), *_graphs()]),
            Row("Lag", lag_panels(NOTIFIER)),
            process_row(NOTIFIER),
        ],
    )


def _figures() -> list[AnyPanel]:
    parked = select(OUTBOX_MESSAGES, 'state="failed"', job=NOTIFIER)
    lost = rate(select(DELIVERIES_TOTAL, 'outcome=~"failed|gone"', job=NOTIFIER), window=SHOWN)
    ended = rate(select(DELIVERIES_TOTAL, 'outcome=~"delivered|failed|gone"', job=NOTIFIER), window=SHOWN)
    return [
        figure(
            "Delivered",
            "Share of the messages whose delivery has ended, in the time shown.",
            SHARE,
            Query(f"1 - ({lost} or vector(0)) / ({ended} > 0)"),
            limits=Limits(0.999, 0.99, falling=True),
        ),
        figure(
            "Oldest waiting",
            "Age of the oldest message that still has to be delivered.",
            SECONDS,
            Query(f"max({select(OLDEST_PENDING_SECONDS, job=NOTIFIER)})"),
            limits=Limits(10, 60),
        ),
        figure(
            "Parked",
            "Messages that are no longer retried.",
            NUMBER,
            Query(f"sum(max by (receiver) ({parked}))"),
            limits=Limits(1, 1),
        ),
        figure(
            "Receivers disabled",
            "Those that answered 410 Gone.",
            NUMBER,
            Query(f"sum(max by (receiver) ({select(RECEIVER_DISABLED, job=NOTIFIER)}))"),
            limits=Limits(1, 1),
        ),
        figure(
            "Outbox",
            "1 if every notifier reaches it.",
            NUMBER,
            Query(f"min({select(OUTBOX_AVAILABLE, job=NOTIFIER)})"),
            limits=Limits(1, 1, falling=True),
        ),
    ]


def _graphs() -> list[AnyPanel]:
    return [
        graph(
            "Attempts by outcome",
            "Retried ones are tried again; failed ones are parked.",
            PER_SECOND,
            Query(rate(select(DELIVERIES_TOTAL, job=NOTIFIER), by="receiver, outcome"), "{{receiver}} {{outcome}}"),
        ),
        graph(
            "Latency of delivery, p99",
            "From the alert's publication to its delivery, by receiver.",
            SECONDS,
            Query(quantile(0.99, DELIVERY_LATENCY_SECONDS, job=NOTIFIER, by="receiver"), "{{receiver}}"),
        ),
        graph(
            "Outbox",
            "Messages by receiver: waiting, and parked.",
            NUMBER,
            Query(f"max by (receiver, state) ({select(OUTBOX_MESSAGES, job=NOTIFIER)})", "{{receiver}} {{state}}"),
        ),
        decisions_graph(
            "Alert events by decision, per minute", "Events that were notified, and events that changed nothing."
        ),
    ]


def decisions_graph(title: str, description: str) -> AnyPanel:
    """Alert events per minute by what the notifier decided."""
    return graph(
        title,
        description,
        NUMBER,
        Query(f"60 * {rate(select(TRANSITIONS_TOTAL, job=NOTIFIER), by='verdict')}", "{{verdict}}"),
        stacked=True,
    )
