"""The dashboard of the Snowflake loader."""

from typing import Any

from cardwatch_snowflake.metrics import (
    FAILURES_TOTAL,
    LAST_LOAD_SECONDS,
    LAST_SUCCESS_SECONDS,
    ROWS_TOTAL,
    VERSION_LAG,
)

from cardwatch_observability.catalogue import LOADER
from cardwatch_observability.dashboards.frame import Row, make, process_row
from cardwatch_observability.panels import NUMBER, PER_SECOND, SECONDS, AnyPanel, Limits, Query, figure, graph
from cardwatch_observability.promql import or_zero_while_up, rate, select

_AGE = f"time() - min by (table) ({select(LAST_SUCCESS_SECONDS, job=LOADER)})"


def snowflake_loader() -> Any:
    """From Delta tables to Snowflake."""
    return make(
        "cardwatch-snowflake-loader",
        "Snowflake loader",
        "Loads of gold tables into Snowflake. Empty if the loader is not used.",
        [Row("Loads", [*_figures(), *_graphs()]), process_row(LOADER)],
    )


def _figures() -> list[AnyPanel]:
    return [
        figure(
            "Table with the largest lag",
            "Time since a table was last up to date.",
            SECONDS,
            Query(f"max({_AGE})"),
            limits=Limits(300, 900),
        ),
        figure("Versions not loaded", "Of all tables.", NUMBER, Query(f"sum({select(VERSION_LAG, job=LOADER)})")),
    ]


def _graphs() -> list[AnyPanel]:
    return [
        graph(
            "Lag by table",
            "Time since the table was last up to date.",
            SECONDS,
            Query(_AGE, "{{table}}"),
            limits=Limits(300, 900),
        ),
        graph(
            "Rows",
            "Sent to Snowflake, upserted or deleted.",
            PER_SECOND,
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
            PER_SECOND,
            Query(
                or_zero_while_up(rate(select(FAILURES_TOTAL, job=LOADER), by="table, kind"), LOADER),
                "{{table}} {{kind}}",
            ),
        ),
    ]
