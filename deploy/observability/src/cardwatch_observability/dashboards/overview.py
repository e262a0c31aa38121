"""The dashboard with an overview of the pipeline."""

from typing import Any

from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_JSON, TRANSACTIONS_RAW, TRANSACTIONS_SILVER
from cardwatch_detector.velocity.metrics import ALERTS_TOTAL
from cardwatch_notifier.metrics import DELIVERIES_TOTAL
from cardwatch_service.metrics import (
    CONSUMED_TOTAL,
    ERRORS_TOTAL,
    LATENCY_SECONDS,
    PUBLISHED_TOTAL,
    REFUSED_TOTAL,
)

from cardwatch_observability.catalogue import DETECTOR, ENRICHER, JOBS, LAKEHOUSE, NOTIFIER
from cardwatch_observability.dashboards.frame import Row, make
from cardwatch_observability.dashboards.latency import latency_queries
from cardwatch_observability.panels import NUMBER, PER_SECOND, SECONDS, SHARE, AnyPanel, Limits, Query, figure, graph
from cardwatch_observability.promql import of_topic, or_zero_while_up, quantile, rate, select
from cardwatch_observability.recorded import CONSUMER_LAG_SECONDS
from cardwatch_observability.slo import DELIVERED, MAX_LATENCY_SECONDS

_SILVER = rate(select(PUBLISHED_TOTAL, of_topic(TRANSACTIONS_SILVER), job=ENRICHER))
_RAISED = select(ALERTS_TOTAL, 'status="raised"', 'mode="live"', job=DETECTOR)


def overview() -> Any:
    """Transactions, alerts, latency and refusals."""
    return make(
        "cardwatch-overview",
        "Overview",
        "Transactions, alerts, latency and refusals at a glance.",
        [_now_row(), Row("The pipeline", [*_flow_graphs(), *_problem_graphs()])],
    )


def _now_row() -> Row:
    consumed = rate(select(CONSUMED_TOTAL, job=ENRICHER))
    refused = or_zero_while_up(rate(select(REFUSED_TOTAL, job=ENRICHER)), ENRICHER)
    return Row(
        "Now",
        [
            figure("Transactions", "Written to silver by the enricher.", PER_SECOND, Query(_SILVER)),
            figure(
                "Alerts raised, per minute",
                "By live rules.",
                NUMBER,
                Query(f"60 * ({or_zero_while_up(rate(_RAISED), DETECTOR)})"),
            ),
            figure(
                "Latency, p99",
                "From the broker's time of the raw transaction to the delivery of its alert.",
                SECONDS,
                Query(quantile(0.99, LATENCY_SECONDS, *DELIVERED, job=NOTIFIER)),
                limits=Limits(MAX_LATENCY_SECONDS, 5),
            ),
            figure(
                "Refused",
                "Share of the messages that the enricher refused.",
                SHARE,
                Query(f"({refused}) / ({consumed} > 0)"),
                limits=Limits(0.02, 0.05),
            ),
            figure(
                "Largest lag",
                "Of the services between a transaction and its alert.",
                SECONDS,
                Query(f'max({CONSUMER_LAG_SECONDS}{{job!="{LAKEHOUSE}"}})'),
                limits=Limits(10, 60),
            ),
            figure(
                "Alerts of Prometheus",
                "Alert rules that fire now.",
                NUMBER,
                Query('count(ALERTS{alertname=~"Cardwatch.*", alertstate="firing"}) or vector(0)'),
                limits=Limits(1, 3),
            ),
        ],
    )


def _flow_graphs() -> list[AnyPanel]:
    delivered = select(DELIVERIES_TOTAL, 'outcome="delivered"', job=NOTIFIER)
    return [
        graph(
            "Messages by stage",
            "Raw and JSON as the enricher consumes them, silver as it publishes it, alert events of the detector, "
            "deliveries. Silver below raw: refusals, or the enricher lags.",
            PER_SECOND,
            Query(
                rate(select(CONSUMED_TOTAL, of_topic(TRANSACTIONS_RAW, TRANSACTIONS_JSON), job=ENRICHER)),
                "raw and JSON",
            ),
            Query(_SILVER, "silver"),
            Query(rate(select(PUBLISHED_TOTAL, of_topic(ALERTS), job=DETECTOR)), "alert events"),
            Query(or_zero_while_up(rate(delivered), NOTIFIER), "delivered"),
            logarithmic=True,
        ),
        graph(
            "Latency to delivery",
            "From the broker's time of the raw transaction to the delivery of its alert.",
            SECONDS,
            *latency_queries(*DELIVERED, job=NOTIFIER),
            limits=Limits(MAX_LATENCY_SECONDS, 5),
        ),
        graph(
            "Alerts raised by rule, per minute",
            "By live rules.",
            NUMBER,
            Query(f"60 * {rate(_RAISED, by='rule')}", "{{rule}}"),
            stacked=True,
        ),
    ]


def _problem_graphs() -> list[AnyPanel]:
    all_jobs = "|".join(JOBS)
    return [
        graph(
            "Refused by reason",
            "By every service: the enricher writes refused messages to the dead-letter topic, the lakehouse to its "
            "quarantine.",
            PER_SECOND,
            Query(or_zero_while_up(rate(REFUSED_TOTAL, by="job, reason"), ENRICHER), "{{job}} {{reason}}"),
            stacked=True,
        ),
        graph(
            "Lag by service",
            "The time in which the messages arrived that a service has not processed yet.",
            SECONDS,
            Query(f"max by (job) ({CONSUMER_LAG_SECONDS})", "{{job}}"),
            limits=Limits(10, 60),
        ),
        graph(
            "Failures survived, by service",
            "Retries, reconnects, restarted queries.",
            PER_SECOND,
            Query(f'{rate(ERRORS_TOTAL, by="job")} or 0 * max by (job) (up{{job=~"{all_jobs}"}})', "{{job}}"),
        ),
    ]
