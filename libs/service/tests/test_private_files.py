"""The umask of a command, and secrets that others can read."""

import os
import stat
from pathlib import Path

import pytest
from cardwatch_service.commands import exit_with_error_message
from cardwatch_service.secret_files import close_secret_file
from cardwatch_service.settings import ServiceSettings, load_settings


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_a_command_writes_is_private(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with exit_with_error_message():
            (tmp_path / "file").write_text("")
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == 0o600


def test_a_umask_that_lets_everybody_in_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CARDWATCH_UMASK", "022")
    with pytest.raises(SystemExit), exit_with_error_message():
        pytest.fail("the command was run")
    assert capsys.readouterr().err.startswith("error: CARDWATCH_UMASK='022': expected 077")


def test_a_secret_that_others_can_read_is_closed_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o755)
    (secret := tmp_path / "cardwatch_kafka_sasl_password").write_text("not to be quoted")
    secret.chmod(0o644)
    monkeypatch.setenv("CARDWATCH_SECRETS_DIR", str(tmp_path))
    assert load_settings(ServiceSettings).kafka_sasl_password.get_secret_value() == "not to be quoted"
    assert mode(secret) == 0o600
    warning = capsys.readouterr().err
    assert f"the secret in {secret} was open to other users" in warning
    assert "not to be quoted" not in warning
    load_settings(ServiceSettings)
    assert capsys.readouterr().err == ""


def test_a_secret_in_a_directory_that_nobody_else_can_enter_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (secret := tmp_path / "secret").write_text("")
    secret.chmod(0o444)
    close_secret_file(secret, warn=pytest.fail)
    assert mode(secret) == 0o444


def test_a_missing_secret_is_left_to_its_reader(tmp_path: Path) -> None:
    close_secret_file(tmp_path / "missing", warn=pytest.fail)
