"""Everything at a glance."""

from typing import Any

from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_JSON, TRANSACTIONS_RAW, TRANSACTIONS_SILVER
from cardwatch_detector.velocity.publishing.alert_publisher import ALERTS_TOTAL
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
from cardwatch_observability.panels import A_SECOND, NUMBER, SECONDS, SHARE, Limits, Query, figure, graph
from cardwatch_observability.promql import of_topic, or_zero_while_up, quantile, rate, select
from cardwatch_observability.recorded import CONSUMER_LAG_SECONDS
from cardwatch_observability.slo import LATENCY_SECONDS_AT_MOST

DELIVERED = ('start="raw_broker_time"', 'end="delivered"')


def overview() -> Any:
    """Transactions, alerts, latency and refusals."""
    silver = rate(select(PUBLISHED_TOTAL, of_topic(TRANSACTIONS_SILVER), job=ENRICHER))
    consumed = rate(select(CONSUMED_TOTAL, job=ENRICHER))
    refused = or_zero_while_up(rate(select(REFUSED_TOTAL, job=ENRICHER)), ENRICHER)
    raised = rate(select(ALERTS_TOTAL, 'status="raised"', 'mode="live"', job=DETECTOR))
    delivered = select(DELIVERIES_TOTAL, 'outcome="delivered"', job=NOTIFIER)
    ours = "|".join(JOBS)
    return make(
        "cardwatch-overview",
        "Overview",
        "Transactions, alerts, latency and refusals at a glance.",
        [
            Row(
                "Now",
                [
                    figure("Transactions", "Put into silver by the enricher.", A_SECOND, Query(silver)),
                    figure(
                        "Alerts raised, a minute",
                        "By live rules.",
                        NUMBER,
                        Query(f"60 * ({or_zero_while_up(raised, DETECTOR)})"),
                    ),
                    figure(
                        "Latency, p99",
                        "From the broker's time of the raw transaction to the delivery of its alert.",
                        SECONDS,
                        Query(quantile(0.99, LATENCY_SECONDS, *DELIVERED, job=NOTIFIER)),
                        limits=Limits(LATENCY_SECONDS_AT_MOST, 5),
                    ),
                    figure(
                        "Refused",
                        "Share of the messages that the enricher refused.",
                        SHARE,
                        Query(f"({refused}) / ({consumed} > 0)"),
                        limits=Limits(0.02, 0.05),
                    ),
                    figure(
                        "Furthest behind",
                        "The service on an alert's way that is furthest behind what it reads.",
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
            ),
            Row(
                "The line",
                [
                    graph(
                        "Messages by stage",
                        "Raw and JSON as the enricher takes them, silver as it puts it out, alert events of the "
                        "detector, deliveries. Silver below raw: refusals, or the enricher is behind.",
                        A_SECOND,
                        Query(
                            rate(select(CONSUMED_TOTAL, of_topic(TRANSACTIONS_RAW, TRANSACTIONS_JSON), job=ENRICHER)),
                            "raw and JSON",
                        ),
                        Query(silver, "silver"),
                        Query(rate(select(PUBLISHED_TOTAL, of_topic(ALERTS), job=DETECTOR)), "alert events"),
                        Query(or_zero_while_up(rate(delivered), NOTIFIER), "delivered"),
                        logarithmic=True,
                    ),
                    graph(
                        "Latency to delivery",
                        "From the broker's time of the raw transaction to the delivery of its alert.",
                        SECONDS,
                        *(
                            Query(quantile(share, LATENCY_SECONDS, *DELIVERED, job=NOTIFIER), f"p{share * 100:g}")
                            for share in (0.5, 0.95, 0.99)
                        ),
                        limits=Limits(LATENCY_SECONDS_AT_MOST, 5),
                    ),
                    graph(
                        "Alerts raised by rule, a minute",
                        "By live rules.",
                        NUMBER,
                        Query(
                            "60 * "
                            + rate(select(ALERTS_TOTAL, 'status="raised"', 'mode="live"', job=DETECTOR), by="rule"),
                            "{{rule}}",
                        ),
                        stacked=True,
                    ),
                    graph(
                        "Refused by reason",
                        "By every service: the enricher writes what it refuses to the dead-letter topic, the "
                        "lakehouse to its quarantine.",
                        A_SECOND,
                        Query(or_zero_while_up(rate(REFUSED_TOTAL, by="job, reason"), ENRICHER), "{{job}} {{reason}}"),
                        stacked=True,
                    ),
                    graph(
                        "Behind, by service",
                        "How long what a service has before it took to come.",
                        SECONDS,
                        Query(f"max by (job) ({CONSUMER_LAG_SECONDS})", "{{job}}"),
                        limits=Limits(10, 60),
                    ),
                    graph(
                        "Failures survived, by service",
                        "Retries, reconnects, restarted queries.",
                        A_SECOND,
                        Query(f'{rate(ERRORS_TOTAL, by="job")} or 0 * max by (job) (up{{job=~"{ours}"}})', "{{job}}"),
                    ),
                ],
            ),
        ],
    )
