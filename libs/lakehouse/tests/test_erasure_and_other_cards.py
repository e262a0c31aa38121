"""Erasing a card touches no row of another card, however short or common the ids of its transactions are."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.errors import ConfigurationError, RegistryUnavailableError
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.wire import Decoder, Encoder
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.maintenance import erasure
from cardwatch_lakehouse.maintenance.message_content import MessageReader
from cardwatch_lakehouse.maintenance.message_ownership import Card, Match, match_messages
from cardwatch_lakehouse.tables import (
    BRONZE_ALERT_EVENTS,
    BRONZE_LATE,
    BRONZE_QUARANTINE,
    BRONZE_TRANSACTIONS,
    GOLD_ALERT_LABELS,
    GOLD_ALERTS,
    GOLD_CARD_DAYS,
    GOLD_VELOCITY_5M,
    SILVER_TRANSACTIONS,
    Table,
)
from deltalake import DeltaTable
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from support.delta_tables import CARD, NOON, OTHER, bronze_row, files_containing, silver_row, write_rows
from support.random_examples import random_examples
from support.records import enriched_record, transaction_document, transaction_record
from support.registry import InMemoryRegistry

SCHEMA_ID = 5
SHORT_IDS = ("0", "7", "e", "00", "77", "tx", "é", "日本", 'a"b', "it's", "\\7", "'; --", "%", "")


def registered(registry: InMemoryRegistry) -> MessageReader:
    return MessageReader(Decoder(name, registry) for name in ("transaction", "enriched_transaction"))


def avro(transaction_id: str, card: str, **changes: Any) -> bytes:
    record = transaction_record(transaction_id=transaction_id, card_token=card, **changes)
    return Encoder("transaction", SCHEMA_ID)(record)


def masked_json(transaction_id: Any, **changes: Any) -> bytes:
    document = transaction_document(transaction_id=transaction_id, card_number="*" * 16, **changes)
    return json.dumps(document, ensure_ascii=False).encode()


class Lake:
    """Tables in a directory; each message has the next offset."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.rows: dict[str, list[dict[str, Any]]] = {BRONZE_TRANSACTIONS.name: [], SILVER_TRANSACTIONS.name: []}

    def add(self, table: Table, *rows: dict[str, Any]) -> None:
        self.rows.setdefault(table.name, []).extend(rows)

    def message(self, value: bytes, key: bytes = b"k", **changes: Any) -> int:
        offset = len(self.rows[BRONZE_TRANSACTIONS.name])
        self.add(BRONZE_TRANSACTIONS, {**bronze_row(offset, value, key), **changes})
        return int(changes.get("offset", offset))

    def transaction(self, transaction_id: str, card: str, value: bytes, key: bytes = b"k") -> int:
        """A message of which silver has the transaction."""
        offset = self.message(value, key)
        self.add(SILVER_TRANSACTIONS, silver_row(offset, card, transaction_id=transaction_id))
        return offset

    def write(self, *tables: Table) -> Catalog:
        for table in (BRONZE_TRANSACTIONS, SILVER_TRANSACTIONS, *tables):
            if self.rows[table.name]:
                write_rows(self.directory, table, *self.rows[table.name])
        return Catalog(str(self.directory))

    def left(self, table: Table, column: str = "offset") -> list[Any]:
        rows = DeltaTable(table.path(str(self.directory))).to_pyarrow_table()
        return sorted(rows.column(column).to_pylist())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def erase(catalog: Catalog, reader: MessageReader | None = None) -> erasure.Erasure:
    done = erasure.Erasure()
    erasure.delete_rows(catalog, CARD, done, reader=reader)
    erasure.purge(catalog, CARD, done, reader)
    return done


@pytest.mark.parametrize("transaction_id", SHORT_IDS)
def test_a_short_id_erases_only_its_own_messages(lake: Lake, transaction_id: str) -> None:
    for number in range(100):
        # The id is part of other ids, and is equal to other fields of other messages.
        other_id = f"{transaction_id}{number:03d}{transaction_id}"
        lake.transaction(other_id, OTHER, avro(other_id, OTHER, merchant_id=transaction_id, amount_minor=7))
        lake.transaction(other_id, OTHER, masked_json(other_id, merchant_id=transaction_id, amount_minor=7))
    lake.transaction(transaction_id, CARD, avro(transaction_id, CARD), CARD.encode())
    lake.transaction(transaction_id, CARD, masked_json(transaction_id))
    catalog = lake.write()
    assert erase(catalog).rows == {"bronze.transactions": 2, "silver.transactions": 2}
    assert lake.left(BRONZE_TRANSACTIONS) == list(range(200))
    assert files_containing(lake.directory, [CARD.encode()]) == []


