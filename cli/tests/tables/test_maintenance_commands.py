"""``cardwatch tables optimize | vacuum | retain | forget``, and which files a query opens."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cardwatch_cli.connections import Connections
from cardwatch_cli.main import app
from cardwatch_cli.tables.query import TableView, open_lake, run_query
from cardwatch_contracts.wire import Encoder
from cardwatch_lakehouse.audit.chain import Content, chain
from cardwatch_lakehouse.audit.table import read_links
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.tables import BRONZE_RULE_CHANGES, BRONZE_TRANSACTIONS, SILVER_TRANSACTIONS
from support.delta_tables import CARD, NOON, OTHER, bronze_row, files_containing, silver_row, write_rows
from support.records import transaction_record
from support.registry import InMemoryRegistry
from typer.testing import CliRunner, Result


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Three days of silver with several files each; the files of a day have different ranges of cards."""
    for days in range(3):
        at = NOON - timedelta(days=days)
        for number, card in enumerate((CARD, OTHER, "a" * 32, "b" * 32)):
            row = silver_row(10 * days + number, card, event_time=at, event_date=at.date())
            write_rows(tmp_path, SILVER_TRANSACTIONS, row)
    write_rows(tmp_path, BRONZE_TRANSACTIONS, bronze_row(0, b"avro" + CARD.encode()))
    return tmp_path


def run(lake: Path, *arguments: str, answers: str = "") -> Result:
    return CliRunner().invoke(app, ["tables", *arguments, "--tables-dir", str(lake)], input=answers)


def test_optimize_with_and_without_dry_run(lake: Path) -> None:
    told = run(lake, "optimize", "--dry-run", "--settled", "0s").output
    assert "event_date=2024-11-20" in told
    assert Catalog(str(lake)).summary(SILVER_TRANSACTIONS.name).files == 12
    assert run(lake, "optimize", "--settled", "2h").output == "nothing to do\n", "files are being written"
    assert "order" in run(lake, "optimize", "silver.transactions", "--settled", "0s").output
    assert Catalog(str(lake)).summary(SILVER_TRANSACTIONS.name).files == 3


def test_vacuum_refuses_a_short_retention_without_force(lake: Path) -> None:
    run(lake, "optimize", "--settled", "0s")
    refused = run(lake, "vacuum", "--keep", "1h")
    assert refused.exit_code == 1
    assert "--force if nothing reads or writes" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "silver.transactions: 0 files would be deleted" in run(lake, "vacuum", "--dry-run").output
    assert "silver.transactions: 12 files deleted" in run(lake, "vacuum", "--keep", "0s", "--force").output


def test_retain_needs_an_age_and_deletes_what_is_older(lake: Path) -> None:
    assert "expected a retention such as --bronze 30d" in run(lake, "retain").stderr
    assert "silver.transactions: 12 rows would be deleted" in run(lake, "retain", "--silver", "1d", "--dry-run").output
    assert "silver.transactions: 12 rows deleted" in run(lake, "retain", "--silver", "1d", "--bronze", "3650d").output


def test_forget_asks_for_confirmation_and_lists_what_it_does_not_erase(lake: Path) -> None:
    command = ("forget", "--card-token", CARD, "--grace", "0s")
    assert run(lake, *command, answers="n\n").exit_code == 1
    assert "silver.transactions: 3 rows would be deleted" in run(lake, *command, "--dry-run").output
    assert files_containing(lake, [CARD.encode()])
    done = run(lake, *command, "--yes")
    assert done.exit_code == 0, done.output
    assert "bronze.transactions: 1 row deleted" in done.output
    assert "Not erased: messages in Kafka's topics" in done.output
    assert files_containing(lake, [CARD.encode()]) == []
    assert "no table has a row of this card" in run(lake, *command, "--yes").output


def test_forget_shows_the_counts_before_it_asks(lake: Path) -> None:
    write_rows(
        lake, BRONZE_TRANSACTIONS, bronze_row(1, b'{"merchant_id": "' + CARD.encode() + b'", "card_token": "x"}')
    )
    answer = run(lake, "forget", "--card-token", CARD, "--grace", "0s", answers="n\n")
    before, asked, _ = answer.output.partition("Erase card")
    assert asked
    assert "silver.transactions: 3 rows would be deleted\n" in before
    assert "bronze.transactions: 1 row would be deleted\n  1 by their position in silver.transactions\n" in before
    assert "bronze.transactions: 1 row would be kept: of other cards, or of several, which contain the token" in before
    assert Catalog(str(lake)).summary(SILVER_TRANSACTIONS.name).rows == 12


