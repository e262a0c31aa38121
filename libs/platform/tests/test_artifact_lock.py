"""The lock file: the content of the shipped one, and the errors of a broken one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cardwatch_contracts.errors import PlatformError
from cardwatch_platform.artifacts import ROOTS, Artifact, Lock, Module, load_lock

_SHA = "0123456789abcdef" * 4


def _lock(**changes: object) -> Lock:
    module = replace(Module("org.example", "thing", "1.0"), **changes)  # type: ignore[arg-type]
    return Lock({"kafka": (Artifact(module, 10, _SHA),)})


def test_shipped_lock_holds_every_root() -> None:
    lock = load_lock()
    assert set(lock.sets) == set(ROOTS)
    for name, roots in ROOTS.items():
        assert set(roots) <= {artifact.module for artifact in lock.sets[name]}


def test_shipped_lock_holds_each_module_once() -> None:
    for artifacts in load_lock().sets.values():
        names = [(a.module.group, a.module.artifact, a.module.classifier) for a in artifacts]
        assert len(names) == len(set(names))


def test_saved_lock_reads_back(tmp_path: Path) -> None:
    lock = _lock(classifier="all", type="tar.gz")
    lock.save(tmp_path / "lock.json")
    assert load_lock(tmp_path / "lock.json") == lock


def test_digest_changes_with_version_and_content() -> None:
    lock = _lock()
    other_content = Lock({"kafka": (replace(lock.sets["kafka"][0], sha256=_SHA[::-1]),)})
    assert len({lock.digest("kafka"), _lock(version="1.1").digest("kafka"), other_content.digest("kafka")}) == 3


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("not json", "is not a lock file"),
        ("[]", "is not a lock file"),
        ('{"sets": {"kafka": [{"group": "g"}]}}', "sha256"),
    ],
)
def test_malformed_lock_is_named(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "lock.json"
    path.write_text(content)
    with pytest.raises(PlatformError, match=complaint) as raised:
        load_lock(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value"), [("sha256", "abc"), ("sha256", "Z" * 64), ("artifact", "../../etc/passwd")]
)
def test_dangerous_entry_is_refused(tmp_path: Path, field: str, value: str) -> None:
    path = tmp_path / "lock.json"
    _lock().save(path)
    content = json.loads(path.read_text())
    content["sets"]["kafka"][0][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(PlatformError, match="is not a"):
        load_lock(path)


def test_absent_lock_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="cannot be read"):
        load_lock(tmp_path / "absent.json")
