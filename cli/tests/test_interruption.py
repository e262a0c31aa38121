"""A signal ends a command with the right exit code, even if C code turns the interrupt into another error."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from cardwatch_cli.interruption import ends_by_signal
from cardwatch_cli.main import app
from deltalake import write_deltalake
from typer.testing import CliRunner


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_command_with_the_code_that_shells_give(
    number: signal.Signals, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, ends_by_signal():
        signal.raise_signal(number)
    assert ended.value.exit_code == code
    assert capsys.readouterr().err == "stopped\n"


def test_an_error_that_c_code_raises_instead_counts_as_the_signal() -> None:
    def code_in_c() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as interrupt:
            raise SystemError("returned a result with an exception set") from interrupt

    with pytest.raises(typer.Exit) as ended, ends_by_signal():
        code_in_c()
    assert ended.value.exit_code == 130


def test_a_signal_that_got_lost_ends_the_command_at_the_next_check() -> None:
    def code_in_c() -> None:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    looked = []

    def command() -> None:
        with ends_by_signal() as interruption:
            for look in range(3):
                interruption.check()
                looked.append(look)
                code_in_c()

    with pytest.raises(typer.Exit) as ended:
        command()
    assert (ended.value.exit_code, looked) == (130, [0])


def test_without_a_signal_errors_are_unchanged_and_handlers_restored() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with pytest.raises(SystemError, match="its own"), ends_by_signal():
        raise SystemError("its own")
    assert [signal.getsignal(number) for number in numbers] == before


def test_what_nohup_has_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ends_by_signal():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_long_query_ends_at_once(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "gold/alerts", pa.table({"alert_id": ["a"]}))
    # DuckDB would need half a minute for it.
    sql = "SELECT range % 1000 AS k, sum(hash(range)) FROM range(5_000_000_000) GROUP BY k"
    ctrl_c = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    ctrl_c.start()
    began = time.monotonic()
    outcome = CliRunner().invoke(app, ["tables", "query", sql, "--tables-dir", str(tmp_path)])
    assert (outcome.exit_code, outcome.output) == (130, "stopped\n")
    assert time.monotonic() - began < 10.0