def test_forget_keeps_the_audit_trail_and_says_so(lake: Path) -> None:
    contents = [
        Content("lists.v1", 0, 0, 1, f"stolen|{CARD}".encode(), b"added"),
        Content("lists.v1", 0, 1, 1, b"stolen|another", b"added"),
        Content("lists.v1", 0, 2, 1, None, b"removed " + CARD.encode()),
    ]
    links = list(chain(contents))
    hashes = [{"previous_hash": link.previous_hash, "hash": link.hash} for link in links]
    at = {"broker_time": datetime(1970, 1, 1, microsecond=1, tzinfo=UTC)}
    rows = [content._asdict() | own | at for content, own in zip(contents, hashes, strict=True)]
    write_rows(lake, BRONZE_RULE_CHANGES, *rows)
    done = run(lake, "forget", "--card-token", CARD, "--grace", "0s", "--yes")
    assert done.exit_code == 0, done.output
    assert "bronze.rule_changes: 2 rows would be kept: changes of lists or rules that name the card" in done.output
    assert "bronze.rule_changes, the audit trail" in done.output
    assert list(read_links(Catalog(str(lake)))) == links
    kept = files_containing(lake, [CARD.encode()])
    assert {path.relative_to(lake).parts[:2] for path in kept} == {("bronze", "rule_changes")}


def test_forget_refuses_more_messages_than_the_card_has(lake: Path) -> None:
    write_rows(
        lake, BRONZE_TRANSACTIONS, *(bronze_row(at, b'{"card_token": "' + CARD.encode() + b'"}') for at in range(1, 5))
    )
    command = ("forget", "--card-token", CARD, "--grace", "0s", "--yes")
    for extra in ((), ("--dry-run",)):
        refused = run(lake, *command, *extra)
        assert refused.exit_code == 1
        assert "bronze.transactions: 5 rows would be deleted" in refused.stdout
        assert "nothing was changed: bronze.transactions would lose 5 messages" in refused.stderr
        assert "have 3 of this card" in refused.stderr
        assert "repeat with --allow-unknown-messages" in refused.stderr
        assert Catalog(str(lake)).summary(SILVER_TRANSACTIONS.name).rows == 12
        assert Catalog(str(lake)).summary(BRONZE_TRANSACTIONS.name).rows == 5
    done = run(lake, *command, "--allow-unknown-messages")
    assert done.exit_code == 0, done.output
    assert "bronze.transactions: 5 rows deleted" in done.output
    assert files_containing(lake, [CARD.encode()]) == []


def test_forget_decodes_by_the_registry_where_one_is_configured(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_SCHEMA_REGISTRY_URL", "http://registry")
    registry = InMemoryRegistry({"transaction": 5})
    encode = Encoder("transaction", 5)
    for offset, card in enumerate((CARD, OTHER, OTHER), start=20):
        value = encode(transaction_record(transaction_id="tx-0000", card_token=card))
        write_rows(lake, BRONZE_TRANSACTIONS, bronze_row(offset, value))
    connections = Connections(registry=lambda _: registry)  # type: ignore[arg-type, return-value]
    command = ["tables", "forget", "--card-token", CARD, "--dry-run", "--tables-dir", str(lake)]
    told = CliRunner().invoke(app, command, obj=connections).output
    assert "bronze.transactions: 2 rows would be deleted" in told
    assert "  1 by the card_token in the message" in told
    assert registry.subjects == ["transactions.raw.v1-value"]


def test_forget_with_a_registry_that_does_not_answer_changes_nothing(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARDWATCH_SCHEMA_REGISTRY_URL", "http://127.0.0.1:1")
    write_rows(lake, BRONZE_TRANSACTIONS, bronze_row(1, b"\0\0\0\0\1@" + CARD.encode()))
    refused = run(lake, "forget", "--card-token", CARD, "--grace", "0s", "--yes")
    assert refused.exit_code == 1
    assert "the schema registry at http://127.0.0.1:1 does not answer" in refused.stderr
    assert Catalog(str(lake)).summary(SILVER_TRANSACTIONS.name).rows == 12


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        *(
            (("forget", "--card-token", token, "--yes"), "expected 32 hexadecimal digits as in silver.transactions")
            for token in (CARD[:16], CARD.upper(), CARD + "0", "z" * 32)
        ),
        (
            ("forget", "--card-token", "4111", "--yes"),
            "expected 32 hexadecimal digits as in silver.transactions, got '4111'",
        ),
        (("optimize", "gold.nothing"), "there is no table gold.nothing; the tables are bronze.transactions"),
        (("vacuum", "--keep", "soon"), "--keep: expected a duration such as 90s, 10m, 24h or 7d, got 'soon'"),
        (("vacuum", "--keep", "0d", "--force"), "--keep: expected a duration longer than zero, got '0d'"),
    ],
)
def test_mistakes_are_one_sentence(lake: Path, arguments: tuple[str, ...], sentence: str) -> None:
    outcome = run(lake, *arguments)
    assert outcome.exit_code == 1
    assert sentence in outcome.stderr


def opened(lake: Path, sql: str) -> tuple[list[dict[str, Any]], int]:
    """A query's rows, and the number of files that DuckDB was told to read."""
    files: list[int] = []

    class CountingView(TableView):
        def over_files(self, connection: Any, paths: Any) -> None:
            files.append(len(paths))
            super().over_files(connection, paths)

        def over_dataset(self, connection: Any) -> None:
            raise AssertionError("read by Arrow, which is slower")

    with open_lake(Catalog(str(lake)), make_view=CountingView) as opened_lake:
        found = run_query(opened_lake, sql).to_pylist()
    return found, sum(files)


