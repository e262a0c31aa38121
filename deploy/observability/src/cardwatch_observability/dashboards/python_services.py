"""One dashboard for each service without Spark."""

from typing import Any

from cardwatch_contracts.topics import DEAD_LETTERS, TRANSACTIONS_SILVER
from cardwatch_notifier.metrics import (
    DELIVERIES_TOTAL,
    DELIVERY_LATENCY_SECONDS,
    OLDEST_PENDING_SECONDS,
    OUTBOX_AVAILABLE,
    OUTBOX_MESSAGES,
    RECEIVER_DISABLED,
    TRANSITIONS_TOTAL,
)
from cardwatch_service.metrics import CONSUMED_TOTAL, LATENCY_SECONDS, PUBLISHED_TOTAL, REFUSED_TOTAL
from cardwatch_snowflake.metrics import (
    FAILURES_TOTAL,
    LAST_LOAD_SECONDS,
    LAST_SUCCESS_SECONDS,
    ROWS_TOTAL,
    VERSION_LAG,
)

from cardwatch_observability.catalogue import ENRICHER, LOADER, NOTIFIER, PRODUCER
from cardwatch_observability.dashboards.frame import Row, lag_panels, make, process_row
from cardwatch_observability.panels import A_SECOND, NUMBER, SECONDS, SHARE, Limits, Query, figure, graph
from cardwatch_observability.promql import increase, of_topic, or_zero_while_up, quantile, rate, select


def producer() -> Any:
    """What is sent."""
    published = select(PUBLISHED_TOTAL, job=PRODUCER)
    return make(
        "cardwatch-producer",
        "Producer",
        "What the simulator or a replay sends. A producer of your own has no metrics here: look at the enricher's.",
        [
            Row(
                "Sent",
                [
                    figure("Messages", "Acknowledged by the broker.", A_SECOND, Query(rate(published))),
                    figure(
                        "Messages, in the time shown", "Acknowledged by the broker.", NUMBER, Query(increase(published))
                    ),
                    graph(
                        "Acknowledged by topic",
                        "Falls to 0 while the broker does not answer: messages wait, and none is lost.",
                        A_SECOND,
                        Query(rate(published, by="topic"), "{{topic}}"),
                    ),
                ],
            ),
            process_row(PRODUCER),
        ],
    )


def enricher() -> Any:
    """From raw to silver."""
    consumed = rate(select(CONSUMED_TOTAL, job=ENRICHER))
    silver = rate(select(PUBLISHED_TOTAL, of_topic(TRANSACTIONS_SILVER), job=ENRICHER))
    letters = rate(select(PUBLISHED_TOTAL, of_topic(DEAD_LETTERS), job=ENRICHER))
    refused = select(REFUSED_TOTAL, job=ENRICHER)
    return make(
        "cardwatch-enricher",
        "Enricher",
        "Raw and JSON messages in, silver transactions or dead letters out.",
        [
            Row(
                "Messages",
                [
                    figure("Taken in", "Raw and JSON messages.", A_SECOND, Query(consumed)),
                    figure("Silver", "Transactions put out.", A_SECOND, Query(silver)),
                    figure(
                        "Refused",
                        "Share of the messages taken in.",
                        SHARE,
                        Query(f"({or_zero_while_up(rate(refused), ENRICHER)}) / ({consumed} > 0)"),
                        limits=Limits(0.02, 0.05),
                    ),
                    graph(
                        "In and out",
                        "What is taken in is silver plus dead letters.",
                        A_SECOND,
                        Query(rate(select(CONSUMED_TOTAL, job=ENRICHER), by="topic"), "{{topic}} taken in"),
                        Query(silver, "silver"),
                        Query(or_zero_while_up(letters, ENRICHER), "dead letters"),
                    ),
                    graph(
                        "Refused by reason",
                        "Reason codes of the dead letters.",
                        A_SECOND,
                        Query(or_zero_while_up(rate(refused, by="reason"), ENRICHER), "{{reason}}"),
                        stacked=True,
                    ),
                    graph(
                        "Latency",
                        "From the broker's time of the raw message to its silver one.",
                        SECONDS,
                        *(
                            Query(
                                quantile(
                                    share,
                                    LATENCY_SECONDS,
                                    'start="raw_broker_time"',
                                    'end="silver_published"',
                                    job=ENRICHER,
                                ),
                                f"p{share * 100:g}",
                            )
                            for share in (0.5, 0.95, 0.99)
                        ),
                    ),
                ],
            ),
            Row("Behind", lag_panels(ENRICHER)),
            process_row(ENRICHER),
        ],
    )


