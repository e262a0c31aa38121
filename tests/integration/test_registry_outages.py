"""The real registry: emptied, filled again with other ids, restarted, answering with errors, answering too late."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cardwatch_contracts.errors import RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry import ConfluentRegistry
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.topics import ALERTS, TRANSACTIONS_LABELS
from cardwatch_contracts.wire import HEADER, Decoder, Encoder
from support.json_handler import JsonHandler
from support.platforms import Platform

pytestmark = [pytest.mark.integration, pytest.mark.faults]

LABEL = {"transaction_id": "t1", "is_fraud": True, "scenario": None, "expected_refusal": None}
NOBODYS_ID = 2_000_000_123
SLOW_SECONDS = 5.0


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a registry, or behaves as one in trouble.

    Attributes:
        trouble: empty, or ``error`` (answers 503), ``slow`` (answers after SLOW_SECONDS), ``garbage`` (no JSON) or
            ``closed`` (ends the connection without an answer).
        requests: how many have come.
    """

    daemon_threads = True

    def __init__(self, registry_url: str) -> None:
        self.trouble = ""
        self.requests = 0
        proxy = self

        class Handler(JsonHandler, BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy.requests += 1
                if proxy.trouble == "closed":
                    return
                if proxy.trouble == "slow":
                    time.sleep(SLOW_SECONDS)
                if proxy.trouble == "error":
                    self.answer(503, b"{}")
                elif proxy.trouble == "garbage":
                    self.answer(200, b"<html>")
                else:
                    self.answer(*ask(registry_url.split("/apis")[0] + self.path))

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/apis{registry_url.split('/apis')[1]}"


def ask(url: str, method: str = "GET", body: dict[str, str] | None = None) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


class Subject:
    """A subject of the real registry, and a decoder of its messages whose requests pass a proxy."""

    def __init__(self, platform: Platform, prefix: str, proxy: Proxy) -> None:
        self.registry = ConfluentRegistry(platform.registry_url)
        self.name = TRANSACTIONS_LABELS.subject(prefix)
        self.proxy = proxy
        self.outages: list[bool] = []
        self._url = f"{platform.registry_url}/subjects/{self.name}"

    def decoder(self) -> Decoder:
        registry = ConfluentRegistry(self.proxy.url, retries=0, timeout_seconds=1)
        return Decoder("transaction_label", registry, self.name, on_outage=self.outages.append)

    def register(self, doc: str = "") -> int:
        text = schema_text("transaction_label") if not doc else json.dumps(
            json.loads(schema_text("transaction_label")) | {"doc": doc}
        )  # fmt: skip
        return self.registry.register(self.name, "transaction_label", text)

    def empty(self) -> None:
        for permanent in ("", "?permanent=true"):
            ask(self._url + permanent, "DELETE")
        assert not self.registry.ids_of_all_versions(self.name)


@pytest.fixture
def subject(platform: Platform, topic_prefix: str) -> Iterator[Subject]:
    with Proxy(platform.registry_url) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield Subject(platform, topic_prefix, proxy)
        proxy.shutdown()


def unknown(number: int = 0) -> bytes:
    return HEADER.pack(0, NOBODYS_ID + number) + b"x"


@pytest.mark.parametrize("trouble", ["error", "slow", "garbage", "closed"])
def test_a_registry_in_trouble_is_waited_for(subject: Subject, trouble: str) -> None:
    known, decode = Encoder("transaction_label", subject.register())(LABEL), subject.decoder()
    subject.proxy.trouble = trouble
    began = time.monotonic()
    with pytest.raises(RegistryUnavailableError):
        decode.look_up([known])
    assert time.monotonic() - began < 20, "an attempt takes no longer than its time limit"
    subject.proxy.trouble = ""
    decode.look_up([known])
    assert decode(known) == LABEL

    # What is known needs no registry any more; what is new waits.
    subject.proxy.trouble = trouble
    decode.look_up([known] * 100)
    assert decode(known) == LABEL
    with pytest.raises(RegistryUnavailableError):
        decode.look_up([known] * 100 + [unknown()])
    subject.proxy.trouble = ""
    decode.look_up([known] * 100 + [unknown()])
    with pytest.raises(RefusedError):
        decode(unknown())
    assert subject.outages == [True, False, True, False]


def test_an_emptied_registry_is_waited_for_until_it_is_restored(subject: Subject) -> None:
    value, decode = Encoder("transaction_label", subject.register())(LABEL), subject.decoder()
    subject.empty()
    for _ in range(3):
        with pytest.raises(RegistryUnavailableError, match="cardwatch schemas apply"):
            decode.look_up([value])
    subject.register()
    decode.look_up([value])
    assert decode(value) == LABEL


def test_a_registry_that_was_filled_again_with_other_ids_is_waited_for(subject: Subject) -> None:
    old, decode = Encoder("transaction_label", subject.register("the first"))(LABEL), subject.decoder()
    decode.look_up([old])
    subject.empty()
    new_id = subject.register("another")
    new = Encoder("transaction_label", new_id)(LABEL)
    assert old[:5] != new[:5]
    # A process that knew the old version, and one that was started afterwards.
    with pytest.raises(RegistryUnavailableError, match="has lost schema id"):
        decode.look_up([new])
    fresh = subject.decoder()
    with pytest.raises(RegistryUnavailableError, match="most of the newest"):
        fresh.look_up([old] * 20)
    fresh.look_up([new] * 20)
    assert fresh(new) == LABEL


def test_a_schema_of_another_subject_is_refused_whatever_its_name(subject: Subject, topic_prefix: str) -> None:
    known, decode = Encoder("transaction_label", subject.register())(LABEL), subject.decoder()
    elsewhere = subject.registry.register(
        ALERTS.subject(topic_prefix) + "-elsewhere",
        "transaction_label",
        json.dumps(json.loads(schema_text("transaction_label")) | {"doc": f"of nobody {topic_prefix}"}),
    )
    decode.look_up([known] * 10)
    with pytest.raises(RefusedError, match="but not as that") as caught:
        decode(Encoder("transaction_label", elsewhere)(LABEL))
    assert caught.value.reason is Reason.WRONG_SCHEMA


def test_ids_made_up_at_random_cost_the_registry_little(subject: Subject) -> None:
    known, decode = Encoder("transaction_label", subject.register())(LABEL), subject.decoder()
    decode.look_up([known] * 1000)
    before = subject.proxy.requests
    for batch in range(5):
        made_up = [unknown(100 * batch + number) for number in range(100)]
        decode.look_up([known] * 400 + made_up)
        for value in made_up:
            with pytest.raises(RefusedError):
                decode(value)
    # Two for the versions of the subject, and some to find out what the ids are, as far as the budget goes.
    assert subject.proxy.requests - before < 60, "500 ids"
