"""scripts/compose on a machine without docker: its work without docker, and its messages."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).parents[2] / "scripts/compose"
NEEDED: Final = ("sh", "sed", "tail", "head", "od", "tr", "base64", "mkdir", "chmod", "mv", "cp", "find")


@pytest.fixture
def run(tmp_path: Path) -> "Runner":
    return Runner(tmp_path)


class Runner:
    """Runs the script in its own directory, with only the allowed programs on the path."""

    def __init__(self, directory: Path) -> None:
        self.secrets = directory / "keys"
        self._directory = directory
        (programs := directory / "bin").mkdir()
        for name in NEEDED:
            found = shutil.which(name)
            assert found is not None
            (programs / name).symlink_to(found)
        self._env = {"PATH": str(programs), "CARDWATCH_SECRETS": str(self.secrets), "LANG": os.environ.get("LANG", "C")}

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", str(SCRIPT), *arguments], cwd=self._directory, env=self._env, capture_output=True, text=True,
            check=False,
        )  # fmt: skip


@pytest.mark.parametrize("command", ["up", "down", "logs", "backup", "restore"])
def test_without_docker_it_says_so_in_one_sentence(run: Runner, command: str) -> None:
    done = run(command)
    assert done.returncode == 1
    assert re.fullmatch(r"error: docker is not installed; .*\n", done.stderr)
    assert not run.secrets.exists()


def test_secrets_are_created_once_with_restricted_permissions(run: Runner) -> None:
    assert run("secrets").returncode == 0
    first = {path.name: path.read_text() for path in run.secrets.iterdir()}
    assert re.fullmatch(r"[0-9a-f]{64}", first["cardwatch_token_key"])
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", first["cardwatch_notifier_webhook_secret"])
    assert len(set(first.values())) == len(first) == 4
    assert stat.S_IMODE(run.secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in run.secrets.iterdir()} == {0o444}
    assert "warning" not in run("secrets").stderr
    run.secrets.chmod(0o755)
    assert "was open to other users of this machine" in run("secrets").stderr
    assert stat.S_IMODE(run.secrets.stat().st_mode) == 0o700
    (run.secrets / "postgres_password").unlink()
    assert run("secrets").stdout.count("made ") == 1
    second = {path.name: path.read_text() for path in run.secrets.iterdir()}
    assert {name for name in first if first[name] != second[name]} == {"postgres_password"}
