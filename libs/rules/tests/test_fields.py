"""Rules see the silver transaction as its schema defines it."""

import json

from cardwatch_contracts.schemas import schema_text
from cardwatch_rules.fields import PROFILE_DAY, PROFILE_FIELDS, RULE_FIELDS, SCOPE_KEYS

ARROW = {"string": "string", "long": "int64", "int": "int32", "double": "double"}


def test_fields_and_types_are_those_of_the_schema() -> None:
    schema = {field["name"]: field["type"] for field in json.loads(schema_text("enriched_transaction"))["fields"]}
    for name, kind in RULE_FIELDS.items():
        avro = schema[name]
        plain = next(branch for branch in avro if branch != "null") if isinstance(avro, list) else avro
        assert ARROW[plain] == str(kind), name


def test_profile_fields_are_those_of_the_schema() -> None:
    schema = {field["name"]: field["type"] for field in json.loads(schema_text("card_profile"))["fields"]}
    kinds = {"long": "integer", "double": "double", "string": "list of texts", "int": "list of integers"}
    for name, kind in PROFILE_FIELDS.items():
        avro = schema[name]
        plain = next(branch for branch in avro if branch != "null") if isinstance(avro, list) else avro
        assert kinds[plain["items"] if isinstance(plain, dict) else plain] == kind, name
    assert set(schema) - set(PROFILE_FIELDS) == {"card_token", PROFILE_DAY}


def test_scope_keys_are_fields() -> None:
    assert set(SCOPE_KEYS.values()) <= set(RULE_FIELDS)
