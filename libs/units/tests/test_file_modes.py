"""Modes of new files, and what is done about those of older ones."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cardwatch_units.file_modes import close_to_others, current_umask, open_to_others, private_files, umask_in


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_files_and_those_of_child_processes_are_private(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        with private_files({}):
            assert current_umask() == 0o077
            (tmp_path / "own").mkdir()
            (tmp_path / "own/file").write_text("")
            command = "import os; os.mkdir('child'); open('child/file', 'w').close()"
            subprocess.run([sys.executable, "-c", command], cwd=tmp_path, check=True)
        assert current_umask() == 0o000
    finally:
        os.umask(before)
    for directory in ("own", "child"):
        assert mode(tmp_path / directory) == 0o700
        assert mode(tmp_path / directory / "file") == 0o600


@pytest.mark.parametrize(
    ("text", "umask"), [("", 0o077), ("077", 0o077), ("0077", 0o077), ("27", 0o027), ("007", 0o007)]
)
def test_a_umask_may_let_the_group_in(text: str, umask: int) -> None:
    assert umask_in({"CARDWATCH_UMASK": text}) == umask


@pytest.mark.parametrize("text", ["022", "000", "0", "026", "177", "-77", "rwx", "0o77x", "8", "0777"])
def test_no_umask_lets_everybody_in(text: str) -> None:
    with pytest.raises(ValueError, match=r"CARDWATCH_UMASK=.*expected 077"):
        umask_in({"CARDWATCH_UMASK": text})


def test_what_was_open_is_closed_once(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(0o2755)
    assert "(mode 2755)" in close_to_others(path, 0o077)
    assert mode(path) == 0o2700
    assert close_to_others(path, 0o077) == ""
    assert close_to_others(tmp_path / "missing", 0o077) == ""


def test_a_group_that_is_let_in_stays_in(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    close_to_others(tmp_path, 0o027)
    assert mode(tmp_path) == 0o750


def test_directories_that_all_users_share_stay_as_they_are(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert close_to_others(tmp_path, 0o077) == ""
    assert mode(tmp_path) == 0o1777


@pytest.mark.parametrize(
    ("directory", "file", "is_open"),
    [(0o755, 0o644, True), (0o700, 0o644, False), (0o755, 0o600, False), (0o750, 0o640, True), (0o744, 0o644, False)],
)
def test_a_file_is_open_if_its_directory_can_be_entered(
    directory: int, file: int, is_open: bool, tmp_path: Path
) -> None:
    (path := tmp_path / "secret").write_text("")
    path.chmod(file)
    tmp_path.chmod(directory)
    assert open_to_others(path) is is_open
