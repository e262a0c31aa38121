"""``cardwatch lists``, with a topic in memory."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cardwatch_cli.lists.files import list_file_text, read_list_file
from cardwatch_contracts.errors import ConfigurationError
from typer.testing import Result

pytestmark = pytest.mark.usefixtures("deployment")

Run = Callable[..., Result]


@pytest.fixture
def lists(deployment: Any) -> Run:
    return partial(deployment.run, "lists")


def shown(lists: Run, name: str) -> list[str]:
    return [entry["value"] for entry in json.loads(lists("show", name, "--json").stdout)]


def test_add_show_remove(lists: Run) -> None:
    assert "list trusted is new, expected the kind of its values: --kind" in lists("add", "trusted", "m1").stderr
    assert lists("add", "trusted", "m1", "m2", "--kind", "merchant", "-m", "ours").stdout == "trusted: 2 values added\n"
    assert lists("add", "trusted", "m2", "m3").stdout == "trusted: 1 value added, 1 in it already\n"
    assert shown(lists, "trusted") == ["m1", "m2", "m3"]
    assert "ours" in lists("show", "trusted").stdout
    assert (
        "--kind: expected merchant, the kind of list trusted, got card"
        in lists("add", "trusted", "m4", "--kind", "card").stderr
    )
    assert "m9: not in list trusted, so nothing was changed" in lists("remove", "trusted", "m1", "m9").stderr
    assert lists("remove", "trusted", "m1").stdout == "trusted: 1 value removed\n"
    assert shown(lists, "trusted") == ["m2", "m3"]
    assert "there is no list other; the lists are trusted" in lists("show", "other").stderr
    (entry,) = json.loads(lists("list", "--json").stdout)
    assert (entry["name"], entry["kind"], entry["values"], entry["changed_by"]) == (
        "trusted",
        "merchant",
        2,
        "User:anna",
    )
    assert "trusted" in lists("list").stdout


def test_all_values_are_checked_before_one_is_written(deployment: Any, lists: Run) -> None:
    result = lists("add", "stolen", "0123456789abcdef0123456789ABCDEF", "4111111111111111", "--kind", "card")
    assert result.exit_code == 1
    assert "list stolen, value 2: a value is a card number" in result.stderr
    assert "4111111111111111" not in result.output
    assert "cannot name a list" in lists("add", "Stolen cards", "x", "--kind", "card").stderr
    assert deployment.lists == []


def test_import_and_export(tmp_path: Path, lists: Run) -> None:
    plain = tmp_path / "countries.txt"
    plain.write_text("de\nNO  # in quotes in YAML\n\n# nothing\n", encoding="utf-8")
    assert "expected the list that its values are of: --list NAME" in lists("import", plain).stderr
    assert lists("import", plain, "--list", "home", "--kind", "country").stdout == "home: 2 values added\n"
    lists("add", "bins", "004111", "--kind", "bin")
    exported = tmp_path / "lists.yaml"
    assert lists("export", exported).stderr == f"{exported}: 2 lists\n"
    assert exported.read_text() == "bins:\n  - '004111'\nhome:\n  - 'DE'\n  - 'NO'\n"
    assert (
        lists("import", exported).stdout
        == "bins: 0 values added, 1 in it already\nhome: 0 values added, 2 in it already\n"
    )
    assert lists("export", "--list", "bins").stdout == "bins:\n  - '004111'\n"
    plain.write_text("AT\nDE\n", encoding="utf-8")
    replaced = lists("import", plain, "--list", "home", "--replace")
    assert replaced.stdout == "home: 1 value added, 1 in it already, 1 removed\n"
    assert shown(lists, "home") == ["AT", "DE"]


def test_invalid_files_are_reported(tmp_path: Path) -> None:
    def wrong(text: str, name: str | None = None) -> str:
        path = tmp_path / "lists.yaml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError) as caught:
            read_list_file(path, name)
        return str(caught.value)

    assert "expected a mapping of list names to lists of values" in wrong("- a")
    assert "expected a mapping of list names to lists of values" in wrong("a: b")
    assert "list home: expected text in quotes, got a value of YAML type bool" in wrong("home: [NO]")
    assert "list bins: expected text in quotes, got a value of YAML type int" in wrong("bins: [411111]")
    assert "is not valid YAML" in wrong("a: [")
    assert "is not valid YAML" in wrong("a: [2001-99-99]")
    assert "contains itself" in wrong("a: &a [*a]")
    levels = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 9)]
    assert "is too large" in wrong("\n".join(["a0: &a0 ['1']", *levels]))
    assert "has no list b; its lists are a" in wrong("a: ['1']", "b")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_list_file(tmp_path / "none.yaml", None)


def test_a_list_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = {"a": ["it's", "0x1", "NO"], "empty": []}
    path = tmp_path / "lists.yaml"
    path.write_text(list_file_text(written), encoding="utf-8")
    assert read_list_file(path, None) == written
    path.write_text(list_file_text({}), encoding="utf-8")
    assert read_list_file(path, None) == {}
