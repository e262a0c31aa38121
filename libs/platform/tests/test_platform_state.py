"""State between commands, the Java homes, and the settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cardwatch_platform import daemon
from cardwatch_platform.java import java, spark_java_home
from cardwatch_platform.processes import GuardedProcess
from cardwatch_platform.services import new_cluster_id
from cardwatch_platform.settings import PlatformSettings
from cardwatch_platform.state import FILE_NAME, Component, PlatformState, load_state


def test_state_reads_back(tmp_path: Path) -> None:
    state = PlatformState(1, 2, 3).with_component("kafka", Component(4, 5.5, 6, 7.5, "2026-11-24T00:00:00+00:00"))
    state.save(tmp_path)
    assert load_state(tmp_path) == state
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"kafka_port": 1}'])
def test_unreadable_state_is_a_platform_that_never_ran(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    assert load_state(tmp_path) == PlatformState()


def test_component_that_has_ended_is_not_running(tmp_path: Path) -> None:
    process = GuardedProcess(
        "x", [sys.executable, "-c", "import time; time.sleep(600)"], None, tmp_path / "log"
    ).start()
    state = PlatformState(1, 2, 3).with_component("kafka", Component.of(process))
    assert state.running() == ["kafka"]
    process.kill()
    assert state.running() == []


def test_down_where_nothing_ever_ran_changes_nothing(tmp_path: Path) -> None:
    assert daemon.down(tmp_path / "absent") == []
    assert not (tmp_path / "absent").exists()


def test_status_where_nothing_ever_ran(tmp_path: Path) -> None:
    assert [entry.state for entry in daemon.status(tmp_path / "absent")] == ["down", "down"]


def test_java_of_spark_drops_the_module_that_is_not_there(tmp_path: Path) -> None:
    home = spark_java_home(tmp_path)
    arguments = ["--add-modules=jdk.incubator.vector", "-Dname=a value", "-XshowSettings:properties", "-version"]
    assert subprocess.run([java(), *arguments], capture_output=True, check=False).returncode != 0
    result = subprocess.run([home / "bin" / "java", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "name = a value" in result.stderr
    assert spark_java_home(tmp_path) == home


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CARDWATCH_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("CARDWATCH_MAVEN_REPOSITORY", "")
    settings = PlatformSettings()
    assert settings.cache_dir == tmp_path
    assert settings.maven_repository == ""
    monkeypatch.delenv("CARDWATCH_CACHE_DIR")
    assert os.fspath(PlatformSettings().cache_dir).endswith("cardwatch")


def test_cluster_id_is_never_taken_for_an_option() -> None:
    ids = {new_cluster_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(len(cluster_id) == 22 and not cluster_id.startswith("-") for cluster_id in ids)
