"""The commands in the runbooks exist and have the options that are used."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from cardwatch_cli.main import app as cardwatch
from cardwatch_lakehouse.tables import ALL_TABLES
from cardwatch_notifier.main import app as notifier
from cardwatch_snowflake.main import app as loader

RUNBOOKS: Final = Path(__file__).parents[3] / "docs/runbooks"
PROGRAMS: Final = {"cardwatch": cardwatch, "cardwatch-notifier": notifier, "cardwatch-snowflake-loader": loader}


def commands() -> Iterator[tuple[str, str]]:
    """Page and command: whole fenced blocks, and commands in backquotes."""
    for path in sorted(RUNBOOKS.glob("*.md")):
        text = path.read_text()
        fenced = [line for block in re.findall(r"```\n(.*?)```", text, re.S) for line in split(block)]
        quoted = re.findall(r"`((?:cardwatch|cardwatch-notifier|cardwatch-snowflake-loader) [^`]+)`", text)
        for command in (*fenced, *quoted):
            yield path.stem, command


def split(block: str) -> list[str]:
    """The commands of a block; a quoted query goes over several lines."""
    return re.findall(r"(?:[^\n\"]|\"[^\"]*\")+", block)


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_commands_of_runbooks_exist(page: str, command: str) -> None:
    words = shlex.split(command)
    at: Any = typer.main.get_command(PROGRAMS[words[0]])
    rest = words[1:]
    while hasattr(at, "commands"):
        assert rest, f"{page}: {command} is a group of commands"
        found = at.get_command(None, rest[0])
        assert found is not None, f"{page}: there is no {' '.join(words[: words.index(rest[0]) + 1])}"
        at, rest = found, rest[1:]
    takes = [parameter for parameter in at.params if parameter.param_type_name == "argument"]
    options = {name: parameter for parameter in at.params if parameter not in takes for name in parameter.opts}
    used = [word for word in rest if word.startswith("-")]
    assert set(used) <= set(options), f"{page}: {command}"
    values = sum(not options[name].is_flag for name in used)
    given = len(rest) - len(used) - values
    least = sum(parameter.required for parameter in takes)
    assert least <= given, f"{page}: {command} lacks an argument"
    assert takes or not given, f"{page}: {command} takes no argument"


def test_queries_of_runbooks_use_existing_tables() -> None:
    tables = {table.name for table in ALL_TABLES}
    asked = {name for _, command in commands() for name in re.findall(r"(?:FROM|JOIN) ([\w.]+)", command)}
    assert asked
    assert asked <= tables
