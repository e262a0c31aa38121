"""The dashboard of detection: what the rules find, and whether they are right."""

from typing import Any, Final

from cardwatch_detector.lakehouse.metrics import LABELLED_ALERTS
from cardwatch_detector.velocity.metrics import ALERTS_TOTAL, REDECIDED_TOTAL, RULES, RULES_SET_ASIDE_TOTAL

from cardwatch_observability.catalogue import DETECTOR, LAKEHOUSE
from cardwatch_observability.dashboards.frame import Row, make
from cardwatch_observability.dashboards.latency import latency_queries
from cardwatch_observability.dashboards.notifier import decisions_graph
from cardwatch_observability.dashboards.spark_panels import late_graph
from cardwatch_observability.panels import NUMBER, PER_SECOND, SECONDS, SHARE, Limits, Query, bars, figure, graph, rows
from cardwatch_observability.promql import increase, or_zero_while_up, rate, select

_LIVE: Final = 'mode="live"'
_SHADOW: Final = 'mode="shadow"'
_RAISED: Final = 'status="raised"'


def detection() -> Any:
    """Alerts by rule, precision from feedback, shadow rules compared with live ones."""
    return make(
        "cardwatch-detection",
        "Detection",
        "Alerts by rule, precision from analysts' labels, shadow rules compared with live ones.",
        [_alerts_row(), _precision_row(), _shadow_row(), _rules_row()],
    )


def _alerts_row() -> Row:
    return Row(
        "Alerts",
        [
            bars(
                "Alerts raised by rule",
                "By live rules, in the time shown.",
                NUMBER,
                Query(increase(_alerts(_RAISED, _LIVE), by="rule"), "{{rule}}"),
            ),
            graph(
                "Alert events by status, per minute",
                "Suppressed ones are counted on the alert that suppresses them; retracted ones were disproved by a "
                "late transaction.",
                NUMBER,
                Query(f"60 * {rate(_alerts(_LIVE), by='status')}", "{{status}}"),
                stacked=True,
            ),
            graph(
                "Latency of detection",
                "From the transaction's own time to the publication of its alert, p50 and p99.",
                SECONDS,
                *latency_queries('start="event_time"', 'end="alert_published"', job=DETECTOR, shares=(0.5, 0.99)),
            ),
            decisions_graph(
                "Decisions of the notifier, per minute",
                "Alert events that were notified, and events that changed nothing.",
            ),
        ],
    )


def _precision_row() -> Row:
    decided = _labelled("fraud|legitimate")
    return Row(
        "Precision, from analysts' labels of the last 30 days",
        [
            bars(
                "Precision by rule",
                "Alerts labelled fraud among those labelled fraud or legitimate. From few labels it is not reliable: "
                "see their number in the table.",
                SHARE,
                Query(f"({_labelled('fraud')} or 0 * {decided}) / {decided}", "{{rule}}"),
            ),
            rows(
                "Labels by rule",
                "Alerts by their current label.",
                NUMBER,
                Query(f"sum by (rule, label) ({select(LABELLED_ALERTS, job=LAKEHOUSE)})", "alerts"),
            ),
        ],
    )


def _shadow_row() -> Row:
    return Row(
        "Shadow rules compared with live rules",
        [
            graph(
                "Alerts raised by mode, per minute",
                "Alerts of shadow rules are not notified.",
                NUMBER,
                Query(f"60 * {rate(_alerts(_RAISED), by='mode')}", "{{mode}}"),
            ),
            bars(
                "Alerts raised by shadow rules",
                "In the time shown: what promoting each rule would add. 0 if no shadow rule has raised any.",
                NUMBER,
                Query(or_zero_while_up(increase(_alerts(_RAISED, _SHADOW), by="rule"), DETECTOR), "{{rule}}"),
            ),
        ],
    )


def _rules_row() -> Row:
    set_aside = select(RULES, 'state="set_aside"', job=DETECTOR)
    return Row(
        "Rules and late transactions",
        [
            graph(
                "Rules by state",
                "Of each detector. Rules that are set aside are not evaluated: `cardwatch rules list` says why.",
                NUMBER,
                Query(f"max by (state, instance) ({select(RULES, job=DETECTOR)})", "{{state}} {{instance}}"),
            ),
            figure(
                "Rules set aside",
                "Now.",
                NUMBER,
                Query(or_zero_while_up(f"sum({set_aside})", DETECTOR)),
                limits=Limits(1, 1),
            ),
            figure(
                "Set aside, in the time shown",
                "Times that a rule was set aside.",
                NUMBER,
                Query(or_zero_while_up(increase(select(RULES_SET_ASIDE_TOTAL, job=DETECTOR)), DETECTOR)),
                limits=Limits(1, 1),
            ),
            late_graph("Transactions by scope that the watermark had passed; kept in transactions.late.v1."),
            graph(
                "Transactions decided again",
                "Because others came late or twice, or with a profile: the cost of disorder.",
                PER_SECOND,
                Query(or_zero_while_up(rate(select(REDECIDED_TOTAL, job=DETECTOR)), DETECTOR), "per second"),
            ),
        ],
    )


def _alerts(*matchers: str) -> str:
    return select(ALERTS_TOTAL, *matchers, job=DETECTOR)


def _labelled(labels: str) -> str:
    of_labels = select(LABELLED_ALERTS, f'label=~"{labels}"', job=LAKEHOUSE)
    return f"sum by (rule) ({of_labels})"
