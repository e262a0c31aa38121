"""The archives of Spark's classes: with a real Java and a jar of one class file, in place of Spark's three hundred."""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from cardwatch_platform.class_archive import OWN_JARS, ClassArchives, jars_of, merged, name_of
from cardwatch_platform.java import java

_SPARK = "org.apache.spark.deploy.SparkSubmit"
_SHARED = "source: shared objects file"


# The number of classes that an idle Java has loaded.
_MIN_CLASSES = 300


def _jar(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("note.txt", path.name)
    return path


def _run(directory: Path, class_path: object) -> str:
    """Start Java as Spark would and return its output; the jar contains no Spark, so that it ends at once."""
    program = (
        "import sys; from pathlib import Path; from cardwatch_platform.class_archive import ClassArchives, run; "
        f"run(ClassArchives(sys.argv[1], Path(sys.argv[2]), min_classes={_MIN_CLASSES}), sys.argv[3:])"
    )
    log = directory.parent / "log"
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            java(),
            directory,
            "-cp",
            str(class_path),
            f"-Xlog:class+load:file={log}",
            _SPARK,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"Could not find or load main class {_SPARK}" in result.stderr
    assert "warning" not in (result.stdout + result.stderr).lower()  # of an archive that does not fit
    return log.read_text()


def _wait_for_archive(directory: Path) -> Path:
    deadline = time.monotonic() + 60
    while not (archives := list(directory.glob("*.jsa"))):
        assert time.monotonic() < deadline, list(directory.iterdir())
        time.sleep(0.05)
    return archives[0]


def test_the_third_start_uses_the_archive_of_the_first_starts_classes(tmp_path: Path) -> None:
    jar, directory = _jar(tmp_path / "a.jar"), tmp_path / "archives"
    _run(directory, jar)
    assert _SHARED not in _run(directory, jar)
    archive = _wait_for_archive(directory)
    assert _SHARED in _run(directory, jar)
    # And one that does not fit is ignored, in silence.
    archive.unlink()
    archive.write_bytes(b"something else")
    assert _SHARED not in _run(directory, jar)


@pytest.mark.faults
def test_our_own_jar_may_change_without_another_archive(tmp_path: Path) -> None:
    jar, directory = _jar(tmp_path / "a.jar"), tmp_path / "archives"
    (tmp_path / OWN_JARS).mkdir()
    own, changed = (_jar(tmp_path / OWN_JARS / f"{name}.jar") for name in ("own", "changed"))
    _run(directory, f"{own}{os.pathsep}{jar}")
    _run(directory, f"{own}{os.pathsep}{jar}")
    _wait_for_archive(directory)
    assert _SHARED in _run(directory, f"{own}{os.pathsep}{jar}")
    assert _SHARED in _run(directory, f"{changed}{os.pathsep}{jar}")


def test_directory_that_cannot_be_made_shares_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    jar = _jar(tmp_path / "a.jar")
    assert ClassArchives("java", tmp_path / "file" / "archives").command(["-cp", str(jar), _SPARK]) == [
        "java",
        "-cp",
        str(jar),
        _SPARK,
    ]


def test_only_spark_itself_is_changed(tmp_path: Path) -> None:
    launcher = ["-Xmx128m", "-cp", f"{tmp_path}/*", "org.apache.spark.launcher.Main", _SPARK, "a b"]
    assert ClassArchives("java", tmp_path / "archives").command(launcher) == ["java", *launcher]
    without_class_path = [_SPARK, "-cp", str(tmp_path)]
    assert ClassArchives("java", tmp_path / "archives").command(without_class_path) == ["java", *without_class_path]
    with_settings = ["-cp", str(tmp_path), "--add-modules=jdk.incubator.vector", _SPARK]
    (tmp_path / "spark-defaults.conf").touch()
    assert ClassArchives("java", tmp_path / "archives").command(with_settings) == ["java", "-cp", str(tmp_path), _SPARK]
    assert not (tmp_path / "archives").exists()


def test_jars_are_in_one_order_and_none_twice(tmp_path: Path) -> None:
    a, b, c = (_jar(tmp_path / name) for name in ("a.jar", "b.jar", "c.jar"))
    (tmp_path / "conf").mkdir()
    assert jars_of(f"{b}:{tmp_path}/conf/:{tmp_path}/absent:{tmp_path}/*") == [b, a, c]
    assert jars_of(str(tmp_path)) is None  # a directory with something in it


def test_name_changes_with_a_jar(tmp_path: Path) -> None:
    jar = _jar(tmp_path / "a.jar")
    before = name_of(java(), [jar])
    assert name_of(java(), [jar]) == before
    os.utime(jar, (1, 1))
    assert name_of(java(), [jar]) != before


def test_lists_are_merged_without_numbers_generated_classes_and_unfinished_lines(tmp_path: Path) -> None:
    (tmp_path / "1").write_text(
        "# note\njava/lang/Object id: 0\na/Made id: 1 super: 0 source: a.jar\n@lambda-proxy a b\n"
    )
    (tmp_path / "2").write_text("java/lang/String id: 0\njava/lang/Object id: 1\njava/lang/Thr")
    assert merged([tmp_path / "1", tmp_path / "2"]) == ["java/lang/Object", "@lambda-proxy a b", "java/lang/String"]


@pytest.mark.parametrize(("script", "tried_again"), [("exit 3", False), ("kill -9 $$", True)], ids=["fails", "killed"])
def test_a_failed_archive_is_not_tried_again_but_an_interrupted_one_is(
    tmp_path: Path, script: str, tried_again: bool
) -> None:
    jar = _jar(tmp_path / "a.jar")
    broken = tmp_path / "java"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    name = name_of(str(broken), [jar])
    classes = tmp_path / f"{name}.1.classes"
    classes.write_text("".join(f"class{number} id: {number}\n" for number in range(400)))
    archives = ClassArchives(str(broken), tmp_path, _MIN_CLASSES)
    archives.make([jar])
    assert classes.exists() == tried_again
    assert (tmp_path / f"{name}.jsa").exists() != tried_again
    options = archives.command(["-cp", str(jar), _SPARK])
    assert any("LoadedClassList" in option for option in options) == tried_again
    assert not any("SharedArchiveFile" in option for option in options)


@pytest.mark.parametrize(("said", "niceness"), [(None, 19), ("3", 3), ("-3", 0), ("low", 19)])
def test_an_archive_is_created_at_the_lowest_priority_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, niceness: int
) -> None:
    monkeypatch.delenv("CARDWATCH_CLASS_ARCHIVE_NICENESS", raising=False)
    if said is not None:
        monkeypatch.setenv("CARDWATCH_CLASS_ARCHIVE_NICENESS", said)
    jar, tells = _jar(tmp_path / "a.jar"), tmp_path / "java"
    tells.write_text('#!/bin/sh\nfor one; do case $one in *ArchiveFile=*) nice > "${one#*=}"; esac; done\n')
    tells.chmod(0o755)
    (tmp_path / f"{name_of(str(tells), [jar])}.1.classes").write_text("".join(f"class{one}\n" for one in range(400)))
    ClassArchives(str(tells), tmp_path, _MIN_CLASSES).command(["-cp", str(jar), _SPARK])
    assert int(_wait_for_archive(tmp_path).read_text()) == min(os.nice(0) + niceness, 19)