@pytest.mark.parametrize(
    ("where", "rows", "files"),
    [
        # Each file contains one card of one day here.
        (f"card_token = '{CARD}' AND event_time > TIMESTAMPTZ '2024-11-20 00:00:00Z'", 1, 1),
        (f"card_token = '{CARD}'", 3, 3),
        ("event_time >= TIMESTAMPTZ '2024-11-20 12:00:00Z'", 4, 4),
        ("event_date = DATE '2024-11-19' AND card_token > 'a'", 2, 2),
        ("event_date BETWEEN DATE '2024-11-19' AND DATE '2024-11-20'", 8, 8),
        ("raw_offset <= 1", 2, 2),
        ("transaction_id = 'it''s none'", 0, 0),
        # Conditions that cannot prune files: all files are read.
        ("card_token LIKE '%0badc0de'", 3, 12),
        (f"card_token = '{CARD}' OR raw_offset = 11", 4, 12),
        ("event_time > now() + INTERVAL 365 DAY OR status IS NULL", 12, 12),
    ],
)
def test_a_query_opens_only_files_that_can_contain_its_result(lake: Path, where: str, rows: int, files: int) -> None:
    found, opened_files = opened(lake, f"SELECT * FROM silver.transactions WHERE {where}")
    assert (len(found), opened_files) == (rows, files)


def test_a_table_used_twice_is_pruned_for_both_uses(lake: Path) -> None:
    sql = f"""
        SELECT count(*) AS n FROM silver.transactions AS one, silver.transactions AS other
        WHERE one.card_token = '{CARD}' AND other.card_token = '{OTHER}' AND one.event_date = other.event_date
    """
    assert opened(lake, sql) == ([{"n": 3}], 6)
    whole = "SELECT (SELECT count(*) FROM silver.transactions) AS n FROM silver.transactions WHERE raw_offset = 0"
    assert opened(lake, whole) == ([{"n": 12}], 12)


def test_forget_erases_a_card_under_all_its_tokens(tmp_path: Path) -> None:
    newer, newest, unrelated = "1" * 32, "2" * 32, "a" * 32
    rows = (
        silver_row(1, CARD),
        silver_row(2, CARD, other_card_token=newer, other_card_token_key_id="k2"),
        silver_row(3, newer, other_card_token=CARD, other_card_token_key_id="k1"),
        silver_row(4, newer),
        silver_row(5, newer, other_card_token=newest, other_card_token_key_id="k3"),
        silver_row(6, newest),
        silver_row(7, unrelated, other_card_token="b" * 32, other_card_token_key_id="k2"),
        silver_row(8, OTHER),
    )
    write_rows(tmp_path, SILVER_TRANSACTIONS, *rows)
    for token in (CARD, newer, newest):
        dry = run(tmp_path, "forget", "--card-token", token, "--dry-run")
        assert f"the card has 3 tokens: {', '.join(sorted((CARD, newer, newest)))}" in dry.output
    done = run(tmp_path, "forget", "--card-token", newer, "--grace", "0s", "--yes")
    assert done.exit_code == 0, done.output
    assert "silver.transactions: 6 rows deleted" in done.output
    assert files_containing(tmp_path, [token.encode() for token in (CARD, newer, newest)]) == []
    left = Catalog(str(tmp_path)).open(SILVER_TRANSACTIONS.name).to_pyarrow_table()["card_token"].to_pylist()
    assert sorted(left) == sorted((unrelated, OTHER))


def test_forget_refuses_where_a_message_connects_two_cards(tmp_path: Path) -> None:
    newer = "1" * 32
    rows = (
        silver_row(1, CARD, card_token_key_id="k1", other_card_token=newer, other_card_token_key_id="k2"),
        silver_row(2, newer, card_token_key_id="k2"),
        silver_row(3, OTHER, card_token_key_id="k1"),
        # Anybody who may send transactions can send this.
        silver_row(4, newer, card_token_key_id="k2", other_card_token=OTHER, other_card_token_key_id="k3"),
    )
    write_rows(tmp_path, SILVER_TRANSACTIONS, *rows)
    for given in (CARD, newer, OTHER):
        refused = run(tmp_path, "forget", "--card-token", given, "--grace", "0s", "--yes")
        assert refused.exit_code == 1
        assert f"{CARD} and {OTHER} are both by the key k1" in refused.stderr.replace(
            f"{OTHER} and {CARD}", f"{CARD} and {OTHER}"
        )
    both = ("--card-token", CARD, "--card-token", newer)
    done = run(tmp_path, "forget", *both, "--only-given", "--grace", "0s", "--yes")
    assert done.exit_code == 0, done.output
    left = Catalog(str(tmp_path)).open(SILVER_TRANSACTIONS.name).to_pyarrow_table()["card_token"].to_pylist()
    assert left == [OTHER]
