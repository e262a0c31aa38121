"""A PostgreSQL server for tests, with the binaries of the ``pgserver`` wheel and a temporary data directory.

It listens only on a Unix socket in that directory. PostgreSQL refuses to run as root; a root user starts it as
``nobody``.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psycopg
import pytest

_START_SECONDS: Final = 30.0
_OWNER: Final = "postgres"
_PORT: Final = 5432  # part of the socket's name
# The data is temporary and need not survive a crash of the machine; a crash of the server it survives without these.
_OPTIONS: Final = (
    "fsync=off",
    "full_page_writes=off",
    "listen_addresses=",
    "max_connections=60",
    "shared_buffers=16MB",
)


class UnavailableError(Exception):
    """PostgreSQL cannot run here; the message says why, in one sentence."""


class PostgresServer:
    """A running server, as a context manager; ``stop``, ``kill`` and ``start`` simulate an outage."""

    def __init__(self, binaries: Path | None = None) -> None:
        """``binaries``: of another PostgreSQL than the wheel's, which has no TLS."""
        self._user: Final = "nobody" if os.geteuid() == 0 else None
        self._directory: Final = Path(tempfile.mkdtemp(prefix="cardwatch-pg-", dir="/tmp"))  # a socket's path is short
        self._data: Final = self._directory / "data"
        self._installed: Final = binaries
        self._options: list[str] = []
        self._port = _PORT
        self._binaries = Path()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._binaries = self._installed or self._reachable_binaries()
            if self._user is not None:
                os.chown(self._directory, pwd.getpwnam(self._user).pw_uid, -1)
            self._run("initdb", "-D", self._data, "-U", _OWNER, "--auth=trust", "--encoding=UTF8", "--locale=C", "-N")
            self.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [part for option in (*_OPTIONS, *self._options) for part in ("-c", option)]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, "-k", self._directory, *options],
                stdout=log, stderr=log, user=self._user, cwd=self._directory,
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url("postgres")).close()
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError(f"the server does not start: {self.log()[-500:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it, ending its connections (``fast``)."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """Stop it without writing anything more (``immediate``), like a crash: the next start recovers."""
        self._signal(signal.SIGQUIT)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing answers."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue it after ``pause``."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def url(self, database: str, user: str = _OWNER) -> str:
        """The connection URL of a database."""
        return f"postgresql://{user}@:{self._port}/{database}?host={self._directory}"

    @property
    def socket_path(self) -> Path:
        """The Unix socket."""
        return self._directory / f".s.PGSQL.{self._port}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser; its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_database(self, template: str = "template1") -> str:
        """The name of a new database, a copy of another that nobody is connected to."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    def ask_for_password(self, role: str) -> None:
        """Require a password of a role; the others need none."""
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
        self.execute("SELECT pg_reload_conf()")

    def listen(self, port: int, *options: str) -> None:
        """Listen on the loopback interface too, from the next start on, with options such as ``ssl=on``."""
        self._port = port
        self._options += ["listen_addresses=127.0.0.1", f"port={port}", *options]

    def add_file(self, name: str, content: bytes) -> Path:
        """A file in the server's directory that only the server may read."""
        path = self._directory / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        if self._user is not None:
            os.chown(path, pwd.getpwnam(self._user).pw_uid, -1)
        return path

    def log(self) -> str:
        """The server's log."""
        path = self._directory / "log"
        return path.read_text(errors="replace") if path.is_file() else ""

    def _pids(self) -> list[int]:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [self._process.pid, *map(int, children.split())]

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(_START_SECONDS)
        self._process = None

    def _end(self) -> None:
        self._signal(signal.SIGQUIT)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            user=self._user, cwd=self._directory, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise UnavailableError(f"{program} failed: {done.stderr.strip()[-500:]}")

    def _reachable_binaries(self) -> Path:
        """The directory of the programs; a copy where ``nobody`` may not go where they are installed."""
        package = find_spec("pgserver")
        if package is None or package.origin is None:
            raise UnavailableError("pgserver, which has the PostgreSQL binaries, is not installed")
        installed = Path(package.origin).parent / "pginstall"
        if not (installed / "bin" / "postgres").is_file():
            raise UnavailableError(f"pgserver has no PostgreSQL binaries for this machine in {installed}")
        if self._user is not None and not all(path.stat().st_mode & 0o001 for path in (installed, *installed.parents)):
            # The libraries are found by their place beside the package.
            packages, copies = installed.parent.parent, self._directory / "packages"
            self._directory.chmod(0o755)
            shutil.copytree(installed, copies / "pgserver" / "pginstall")
            if (packages / "pgserver.libs").is_dir():
                shutil.copytree(packages / "pgserver.libs", copies / "pgserver.libs")
            installed = copies / "pgserver" / "pginstall"
        return installed / "bin"


@contextlib.contextmanager
def server_or_skip() -> Iterator[PostgresServer]:
    """A server for the length of a ``with``; where it cannot run, the test is skipped for that reason."""
    try:
        with PostgresServer() as server:
            yield server
    except UnavailableError as error:
        pytest.skip(f"PostgreSQL does not run here: {error}")