def test_ids_that_contain_each_other_and_ids_inside_json(lake: Lake) -> None:
    own = [
        lake.transaction("a1", CARD, avro("a1", CARD)),
        lake.message(masked_json("a1")),  # sent twice
        lake.message(masked_json("a1").replace(b'"a1"', b'"\\u0061\\u0031"')),  # the same id, escaped
        lake.message(masked_json("a1").decode().encode("utf-16")),  # the enricher refuses it, bronze keeps it
        lake.message(masked_json("a1").decode().encode("utf-16-be")),
    ]
    for value in (
        masked_json("a11"),
        masked_json("1a1"),
        masked_json("a"),
        masked_json("b", original={"transaction_id": "a1"}),
        masked_json("b", items=[{"transaction_id": "a1"}, "a1"]),
        masked_json("b", a1="a1", merchant_id="a1", note='{"transaction_id": "a1"}'),
        masked_json(1),
        b'{"transaction_id": "a1", "transaction_id": "b"}',
        json.dumps([{"transaction_id": "a1"}]).encode(),
        json.dumps("a1").encode(),
        b"a1",
        b"",
    ):
        lake.message(value, b"a1")
    lake.message(b"", b"a1")
    lake.rows[BRONZE_TRANSACTIONS.name][-1]["value"] = None
    catalog = lake.write()
    assert erasure.survey(catalog, CARD).matches["bronze.transactions"] == {Match.TOKEN: 1, Match.TRANSACTION_ID: 4}
    erase(catalog)
    assert lake.left(BRONZE_TRANSACTIONS) == list(range(len(own), len(own) + 13))


def test_an_id_that_another_card_uses_too_erases_nothing_of_it(lake: Lake) -> None:
    own = lake.transaction("7", CARD, masked_json("7"))
    for value in (
        avro("7", OTHER),
        masked_json("7"),
        json.dumps({"transaction_id": "7", "card_token": OTHER}).encode(),
    ):
        lake.transaction("7", OTHER, value)
    unclear = lake.message(masked_json("7"))
    lake.add(
        GOLD_ALERTS,
        {"alert_id": "1", "scope": "card", "key": OTHER, "card_token": OTHER, "evidence_transaction_ids": ["7", "8"]},
        {"alert_id": "2", "scope": "merchant", "key": "m", "card_token": OTHER, "evidence_transaction_ids": ["7"]},
    )
    catalog = lake.write(GOLD_ALERTS)
    found = erasure.survey(catalog, CARD)
    assert found.matches["bronze.transactions"] == {Match.SILVER: 1, Match.SHARED_ID: 1}
    assert found.alerts_of_others == 0
    erase(catalog)
    assert (own, unclear) == (0, 4)
    assert lake.left(BRONZE_TRANSACTIONS) == [1, 2, 3, 4]
    assert lake.left(GOLD_ALERTS, "evidence_transaction_ids") == [["7"], ["7", "8"]]


def test_the_evidence_of_other_cards_own_alerts_stays(lake: Lake) -> None:
    lake.transaction("7", CARD, avro("7", CARD))
    lake.add(
        GOLD_ALERTS,
        {"alert_id": "1", "scope": "card", "key": OTHER, "card_token": OTHER, "evidence_transaction_ids": ["7", "77"]},
        {
            "alert_id": "2",
            "scope": "merchant",
            "key": "7",
            "card_token": OTHER,
            "evidence_transaction_ids": ["7", "77"],
        },
        {"alert_id": "7", "scope": "merchant", "key": "7", "card_token": CARD, "transaction_id": "7"},
    )
    for table in (GOLD_ALERT_LABELS, BRONZE_ALERT_EVENTS):
        lake.add(table, {"alert_id": "7"}, {"alert_id": "77"}, {"alert_id": "1"})
    catalog = lake.write(GOLD_ALERTS, GOLD_ALERT_LABELS, BRONZE_ALERT_EVENTS)
    assert erasure.survey(catalog, CARD).alerts_of_others == 1
    erase(catalog)
    assert lake.left(GOLD_ALERTS, "evidence_transaction_ids") == [["7", "77"], ["77"]]
    assert lake.left(GOLD_ALERT_LABELS, "alert_id") == lake.left(BRONZE_ALERT_EVENTS, "alert_id") == ["1", "77"]


