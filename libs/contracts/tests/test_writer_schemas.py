"""Which writer's schemas messages are decoded with: ours and their successors, and none that costs too much."""

import json
import time
from typing import Any

import pytest
from cardwatch_contracts.schemas import SCHEMA_NAMES, parse, parsed_schema, schema_text
from cardwatch_contracts.writer_schemas import (
    MAX_DEPTH,
    MAX_FIXED_BYTES,
    MAX_SCHEMA_CHARACTERS,
    MAX_TYPES,
    UnsafeSchemaError,
    check_writer_schema,
)
from hypothesis import given
from hypothesis import strategies as st
from support.random_examples import random_examples

LABEL = "io.cardwatch.events.TransactionLabel"


def label(*types: Any, **attributes: Any) -> str:
    """A version of the label's schema, with a further field of each type."""
    schema = json.loads(schema_text("transaction_label")) | attributes
    schema["fields"] += [{"name": f"more_{number}", "type": kind} for number, kind in enumerate(types)]
    return json.dumps(schema)


def record(name: str, *types: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": f"f{number}", "type": kind} for number, kind in enumerate(types)],
    }


def nested(kind: str, levels: int) -> Any:
    node: Any = "int"
    for number in range(levels):
        if kind == "record":
            node = record(f"R{number}", node)
        elif kind == "type":
            node = {"type": node}
        else:
            node = {"type": kind, "items" if kind == "array" else "values": node}
    return node


def doubling(levels: int, leaf: Any = "null") -> list[Any]:
    """Each record has the one before twice: a text of a few lines, 2^levels values."""
    types: list[Any] = [record("D0", leaf)]
    types += [record(f"D{number}", f"D{number - 1}", f"D{number - 1}") for number in range(1, levels)]
    return types


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_our_own_schemas_pass_and_describe_the_same_bytes(name: str) -> None:
    checked = check_writer_schema(schema_text(name), parsed_schema(name)["name"])
    assert [field["name"] for field in parse(checked)["fields"]] == [
        field["name"] for field in parsed_schema(name)["fields"]
    ]
    for dropped in ("doc", "default", "logicalType", "aliases"):
        assert f'"{dropped}"' not in checked


GOOD = {
    "a further text": label(["null", "string"]),
    "a list of records": label({"type": "array", "items": record("Item", "string", ["null", "double"], "long")}),
    "a list of records with many optional fields": label(
        {"type": "array", "items": record("Item", *[["null", "string"]] * 60)}
    ),
    "a map": label({"type": "map", "values": ["null", "long"]}),
    "a map without values": label({"type": "map", "values": "null"}),
    "an enum and a fixed": label({"type": "enum", "name": "E", "symbols": ["A", "B"]}, {
        "type": "fixed", "name": "F", "size": 16}),
    "a type used twice": label({"type": "fixed", "name": "F", "size": 16}, "F", "io.cardwatch.events.F"),
    "a decimal of any scale, which is bytes": label(
        {"type": "bytes", "logicalType": "decimal", "precision": 10**9, "scale": 10**9}
    ),
    "a type in a type": label({"type": {"type": "string"}}),
    "another namespace inside": label({"type": "record", "name": "other.R", "fields": [{"name": "a", "type": {
        "type": "fixed", "name": "S", "size": 1}}]}, "other.S"),
    "levels": label(nested("array", MAX_DEPTH - 2)),
    "no null namespace": label({"type": "fixed", "name": "G", "namespace": None, "size": 1}),
}  # fmt: skip


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_a_successor_passes(text: str) -> None:
    parse(check_writer_schema(text, LABEL))


