"""``cardwatch alerts``, with a topic and tables in memory and on disk."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cardwatch_cli.connections import Connections
from cardwatch_cli.main import app
from cardwatch_contracts.identity import alert_id
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.wire import Decoder
from cardwatch_lakehouse.tables import SILVER_TRANSACTIONS
from deltalake import write_deltalake
from support.delta_tables import silver_row, write_rows
from typer.testing import CliRunner, Result

A, B = alert_id("r", 1, "a"), alert_id("r", 1, "b")
CARD_NUMBER = "4111111111111111"  # published test number


class Topic:
    """The topic of labels: what is appended to it, decoded."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, kafka_config: Any, name: str) -> "Topic":
        assert name == "alerts.feedback.v1"
        return self

    def append(self, messages: Sequence[tuple[str, bytes]]) -> None:
        decode = Decoder("alert_feedback", self)  # type: ignore[arg-type]
        self.messages += [(key, decode(value)) for key, value in messages]

    def id_of(self, subject: str, schema: str) -> int:
        return 7

    def ids_of_all_versions(self, subject: str) -> dict[int, str]:
        return {7: schema_text("alert_feedback")}

    def close(self) -> None:
        pass


Alerts = Callable[..., Result]


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    monkeypatch.setenv("CARDWATCH_USER", "anna")
    return Topic()


@pytest.fixture
def alerts(topic: Topic) -> Alerts:
    connections = Connections(open_log=topic, registry=lambda settings: topic)  # type: ignore[arg-type, return-value]
    return lambda *arguments: CliRunner().invoke(app, ["alerts", *map(str, arguments)], obj=connections)


def test_labels_are_published_under_the_alerts_id(topic: Topic, alerts: Alerts) -> None:
    assert alerts("label", A, B.upper(), "--as", "fraud", "--note", "holder says so").stdout == "2 alerts labelled\n"
    assert [key for key, _ in topic.messages] == [A, B]
    for key, record in topic.messages:
        assert record.pop("labelled_at") > 1_700_000_000_000_000
        assert record == {"alert_id": key, "label": "fraud", "note": "holder says so", "labelled_by": "anna"}


def test_labels_of_a_file(topic: Topic, tmp_path: Path, alerts: Alerts) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(f'\ufeffalert_id,label,note\n{A},fraud,"one, two"\n {B} ,unclear,\n', encoding="utf-8")
    assert alerts("label", "--file", file, "--by", "ben").stdout == "2 alerts labelled\n"
    assert [(r["alert_id"], r["label"], r["note"], r["labelled_by"]) for _, r in topic.messages] == [
        (A, "fraud", "one, two", "ben"),
        (B, "unclear", "", "ben"),
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((A,), "expected a label: --as fraud|legitimate|unclear"),
        (("--as", "fraud"), "expected the ids of alerts, or --file FILE"),
        ((A, "b17", "--as", "fraud"), "expected an alert id such as 0b5c4c9e-3c5f-5d5e-9d2a-6f1b2a7c8d90, got `b17`"),
        ((A, "5a0f6c4e-7f0b-4b0e-9d5c-2f6d1d6a9c11", "--as", "fraud"), "expected an alert id such as"),
        ((A, "--as", "fraud", "--note", f"card {CARD_NUMBER}"), "note holds a card number"),
        ((A, "--file", "x.csv"), "it can be combined with --by only"),
        (("--file", "nowhere.csv"), "nowhere.csv cannot be read"),
    ],
)
def test_mistakes_are_one_sentence_and_nothing_is_written(
    topic: Topic, arguments: tuple[str, ...], sentence: str, alerts: Alerts
) -> None:
    result = alerts("label", *arguments)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert CARD_NUMBER not in result.output
    assert topic.messages == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"alert_id,verdict\n{A},fraud\n", "the columns alert_id, label and, optionally, note; label is missing"),
        (
            f"alert_id,label\n{A},fraud\nx,fraud\n",
            "line 3: expected an alert id such as 0b5c4c9e-3c5f-5d5e-9d2a-6f1b2a7c8d90, got `x`",
        ),
        (f"alert_id,label\n{A},fine\n", "line 2: expected a label (fraud, legitimate, unclear), got `fine`"),
        ("", "alert_id and label are missing"),
    ],
)
def test_invalid_files_are_reported(topic: Topic, tmp_path: Path, text: str, sentence: str, alerts: Alerts) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(text, encoding="utf-8")
    result = alerts("label", "--file", file)
    assert (result.exit_code, topic.messages) == (1, [])
    assert sentence in result.stderr


