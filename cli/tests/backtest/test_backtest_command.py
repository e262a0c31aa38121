"""``cardwatch backtest`` over a small silver table and small files."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cardwatch_cli.backtest.command import BacktestOptions, run_backtest
from cardwatch_cli.backtest.outputs import as_json
from cardwatch_cli.backtest.screen import Screen
from cardwatch_cli.main import app
from cardwatch_contracts.identity import alert_id
from typer.testing import CliRunner

START = datetime(2026, 11, 1, 23, 0, tzinfo=UTC)
RULES = """
rules:
  - id: twice
    title: Two payments with one card within an hour & more
    explanation: Look at <both>.
    scope: card
    measures: {payments: {window: 1h, is: count(*)}}
    when: payments >= 2
  - id: large
    title: More than 10 euros at once
    scope: merchant
    when: base_amount_minor > 1000
    suppress: 10m
"""
STRICTER = RULES.replace("payments >= 2", "payments >= 3")
MAPPING = """
fields:
  transaction_id: {column: id}
  event_time: {column: at}
  card_token: {column: card, hash: true}
  card_bin: {constant: "400000"}
  card_last_four: {column: card, last: 4}
  amount_minor: {column: cents, unit: minor}
  currency: {column: currency}
  merchant_id: {column: shop}
  merchant_category_code: {constant: "5411"}
  country: {constant: DE}
  channel: {constant: pos}
labels:
  is_fraud: {column: fraud}
