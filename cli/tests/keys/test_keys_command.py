"""``cardwatch keys generate``."""

import re
import stat
from pathlib import Path

from cardwatch_cli.main import app
from cardwatch_service.token_settings import TokenSettings
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
