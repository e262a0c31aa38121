from pathlib import Path

from cardwatch_cli.demo.runs import new_run


def test_the_last_runs_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    runs = [new_run(tmp_path, kept=3) for _ in range(5)]
    assert [run.exists() for run in runs] == [False, False, True, True, True]
    assert (tmp_path / "notes").exists()


def test_a_run_has_an_empty_directory_of_its_own(tmp_path: Path) -> None:
    first, second = new_run(tmp_path / "demo"), new_run(tmp_path / "demo")
    assert first != second
    assert list(second.iterdir()) == []
