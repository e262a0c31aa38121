"""The lakehouse service with the queries of some tables only, run as a process: the tables, then further ones to make.

Everything else is as `cardwatch-detector lakehouse` has it. Making a dozen tables and starting as many queries takes
most of the time of a test that looks at one or two of them, all the more so on an object store.
"""

from argparse import ArgumentParser
from collections.abc import Collection
from typing import Any

from cardwatch_detector.lakehouse import bootstrap
from cardwatch_detector.lakehouse.io.create import create
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_detector.runtime import application as runtime
from cardwatch_lakehouse.tables import ALL_TABLES
from cardwatch_service.settings import load
from cardwatch_service.shutdown import Shutdown


def main() -> int:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("queries", nargs="+", metavar="TABLE")
    parser.add_argument("--make", nargs="*", default=[], metavar="TABLE")
    arguments = parser.parse_args()
    run_queries = only(arguments.queries, [*arguments.queries, *arguments.make])
    return bootstrap.run(Shutdown().install(), run_queries)


def only(names: Collection[str], tables: Collection[str]) -> Any:
    """``run_queries`` with fewer."""
    to_make = [table for table in ALL_TABLES if table.name in tables]

    def run_some(app_name: str, queries: Any, *arguments: Any, **more: Any) -> None:
        some = [query for query in queries if query.name in names]
        assert len(some) == len(names), f"there are queries {[query.name for query in queries]}"
        more["prepare"] = lambda session: create(session, load(LakehouseSettings).tables_dir, to_make)
        runtime.run_queries(app_name, some, *arguments, **more)

    return run_some


if __name__ == "__main__":
    raise SystemExit(main())
