"""The lakehouse as a process with the queries of some tables only. Arguments: their names, then further tables to
create.

Everything else is as in `cardwatch-detector lakehouse`. Creating a dozen tables and starting as many queries would take
most of the time of a test that looks at one or two of them, even more so on an object store.
"""

from argparse import ArgumentParser
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from cardwatch_detector.lakehouse import bootstrap
from cardwatch_detector.lakehouse.io.create import create_tables
from cardwatch_detector.lakehouse.profiles.refresh import SPARK_SETTINGS, ProfileWriter
from cardwatch_detector.lakehouse.query import LakehouseQuery
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.runtime.application import RunQueries, SparkApplication, run_queries
from cardwatch_detector.runtime.session import COMPILED
from cardwatch_lakehouse.tables import ALL_TABLES, GOLD_CARD_PROFILE
from cardwatch_service.settings import load_settings
from cardwatch_service.shutdown import Shutdown
from pyspark.sql import SparkSession


def main() -> int:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("queries", nargs="+", metavar="TABLE")
    parser.add_argument("--make", nargs="*", default=[], metavar="TABLE")
    parser.add_argument("--few-rows", action="store_true", help="without generated code, which pays on many")
    arguments = parser.parse_args()
    run_some = some_queries(arguments.queries, [*arguments.queries, *arguments.make], few_rows=arguments.few_rows)
    return bootstrap.run(Shutdown().install(), run_queries=run_some)


def some_queries(names: Collection[str], tables: Collection[str], *, few_rows: bool) -> RunQueries:
    """``run_queries`` with fewer queries and tables."""
    to_make = [table for table in ALL_TABLES if table.name in tables]

    def prepare(session: SparkSession) -> None:
        create_tables(session, load_settings(LakehouseSettings).tables_dir, to_make)

    def run_some(application: SparkApplication, queries: Sequence[Any], _: Any) -> None:
        some = [query for query in queries if query.name in names]
        assert len(some) == len(names), f"there are queries {[query.name for query in queries]}"
        if few_rows:
            some = [interpreted(query) if query.name == GOLD_CARD_PROFILE.name else query for query in some]
        run_queries(application, some, prepare)

    return run_some


def interpreted(query: LakehouseQuery) -> LakehouseQuery:
    """The query of profiles without generated code."""
    settings = dict(SPARK_SETTINGS.items() - COMPILED.items())

    def make_writer() -> ProfileWriter:
        writer = query.make_writer()
        assert isinstance(writer, ProfileWriter)
        return replace(writer, spark_settings=settings)

    return replace(query, make_writer=make_writer)


if __name__ == "__main__":
    raise SystemExit(main())
