"""The demo's webhook receiver accepts signed requests, and fails on request."""

import base64
import json
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from cardwatch_cli.webhook.receiver import ReceivedRequest, WebhookReceiver
from standardwebhooks import Webhook

SECRET = "whsec_" + base64.b64encode(os.urandom(32)).decode()
BODY = json.dumps({"type": "alert.raised", "data": {"merchant_id": "Käsehütte"}}, ensure_ascii=False)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver(SECRET) as running:
        yield running


def post(receiver: WebhookReceiver, message_id: str = "m-1", secret: str = SECRET, body: str = BODY) -> httpx.Response:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body),
    }
    return httpx.post(receiver.url, content=body.encode(), headers=headers, trust_env=False)


def test_a_signed_request_is_taken_and_remembered(receiver: WebhookReceiver) -> None:
    before = time.time_ns() // 1000
    assert post(receiver).status_code == 204
    (request,) = receiver.requests
    assert (request.webhook_id, request.body, request.status) == ("m-1", json.loads(BODY), 204)
    assert before <= request.received_at <= time.time_ns() // 1000


def test_a_retry_counts_once_by_its_id(receiver: WebhookReceiver) -> None:
    for message_id in ("m-1", "m-1", "m-2"):
        post(receiver, message_id)
    assert len(receiver.requests) == 3
    assert receiver.unique_ids() == {"m-1", "m-2"}


def test_a_wrong_signature_is_refused_and_counted(receiver: WebhookReceiver) -> None:
    other = "whsec_" + base64.b64encode(os.urandom(32)).decode()
    assert post(receiver, secret=other).status_code == 401
    assert httpx.post(receiver.url, content=BODY.encode(), trust_env=False).status_code == 401
    assert (receiver.bad_signatures, receiver.requests) == (2, [])


def test_it_fails_the_requested_number_of_times(receiver: WebhookReceiver) -> None:
    receiver.fail_next(2, 503, retry_after=7)
    answers = [post(receiver) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 204]
    assert [answer.headers.get("retry-after") for answer in answers] == ["7", "7", None]
    assert [request.status for request in receiver.requests] == [503, 503, 204]
    assert len(receiver.accepted) == 1


def test_accepted_alerts_are_passed_to_the_callback() -> None:
    heard: list[ReceivedRequest] = []
    with WebhookReceiver(SECRET, heard.append) as receiver:
        receiver.fail_next(1)
        post(receiver, "m-1")
        post(receiver, "m-2")
    assert [request.webhook_id for request in heard] == ["m-2"]


def test_a_kept_alive_connection_serves_request_after_request(receiver: WebhookReceiver) -> None:
    with httpx.Client(trust_env=False) as client:
        assert [client.post(receiver.url, content=b"{}").status_code for _ in range(3)] == [401, 401, 401]


def test_a_request_without_a_length_is_refused(receiver: WebhookReceiver) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"{}"

    assert httpx.post(receiver.url, content=chunks(), trust_env=False).status_code == 411


def test_a_request_that_breaks_off_does_not_count_as_a_wrong_signature(receiver: WebhookReceiver) -> None:
    port = int(receiver.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /alerts HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf of it")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"", "there is nobody left to answer"
    assert (receiver.bad_signatures, receiver.requests) == (0, [])