def test_a_token_equal_to_another_field_of_another_card_is_kept_and_counted(lake: Lake) -> None:
    lake.transaction("1", CARD, avro("1", CARD))
    lake.transaction("2", OTHER, avro("2", OTHER, merchant_id=CARD), CARD.encode())
    lake.transaction("3", OTHER, masked_json("3", merchant_id=CARD))
    lake.message(json.dumps({"card_token": OTHER, "refund_of": {"card_token": CARD}}).encode())
    lake.message(json.dumps([{"card_token": OTHER}, {"card_token": CARD}]).encode())
    lake.message(json.dumps({"card_token": CARD, "refund_of": {"card_token": OTHER}}).encode())  # the card's
    lake.message(json.dumps({"note": [{"card": CARD}]}).encode())  # nobody else's
    lake.add(GOLD_CARD_DAYS, *({"card_token": card, "day": NOON.date()} for card in (CARD, OTHER)))
    lake.add(
        GOLD_VELOCITY_5M,
        *({"dimension": kind, "key": CARD, "window_date": NOON.date()} for kind in ("card", "merchant")),
    )
    catalog = lake.write(GOLD_CARD_DAYS, GOLD_VELOCITY_5M)
    found = erasure.survey(catalog, CARD)
    assert found.matches["bronze.transactions"] == {Match.TOKEN: 2, Match.NAMED: 1, Match.OTHERS: 4}
    assert found.kept == {"bronze.transactions": {Match.OTHERS: 4}}
    done = erase(catalog)
    # The statistics of the window that is kept name it, and without its newest checkpoint no table can be read.
    assert [name.partition("/")[0] for name in done.left] == ["gold.velocity_5m"]
    assert lake.left(BRONZE_TRANSACTIONS) == [1, 2, 3, 4]
    assert lake.left(GOLD_CARD_DAYS, "card_token") == [OTHER]
    assert lake.left(GOLD_VELOCITY_5M, "dimension") == ["merchant"]


def test_a_card_of_which_there_are_only_dead_letters(lake: Lake) -> None:
    refused = json.dumps({"transaction_id": "7", "card_token": CARD, "amount_minor": -1}).encode()
    own = lake.message(masked_json("7", amount_minor=-1))
    others = lake.message(masked_json("7"))  # its id is of no transaction of the card: that one was refused
    lake.transaction("8", OTHER, masked_json("8"))
    lake.add(
        BRONZE_QUARANTINE,
        {**bronze_row(own, refused), "service": "enricher"},
        {**bronze_row(own, masked_json("7", amount_minor=-1)), "service": "lakehouse"},
        {
            **bronze_row(others, json.dumps({"transaction_id": "7", "card_token": OTHER}).encode()),
            "service": "enricher",
        },
        {**bronze_row(90, avro("7", CARD)), "service": "enricher"},
        {**bronze_row(91, avro("7", OTHER)), "service": "enricher"},
        # A forged dead letter does not give a card the messages of others.
        {**bronze_row(2, refused), "service": "enricher"},
    )
    catalog = lake.write(BRONZE_QUARANTINE)
    found = erasure.survey(catalog, CARD)
    assert found.matches["bronze.transactions"] == {Match.DEAD_LETTER: 1}
    assert found.rows == {"bronze.transactions": 1, "bronze.quarantine": 4}
    found.check()
    erase(catalog)
    assert lake.left(BRONZE_TRANSACTIONS) == [1, 2]
    assert lake.left(BRONZE_QUARANTINE) == [1, 91]
    assert files_containing(lake.directory, [CARD.encode()]) == []


def test_interrupted_after_the_dead_letters_it_finds_their_messages_in_the_old_files(lake: Lake) -> None:
    own = lake.message(masked_json("7"))
    lake.add(BRONZE_QUARANTINE, bronze_row(own, json.dumps({"transaction_id": "7", "card_token": CARD}).encode()))
    catalog = lake.write(BRONZE_QUARANTINE)
    DeltaTable(BRONZE_QUARANTINE.path(str(lake.directory))).delete()
    assert erasure.survey(catalog, CARD).rows == {"bronze.transactions": 1}