RECURSIVE = {
    "type": "record",
    "name": "TransactionLabel",
    "namespace": "io.cardwatch.events",
    "fields": [{"name": "again", "type": "TransactionLabel"}],
}
BAD = {
    "not JSON": ("{", "JSON"),
    "deep JSON": ("[" * 50_000, "JSON"),
    "a deep JSON object": ('{"type":' * 11_000, "JSON"),
    "too long": (" " * MAX_SCHEMA_CHARACTERS + schema_text("transaction_label"), "characters"),
    "a long documentation": (label(doc="x" * MAX_SCHEMA_CHARACTERS), "characters"),
    "a long default": (label(default="x" * MAX_SCHEMA_CHARACTERS), "characters"),
    "no schema": ("7", "a record"),
    "null": ("null", "a record"),
    "a name": ('"io.cardwatch.events.TransactionLabel"', "a record"),
    "a union": (json.dumps([json.loads(schema_text("transaction_label"))]), "a record"),
    "an enum of the name": (json.dumps({"type": "enum", "name": LABEL, "symbols": ["A"]}), "a record"),
    "another record": (schema_text("alert"), "expected a version of io.cardwatch.events.TransactionLabel"),
    "another namespace": (label(namespace="elsewhere"), "expected a version of"),
    "no name": (json.dumps({"type": "record", "fields": []}), "a name"),
    "an impossible name": (json.dumps({"type": "record", "name": "a b", "fields": []}), "letters, digits"),
    "a name of digits of another script": (json.dumps({"type": "record", "name": "a\u0663", "fields": []}), "letters"),
    "no fields": (json.dumps({"type": "record", "name": LABEL}), "fields"),
    "fields that are no objects": (json.dumps({"type": "record", "name": LABEL, "fields": ["a"]}), "fields"),
    "a field twice": (
        json.dumps({"type": "record", "name": LABEL, "fields": [{"name": "a", "type": "int"}] * 2}), "differ"),
    "a field without a type": (json.dumps({"type": "record", "name": LABEL, "fields": [{"name": "a"}]}), "a type"),
    "a type that is a number": (label(5), "a type"),
    "an unknown type": (label("Unknown"), "defined before"),
    "itself": (json.dumps(RECURSIVE), "contain itself"),
    "itself in a union": (label(["null", "TransactionLabel"]), "contain itself"),
    "itself in an array": (label({"type": "array", "items": "io.cardwatch.events.TransactionLabel"}), "contain itself"),
    "itself in a map": (label({"type": "map", "values": "TransactionLabel"}), "contain itself"),
    "two records that contain each other": (
        label(record("A", record("B", "A"))), "contain itself"),
    "a type twice": (label(record("A"), record("A")), "one definition"),
    "a primitive's name": (json.dumps({"type": "record", "name": "int", "fields": []}), "one definition"),
    "an array of nulls": (label({"type": "array", "items": "null"}), "without bytes"),
    "an array of nothing": (label({"type": "array", "items": record("Empty")}), "without bytes"),
    "an array of records of nulls": (label({"type": "array", "items": record("E", "null", record("F"))}),
                                     "without bytes"),
    "an array of a fixed of no bytes": (
        label({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}), "without bytes"),
    "an array of nulls in an array": (
        label({"type": "array", "items": {"type": "array", "items": "null"}}), "without bytes"),
    "an array without items": (label({"type": "array"}), "a type"),
    "an item of a byte and many nulls": (
        label({"type": "array", "items": record("E", "int", *["null"] * 17)}), "values without bytes"),
    "the same in a union": (
        label({"type": "array", "items": ["null", record("E", *["null"] * 17)]}), "values without bytes"),
    "the same in a map": (label({"type": "map", "values": record("E", *[record("X")], *["X"] * 17)}),
                          "values without bytes"),
    "a union of nothing": (label([]), "union"),
    "a union in a union": (label(["null", ["int"]]), "union"),
    "a type twice in a union": (label(["null", "null"]), "once"),
    "arrays in a union": (label([{"type": "array", "items": "int"}, {"type": "array", "items": "long"}]), "once"),
    "an enum without symbols": (label({"type": "enum", "name": "E", "symbols": []}), "symbols"),
    "a symbol twice": (label({"type": "enum", "name": "E", "symbols": ["A", "A"]}), "differ"),
    "a large fixed": (label({"type": "fixed", "name": "F", "size": MAX_FIXED_BYTES + 1}), "size"),
    "a negative fixed": (label({"type": "fixed", "name": "F", "size": -1}), "size"),
    "a fixed of true bytes": (label({"type": "fixed", "name": "F", "size": True}), "size"),
    "a fixed of 2^80 bytes": (label({"type": "fixed", "name": "F", "size": 2**80}), "size"),
    "a fixed of Infinity": (label({"type": "fixed", "name": "F", "size": float("inf")}), "size"),
    "many fields": (label(*["int"] * MAX_TYPES), f"{MAX_TYPES} types"),
    "many values": (label(*doubling(15)), f"{MAX_TYPES} types"),
    "very many values": (label(*doubling(120)), "types"),
    "deep arrays": (label(nested("array", MAX_DEPTH)), "levels"),
    "deep maps": (label(nested("map", MAX_DEPTH)), "levels"),
    "deep records": (label(nested("record", MAX_DEPTH)), "levels"),
    "deep types of types": (label(nested("type", MAX_DEPTH)), "levels"),
    "depth by names": (label(*[record(f"L{n}", f"L{n - 1}" if n else "int") for n in range(MAX_DEPTH + 1)]), "levels"),
    "very deep arrays": (label(nested("array", 300)), "levels"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "why"), BAD.values(), ids=BAD.keys())
def test_a_schema_that_costs_too_much_or_is_none_is_refused(text: str, why: str) -> None:
    began = time.process_time()
    with pytest.raises(UnsafeSchemaError, match=why) as caught:
        check_writer_schema(text, LABEL)
    assert time.process_time() - began < 5
    assert len(str(caught.value)) < 300


def test_attributes_that_libraries_keep_for_themselves_are_not_passed_on() -> None:
    schema = json.loads(label()) | {"__fastavro_parsed__": True, "__named_schemas": {}, "java-class": "a.b.C"}
    assert set(json.loads(check_writer_schema(json.dumps(schema), LABEL))) == {"type", "name", "namespace", "fields"}


SCALARS = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "bytes", "string", "R", "E", LABEL, ""])
TYPES = st.recursive(
    SCALARS | st.integers() | st.none(),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"type": st.just("map"), "values": inner}),
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(["record", "error"]),
                "name": st.sampled_from(["R", "S", "x.T"]),
                "fields": st.lists(st.fixed_dictionaries({"name": st.sampled_from("abc"), "type": inner}), max_size=3),
            }
        ),
        st.fixed_dictionaries({"type": st.just("fixed"), "name": st.just("E"), "size": st.integers(-1, 99)}),
        st.dictionaries(st.sampled_from(["type", "items", "values", "name", "logicalType"]), inner, max_size=4),
    ),
    max_leaves=30,
)


@random_examples(500, deadline=None)
@given(st.lists(TYPES, max_size=4))
def test_what_passes_is_a_schema_for_the_decoder(types: list[Any]) -> None:
    try:
        checked = check_writer_schema(label(*types), LABEL)
    except UnsafeSchemaError:
        return
    assert parse(checked)["name"] == LABEL
    assert check_writer_schema(checked, LABEL) == checked
