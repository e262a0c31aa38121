"""Downloading with the real Ivy from a repository on the loopback interface."""

import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from cardwatch_contracts.errors import PlatformError
from cardwatch_platform.artifacts import Artifact, Lock, Module, sha256_of
from cardwatch_platform.download import DownloadLimits, ensure_artifacts
from cardwatch_platform.ports import free_port
from cardwatch_platform.reporting import SilentReporter
from cardwatch_platform.settings import PlatformSettings

_JAR = Module("org.example", "thing_2.13", "1.0")
_OTHER = Module("org.example.deep", "other", "2.0-rc1")
_ARCHIVE = Module("org.example", "application", "3.0", classifier="all", type="tar.gz")


def _archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("lib/inside.jar")
        entry.size = 6
        archive.addfile(entry, io.BytesIO(b"inside"))
    return buffer.getvalue()


_FILES = {_JAR: b"j" * 300_000, _OTHER: b"o" * 10_000, _ARCHIVE: _archive()}


def _locked(module: Module) -> Artifact:
    return Artifact(module, len(_FILES[module]), hashlib.sha256(_FILES[module]).hexdigest())


_LOCK = Lock({"kafka": (_locked(_JAR), _locked(_OTHER)), "registry": (_locked(_ARCHIVE),)})


class Repository:
    """A Maven repository on the loopback interface.

    Attributes:
        files: path → what it answers.
        requests: how often each path was asked for.
        stall_at: a path that is answered by half of the file and then nothing.
        connections_cut_at: how many times the answer to a path is cut in the middle.
    """

    def __init__(self) -> None:
        self.files = {_path(module): content for module, content in _FILES.items()}
        self.requests: Counter[str] = Counter()
        self.stall_at: str | None = None
        self.connections_cut_at: Counter[str] = Counter()
        self.stalled = threading.Event()
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(with_body=False)

            def do_GET(self) -> None:
                repository.requests[self.path] += 1
                self._answer(with_body=True)

            def _answer(self, with_body: bool) -> None:
                content = repository.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if with_body and self.path == repository.stall_at:
                    self.wfile.write(content[: len(content) // 2])
                    repository.stalled.set()
                    while repository.stall_at:
                        time.sleep(0.05)
                    return
                if with_body and repository.connections_cut_at[self.path] > 0:
                    repository.connections_cut_at[self.path] -= 1
                    self.wfile.write(content[: len(content) // 2])
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if with_body:
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/maven"


def _path(module: Module) -> str:
    classifier = f"-{module.classifier}" if module.classifier else ""
    return (
        f"/maven/{module.group.replace('.', '/')}/{module.artifact}/{module.version}/"
        f"{module.artifact}-{module.version}{classifier}.{module.type}"
    )


@pytest.fixture
def repository() -> Iterator[Repository]:
    """A repository that has everything the lock names."""
    repository = Repository()
    thread = threading.Thread(target=repository.server.serve_forever, daemon=True)
    thread.start()
    yield repository
    repository.stall_at = None
    repository.server.shutdown()
    repository.server.server_close()


@pytest.fixture
def ensure(repository: Repository, tmp_path: Path) -> Callable[..., dict[str, Path]]:
    """Download from the repository into a cache of this test's own."""

    def call(
        lock: Lock = _LOCK, reporter: SilentReporter | None = None, limits: DownloadLimits | None = None
    ) -> dict[str, Path]:
        settings = PlatformSettings(cache_dir=tmp_path / "cache", maven_repository=repository.url)
        return dict(ensure_artifacts(lock, settings, reporter or SilentReporter(), limits=limits or DownloadLimits()))

    return call


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme.upper()}_PROXY", raising=False)


def _kept(tmp_path: Path) -> list[str]:
    """The files that a later run would use."""
    return sorted(path.name for path in (tmp_path / "cache").glob("sets/*"))


def test_downloads_verifies_and_unpacks(
    ensure: Callable[..., dict[str, Path]], repository: Repository, tmp_path: Path
) -> None:
    directories = ensure()
    for artifact in _LOCK.sets["kafka"]:
        assert sha256_of(directories["kafka"] / artifact.module.file_name) == artifact.sha256
    assert (directories["registry"] / "lib" / "inside.jar").read_bytes() == b"inside"
    assert not (tmp_path / "cache" / "staging").exists()
    assert repository.requests == {_path(module): 1 for module in _FILES}


def test_cached_files_are_not_downloaded_again(ensure: Callable[..., dict[str, Path]], repository: Repository) -> None:
    ensure()
    repository.requests.clear()
    ensure()
    assert not repository.requests


def test_only_the_changed_set_is_downloaded(ensure: Callable[..., dict[str, Path]], repository: Repository) -> None:
    ensure()
    repository.requests.clear()
    ensure(Lock({**_LOCK.sets, "kafka": (_locked(_OTHER),)}))
    assert set(repository.requests) == {_path(_OTHER)}


def test_progress_is_reported_in_bytes(ensure: Callable[..., dict[str, Path]]) -> None:
    told: list[tuple[int, int]] = []

    class Recorder(SilentReporter):
        def download(self, done_bytes: int, total_bytes: int) -> None:
            told.append((done_bytes, total_bytes))

    ensure(reporter=Recorder())
    total = sum(len(content) for content in _FILES.values())
    assert told[-1] == (total, total)
    assert all(done < total for done, _ in told[:-1])
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_wrong_checksum_names_the_file_and_keeps_nothing(
    ensure: Callable[..., dict[str, Path]], repository: Repository, tmp_path: Path
) -> None:
    tampered = b"x" * len(_FILES[_OTHER])
    repository.files[_path(_OTHER)] = tampered
    with pytest.raises(PlatformError) as raised:
        ensure()
    sentence = str(raised.value)
    assert "org.example.deep:other:2.0-rc1" in sentence
    assert "wrong checksum" in sentence
    assert hashlib.sha256(tampered).hexdigest() in sentence
    assert _locked(_OTHER).sha256 in sentence
    assert _kept(tmp_path) == []

    repository.files[_path(_OTHER)] = _FILES[_OTHER]
    assert ensure()["kafka"].is_dir()


def test_truncated_file_is_not_kept(
    ensure: Callable[..., dict[str, Path]], repository: Repository, tmp_path: Path
) -> None:
    repository.files[_path(_ARCHIVE)] = _FILES[_ARCHIVE][:-1]
    with pytest.raises(PlatformError, match="wrong checksum"):
        ensure()
    assert _kept(tmp_path) == []


def test_file_that_the_repository_does_not_have_is_named(
    ensure: Callable[..., dict[str, Path]], repository: Repository, tmp_path: Path
) -> None:
    del repository.files[_path(_JAR)]
    with pytest.raises(PlatformError, match=r"does not have org\.example:thing_2\.13:1\.0"):
        ensure()
    assert _kept(tmp_path) == []


def test_missing_network_is_one_sentence(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/maven"
    settings = PlatformSettings(cache_dir=tmp_path / "cache", maven_repository=url)
    with pytest.raises(PlatformError) as raised:
        ensure_artifacts(_LOCK, settings, SilentReporter(), limits=DownloadLimits(attempts=2))
    sentence = str(raised.value)
    assert "could not be downloaded" in sentence
    assert url in sentence
    assert "Connection refused" in sentence
    assert "org.example" in sentence
    assert "\n" not in sentence
    assert _kept(tmp_path) == []


@pytest.mark.faults
def test_a_stalled_download_is_given_up(
    ensure: Callable[..., dict[str, Path]], repository: Repository, tmp_path: Path
) -> None:
    repository.stall_at = _path(_JAR)
    with pytest.raises(PlatformError, match="has sent nothing for 1 s"):
        ensure(limits=DownloadLimits(attempts=1, stall_seconds=1.0))
    assert _kept(tmp_path) == []


@pytest.mark.faults
def test_download_whose_connection_is_cut_is_tried_again(
    ensure: Callable[..., dict[str, Path]], repository: Repository
) -> None:
    repository.connections_cut_at[_path(_JAR)] = 1
    directories = ensure()
    assert sha256_of(directories["kafka"] / _JAR.file_name) == _locked(_JAR).sha256
    assert repository.requests[_path(_JAR)] == 2
    assert repository.requests[_path(_ARCHIVE)] == 1, "a file that is complete is not downloaded again"


@pytest.mark.faults
def test_part_of_a_file_is_never_used(
    ensure: Callable[..., dict[str, Path]], repository: Repository, tmp_path: Path
) -> None:
    repository.connections_cut_at[_path(_JAR)] = 1_000
    with pytest.raises(PlatformError, match=r"org\.example:thing_2\.13:1\.0 .*could not be downloaded"):
        ensure(limits=DownloadLimits(attempts=2))
    assert _kept(tmp_path) == []
    assert not (tmp_path / "cache" / "staging").exists()

    repository.connections_cut_at.clear()
    assert sha256_of(ensure()["kafka"] / _JAR.file_name) == _locked(_JAR).sha256


@pytest.mark.faults
def test_killed_in_the_middle_leaves_nothing_to_trust(
    ensure: Callable[..., dict[str, Path]], repository: Repository, tmp_path: Path
) -> None:
    repository.stall_at = _path(_JAR)
    code = (
        "import test_download as t; from cardwatch_platform.settings import PlatformSettings; "
        "t.ensure_artifacts(t._LOCK, PlatformSettings(), t.SilentReporter())"
    )
    victim = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={
            **os.environ,
            "CARDWATCH_CACHE_DIR": str(tmp_path / "cache"),
            "CARDWATCH_MAVEN_REPOSITORY": repository.url,
        },
    )
    assert repository.stalled.wait(60)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert _kept(tmp_path) == []
    deadline = time.monotonic() + 30
    while any(
        any(str(tmp_path) in argument for argument in process.info["cmdline"] or [])
        for process in psutil.process_iter(["cmdline"])
    ):
        assert time.monotonic() < deadline, "the download goes on without its parent"
        time.sleep(0.1)

    repository.stall_at = None
    directories = ensure()
    assert sha256_of(directories["kafka"] / _JAR.file_name) == _locked(_JAR).sha256


def test_two_at_once_download_once(ensure: Callable[..., dict[str, Path]], repository: Repository) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: ensure(), range(2))
    assert first == second
    assert repository.requests == {_path(module): 1 for module in _FILES}


def test_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = PlatformSettings(cache_dir=tmp_path / "file" / "cache")
    with pytest.raises(PlatformError, match=r"cannot be written .*CARDWATCH_CACHE_DIR"):
        ensure_artifacts(_LOCK, settings, SilentReporter())


def test_trust_store_that_does_not_exist_is_named(tmp_path: Path) -> None:
    settings = PlatformSettings(cache_dir=tmp_path / "cache", java_trust_store=tmp_path / "absent")
    with pytest.raises(PlatformError, match=r"CARDWATCH_JAVA_TRUST_STORE names .*absent"):
        ensure_artifacts(_LOCK, settings, SilentReporter())
