"""The Avro schemas of ``schemas/*.avsc``, as text and parsed.

Times stay what they are on the wire, integer microseconds since 1970-01-01 UTC: the parsed schemas carry no logical
types, so that nothing is rounded or given a time zone on its way through Python.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

import fastavro

SCHEMA_NAMES: Final = (
    "transaction",
    "enriched_transaction",
    "alert",
    "dead_letter",
    "rule",
    "rule_approval",
    "list_entry",
    "rule_status",
    "card_profile",
    "transaction_label",
    "alert_feedback",
)


@cache
def schema_text(name: str) -> str:
    """The schema ``schemas/<name>.avsc`` as JSON text.

    Raises:
        FileNotFoundError: there is no such schema.
    """
    return (files("cardwatch_contracts") / "avro" / f"{name}.avsc").read_text(encoding="utf-8")


@cache
def parsed_schema(name: str) -> Any:
    """The schema ``schemas/<name>.avsc``, ready for fastavro; times as integer microseconds."""
    return parse(schema_text(name))


def parse(text: str) -> Any:
    """Parse schema text for fastavro, its logical types dropped (see the module's docstring).

    Raises:
        fastavro.schema.SchemaParseException: the text is JSON but no Avro schema.
    """
    return fastavro.parse_schema(_without_logical_types(json.loads(text)))


def _without_logical_types(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_logical_types(value) for key, value in node.items() if key != "logicalType"}
    if isinstance(node, list):
        return [_without_logical_types(item) for item in node]
    return node