def notifier() -> Any:
    """From alerts to receivers."""
    deliveries = select(DELIVERIES_TOTAL, job=NOTIFIER)
    parked = select(OUTBOX_MESSAGES, 'state="failed"', job=NOTIFIER)
    lost = rate(select(DELIVERIES_TOTAL, 'outcome=~"failed|gone"', job=NOTIFIER), window="$__range")
    ended = rate(select(DELIVERIES_TOTAL, 'outcome=~"delivered|failed|gone"', job=NOTIFIER), window="$__range")
    return make(
        "cardwatch-notifier",
        "Notifier",
        "Alert events in, messages to receivers out, with an outbox between them.",
        [
            Row(
                "Delivery",
                [
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
                        "Given up",
                        "Messages that are parked: nobody tries any more.",
                        NUMBER,
                        Query(f"sum(max by (receiver) ({parked}))"),
                        limits=Limits(1, 1),
                    ),
                    figure(
                        "Receivers switched off",
                        "Those that answered 410 Gone.",
                        NUMBER,
                        Query(f"sum(max by (receiver) ({select(RECEIVER_DISABLED, job=NOTIFIER)}))"),
                        limits=Limits(1, 1),
                    ),
                    figure(
                        "Outbox",
                        "1 where every notifier reaches it.",
                        NUMBER,
                        Query(f"min({select(OUTBOX_AVAILABLE, job=NOTIFIER)})"),
                        limits=Limits(1, 1, falling=True),
                    ),
                    graph(
                        "Attempts by outcome",
                        "Retried ones are tried again; failed ones are given up.",
                        A_SECOND,
                        Query(rate(deliveries, by="receiver, outcome"), "{{receiver}} {{outcome}}"),
                    ),
                    graph(
                        "Latency of delivery, p99",
                        "From the alert's publication to its delivery, by receiver.",
                        SECONDS,
                        Query(quantile(0.99, DELIVERY_LATENCY_SECONDS, job=NOTIFIER, by="receiver"), "{{receiver}}"),
                    ),
                    graph(
                        "Outbox",
                        "Messages by receiver: waiting, and given up.",
                        NUMBER,
                        Query(
                            f"max by (receiver, state) ({select(OUTBOX_MESSAGES, job=NOTIFIER)})",
                            "{{receiver}} {{state}}",
                        ),
                    ),
                    graph(
                        "Alert events by verdict, a minute",
                        "What was told, and what was no news.",
                        NUMBER,
                        Query(f"60 * {rate(select(TRANSITIONS_TOTAL, job=NOTIFIER), by='verdict')}", "{{verdict}}"),
                        stacked=True,
                    ),
                ],
            ),
            Row("Behind", lag_panels(NOTIFIER)),
            process_row(NOTIFIER),
        ],
    )


def snowflake_loader() -> Any:
    """From Delta tables to Snowflake."""
    age = f"time() - min by (table) ({select(LAST_SUCCESS_SECONDS, job=LOADER)})"
    return make(
        "cardwatch-snowflake-loader",
        "Snowflake loader",
        "Gold tables on their way to Snowflake. Empty where the loader is not used.",
        [
            Row(
                "Loads",
                [
                    figure(
                        "Table furthest behind",
                        "Since when a table was last found or made up to date.",
                        SECONDS,
                        Query(f"max({age})"),
                        limits=Limits(300, 900),
                    ),
                    figure(
                        "Versions not loaded",
                        "Of all tables.",
                        NUMBER,
                        Query(f"sum({select(VERSION_LAG, job=LOADER)})"),
                    ),
                    graph(
                        "Behind, by table",
                        "Since when the table was last found or made up to date.",
                        SECONDS,
                        Query(age, "{{table}}"),
                        limits=Limits(300, 900),
                    ),
                    graph(
                        "Rows",
                        "Sent to Snowflake, upserted or deleted.",
                        A_SECOND,
                        Query(rate(select(ROWS_TOTAL, job=LOADER), by="table, operation"), "{{table}} {{operation}}"),
                    ),
                    graph(
                        "Duration of the last load",
                        "From reading Delta to Snowflake's commit.",
                        SECONDS,
                        Query(f"max by (table) ({select(LAST_LOAD_SECONDS, job=LOADER)})", "{{table}}"),
                    ),
                    graph(
                        "Versions not loaded, by table",
                        "Delta versions that are not in Snowflake yet.",
                        NUMBER,
                        Query(f"max by (table) ({select(VERSION_LAG, job=LOADER)})", "{{table}}"),
                    ),
                    graph(
                        "Failed attempts",
                        "By table and kind: of the source, transient or lasting ones of Snowflake.",
                        A_SECOND,
                        Query(
                            or_zero_while_up(rate(select(FAILURES_TOTAL, job=LOADER), by="table, kind"), LOADER),
                            "{{table}} {{kind}}",
                        ),
                    ),
                ],
            ),
            process_row(LOADER),
        ],
    )
