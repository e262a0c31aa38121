"""Programs that make card tokens do not start with the published development key and a broker of another machine."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

BIN: Final = Path(__file__).parents[2] / ".venv/bin"

COMMANDS: Final = (
    ["cardwatch-enricher"],
    ["cardwatch-enricher", "from-bronze", "--to", "silver"],
    ["cardwatch-producer", "simulate"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_program_ends_with_a_sentence_that_says_what_to_do(command: list[str], tmp_path: Path) -> None:
    others = {name: value for name, value in os.environ.items() if not name.startswith("CARDWATCH_")}
    done = subprocess.run(
        [BIN / command[0], *command[1:]],
        env=others | {"CARDWATCH_KAFKA_BOOTSTRAP_SERVERS": "kafka.invalid:9092"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "kafka.invalid:9092" in done.stderr
    assert "`cardwatch keys generate`" in done.stderr
    assert "CARDWATCH_TOKEN_ALLOW_DEVELOPMENT_KEY=true" in done.stderr
    assert list(tmp_path.iterdir()) == []
