"""``cardwatch tables query`` reads the tables and nothing else, within its memory and time, and writes nothing."""

import json
import os
import re
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from cardwatch_cli.main import app
from cardwatch_lakehouse.tables import ALL_TABLES
from cardwatch_service.printable import escape_cell
from deltalake import write_deltalake
from support.delta_tables import write_rows
from support.hostile_texts import HOSTILE_TEXTS, HostileText, control_characters
from typer.testing import CliRunner, Result

DOCUMENTATION = Path(__file__).parents[3] / "docs"
RUNBOOKS = ("CardwatchLateTransactions", "CardwatchAlertFlood", "CardwatchProfilesOld", "CardwatchManyRefusals")
SECRET = "only-the-owner-may-read-this"
ONLY_TABLES = "a query can read only the tables"
ONE_SELECT = "expected one SELECT"
LOCKED = "a query can read only the tables, by their names: enable_"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with ``tables``, secrets beside them, and links to the secrets in them."""
    tables = tmp_path / "tables"
    write_deltalake(tables / "gold/alerts", pa.table({"alert_id": ["a", "b"], "amount": [-1, 2]}))
    for directory in (tmp_path, tmp_path / "tables-old"):
        directory.mkdir(exist_ok=True)
        (directory / "secret.csv").write_text(f"secret\n{SECRET}\n")
    pa.parquet.write_table(pa.table({"secret": [SECRET]}), tmp_path / "secret.parquet")
    (tables / "link.csv").symlink_to(tmp_path / "secret.csv")
    (tables / "link").symlink_to(tmp_path)
    return tmp_path


def query(place: Path, sql: str, *more: str) -> Result:
    arguments = ["tables", "query", sql.replace("PLACE", str(place)), "--tables-dir", str(place / "tables"), *more]
    return CliRunner().invoke(app, arguments)


def files_of(place: Path) -> set[str]:
    return {str(Path(at, name)) for at, _, names in os.walk(place) for name in names}


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("SELECT * FROM read_text('PLACE/secret.csv')", ONLY_TABLES),
        ("SELECT * FROM read_text('/etc/passwd')", ONLY_TABLES),
        ("SELECT * FROM read_blob('PLACE/secret.csv')", ONLY_TABLES),
        ("SELECT * FROM read_csv('PLACE/secret.csv')", ONLY_TABLES),
        ("SELECT * FROM READ_CSV_AUTO('PLACE/secret.csv')", ONLY_TABLES),
        ("SELECT * FROM read_json('PLACE/secret.csv')", ONLY_TABLES),
        ("SELECT * FROM read_parquet('PLACE/secret.parquet')", ONLY_TABLES),
        ("SELECT * FROM parquet_scan('PLACE/secret.parquet')", ONLY_TABLES),
        ("SELECT * FROM main.read_text('PLACE/secret.csv')", ONLY_TABLES),
        ("SELECT (SELECT content FROM read_text('PLACE/secret.csv'))", ONLY_TABLES),
        ("SELECT * FROM gold.alerts, read_text('PLACE/secret.csv')", ONLY_TABLES),
        ("SELECT * FROM gold.alerts UNION ALL SELECT content, 1 FROM read_text('PLACE/secret.csv')", ONLY_TABLES),
        ("WITH x AS (FROM read_text('PLACE/secret.csv')) FROM x", ONLY_TABLES),
        ("FROM 'PLACE/secret.csv'", ONLY_TABLES),
        ("FROM 'PLACE/secret.parquet'", ONLY_TABLES),
        ("FROM 'file://PLACE/secret.csv'", ONLY_TABLES),
        ("FROM 'PLACE/tables/../secret.csv'", ONLY_TABLES),
        ("FROM 'PLACE/tables-old/secret.csv'", ONLY_TABLES),
        ("FROM 'PLACE/tables/link.csv'", ONLY_TABLES),
        ("FROM 'PLACE/tables/link/secret.csv'", ONLY_TABLES),
        ("FROM 'PLACE/tables/link/*.csv'", ONLY_TABLES),
        ("FROM 'PLACE/tables/*/../../secret.csv'", ONLY_TABLES),
        ("DESCRIBE 'PLACE/secret.csv'", ONLY_TABLES),
        ("SUMMARIZE 'PLACE/secret.csv'", ONLY_TABLES),
        ("SUMMARIZE FROM read_text('PLACE/secret.csv')", ONLY_TABLES),
        ("EXPLAIN ANALYZE FROM read_text('PLACE/secret.csv')", ONLY_TABLES),
        ("SELECT * FROM query_table('PLACE/secret.csv')", ONLY_TABLES),
        ("SELECT * FROM query('FROM ''PLACE/secret.csv''')", ONLY_TABLES),
        ("SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))", ONLY_TABLES),
        ("SELECT * FROM read_duckdb('PLACE/secret.db')", ONLY_TABLES),
        ("SELECT * FROM glob('PLACE/*')", ONLY_TABLES),
        ("SELECT * FROM sniff_csv('PLACE/secret.csv')", ONLY_TABLES),
        ("SELECT * FROM parquet_metadata('PLACE/secret.parquet')", ONLY_TABLES),
        ("SELECT * FROM parquet_schema('PLACE/secret.parquet')", ONLY_TABLES),
        ("FROM 'https://127.0.0.1:9/secret.csv'", ONLY_TABLES),
        ("FROM 's3://bucket/secret.parquet'", ONLY_TABLES),
        ("SELECT * FROM enable_logging(storage = 'file', storage_path = 'PLACE/tables')", LOCKED),
        ("SELECT * FROM enable_profiling(save_location = 'PLACE/tables/x.json')", LOCKED),
        ("SELECT getenv('HOME')", "getenv does not exist"),
        ("SELECT * FROM SECRET", "Table with name SECRET does not exist"),
        ("COPY (SELECT 1) TO 'PLACE/out.csv'", ONE_SELECT),
        ("COPY gold.alerts TO 'PLACE/tables/out.csv'", ONE_SELECT),
        ("WITH x AS (COPY (SELECT 1) TO 'PLACE/tables/out.csv') SELECT 1", ONE_SELECT),
        ("EXPLAIN ANALYZE WITH x AS (COPY (SELECT 1) TO 'PLACE/tables/out.csv') SELECT 1", ONE_SELECT),
        ("WITH x AS (DELETE FROM gold.alerts RETURNING *) SELECT * FROM x", ONE_SELECT),
        (
            "FROM json_execute_serialized_sql("
            "json_serialize_sql('WITH x AS (COPY (SELECT 1) TO ''PLACE/tables/out.csv'') SELECT 1'))",
            ONLY_TABLES,
        ),
        ("EXPORT DATABASE 'PLACE/tables/out'", ONE_SELECT),
        ("IMPORT DATABASE 'PLACE'", ONE_SELECT),
        ("ATTACH 'PLACE/tables/out.db'", ONE_SELECT),
        ("INSTALL httpfs", ONE_SELECT),
        ("LOAD httpfs", ONE_SELECT),
        ("FORCE INSTALL httpfs FROM community", ONE_SELECT),
        ("SET enable_external_access = true", ONE_SELECT),
        ("SET memory_limit = '100GB'", ONE_SELECT),
        ("RESET lock_configuration", ONE_SELECT),
        ("SET VARIABLE x = 1", ONE_SELECT),
        ("PRAGMA enable_profiling", ONE_SELECT),
        ("PRAGMA database_list", ONE_SELECT),
        ("CALL pragma_version()", ONE_SELECT),
        ("CREATE SECRET s (TYPE s3)", ONE_SELECT),
        ("CREATE TABLE t AS SELECT 1", ONE_SELECT),
        ("CREATE MACRO f() AS TABLE FROM 'PLACE/secret.csv'", ONE_SELECT),
        ("PREPARE x AS SELECT 1", ONE_SELECT),
        ("DELETE FROM gold.alerts", ONE_SELECT),
        ("EXPLAIN ANALYZE COPY (SELECT 1) TO 'PLACE/tables/out.csv'", ONE_SELECT),
        ("EXPLAIN (ANALYZE) COPY (SELECT 1) TO 'PLACE/tables/out.csv'", ONE_SELECT),
        ("EXPLAIN /* */ ANALYZE COPY (SELECT 1) TO 'PLACE/tables/out.csv'", ONE_SELECT),
        ("SELECT 1; COPY (SELECT 1) TO 'PLACE/tables/out.csv'", ONE_SELECT),
        ("", ONE_SELECT),
        (f"SELECT {'(' * 400}1{' + 1)' * 400}", "nested too deeply"),
    ],
)
def test_attempts_are_refused_with_a_sentence(place: Path, sql: str, sentence: str) -> None:
    before = files_of(place)
    outcome = query(place, sql, "--format", "json")
    assert outcome.exit_code == 1, outcome.output
    assert sentence in outcome.stderr
    assert len(outcome.stderr.strip().splitlines()) == 1
    assert SECRET not in outcome.output
    assert files_of(place) == before


@pytest.mark.parametrize(
    ("sql", "options", "sentence"),
    [
        (
            "SELECT count(*) FROM range(10000000000) a, range(10000000000) b",
            ("--timeout", "1s"),
            "the query was stopped after 1s; make it smaller, or allow it more time with --timeout",
        ),
        (
            "SELECT list(a) FROM range(100000000) t(a)",
            ("--memory-limit", "100MB"),
            "the query needs more memory than 100MB; make it smaller, or allow it more with --memory-limit",
        ),
        (
            "SELECT a.n, b.n FROM generate_series(1, 1000000000) a(n), generate_series(1, 1000000000) b(n)",
            ("--memory-limit", "100MB"),
            "more memory than 100MB",
        ),
        (
            "SELECT * FROM range(100000000000)",
            ("--memory-limit", "50MB"),
            "the result is larger than 50MB; select less (LIMIT, fewer columns), or allow it more memory",
        ),
        ("SELECT 1", ("--memory-limit", "much"), "--memory-limit: expected a size such as 500MB or 2GB, got 'much'"),
        ("SELECT 1", ("--timeout", "soon"), "--timeout: expected a duration such as 90s, 10m, 24h or 7d, got 'soon'"),
    ],
)
def test_a_query_ends_at_its_limits(place: Path, sql: str, options: tuple[str, ...], sentence: str) -> None:
    began = time.monotonic()
    outcome = query(place, sql, "--format", "json", *options)
    assert outcome.exit_code == 1, outcome.output[:200]
    assert sentence in outcome.stderr
    assert time.monotonic() - began < 20


def test_nothing_is_written_to_the_current_directory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    before = files_of(place)
    query(place, "SELECT * FROM range(5000000) t(a) ORDER BY random()", "--format", "csv", "--memory-limit", "60MB")
    assert files_of(place) == before


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT count(*) AS n FROM gold.alerts", [{"n": 2}]),
        ("WITH x AS (SELECT amount FROM gold.alerts) SELECT sum(amount)::INT AS n FROM x", [{"n": 1}]),
        ("FROM gold.alerts SELECT max(amount) AS n", [{"n": 2}]),
        (
            "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT max(n) AS n FROM t",
            [{"n": 3}],
        ),
        ("SELECT range AS n FROM range(1)", [{"n": 0}]),
        ("SELECT n FROM (SELECT unnest([7]) AS n)", [{"n": 7}]),
        ("VALUES (1)", [{"col0": 1}]),
        ("SELECT 'read_text(''/etc/passwd'')' AS n", [{"n": "read_text('/etc/passwd')"}]),
    ],
)
def test_queries_that_read(place: Path, sql: str, found: list[dict[str, object]]) -> None:
    outcome = query(place, sql, "--format", "json")
    assert outcome.exit_code == 0, outcome.output
    assert [json.loads(line) for line in outcome.output.splitlines()] == found


@pytest.mark.parametrize("document", ["questions.md", *(f"runbooks/{name}.md" for name in RUNBOOKS)])
def test_queries_of_the_documentation_run(tmp_path: Path, document: str) -> None:
    for table in ALL_TABLES:
        write_rows(tmp_path, table, {})
    text = (DOCUMENTATION / document).read_text()
    queries = re.findall(r"```sql\n(.*?)```", text, re.S) + re.findall(
        r'cardwatch tables query "(SELECT [^…]*?)"', text
    )
    assert len(queries) == (10 if document == "questions.md" else 1)
    for sql in queries:
        arguments = ["tables", "query", sql.replace("\\\n", "\n"), "--tables-dir", str(tmp_path), "--format", "json"]
        outcome = CliRunner().invoke(app, arguments)
        assert outcome.exit_code == 0, (sql, outcome.output)


@pytest.mark.parametrize(
    ("sql", "part"),
    [
        ("DESCRIBE gold.alerts", "BIGINT"),
        ("SUMMARIZE gold.alerts", "amount"),
        ("SHOW ALL TABLES", "gold"),
        ("EXPLAIN SELECT * FROM gold.alerts", "physical_plan"),
        ("EXPLAIN ANALYZE SELECT * FROM gold.alerts", "analyzed_plan"),
        ("explain (analyze, format json) SELECT * FROM gold.alerts", "analyzed_plan"),
    ],
)
def test_statements_that_describe(place: Path, sql: str, part: str) -> None:
    outcome = query(place, sql)
    assert outcome.exit_code == 0, outcome.output
    assert part in outcome.output
    assert "\\u" not in outcome.output, "the lines of a plan stay lines"


@pytest.mark.parametrize("name", ["a'quote", "with space", "linked"])
def test_the_tables_directory_can_have_any_name(place: Path, name: str) -> None:
    if name == "linked":
        (place / name).symlink_to(place / "tables")
    else:
        (place / "tables").rename(place / name)
    arguments = ["tables", "query", "SELECT alert_id FROM gold.alerts", "--tables-dir", str(place / name)]
    outcome = CliRunner().invoke(app, [*arguments, "--format", "csv"])
    assert outcome.output == '"alert_id"\n"a"\n"b"\n'


def test_a_table_that_is_a_link_to_another_disk_is_read(place: Path) -> None:
    (place / "tables/gold/alerts").rename(place / "disk")
    (place / "tables/gold/alerts").symlink_to(place / "disk")
    assert query(place, "SELECT max(amount) AS n FROM gold.alerts", "--format", "json").output == '{"n": 2}\n'


HOSTILE = "\x1b[2J\u202eevil\x9b\nrow"


def test_text_of_a_table_cannot_steer_the_terminal(place: Path) -> None:
    write_deltalake(place / "tables/gold/texts", pa.table({"text": [HOSTILE], "nested": [[HOSTILE]]}))
    for format_ in ("table", "json"):
        outcome = query(place, 'SELECT text, nested, 1 AS "\x1b[1m" FROM gold.texts', "--format", format_)
        assert outcome.exit_code == 0, outcome.output
        assert outcome.output.replace("\n", "").isprintable()
        assert "\\u001b[2J\\u202eevil\\u009b" in outcome.output
    assert re.search(r"evil\\u009b\\u000arow", query(place, "SELECT text FROM gold.texts").output)
    found = json.loads(query(place, "SELECT text FROM gold.texts", "--format", "json").output)
    assert found == {"text": HOSTILE}, "JSON keeps its value"


@pytest.mark.parametrize("case", HOSTILE_TEXTS, ids=str)
def test_csv_has_no_control_characters_unless_raw(place: Path, case: HostileText) -> None:
    write_deltalake(place / "tables/gold/texts", pa.table({"text": [case.text], "nested": [[case.text]]}))
    sql = "SELECT text, nested FROM gold.texts"
    outcome = query(place, sql, "--format", "csv")
    assert outcome.exit_code == 0, outcome.output
    assert control_characters(outcome.output, allowed="\n") == []
    assert outcome.output.count("\n") == 2
    raw = query(place, sql, "--format", "csv", "--raw", "--output", str(place / "raw.csv"))
    assert raw.exit_code == 0, raw.output
    assert case.text.encode() in (place / "raw.csv").read_bytes()


@pytest.mark.parametrize("start", "=+-@\t\r＝＠")
def test_a_text_is_no_formula_in_csv(place: Path, start: str) -> None:
    cell = f"{start}HYPERLINK(1)"
    texts = pa.table(
        {"text": [cell, "a=b", None], "n": [-1, 2, 3], "d": [-1.5, 0.0, 1.0], "b": [cell.encode(), b"\xff", b""]}
    )
    write_deltalake(place / "tables/gold/texts", texts)
    sql = (
        "SELECT text, text::ENUM('a=b', '"
        + cell
        + '\') AS e, n, d, b, [n] AS list, 1 AS "=1" FROM gold.texts ORDER BY d'
    )

    def cells(*more: str) -> list[dict[str, object]]:
        target = place / "found.csv"
        outcome = query(place, sql, "--format", "csv", "--output", str(target), *more)
        assert outcome.exit_code == 0, outcome.output
        options = pa.csv.ConvertOptions(column_types={name: pa.binary() for name in ("text", "e", "b")})
        parse = pa.csv.ParseOptions(newlines_in_values=True)
        found: list[dict[str, object]] = pa.csv.read_csv(
            target, parse_options=parse, convert_options=options
        ).to_pylist()
        return found

    first, second, _ = cells()
    escaped = escape_cell(cell).encode()
    assert escaped.startswith(b"'")
    assert first == {"text": escaped, "e": escaped, "n": -1, "d": -1.5, "b": escaped, "list": "[-1]", "'=1": 1}
    assert (second["text"], second["b"]) == (b"a=b", rb"\xff")
    sql = sql.replace(" b,", " 'x' AS b,")  # not all bytes of the column are text
    raw = cells("--raw")[0]
    assert (raw["text"], raw["e"], raw["=1"]) == (cell.encode(), cell.encode(), 1)


def test_raw_is_for_csv(place: Path) -> None:
    assert "--raw needs --format csv" in query(place, "SELECT 1", "--raw").stderr
