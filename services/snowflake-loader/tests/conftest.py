"""Loaders between Delta tables and a fake Snowflake."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cardwatch_lakehouse.tables import Table
from support.fake_snowflake import FakeSnowflake
from support.replication import Lake, Replication


@pytest.fixture
def make_replication(tmp_path: Path) -> Iterator[Callable[..., Replication]]:
    accounts = []

    def make(*tables: Table, chunk_rows: int = 500_000) -> Replication:
        account = FakeSnowflake()
        accounts.append(account)
        return Replication(Lake(tmp_path / "tables"), account, tables, tmp_path, chunk_rows)

    yield make
    for account in accounts:
        account.instance.duck_conn.close()