"""
# minutes after START, card, cents, shop, fraud: the day ends with minute 60.
PAYMENTS = [
    (0, "a", 500, "s1", 0),
    (30, "a", 2000, "s1", 1),
    (59, "a", 500, "s2", 1),
    (61, "b", 1500, "s1", 0),
    (65, "c", 3000, "s1", 0),
    (90, "a", 100, "s2", 0),
    (400, "b", 100, "s2", 0),
]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    (tmp_path / "stricter.yaml").write_text(STRICTER, encoding="utf-8")
    (tmp_path / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    lines = [
        f"t{number},{(START + timedelta(minutes=at)).isoformat()},{card},{cents},EUR,{shop},{fraud}"
        for number, (at, card, cents, shop, fraud) in enumerate(PAYMENTS)
    ]
    # The second arrival of a transaction counts for nothing.
    lines.append(lines[1])
    (tmp_path / "payments.csv").write_text("\n".join(["id,at,card,cents,currency,shop,fraud", *lines]))
    silver = pl.DataFrame(
        {
            "transaction_id": [f"t{number}" for number in range(len(PAYMENTS))],
            "event_time": pl.Series(
                [START + timedelta(minutes=at) for at, *_ in PAYMENTS], dtype=pl.Datetime("us", "UTC")
            ),
            "card_token": [card for _, card, *_ in PAYMENTS],
            "merchant_id": [shop for *_, shop, _ in PAYMENTS],
            "base_amount_minor": [cents for _, _, cents, *_ in PAYMENTS],
        }
    ).with_columns(event_date=pl.col("event_time").dt.date())
    silver.write_delta(f"{tmp_path}/tables/silver/transactions", delta_write_options={"partition_by": ["event_date"]})
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    def invoke(*arguments: str, rules: str = "rules.yaml") -> tuple[int, str, str]:
        given = ["backtest", "--rules", str(folder / rules), *arguments]
        result = CliRunner().invoke(app, given, env={"COLUMNS": "160"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture
def silver(folder: Path) -> tuple[str, ...]:
    return ("--tables-dir", f"{folder}/tables")


@pytest.fixture
def csv(folder: Path) -> tuple[str, ...]:
    return ("--input", str(folder / "payments.csv"), "--mapping", str(folder / "mapping.yaml"))


def figures(run: Run, *arguments: str, rules: str = "rules.yaml") -> dict[str, Any]:
    code, out, err = run(*arguments, "--json", rules=rules)
    assert code == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


def test_the_silver_table_is_tested(run: Run, silver: tuple[str, ...]) -> None:
    found = figures(run, *silver)
    twice, large = found["rules"]
    # t1 and t2 see t0; at minute 90 the window is (30, 90]: t2 and itself.
    assert (twice["alerts"], twice["suppressed"], twice["keys"]) == (3, 0, 1)
    assert twice["by_day"] == [{"day": "2026-11-01", "alerts": 2}, {"day": "2026-11-02", "alerts": 1}]
    # t3 four minutes before t4 at the same merchant.
    assert (large["alerts"], large["suppressed"]) == (2, 1)
    assert found["transactions"] == 7
    assert twice["precision"] is found["fraud"] is None


def test_a_file_gives_the_same_alerts_and_has_labels(run: Run, silver: tuple[str, ...], csv: tuple[str, ...]) -> None:
    table, file = figures(run, *silver), figures(run, *csv)
    assert [rule["by_day"] for rule in table["rules"]] == [rule["by_day"] for rule in file["rules"]]
    assert (file["transactions"], file["fraud"]) == (7, 2)
    twice, large = file["rules"]
    assert (twice["precision"], twice["recall"]) == (0.666667, 1.0)
    assert (large["precision"], large["recall"], large["recall_of_hits"]) == (0.5, 0.5, 0.5)


def test_a_file_larger_than_memory_gives_the_same(run: Run, csv: tuple[str, ...], folder: Path) -> None:
    held = figures(run, *csv)
    options = BacktestOptions(
        rules=folder / "rules.yaml",
        input_file=folder / "payments.csv",
        mapping=folder / "mapping.yaml",
        rows_in_memory=2,
    )
    spilled = json.loads(as_json(run_backtest(options, Screen(quiet=True)), seconds=0.0))
    assert spilled["rules"] == held["rules"]
    assert spilled["days"] == held["days"]


def test_a_range_reads_the_history_that_its_alerts_need(
    run: Run, silver: tuple[str, ...], csv: tuple[str, ...]
) -> None:
    for source in (silver, csv):
        found = figures(run, *source, "--from", "2026-11-02", "--to", "2026-11-02T05:00")
        twice, large = found["rules"]
        assert (found["transactions"], twice["alerts"], large["alerts"], large["suppressed"]) == (3, 1, 1, 1)


def test_alerts_are_written_with_one_column_per_measure(run: Run, folder: Path, silver: tuple[str, ...]) -> None:
    code, out, _ = run(*silver, "--output", str(folder / "alerts.parquet"))
    assert code == 0
    assert "alerts.parquet" in out
    alerts = pl.read_parquet(folder / "alerts.parquet")
    assert alerts.columns == [
        "alert_id", "rule_id", "rule_version", "transaction_id", "key", "event_time", "status", "suppressed_by",
        "payments",
    ]  # fmt: skip
    (suppressed,) = alerts.filter(status="suppressed").to_dicts()
    assert suppressed["alert_id"] == alert_id("large", 1, "t4")
    assert suppressed["suppressed_by"] == alert_id("large", 1, "t3")
    assert suppressed["payments"] is None
    assert alerts.filter(rule_id="twice", transaction_id="t2")["payments"].to_list() == [3]
    assert alerts.filter(transaction_id="t0").is_empty()


def test_versions_are_compared(run: Run, folder: Path, silver: tuple[str, ...]) -> None:
    found = figures(run, *silver, "--compare", str(folder / "rules.yaml"), rules="stricter.yaml")
    assert found["compare"] == [
        {"id": "twice", "gained": 0, "lost": 2, "kept": 1, "lost_to_suppression": 0},
        {"id": "large", "gained": 0, "lost": 0, "kept": 2, "lost_to_suppression": 0},
    ]
    _, out, _ = run(*silver, "--compare", str(folder / "rules.yaml"), rules="stricter.yaml")
    assert "−2" in out


def test_the_table_names_rules_keys_and_shares(run: Run, csv: tuple[str, ...]) -> None:
    code, out, _ = run(*csv)
    assert code == 0
    for expected in (
        "7 transactions from 2026-11-01 to 2026-11-02",
        "2 of them labelled as fraud",
        "66.7%",
        "together",
    ):
        assert expected in out


def test_the_report_is_one_self_contained_page(run: Run, folder: Path, csv: tuple[str, ...]) -> None:
    page = folder / "report.html"
    code, _, err = run(*csv, "--report", str(page), "--compare", str(folder / "stricter.yaml"))
    assert code == 0, err
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 4
    assert "Look at &lt;both&gt;." in text
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert text.index("Content-Security-Policy") < text.index("<title>")
    for reference in ('src="', 'href="http', "url(http", "@import"):
        assert reference not in text


def test_labels_of_a_file_count(run: Run, folder: Path, silver: tuple[str, ...]) -> None:
    labels = folder / "labels.csv"
    labels.write_text("transaction_id,is_fraud\nt1,1\nt2,0\nt4,TRUE\n", encoding="utf-8")
    found = figures(run, *silver, "--labels", str(labels))
    assert found["fraud"] == 2
    large = found["rules"][1]
    assert (large["precision"], large["recall"], large["recall_of_hits"]) == (0.5, 0.5, 1.0)


def test_lists_are_looked_into(run: Run, folder: Path, silver: tuple[str, ...]) -> None:
    (folder / "trusted.yaml").write_text(
        "rules: [{id: a, title: A, scope: card, when: \"merchant_id in list('trusted')\"}]", encoding="utf-8"
    )
    (folder / "lists.yaml").write_text("trusted: [s2]", encoding="utf-8")
    known = figures(run, *silver, "--lists", str(folder / "lists.yaml"), rules="trusted.yaml")
    unknown = figures(run, *silver, rules="trusted.yaml")
    assert (known["together"]["alerts"], unknown["together"]["alerts"]) == (3, 0)
    assert "list trusted" in unknown["notices"][0]


def test_limits_of_the_result_are_reported(run: Run, folder: Path, csv: tuple[str, ...]) -> None:
    (folder / "limits.yaml").write_text(
        "rules:\n"
        "- {id: a, title: A, scope: device, when: base_amount_minor > 5}\n"
        "- {id: b, title: B, scope: card, mode: paused, when: base_amount_minor > 5}\n",
        encoding="utf-8",
    )
    notices = figures(run, *csv, rules="limits.yaml")["notices"]
    assert any("not evaluated: b" in notice for notice in notices)
    assert any("the mapping has no device_id: it is null in every row, which affects a" in notice for notice in notices)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--tables-dir", "nowhere"), "there is no Delta table nowhere/silver/transactions"),
        (("--input", "x.csv"), "--input needs --mapping"),
        (("--mapping", "x.yaml"), "--mapping is for --input"),
        (("--from", "yesterday"), "--from: expected an ISO 8601 time such as 2026-11-01 or"),
        (("--from", "2026-11-02", "--to", "2026-11-01"), "expected --from before --to"),
        (("--from", "2027-01-01"), "there are no transactions from 2027-01-01"),
        (("--compare", "none.yaml"), "none.yaml cannot be read"),
        (("--lists", "none.yaml"), "none.yaml cannot be read"),
        (("--labels", "none.csv"), "none.csv cannot be read"),
        (("--output", "no/such/folder/alerts.parquet"), "alerts.parquet cannot be written"),
        (("--report", "no/such/folder/report.html"), "report.html cannot be written"),
    ],
)
def test_a_mistake_is_one_sentence(run: Run, silver: tuple[str, ...], arguments: tuple[str, ...], says: str) -> None:
    code, out, err = run(*silver, *arguments)
    assert code == 1
    assert says in err
    assert err.count("\n") == 1
    assert "Traceback" not in out + err


def test_a_wrong_file_is_one_sentence(run: Run, folder: Path, csv: tuple[str, ...]) -> None:
    payments = folder / "payments.csv"
    text = payments.read_text()
    for wrong, says in (
        (
            text.replace("cents", "pence", 1),
            "the mapping reads amount_minor from column cents, but the file's columns are",
        ),
        (text.replace("EUR", "XXX"), "there is no exchange rate for the currency 'XXX'"),
        (text.replace(",500,", ",much,", 1), "row 1, column cents: expected a whole number of minor units, got 'much'"),
        (text.splitlines(keepends=True)[0], "there are no transactions to test on"),
    ):
        payments.write_text(wrong)
        code, _, err = run(*csv)
        assert code == 1
        assert says in err
    code, _, err = run("--input", str(folder / "none.parquet"), "--mapping", str(folder / "mapping.yaml"))
    assert (code, "none.parquet cannot be read" in err) == (1, True)


def test_what_is_said_about_a_wrong_file_shows_no_card_number(run: Run, folder: Path, csv: tuple[str, ...]) -> None:
    payments = folder / "payments.csv"
    (header, row, *_) = payments.read_text().splitlines()
    without_its_end = row.rpartition(",")[0]
    for wrong in (f"{row}\n{row}\n", f"{header}\n{without_its_end}\n", f'{header}\n"{row}\n'):
        payments.write_text(wrong.replace(row.split(",")[0], "4111111111111111"))
        code, out, err = run(*csv)
        assert code == 1
        assert "*" * 16 in err
        assert "4111111111111111" not in out + err


def test_a_column_that_the_table_lacks_is_named(run: Run, folder: Path, silver: tuple[str, ...]) -> None:
    (folder / "more.yaml").write_text("rules: [{id: a, title: A, scope: ip, when: country = 'DE'}]", encoding="utf-8")
    code, _, err = run(*silver, rules="more.yaml")
    assert code == 1
    assert "has no column country, ip_address" in err
