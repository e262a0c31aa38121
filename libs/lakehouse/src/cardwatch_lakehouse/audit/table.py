"""Reads the links of ``bronze.rule_changes`` without Spark."""

from collections.abc import Iterator
from typing import Final, Literal

import pyarrow as pa

from cardwatch_lakehouse.audit.chain import Content, Link
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.tables import BRONZE_RULE_CHANGES

_ORDER: Final[list[tuple[str, Literal["ascending", "descending"]]]] = [
    ("topic", "ascending"),
    ("partition", "ascending"),
    ("offset", "ascending"),
]
_COLUMNS: Final = ("topic", "partition", "offset", "broker_time", "key", "value", "redacted", "previous_hash", "hash")


def read_links(catalog: Catalog, topic: str | None = None) -> Iterator[Link]:
    """The links of one topic or of all, ordered by topic, partition and offset.

    Raises:
        ConfigurationError: there is no such table, or it cannot be read.
    """
    table: pa.Table = catalog.open(BRONZE_RULE_CHANGES.name).to_pyarrow_table(
        columns=list(_COLUMNS), filters=None if topic is None else [("topic", "=", topic)]
    )
    ordered = table.sort_by(_ORDER)
    times = ordered.column("broker_time").cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    ordered = ordered.set_column(ordered.schema.get_field_index("broker_time"), "broker_time", times)
    for batch in ordered.select(list(_COLUMNS)).to_batches():
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield Link(Content(*row[:7]), row[7] or "", row[8] or "")


def count_mentions(catalog: Catalog, text: str) -> int:
    """How many rows of the audit trail have a text in key or value; 0 if there is no such table."""
    if BRONZE_RULE_CHANGES.name not in catalog.names():
        return 0
    wanted = text.encode()
    contents = (link.content for link in read_links(catalog))
    return sum(wanted in (content.key or b"") or wanted in (content.value or b"") for content in contents)
