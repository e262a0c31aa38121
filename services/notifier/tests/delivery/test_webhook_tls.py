"""A webhook with a certificate of a private authority: trusted where the settings name it, and only then."""

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_notifier.delivery.assembly import make_receivers
from cardwatch_notifier.delivery.receiver import Delivered, Outcome, TryAgain
from cardwatch_notifier.delivery.webhook_sender import WebhookSender
from cardwatch_notifier.outbox.protocol import Message
from cardwatch_notifier.settings import NotifierSettings
from cardwatch_service.settings import load_settings
from support.certificates import Authority, server_context

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
MESSAGE = Message(1, "id-2", "id", "{}", 0, 0, 0, 0)

Attempt = Callable[[str, object], Outcome]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing to standard error."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def port(authority: Authority) -> Iterator[int]:
    """An HTTPS server whose certificate is valid for ``localhost`` and not for ``127.0.0.1``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = server_context(authority.issue("soc", hosts=["localhost"]))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def attempt(monkeypatch: pytest.MonkeyPatch) -> Attempt:
    """Posts to a URL, with the receivers as the settings make them."""

    def post(url: str, ca_location: object) -> Outcome:
        monkeypatch.setenv("CARDWATCH_NOTIFIER_STDOUT", "false")
        monkeypatch.setenv("CARDWATCH_NOTIFIER_WEBHOOK_URL", url)
        monkeypatch.setenv("CARDWATCH_NOTIFIER_WEBHOOK_SECRET", SECRET)
        monkeypatch.setenv("CARDWATCH_NOTIFIER_WEBHOOK_SSL_CA_LOCATION", str(ca_location))
        (sender,) = make_receivers(load_settings(NotifierSettings))
        assert isinstance(sender, WebhookSender)
        with closing(sender):
            return sender.deliver(MESSAGE)

    return post


def test_the_authority_of_the_settings_is_trusted(attempt: Attempt, port: int, authority: Authority) -> None:
    assert isinstance(attempt(f"https://localhost:{port}/", authority.location), Delivered)


@pytest.mark.parametrize("case", ["another host", "another authority", "the system's authorities"])
def test_any_other_server_gets_no_alert(
    case: str, attempt: Attempt, port: int, authority: Authority, tmp_path: Path
) -> None:
    host = "127.0.0.1" if case == "another host" else "localhost"
    trusted = {
        "another host": authority.location,
        "another authority": Authority(tmp_path, "other").location,
        "the system's authorities": "",
    }[case]
    outcome = attempt(f"https://{host}:{port}/", trusted)
    assert isinstance(outcome, TryAgain)
    assert "its certificate is not trusted" in outcome.why
    assert ("not valid for" if case == "another host" else "self-signed certificate") in outcome.why


def test_a_file_without_certificates_is_refused(attempt: Attempt, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    with pytest.raises(ConfigurationError, match=r"CARDWATCH_NOTIFIER_WEBHOOK_SSL_CA_LOCATION=.*holds no certificate"):
        attempt("https://localhost/", tmp_path / "empty.pem")
