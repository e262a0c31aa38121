"""Panels in one style: a title, a sentence that explains it, a unit, and queries to Prometheus."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

WIDTH: Final = 24
"""Columns of a dashboard."""
_STAT_HEIGHT: Final = 4
_GRAPH_HEIGHT: Final = 8

SECONDS: Final = "s"
BYTES: Final = "bytes"
SHARE: Final = "percentunit"
NUMBER: Final = "short"
PER_SECOND: Final = "suffix:/s"

AnyPanel = timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel

_REFS: Final = "ABCDEFGH"


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a panel.

    Attributes:
        expression: PromQL.
        legend: name of each series, ``{{label}}`` for a label's value.
    """

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """The values from which a panel turns yellow and red, in the panel's unit.

    Attributes:
        falling: low values are bad: green from ``warning`` on, red below ``bad``.
    """

    warning: float
    bad: float
    falling: bool = False


def graph(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    stacked: bool = False,
    limits: Limits | None = None,
    logarithmic: bool = False,
) -> timeseries.Panel:
    """Lines over time."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(DATASOURCE)
        .height(_GRAPH_HEIGHT)
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.TABLE)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    if logarithmic:
        panel.scale_distribution(common.ScaleDistributionConfig().type(common_models.ScaleDistribution.LOG).log(10))
    else:
        panel.min(0)
    if limits is not None:
        panel.thresholds(_thresholds(limits))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(common_models.GraphTresholdsStyleMode.DASHED))
    return panel.targets([*_targets(queries)])


def figure(title: str, description: str, unit: str, query: Query, *, limits: Limits | None = None) -> stat.Panel:
    """One large number, with its history behind it."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(DATASOURCE)
        .height(_STAT_HEIGHT)
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .thresholds(_thresholds(limits) if limits else _plain())
    )
    return panel.targets([*_targets([query])])


def bars(title: str, description: str, unit: str, *queries: Query) -> bargauge.Panel:
    """One bar per series, for figures over the whole time shown."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .min(0)
        .datasource(DATASOURCE)
        .height(_GRAPH_HEIGHT)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.GRADIENT)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .thresholds(_plain())
    )
    return panel.targets([*_targets(queries, instant=True)])


def rows(title: str, description: str, unit: str, *queries: Query) -> table.Panel:
    """A table: one row per set of labels, one column per query, named by its legend."""
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(DATASOURCE)
        .height(_GRAPH_HEIGHT)
        .with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            models.DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True},
                    "renameByName": {
                        f"Value #{ref}" if len(queries) > 1 else "Value": query.legend
                        for ref, query in zip(_REFS, queries, strict=False)
                    },
                },
            )
        )
    )
    return panel.targets([*_targets(queries, instant=True, as_table=True)])


def _targets(queries: Sequence[Query], *, instant: bool = False, as_table: bool = False) -> list[prometheus.Dataquery]:
    targets = []
    for ref, query in zip(_REFS, queries, strict=False):
        target = prometheus.Dataquery().ref_id(ref).expr(query.expression).datasource(DATASOURCE)
        target = target.instant() if instant else target.range()
        if as_table:
            target.format(PromQueryFormat.TABLE)
        elif query.legend:
            target.legend_format(query.legend)
        targets.append(target)
    return targets


def _thresholds(limits: Limits) -> dashboard.ThresholdsConfig:
    warning, bad = (
        models.Threshold(value, color) for value, color in ((limits.warning, "yellow"), (limits.bad, "red"))
    )
    steps = [models.Threshold(None, "green"), warning, bad]
    if limits.falling:
        steps = [
            models.Threshold(None, "red"),
            models.Threshold(limits.bad, "yellow"),
            models.Threshold(limits.warning, "green"),
        ]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _plain() -> dashboard.ThresholdsConfig:
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps([models.Threshold(None, "blue")])
