"""The lakehouse service with the queries of two tables only, run as a process by test_object_store.py.

Everything else is as `cardwatch-detector lakehouse` has it. Making and following a dozen tables on a store, twice,
would take a minute.
"""

from typing import Any

from cardwatch_detector import runtime
from cardwatch_detector.lakehouse import bootstrap
from cardwatch_detector.lakehouse.create import create
from cardwatch_detector.settings import LakehouseSettings
from cardwatch_lakehouse.tables import BRONZE_QUARANTINE, BRONZE_TRANSACTIONS, SILVER_TRANSACTIONS
from cardwatch_service.settings import load
from cardwatch_service.shutdown import Shutdown

QUERIES = (BRONZE_TRANSACTIONS, SILVER_TRANSACTIONS)


def two_of_them(app_name: str, queries: Any, *arguments: Any, **more: Any) -> None:
    """``run_queries`` with fewer."""
    names = {table.name for table in QUERIES}
    more["prepare"] = lambda session: create(session, load(LakehouseSettings).tables_dir, (*QUERIES, BRONZE_QUARANTINE))
    runtime.run_queries(app_name, [query for query in queries if query.name in names], *arguments, **more)


if __name__ == "__main__":
    bootstrap.run_queries = two_of_them
    bootstrap.run(Shutdown().install())
