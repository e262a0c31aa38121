"""``cardwatch keys``: new keys, and what a rotation needs."""

import re
import stat
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cardwatch_cli.keys.commands import first_day_after
from cardwatch_cli.main import app
from cardwatch_lakehouse.tables import SILVER_TRANSACTIONS
from cardwatch_service.token_settings import TokenSettings
from support.delta_tables import CARD, OTHER, silver_row, write_rows
from typer.testing import CliRunner


def test_it_prints_another_random_key_each_time_and_nothing_else() -> None:
    printed = {CliRunner().invoke(app, ["keys", "generate"]).stdout for _ in range(3)}
    assert len(printed) == 3
    for text in printed:
        assert re.fullmatch(r"[0-9a-f]{64}\n", text)
        assert TokenSettings(key=text.strip()).key_bytes().hex() == text.strip()


def test_a_key_in_a_file_is_for_its_owner_only_and_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "key"
    done = CliRunner().invoke(app, ["keys", "generate", "--file", str(file)])
    assert done.exit_code == 0
    assert done.stdout == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = file.read_text()
    assert re.fullmatch(r"[0-9a-f]{64}\n", key)
    again = CliRunner().invoke(app, ["keys", "generate", "--file", str(file)])
    assert again.exit_code == 1
    assert "exists" in again.stderr
    assert file.read_text() == key


def test_rotate_prints_settings_that_services_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_TOKEN_KEY_ID", "k1")
    done = CliRunner().invoke(app, ["keys", "rotate", "--next-key-id", "k2", "--overlap", "31h"])
    assert done.exit_code == 0, done.output
    given = dict(line.split("=", 1) for line in done.stdout.splitlines())
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = TokenSettings()
    assert [key_id for _, key_id in settings.token_keys()] == ["k1", "k2"]
    switch = datetime.fromtimestamp(settings.rotation().switch_us / 1e6, UTC)
    assert timedelta(hours=31) - timedelta(minutes=1) < switch - datetime.now(UTC) < timedelta(hours=31 + 24)
    again = CliRunner().invoke(app, ["keys", "rotate", "--next-key-id", "k3"])
    assert again.exit_code == 1
    assert "a rotation from k1 to k2 is configured already" in again.stderr


def test_rotate_refuses_the_name_of_the_present_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CARDWATCH_TOKEN_KEY_ID", "k1")
    done = CliRunner().invoke(app, ["keys", "rotate", "--next-key-id", "k1", "--file", str(tmp_path / "key")])
    assert done.exit_code == 1
    assert "expected another name than CARDWATCH_TOKEN_KEY_ID" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (datetime(2026, 3, 1, 0, 0, tzinfo=UTC), date(2026, 3, 3)),
        (datetime(2026, 3, 1, 0, 0, 1, tzinfo=UTC), date(2026, 3, 4)),
        (datetime(2026, 3, 1, 23, 59, tzinfo=UTC), date(2026, 3, 4)),
    ],
)
def test_the_switch_is_the_first_midnight_after_the_overlap(now: datetime, day: date) -> None:
    assert first_day_after(now, timedelta(hours=48)) == day


def test_lists_get_the_other_tokens_of_their_cards_once(deployment: Any, tmp_path: Path) -> None:
    newer, removed, removed_newer = "1" * 32, "2" * 32, "3" * 32
    write_rows(
        tmp_path,
        SILVER_TRANSACTIONS,
        silver_row(1, CARD, other_card_token=newer, other_card_token_key_id="k2"),
        silver_row(2, removed_newer, other_card_token=removed, other_card_token_key_id="k1"),
        silver_row(3, OTHER),
    )
    deployment.run("lists", "add", "denied", CARD, OTHER, removed, removed_newer, "--kind", "card")
    deployment.run("lists", "add", "trusted", "m1", "--kind", "merchant")
    deployment.run("lists", "remove", "denied", removed)
    command = ("keys", "translate-lists", "--tables-dir", tmp_path)
    assert deployment.run(*command, "--dry-run").stdout == (
        "denied: 1 token would be added; 1 card without another token yet\n"
    )
    assert deployment.run(*command).stdout == "denied: 1 token added; 1 card without another token yet\n"
    assert deployment.run(*command).stdout == "denied: 0 tokens added; 1 card without another token yet\n"
    shown = deployment.run("lists", "export").stdout
    assert newer in shown
    assert removed not in shown


def test_a_card_that_a_message_connects_with_another_one_gives_it_no_place_on_a_list(
    deployment: Any, tmp_path: Path
) -> None:
    (mine, newer), forged = (CARD, "1" * 32), {"card_token_key_id": "k1", "other_card_token_key_id": "k2"}
    write_rows(
        tmp_path,
        SILVER_TRANSACTIONS,
        silver_row(1, mine, other_card_token=newer, **forged),
        silver_row(2, OTHER, card_token_key_id="k1"),
        silver_row(3, mine, card_token_key_id="k1", other_card_token=OTHER, other_card_token_key_id="k3"),
        silver_row(4, "2" * 32, other_card_token="3" * 32, **forged),
    )
    deployment.run("lists", "add", "trusted", mine, "2" * 32, "--kind", "card")
    done = deployment.run("keys", "translate-lists", "--tables-dir", tmp_path)
    assert done.stdout == "trusted: 1 token added; 1 card without another token yet\n"
    assert f"not translated: silver.transactions connects {mine} with 2 other tokens" in done.stderr