def test_lists_that_are_too_short_make_room_for_others(tmp_path: Path) -> None:
    jar = _jar(tmp_path / "a.jar")
    name = name_of(java(), [jar])
    for number in range(9):
        (tmp_path / f"{name}.{number}.classes").write_text("a/Class id: 0\n")
        os.utime(tmp_path / f"{name}.{number}.classes", (number, number))
    options = ClassArchives(java(), tmp_path).command(["-cp", str(jar), _SPARK])
    assert f"-XX:DumpLoadedClassList={tmp_path}/{name}.{os.getpid()}.classes" in options
    assert sorted(path.name.split(".")[1] for path in tmp_path.glob("*.classes")) == ["6", "7", "8"]
    assert not list(tmp_path.glob("*.jsa"))


def test_archives_unused_for_a_month_are_removed(tmp_path: Path) -> None:
    jar, directory = _jar(tmp_path / "a.jar"), tmp_path / "archives"
    _run(directory, jar)
    old, recent = directory / "old.jsa", directory / "recent.jsa"
    old.touch()
    recent.touch()
    month = 31 * 24 * 3600
    os.utime(old, (time.time() - month, time.time() - month))
    ClassArchives(java(), directory, _MIN_CLASSES).make([jar])
    assert sorted(path.suffix for path in directory.iterdir()) == ["", ".jsa", ".jsa"]
    assert not old.exists()