def test_other_messages_at_the_same_positions_stay(lake: Lake) -> None:
    # The topic was deleted and created again: its offsets began with 0 again.
    lake.transaction("1", CARD, avro("1", CARD))
    lake.transaction("2", CARD, masked_json("2"))
    lake.message(avro("3", OTHER), offset=0)
    lake.message(masked_json("4"), offset=1)
    late = {"value": b"", "partition": 0, "offset": 1}
    lake.add(BRONZE_LATE, {**late, "card_token": CARD}, {**late, "card_token": OTHER}, {**late, "offset": 2})
    catalog = lake.write(BRONZE_LATE)
    erase(catalog)
    assert set(lake.left(BRONZE_TRANSACTIONS, "value")) == {avro("3", OTHER), masked_json("4")}
    assert sorted(lake.left(BRONZE_LATE)) == [1, 2]
    assert files_containing(lake.directory, [CARD.encode()]) == []


def test_late_rows_belong_to_the_card_of_their_column(lake: Lake) -> None:
    lake.transaction("7", CARD, avro("7", CARD))
    encode = Encoder("enriched_transaction", SCHEMA_ID)
    for number, card in enumerate((CARD, OTHER, None, None)):
        value = encode(enriched_record(transaction_id=f"7{number}", card_token=card or (CARD, OTHER)[number - 2]))
        lake.add(BRONZE_LATE, {**bronze_row(number, value), "card_token": card})
    erase(lake.write(BRONZE_LATE))
    assert lake.left(BRONZE_LATE) == [1, 3]


def test_messages_that_cannot_be_decoded_are_found_by_whole_tokens_and_named_ids_only(lake: Lake) -> None:
    lake.transaction("7", CARD, avro("7", CARD))
    hexadecimal = "f" * 32  # looks like a token
    own = {
        Match.UNDECODED: (
            b"\0\0\0\0\5" + b"\x027" + b"@" + CARD.encode() + b"1 and more",
            b'{"card_token": "' + CARD.encode() + b'", "amount": ',
            b"card=" + CARD.encode() + b";",
        ),
        Match.UNDECODED_ID: (
            b'{"amount": 1, "merchant": "m", "transaction_id" : "7", "card_numb',
            b'{"transaction_id":"7"',
        ),
    }
    for values in own.values():
        for value in values:
            lake.message(value)
    lake.message(b"\xff broken", CARD.encode())
    others = (
        avro("7", OTHER)[:-1],
        b"\0\0\0\0\5" + b"\x027",
        b"\0\0\0\0\5@" + OTHER.encode() + b"@" + CARD.encode(),
        b"\0\0\0\0\5@" + hexadecimal.encode() + b"@" + CARD.encode(),
        CARD.encode() + b"f",
        b"0" + CARD.encode(),
        b'{"transaction_id": "77", ',
        b'{"transaction_id": 7, ',
        b'{"original": {"transaction_id": "7"}, "amount": ',
        b'{"note": "\\"transaction_id\\": \\"7\\"", ',
        b'{"transaction_id": "7", "card_token": "' + OTHER.encode() + b'", ',
        b'{"card_token": "' + OTHER.encode() + b'", "merchant_id": "' + CARD.encode() + b'", ',
        b"7",
        b"[" * 100_000 + b'{"transaction_id": "7"}',
    )
    first = len(lake.rows[BRONZE_TRANSACTIONS.name])
    for value in others:
        lake.message(value)
    catalog = lake.write()
    found = erasure.survey(catalog, CARD)
    assert found.matches["bronze.transactions"] == {
        Match.TOKEN: 1,
        Match.UNDECODED: 4,
        Match.UNDECODED_ID: 2,
        Match.OTHERS: 5,
    }
    erase(catalog)
    assert lake.left(BRONZE_TRANSACTIONS) == list(range(first, first + len(others)))


def newer_schema() -> str:
    schema = json.loads(schema_text("transaction"))
    added = {"name": "linked_token", "type": ["null", "string"], "default": None}
    schema["fields"] = [added, *reversed(schema["fields"])]
    return json.dumps(schema)


