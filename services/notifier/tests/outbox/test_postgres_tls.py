"""A PostgreSQL server on another machine has to prove its name; what is not proven is refused."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import certifi
import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_notifier.outbox.opening import open_outbox
from cardwatch_notifier.outbox.postgres.database import Database
from cardwatch_notifier.outbox.postgres.schema import migrate
from cardwatch_notifier.outbox.postgres.server_verification import verification
from cardwatch_notifier.outbox.protocol import OutboxUnavailableError
from cardwatch_notifier.settings import OutboxSettings
from cardwatch_platform.ports import free_port
from cardwatch_service.settings import load_settings
from psycopg.conninfo import conninfo_to_dict
from support.certificates import Authority, KeyPair, server_context
from support.postgres_server import PostgresServer, UnavailableError
from support.tls_proxy import TlsProxy

FULL = {"sslmode": "verify-full", "sslrootcert": certifi.where()}
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.mark.parametrize(
    ("url", "environment", "chosen"),
    [
        ("postgresql://u@pg/d", {}, FULL),
        ("postgresql://u@10.0.0.1:5432/d", {}, FULL),
        ("postgresql://u@127.0.0.1,pg/d", {}, FULL),
        ("postgresql://u@/d?hostaddr=10.0.0.1", {}, FULL),
        ("postgresql://u@/d", {"PGHOST": "pg"}, FULL),
        ("postgresql:///d?service=outbox", {}, FULL),
        ("postgresql://u@pg/d", {"SSL_CERT_FILE": "/ca"}, {**FULL, "sslrootcert": "/ca"}),
        ("postgresql://u@pg/d", {"PGSSLROOTCERT": "/ca"}, {"sslmode": "verify-full"}),
        ("postgresql://u@pg/d?sslmode=verify-full", {}, {"sslrootcert": certifi.where()}),
        ("postgresql://u@pg/d?sslmode=verify-full&sslrootcert=/ca", {}, {}),
        # Whoever says otherwise is taken at their word.
        ("postgresql://u@pg/d?sslmode=require", {}, {}),
        ("postgresql://u@pg/d?sslmode=disable", {}, {}),
        ("postgresql://u@pg/d", {"PGSSLMODE": "prefer"}, {}),
        # On this machine.
        ("postgresql://u@127.0.0.1/d", {}, {}),
        ("postgresql://u@localhost,[::1]/d", {}, {}),
        ("postgresql://u@/d?host=/run/postgresql", {}, {}),
        ("postgresql://u@/d", {}, {}),
    ],
)
def test_a_server_elsewhere_has_to_prove_its_name(
    url: str, environment: dict[str, str], chosen: dict[str, str]
) -> None:
    assert verification(conninfo_to_dict(url), "", environment) == chosen


def test_the_authority_of_the_settings_wins() -> None:
    assert verification({"host": "pg"}, "/own", {}) == {"sslmode": "verify-full", "sslrootcert": "/own"}
    assert verification({"host": "pg", "sslmode": "require"}, "/own", {}) == {"sslrootcert": "/own"}


def test_an_unreadable_authority_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_NOTIFIER_OUTBOX_SSL_CA_LOCATION", "/no")
    with pytest.raises(ConfigurationError, match=r"CARDWATCH_NOTIFIER_OUTBOX_SSL_CA_LOCATION=/no cannot be read"):
        load_settings(OutboxSettings)


class Secured:
    """A server with TLS on 127.0.0.1. It stands for another machine, ``pg.test``, which the URL names."""

    def __init__(self, port: int, database: str) -> None:
        self._port = port
        self._database = database

    def url(self, host: str = "pg.test") -> str:
        return f"postgresql://postgres@{host}:{self._port}/{self._database}?hostaddr=127.0.0.1"


@contextmanager
def behind_a_proxy(server: PostgresServer, certificate: KeyPair) -> Iterator[Secured]:
    """TLS by a proxy in front of the server, as the wheel's server has none."""

    def connect() -> socket.socket:
        behind = socket.socket(socket.AF_UNIX)
        behind.connect(str(server.socket_path))
        return behind

    with TlsProxy(server_context(certificate), connect, postgres=True) as proxy:
        yield Secured(proxy.port, server.new_database())


@contextmanager
def with_ssl_on(certificate: KeyPair) -> Iterator[Secured]:
    """The server itself with ``ssl=on``, where the machine has one with TLS."""
    if not DEBIAN:
        pytest.skip("no PostgreSQL with TLS in /usr/lib/postgresql (Debian: postgresql)")
    server, port = PostgresServer(DEBIAN[-1]), free_port()
    files = {
        "ssl_cert_file": server.add_file("server.crt", certificate.certificate.read_bytes()),
        "ssl_key_file": server.add_file("server.key", certificate.key.read_bytes()),
    }
    server.listen(port, "ssl=on", *(f"{name}={path}" for name, path in files.items()))
    try:
        with server:
            yield Secured(port, server.new_database())
    except UnavailableError as error:
        pytest.skip(f"PostgreSQL does not run here: {error}")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module", params=["proxy", "ssl=on"])
def secured(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Secured]:
    certificate = authority.issue("pg", hosts=["pg.test"])
    if request.param == "proxy":
        with behind_a_proxy(request.getfixturevalue("postgres"), certificate) as server:
            yield server
    else:
        with with_ssl_on(certificate) as server:
            yield server


def test_the_right_server_is_taken(secured: Secured, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(Database(secured.url(), lambda: "", str(authority.location)))
    monkeypatch.setenv("CARDWATCH_NOTIFIER_OUTBOX_URL", secured.url())
    monkeypatch.setenv("CARDWATCH_NOTIFIER_OUTBOX_SSL_CA_LOCATION", str(authority.location))
    with closing(open_outbox(load_settings(OutboxSettings))) as outbox:
        assert outbox.backlog() == []


def test_a_certificate_of_another_host_is_refused(secured: Secured, authority: Authority) -> None:
    database = Database(secured.url("other.test"), lambda: "", str(authority.location))
    with pytest.raises(
        OutboxUnavailableError, match=r"does not match host name.*; expected a server whose certificate"
    ):
        database.connect()


def test_an_unknown_authority_is_refused(secured: Secured, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other authority")
    with pytest.raises(OutboxUnavailableError, match=r"certificate verify failed.*OUTBOX_SSL_CA_LOCATION"):
        Database(secured.url(), lambda: "", str(other.location)).connect()
    with pytest.raises(OutboxUnavailableError, match=r"certificate verify failed"):
        Database(secured.url(), lambda: "").connect()
