"""``cardwatch platform``: messages and exit codes when something is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cardwatch_platform.ports import free_port

_CARDWATCH = Path(sys.executable).with_name("cardwatch")


def _cardwatch(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_CARDWATCH, "platform", *arguments],
        env={**os.environ, "CARDWATCH_HOME": str(home), "CARDWATCH_CACHE_DIR": str(home / "cache"), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.faults
def test_up_without_a_network_is_one_sentence(tmp_path: Path) -> None:
    repository = f"http://127.0.0.1:{free_port()}/"
    result = _cardwatch(tmp_path, "up", CARDWATCH_MAVEN_REPOSITORY=repository)
    assert result.returncode == 1
    [complaint] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "could not be downloaded" in complaint
    assert repository in complaint
    assert "Connection refused" in complaint
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "cache").glob("sets/*"))


def test_up_in_a_home_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = _cardwatch(tmp_path / "file", "up")
    assert result.returncode == 1
    assert "cannot be written" in result.stderr
    assert "CARDWATCH_HOME" in result.stderr
    assert "Traceback" not in result.stderr


def test_status_says_down_with_exit_code_3(tmp_path: Path) -> None:
    result = _cardwatch(tmp_path, "status")
    assert result.returncode == 3
    assert result.stdout.count("down") == 2


def test_env_without_a_platform_names_the_command_that_starts_one(tmp_path: Path) -> None:
    result = _cardwatch(tmp_path, "env")
    assert result.returncode == 1
    assert result.stdout == ""
    assert "`cardwatch platform up` starts one" in result.stderr


def test_down_without_a_platform_is_not_an_error(tmp_path: Path) -> None:
    result = _cardwatch(tmp_path, "down")
    assert result.returncode == 0
    assert "was not running" in result.stderr
