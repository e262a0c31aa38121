"""What the rules find, and whether they are right."""

from typing import Any, Final

from cardwatch_detector.lakehouse.metrics import LABELLED_ALERTS
from cardwatch_detector.velocity.late.late_publisher import LATE_TOTAL
from cardwatch_detector.velocity.publishing.alert_publisher import ALERTS_TOTAL
from cardwatch_detector.velocity.rules.active_rules import RULES, RULES_SET_ASIDE_TOTAL
from cardwatch_notifier.metrics import TRANSITIONS_TOTAL
from cardwatch_service.metrics import LATENCY_SECONDS

from cardwatch_observability.catalogue import DETECTOR, LAKEHOUSE, NOTIFIER
from cardwatch_observability.dashboards.frame import Row, make
from cardwatch_observability.panels import NUMBER, SECONDS, SHARE, Limits, Query, bars, figure, graph, rows
from cardwatch_observability.promql import increase, or_zero_while_up, quantile, rate, select

_LIVE: Final = 'mode="live"'
_SHADOW: Final = 'mode="shadow"'
_RAISED: Final = 'status="raised"'


def detection() -> Any:
    """Alerts by rule, precision from feedback, shadow against live."""

    def alerts(*matchers: str) -> str:
        return select(ALERTS_TOTAL, *matchers, job=DETECTOR)

    def labelled(labels: str) -> str:
        of_labels = select(LABELLED_ALERTS, f'label=~"{labels}"', job=LAKEHOUSE)
        return f"sum by (rule) ({of_labels})"

    decided = labelled("fraud|legitimate")
    set_aside = select(RULES, 'state="set_aside"', job=DETECTOR)
    return make(
        "cardwatch-detection",
        "Detection",
        "Alerts by rule, precision from analysts' labels, shadow rules beside live ones.",
        [
            Row(
                "Alerts",
                [
                    bars(
                        "Alerts raised by rule",
                        "By live rules, in the time shown.",
                        NUMBER,
                        Query(increase(alerts(_RAISED, _LIVE), by="rule"), "{{rule}}"),
                    ),
                    graph(
                        "Alert events by status, a minute",
                        "Suppressed ones are counted on the alert that suppresses them; retracted ones were "
                        "disproved by a transaction that came late.",
                        NUMBER,
                        Query(f"60 * {rate(alerts(_LIVE), by='status')}", "{{status}}"),
                        stacked=True,
                    ),
                    graph(
                        "Latency of detection",
                        "From the transaction's own time to the publication of its alert, p50 and p99.",
                        SECONDS,
                        *(
                            Query(
                                quantile(
                                    share, LATENCY_SECONDS, 'start="event_time"', 'end="alert_published"', job=DETECTOR
                                ),
                                f"p{share * 100:g}",
                            )
                            for share in (0.5, 0.99)
                        ),
                    ),
                    graph(
                        "What the notifier made of them, a minute",
                        "Alert events by verdict: what was told, and what was no news.",
                        NUMBER,
                        Query(f"60 * {rate(select(TRANSITIONS_TOTAL, job=NOTIFIER), by='verdict')}", "{{verdict}}"),
                        stacked=True,
                    ),
                ],
            ),
            Row(
                "Precision, from analysts' labels of the last 30 days",
                [
                    bars(
                        "Precision by rule",
                        "Alerts labelled fraud among those labelled fraud or legitimate. Of few labels it says little: "
                        "see their number beside.",
                        SHARE,
                        Query(f"({labelled('fraud')} or 0 * {decided}) / {decided}", "{{rule}}"),
                    ),
                    rows(
                        "Labels by rule",
                        "Alerts by the label that holds.",
                        NUMBER,
                        Query(
                            f"sum by (rule, label) ({select(LABELLED_ALERTS, job=LAKEHOUSE)})",
                            "alerts",
                        ),
                    ),
                ],
            ),
            Row(
                "Shadow beside live",
                [
                    graph(
                        "Alerts raised by mode, a minute",
                        "Nobody is notified of what shadow rules raise.",
                        NUMBER,
                        Query(f"60 * {rate(alerts(_RAISED), by='mode')}", "{{mode}}"),
                    ),
                    bars(
                        "Alerts raised by shadow rules",
                        "In the time shown: what promoting each rule would add. 0 where no shadow rule has raised any.",
                        NUMBER,
                        Query(or_zero_while_up(increase(alerts(_RAISED, _SHADOW), by="rule"), DETECTOR), "{{rule}}"),
                    ),
                ],
            ),
            Row(
                "Rules and late transactions",
                [
                    graph(
                        "Rules by state",
                        "Of each detector's scopes. One that is set aside is not evaluated: `cardwatch rules list` "
                        "says why.",
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
                    graph(
                        "Too late to be evaluated, a minute",
                        "Transactions by scope that came after their group was gone; kept in transactions.late.v1.",
                        NUMBER,
                        Query(
                            f"60 * ({or_zero_while_up(rate(select(LATE_TOTAL, job=DETECTOR), by='scope'), DETECTOR)})",
                            "{{scope}}",
                        ),
                    ),
                ],
            ),
        ],
    )