def test_messages_are_decoded_by_the_schema_that_wrote_them(lake: Lake) -> None:
    import io

    import fastavro

    def newer(transaction_id: str, card: str, linked: str | None) -> bytes:
        record = {**transaction_record(transaction_id=transaction_id, card_token=card), "linked_token": linked}
        sink = io.BytesIO()
        fastavro.schemaless_writer(sink, fastavro.parse_schema(json.loads(newer_schema())), record)
        return b"\0\0\0\0\x09" + sink.getvalue()

    lake.transaction("7", CARD, newer("7", CARD, None))
    lake.message(newer("8", CARD, OTHER))
    lake.message(newer("9", OTHER, CARD))
    lake.message(avro("10", CARD))
    lake.message(avro("11", OTHER))
    catalog = lake.write()
    registry = InMemoryRegistry({"transaction": SCHEMA_ID})
    registry.texts[9] = newer_schema()
    # Without the registry, what it cannot decode and has two tokens in it stays, and is counted.
    assert erasure.survey(catalog, CARD).matches["bronze.transactions"] == {
        Match.TOKEN: 1,
        Match.SILVER: 1,
        Match.OTHERS: 2,
    }
    reader = registered(registry)
    assert erasure.survey(catalog, CARD, reader).matches["bronze.transactions"] == {Match.TOKEN: 3, Match.OTHERS: 1}
    assert Counter(registry.subjects).most_common(1)[0][1] <= 2, (
        "the versions of each subject are asked for once or twice"
    )
    erase(catalog, reader)
    assert lake.left(BRONZE_TRANSACTIONS) == [2, 4]


def test_a_schema_id_that_the_registry_has_not_is_decoded_by_this_versions_schemas(lake: Lake) -> None:
    lake.transaction("7", CARD, avro("7", CARD))
    lake.message(avro("7", OTHER))
    found = erasure.survey(
        lake.write(), CARD, registered(InMemoryRegistry({"transaction": 500, "enriched_transaction": 501}))
    )
    assert found.matches["bronze.transactions"] == {Match.TOKEN: 1}


def test_dead_letters_that_only_an_id_connects_with_the_card_are_refused_too(lake: Lake) -> None:
    lake.transaction("7", CARD, avro("7", CARD))
    lake.add(BRONZE_QUARANTINE, bronze_row(40, masked_json("7")), bronze_row(41, b'{"transaction_id": "7", "card_n'))
    with pytest.raises(
        ConfigurationError, match=r"nothing was changed: of the messages .* proves 2 to be .*: raw/0/40, raw/0/41$"
    ):
        erasure.survey(lake.write(BRONZE_QUARANTINE), CARD).check()


@pytest.mark.parametrize(
    "text", ["", "no schema", '["null", "string"]', '{"type": "record"}', '"string"', schema_text("alert")]
)
def test_a_registered_text_that_is_no_schema_of_transactions_decodes_nothing(lake: Lake, text: str) -> None:
    registry = InMemoryRegistry({})
    registry.texts[SCHEMA_ID] = text
    for number, card in enumerate((CARD, OTHER)):
        lake.transaction(str(number), card, avro(str(number), card))
        lake.message(avro("2", card))
    found = erasure.survey(lake.write(), CARD, registered(registry))
    assert found.matches["bronze.transactions"] == {Match.SILVER: 1, Match.UNDECODED: 1}


def test_a_registry_that_does_not_answer_ends_the_survey(lake: Lake) -> None:
    lake.transaction("7", CARD, avro("7", CARD))
    registry = InMemoryRegistry({"transaction": SCHEMA_ID})
    registry.failures.append(RegistryUnavailableError("the registry does not answer"))
    with pytest.raises(RegistryUnavailableError):
        erasure.survey(lake.write(), CARD, registered(registry))


def test_more_messages_than_silver_and_dead_letters_have_are_refused(lake: Lake) -> None:
    lake.transaction("7", CARD, avro("7", CARD))
    lake.message(avro("8", CARD))
    lake.message(avro("8", CARD))
    lake.add(BRONZE_QUARANTINE, bronze_row(1, avro("8", CARD)))
    catalog = lake.write(BRONZE_QUARANTINE)
    with pytest.raises(ConfigurationError, match=r"would lose 3 messages, but .* have 2 of this card\. .*: raw/0/2$"):
        erasure.survey(catalog, CARD).check()
    write_rows(lake.directory, BRONZE_QUARANTINE, bronze_row(2, avro("8", CARD)))
    erasure.survey(catalog, CARD).check()


