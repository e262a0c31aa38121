"""What all dashboards have in common: tags, links, time range, data source; and rows that several have."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from cardwatch_service.metrics import ERRORS_TOTAL, SPANS_TOTAL
from grafana_foundation_sdk.builders import dashboard, stat
from grafana_foundation_sdk.models import dashboard as models

from cardwatch_observability.catalogue import metrics_of
from cardwatch_observability.panels import (
    BYTES,
    NUMBER,
    PER_SECOND,
    SECONDS,
    WIDTH,
    AnyPanel,
    Limits,
    Query,
    figure,
    graph,
)
from cardwatch_observability.promql import or_zero_while_up, rate, select
from cardwatch_observability.recorded import CONSUMER_LAG, CONSUMER_LAG_SECONDS

TAG: Final = "cardwatch"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a dashboard: its title and its panels."""

    title: str
    panels: Sequence[AnyPanel]


def make(uid: str, title: str, description: str, rows: Iterable[Row], *, shows: str = "now-1h") -> Any:
    """A dashboard; ``uid`` is also the name of its file."""
    board = (
        dashboard.Dashboard(f"Cardwatch / {title}")
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time(shows, "now")
        .refresh("30s")
        .timezone("browser")
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Data source")
            .type("prometheus")
            .current(models.VariableOption(text="Prometheus", value="prometheus"))
        )
        .link(
            dashboard.DashboardLink("Cardwatch")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    for row in rows:
        board.with_row(dashboard.Row(row.title))
        for panel in _side_by_side(row.panels):
            board.with_panel(panel)
    built = board.build()
    for number, placed in enumerate(built.panels or [], 1):
        placed.id_val = number
    return built


def _side_by_side(panels: Sequence[AnyPanel]) -> Sequence[AnyPanel]:
    """The panels with their widths: adjacent figures share a line, other panels are two per line."""
    for are_figures, some in groupby(panels, lambda panel: isinstance(panel, stat.Panel)):
        run = [*some]
        columns = len(run) if are_figures else 2
        for number, panel in enumerate(run):
            last_of_its_line = number % columns == columns - 1
            alone = number == len(run) - 1 and number % columns == 0
            used = number % columns * (WIDTH // columns)
            panel.span(WIDTH - used if last_of_its_line or alone else WIDTH // columns)
    return panels


def process_row(job: str) -> Row:
    """The processes of a service: their number, what they use, and which failures they survived."""
    up = select("up", job=job)
    spans = select(SPANS_TOTAL, job=job)
    traced = SPANS_TOTAL in {metric.name for metric in metrics_of(job)}
    traces = graph(
        "Spans of traces",
        "By outcome; 0 while traces are off. Failed: the collector did not accept them; dropped: the queue was full.",
        PER_SECOND,
        Query(or_zero_while_up(rate(spans, by="outcome"), job), "{{outcome}}"),
    )
    cpu = rate(select("process_cpu_seconds_total", job=job), by="instance")
    return Row(
        "Processes",
        [
            figure("Replicas up", "Processes that answer a scrape.", NUMBER, Query(f"sum({up})"), limits=_SOME),
            figure(
                "Up since",
                "Age of the youngest process: a small one that you did not start is a restart.",
                SECONDS,
                Query(f"time() - max({select('process_start_time_seconds', job=job)})"),
            ),
            graph(
                "Processor",
                "Cores that each process uses; of Spark's services the Python driver only.",
                NUMBER,
                Query(cpu, "{{instance}}"),
            ),
            graph(
                "Memory",
                "Resident memory of each process; of Spark's services the Python driver only.",
                BYTES,
                Query(select("process_resident_memory_bytes", job=job), "{{instance}}"),
            ),
            graph(
                "Failures survived",
                "By kind: retries, reconnects, restarted queries. A few at a deployment are normal, a steady rate "
                "is not.",
                PER_SECOND,
                Query(or_zero_while_up(rate(select(ERRORS_TOTAL, job=job), by="kind"), job), "{{kind}}"),
            ),
            *([traces] if traced else []),
        ],
    )


def lag_panels(job: str) -> list[AnyPanel]:
    """The lag of a service, in messages and in time."""
    return [
        graph(
            "Lag, messages",
            "Messages between the service's safe position and the end of the topic. Known also while the service is "
            "dead, as long as another one reads the same topic.",
            NUMBER,
            Query(select(CONSUMER_LAG, job=job), "{{topic}}"),
        ),
        graph(
            "Lag, time",
            "The time in which those messages arrived, at the rate of the last five minutes.",
            SECONDS,
            Query(select(CONSUMER_LAG_SECONDS, job=job), "lag"),
            limits=Limits(10, 60),
        ),
    ]


_SOME: Final = Limits(1, 1, falling=True)
