"""Schemas of functions over Arrow, defined once for both Arrow and Spark."""

from typing import Any, Final

import pyarrow as pa

_SPARK_TYPES: Final[dict[Any, str]] = {
    pa.int64(): "BIGINT",
    pa.string(): "STRING",
    pa.binary(): "BINARY",
    pa.decimal128(38, 0): "DECIMAL(38,0)",
}


def spark_type(schema: pa.Schema) -> str:
    """The columns of an Arrow schema as Spark's SQL type: ``name TYPE, …``."""
    return ", ".join(f"{field.name} {_SPARK_TYPES[field.type]}" for field in schema)
