"""``cardwatch schemas`` on the real broker and registry."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from cardwatch_cli.main import app
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.schemas import SCHEMA_NAMES, schema_text
from cardwatch_contracts.topics import ALL_TOPICS, TRANSACTIONS_RAW
from typer.testing import CliRunner, Result

pytestmark = pytest.mark.integration


class Schemas:
    """Runs ``cardwatch schemas …`` against the test's own deployment."""

    def __init__(self, platform: Any) -> None:
        self.prefix = f"schemas-{uuid.uuid4().hex[:8]}."
        self.registry = ConfluentRegistry(platform.registry_url)
        self.env = {**platform.environment(), "CARDWATCH_TOPIC_PREFIX": self.prefix}

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["schemas", *arguments], env=self.env)


@pytest.fixture
def schemas(platform: Any) -> Schemas:
    return Schemas(platform)


def directory_with(tmp_path: Path, name: str, **field_types: str) -> Path:
    """The schemas as they are, but for the types of some fields of one of them."""
    for other in SCHEMA_NAMES:
        (tmp_path / f"{other}.avsc").write_text(schema_text(other), encoding="utf-8")
    changed = json.loads(schema_text(name))
    for field in changed["fields"]:
        field["type"] = field_types.get(field["name"], field["type"])
    (tmp_path / f"{name}.avsc").write_text(json.dumps(changed), encoding="utf-8")
    return tmp_path


def cells(result: Result) -> list[list[str]]:
    """The words of a printed table, line by line, without the rule below its head."""
    return [line.split() for line in result.output.splitlines() if "─" not in line]


def test_applying_twice_creates_once_and_keeps_the_ids(schemas: Schemas) -> None:
    first, second = schemas("apply"), schemas("apply")
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert first.output.count("created") == len(ALL_TOPICS)
    assert cells(second) == [["exists" if cell == "created" else cell for cell in row] for row in cells(first)]


def test_check_registers_nothing(schemas: Schemas) -> None:
    result = schemas("check")
    assert result.exit_code == 0, result.output
    assert schemas.registry.ids_of_all_versions(TRANSACTIONS_RAW.subject(schemas.prefix)) == {}


def test_check_refuses_an_incompatible_change(schemas: Schemas, tmp_path: Path) -> None:
    assert schemas("apply").exit_code == 0
    assert schemas("check").exit_code == 0
    result = schemas("check", "--directory", str(directory_with(tmp_path, "transaction", amount_minor="string")))
    assert result.exit_code == 1
    assert f"{TRANSACTIONS_RAW.subject(schemas.prefix)} " in result.output
    assert "FULL_TRANSITIVE does not allow transaction.avsc" in result.output
    assert "enriched_transaction" not in result.output.splitlines()[-1]


def test_apply_refuses_to_break_what_is_registered(schemas: Schemas, tmp_path: Path) -> None:
    earlier = (directory_with(tmp_path, "transaction", amount_minor="string") / "transaction.avsc").read_text()
    subject = TRANSACTIONS_RAW.subject(schemas.prefix)
    schemas.registry.register(subject, "transaction", earlier)
    result = schemas("apply")
    assert result.exit_code == 1
    assert f"transaction.avsc is refused as a new version of {subject}" in result.output
    assert len(schemas.registry.ids_of_all_versions(subject)) == 1


def test_an_unreachable_registry_is_one_sentence(schemas: Schemas) -> None:
    schemas.env["CARDWATCH_SCHEMA_REGISTRY_URL"] = "http://127.0.0.1:9/apis/ccompat/v7"
    result = schemas("check")
    assert result.exit_code == 1
    assert "error: the schema registry at http://127.0.0.1:9/apis/ccompat/v7 does not answer" in result.output
