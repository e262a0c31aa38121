"""Rules see the silver transaction as its schema defines it."""

import json

from cardwatch_contracts.schemas import schema_text
from cardwatch_rules.fields import RULE_FIELDS, SCOPE_KEYS

ARROW = {"string": "string", "long": "int64", "int": "int32", "double": "double"}


def test_fields_and_types_are_those_of_the_schema() -> None:
    schema = {field["name"]: field["type"] for field in json.loads(schema_text("enriched_transaction"))["fields"]}
    for name, kind in RULE_FIELDS.items():
        avro = schema[name]
        plain = next(branch for branch in avro if branch != "null") if isinstance(avro, list) else avro
        assert ARROW[plain] == str(kind), name


def test_scope_keys_are_fields() -> None:
    assert set(SCOPE_KEYS.values()) <= set(RULE_FIELDS)