def test_list_shows_raised_alerts_with_their_labels(tmp_path: Path, alerts: Alerts) -> None:
    texts = {"rule_id": "r", "severity": "high", "key": "k", "labelled_by": None, "label_note": None}
    rows = [
        {"alert_id": name, "status": status, "mode": mode, "label": label, "labelled_at": None, **texts}
        | {"event_time": datetime(2026, 1, 1, number, tzinfo=UTC), "card_token": str(number % 2) * 32}
        for number, (name, status, mode, label) in enumerate(
            [
                ("a", "raised", "live", None),
                ("b", "raised", "live", "fraud"),
                ("c", "retracted", "live", None),
                ("d", "raised", "shadow", None),
            ]
        )
    ]
    times, strings = (
        ("event_time", "labelled_at"),
        [name for name in rows[0] if name not in ("event_time", "labelled_at")],
    )
    schema = pa.schema(
        [*((name, pa.string()) for name in strings), *((name, pa.timestamp("us", tz="UTC")) for name in times)]
    )
    write_deltalake(tmp_path / "gold/alerts", pa.Table.from_pylist(rows, schema=schema))

    def listed(*arguments: str) -> list[str]:
        result = alerts("list", "--json", "--tables-dir", tmp_path, *arguments)
        assert result.exit_code == 0, result.output
        return [row["alert_id"] for row in json.loads(result.stdout)]

    assert listed() == ["b", "a"]
    assert listed("--limit", "1") == ["b"]
    assert listed("--label", "fraud") == ["b"]
    assert listed("--label", "none") == ["a"]
    # The card of both alerts has a token of either of two keys, which one transaction connects.
    both = silver_row(1, "0" * 32, other_card_token="1" * 32, other_card_token_key_id="k2")
    write_rows(tmp_path, SILVER_TRANSACTIONS, both)
    assert listed("--card", "0" * 32) == listed("--card", "1" * 32) == ["b", "a"]
    assert listed("--card", "2" * 32) == []
    assert "expected a card token" in alerts("list", "--card", "4111", "--tables-dir", tmp_path).stderr
    assert (
        "expected fraud, legitimate, unclear or none, got `x`"
        in alerts("list", "--label", "x", "--tables-dir", tmp_path).stderr
    )
    assert "2026-01-01 01:00:00Z" in alerts("list", "--tables-dir", tmp_path).stdout


def test_text_of_an_alert_cannot_steer_the_terminal(alerts: Alerts, tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07\u2066m\rfake"
    texts = dict.fromkeys(("alert_id", "rule_id", "severity", "key", "label", "labelled_by", "label_note"), hostile)
    at = pa.array([datetime(2026, 1, 1, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))
    row = {**texts, "status": "raised", "mode": "live"}
    columns = {name: [text] for name, text in row.items()}
    write_deltalake(tmp_path / "gold/alerts", pa.table({**columns, "event_time": at, "labelled_at": at}))
    table = alerts("list", "--tables-dir", tmp_path).stdout
    document = alerts("list", "--tables-dir", tmp_path, "--json").stdout
    for printed in (table, document):
        assert printed.replace("\n", "").isprintable()
    assert "\\u001b]0;owned\\u0007\\u2066m\\rfake" in document
    assert json.loads(document)[0]["key"] == hostile, "JSON keeps its value"
