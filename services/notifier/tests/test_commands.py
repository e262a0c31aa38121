"""The command line: what a person sees."""

from pathlib import Path
from typing import Any

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_notifier.main import app
from cardwatch_notifier.outbox.protocol import Attempt, DeliveryState, Outbox
from cardwatch_notifier.outbox.sqlite.process_lock import lock_outbox
from cardwatch_notifier.settings import NotifierSettings
from cardwatch_service.settings import load_settings
from cardwatch_units.timestamps import now_microseconds
from typer.testing import CliRunner


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "outbox.db"
    monkeypatch.setenv("CARDWATCH_NOTIFIER_OUTBOX_PATH", str(path))
    return path


@pytest.fixture
def used(place: Any, outbox: Outbox, kit: Any, monkeypatch: pytest.MonkeyPatch) -> Outbox:
    for name, value in place.settings().items():
        monkeypatch.setenv(name, value)
    outbox.accept([kit.arrival(offset, f"n{offset}") for offset in range(3)], ["webhook"], now_microseconds())
    kit.keep(
        outbox,
        Attempt(1, DeliveryState.DELIVERED, at=1),
        Attempt(2, DeliveryState.FAILED, at=1, rejected=True, error="it answered 400"),
    )
    return outbox


def test_status_counts_by_receiver(used: Outbox) -> None:
    result = CliRunner().invoke(app, ["outbox", "status"])
    assert result.exit_code == 0
    head, _, row = (line for line in result.stdout.splitlines() if line.strip())
    assert head.split() == ["receiver", "pending", "delivered", "failed", "oldest", "pending"]
    assert row.split()[:4] == ["webhook", "1", "1", "1"]


def test_retry_releases_what_was_parked(used: Outbox) -> None:
    result = CliRunner().invoke(app, ["outbox", "retry"])
    assert result.stdout == "1 failed delivery is pending again\n"
    assert (used.backlog()[0].pending, used.backlog()[0].failed) == (2, 0)


def test_retry_names_the_receivers_there_are(used: Outbox) -> None:
    result = CliRunner().invoke(app, ["outbox", "retry", "--receiver", "pigeon"])
    assert result.exit_code == 2
    assert "webhook" in result.stderr


@pytest.mark.parametrize("command", ["status", "retry"])
def test_an_outbox_that_is_not_there_is_named(path: Path, command: str) -> None:
    result = CliRunner().invoke(app, ["outbox", command])
    assert result.exit_code == 1
    assert str(path) in result.stderr
    assert not path.exists()


def test_a_wrong_setting_is_one_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_NOTIFIER_WEBHOOK_CONCURRENCY", "0")
    result = CliRunner().invoke(app, ["run"])
    assert result.exit_code == 1
    assert "CARDWATCH_NOTIFIER_WEBHOOK_CONCURRENCY='0'" in result.stderr
    assert "Traceback" not in result.stderr


def test_only_one_process_per_outbox(path: Path) -> None:
    with (
        lock_outbox(path),
        pytest.raises(ConfigurationError, match=f"another notifier is working on the outbox {path}"),
        lock_outbox(path),
    ):
        pass
    with lock_outbox(path):
        """Free again."""


def test_a_first_pause_longer_than_the_longest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_NOTIFIER_RETRY_FIRST_SECONDS", "600")
    with pytest.raises(ConfigurationError, match="CARDWATCH_NOTIFIER_RETRY_FIRST_SECONDS=600 is more than"):
        load_settings(NotifierSettings)
