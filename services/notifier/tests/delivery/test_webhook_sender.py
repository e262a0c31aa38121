"""The webhook: what is sent, how it is signed, and what each answer means."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_notifier.delivery.assembly import make_receivers
from cardwatch_notifier.delivery.receiver import Delivered, Gone, Outcome, Rejected, TryAgain
from cardwatch_notifier.delivery.webhook_client import Network
from cardwatch_notifier.delivery.webhook_sender import WebhookSender
from cardwatch_notifier.outbox.protocol import Message
from cardwatch_notifier.settings import NotifierSettings
from cardwatch_service.settings import load_settings
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
BODY = '{"type":"alert.raised","data":{"merchant_id":"Käsehütte"}}'
MESSAGE = Message(1, "0f0e0d0c-0b0a-0908-0706-050403020100-2", "0f0e0d0c-0b0a-0908-0706-050403020100", BODY, 0, 0, 0, 0)


def deliver(answer: httpx.Response | Exception) -> tuple[Outcome, list[httpx.Request]]:
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    receiver = WebhookSender(
        "https://soc.example/alerts?token=s3cret", SECRET, network=Network(transport=httpx.MockTransport(handle))
    )
    try:
        return receiver.deliver(MESSAGE), requests
    finally:
        receiver.close()


def test_a_request_verifies_with_the_standard_library() -> None:
    (outcome, (request,)) = deliver(httpx.Response(204))
    assert outcome == Delivered()
    assert Webhook(SECRET).verify(request.content, dict(request.headers)) == json.loads(BODY)
    assert request.headers["webhook-id"] == MESSAGE.message_id
    assert request.headers["content-type"] == "application/json"


def test_a_changed_body_does_not_verify() -> None:
    (_, (request,)) = deliver(httpx.Response(204))
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.content.replace(b"raised", b"lowered"), dict(request.headers))


def test_a_retry_has_the_same_id_and_body_and_a_fresh_timestamp() -> None:
    times = iter([datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC), datetime(2026, 11, 24, 12, 30, 0, tzinfo=UTC)])
    requests: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(503)

    receiver = WebhookSender(
        "https://soc.example", SECRET, clock=lambda: next(times), network=Network(transport=httpx.MockTransport(handle))
    )
    receiver.deliver(MESSAGE)
    receiver.deliver(MESSAGE)
    receiver.close()
    (first, second) = requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.content == second.content
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 1800
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_2xx_is_delivered(status: int) -> None:
    assert deliver(httpx.Response(status))[0] == Delivered()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_transient_answers_are_tried_again(status: int) -> None:
    outcome = deliver(httpx.Response(status, headers={"retry-after": "7"}))[0]
    assert isinstance(outcome, TryAgain)
    assert outcome.after_seconds == 7
    assert str(status) in outcome.why


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 413, 422])
def test_other_answers_are_rejections(status: int) -> None:
    outcome = deliver(httpx.Response(status, headers={"location": "https://elsewhere.example"}))[0]
    assert isinstance(outcome, Rejected)
    assert str(status) in outcome.why


def test_410_disables_the_receiver() -> None:
    assert isinstance(deliver(httpx.Response(410))[0], Gone)


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("x")]
)
def test_no_answer_is_tried_again_and_the_reason_holds_no_url(error: Exception) -> None:
    outcome = deliver(error)[0]
    assert isinstance(outcome, TryAgain)
    assert type(error).__name__ in outcome.why
    assert "s3cret" not in outcome.why


def test_the_target_does_not_reveal_the_url() -> None:
    receiver = WebhookSender("https://soc.example/s3cret", SECRET)
    assert "s3cret" not in receiver.target
    receiver.close()


def settings(**fields: Any) -> NotifierSettings:
    return load_settings(NotifierSettings, **{"stdout": False, **fields})


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("", "CARDWATCH_NOTIFIER_WEBHOOK_SECRET is not"),
        ("hunter2", "does not start with whsec_"),
        ("whsec_$$$", "is not base64"),
        ("whsec_" + base64.b64encode(b"short").decode(), "holds 5 bytes"),
    ],
)
def test_a_secret_that_cannot_be_used_is_named_but_not_quoted(secret: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as error:
        settings(webhook_url="https://soc.example", webhook_secret=SecretStr(secret))
    assert not secret or secret not in str(error.value)


@pytest.mark.parametrize("url", ["soc.example/alerts", "ftp://soc.example", "https://", "http://[::1"])
def test_a_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="CARDWATCH_NOTIFIER_WEBHOOK_URL cannot be used; expected"):
        settings(webhook_url=url, webhook_secret=SecretStr(SECRET))


def test_a_url_that_cannot_be_used_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings(webhook_url="soc.example/s3cret", webhook_secret=SecretStr("hunter2"))
    assert "s3cret" not in str(refused.value)
    assert "CARDWATCH_NOTIFIER_WEBHOOK_SECRET does not start with whsec_" in str(refused.value), "all that is wrong"


def test_settings_without_a_receiver_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="there is no receiver: set CARDWATCH_NOTIFIER_WEBHOOK_URL"):
        settings()


def test_the_configured_receivers_are_created() -> None:
    make: Callable[..., list[Any]] = make_receivers
    receivers = make(settings(stdout=True, webhook_url="https://soc.example", webhook_secret=SecretStr(SECRET)))
    assert [receiver.name for receiver in receivers] == ["stdout", "webhook"]
    for receiver in receivers:
        receiver.close()