def test_messages_connected_with_the_card_by_an_id_only_are_refused_in_any_number(lake: Lake) -> None:
    lake.transaction("7", CARD, avro("7", CARD))
    lake.message(masked_json("7"))
    lake.add(SILVER_TRANSACTIONS, *(silver_row(number, CARD) for number in range(50, 60)))
    with pytest.raises(
        ConfigurationError, match=r"nothing was changed: of the messages .* proves 1 to be .*: raw/0/1$"
    ):
        erasure.survey(lake.write(), CARD).check()


ids = st.one_of(
    st.sampled_from(["0", "7", "e", "", "00", "é", "\u0307", "日", '"', "\\", "'"]), st.text("07e", max_size=2)
)
cards = st.sampled_from([CARD, OTHER, CARD[::-1], "7" * 31 + "e"])
messages = st.lists(
    st.tuples(ids, cards, st.sampled_from(["avro", "json", "token json", "refused"]), ids, st.booleans()),
    min_size=1,
    max_size=12,
)


@random_examples(30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages)
def test_of_random_tables_all_rows_of_the_card_go_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, str, str, str, bool]]
) -> None:
    lake, expected, letters = Lake(tmp_path_factory.mktemp("lake")), [], []
    lake.transaction("first", CARD, avro("first", CARD))
    for transaction_id, card, kind, merchant, nested in drawn:
        more = {"merchant_id": merchant, "amount_minor": 7}
        inside: dict[str, Any] = {"original": {"transaction_id": merchant, "n": 7}} if nested else {}
        if kind == "avro":
            offset = lake.transaction(transaction_id, card, avro(transaction_id, card, **more), merchant.encode())
        elif kind == "json":
            offset = lake.transaction(transaction_id, card, masked_json(transaction_id, **more, **inside))
        elif kind == "token json":
            value = json.dumps({"transaction_id": transaction_id, "card_token": card, **more, **inside}).encode()
            offset = lake.transaction(transaction_id, card, value)
        else:
            offset = lake.message(masked_json(transaction_id, **more, **inside))
            value = json.dumps({"transaction_id": transaction_id, "card_token": card, **more, **inside}).encode()
            lake.add(BRONZE_QUARANTINE, bronze_row(offset, value))
            letters += [offset] * (card != CARD)
        ambiguous = kind == "refused" and card != CARD
        expected += [(offset, card, transaction_id)] if card != CARD and not ambiguous else []
    lake.rows.setdefault(BRONZE_QUARANTINE.name, [])
    catalog = lake.write(BRONZE_QUARANTINE)
    erase(catalog)
    assert lake.left(SILVER_TRANSACTIONS, "raw_offset") == [offset for offset, *_ in expected]
    assert files_containing(lake.directory, [CARD.encode()]) == []
    left = lake.left(BRONZE_TRANSACTIONS)
    assert left == sorted([offset for offset, *_ in expected] + letters)
    if letters or lake.rows[BRONZE_QUARANTINE.name]:
        assert lake.left(BRONZE_QUARANTINE) == letters


def broken(draw: st.DrawFn) -> bytes:
    """Another card's Avro message, cut off and with changed bytes; or any bytes."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=80))
    value = bytearray(avro(draw(ids), draw(cards.filter(lambda card: card != CARD)), merchant_id=draw(ids)))
    for at, byte in draw(st.lists(st.tuples(st.integers(0, len(value) - 1), st.integers(0, 255)), max_size=4)):
        value[at] = byte
    return bytes(value[: draw(st.integers(0, len(value)))])


@random_examples(500, deadline=None)
@given(st.composite(broken)(), ids)
def test_no_broken_avro_of_another_card_is_erased(value: bytes, key: str) -> None:
    own = {"0", "7", "e", "", "00", "é", "日"}
    card = Card(CARD, transactions=own, messages={("raw", 0, 1): {"7"}})
    row = {"topic": "raw", "partition": 0, "offset": 2, "key": key.encode(), "value": value}
    assert match_messages({0: row}, card, ("topic", "partition", "offset")) == {}
