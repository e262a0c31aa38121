"""``cardwatch webhook`` as a process: it prints each message, and ends by a signal."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from cardwatch_cli import main
from standardwebhooks import Webhook

SECRET = "whsec_" + base64.b64encode(os.urandom(32)).decode()
BODY = json.dumps({"type": "alert.raised", "data": {"merchant_id": "Käsehütte"}})
COMMAND = [str(Path(sys.executable).with_name("cardwatch")), "webhook", "--port", "0"]


@pytest.fixture
def running() -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "CARDWATCH_NOTIFIER_WEBHOOK_SECRET": SECRET}
    with subprocess.Popen(COMMAND, env=environment, stdout=-1, stderr=-1, text=True) as process:
        yield process
        process.kill()


def post(url: str, message_id: str) -> int:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(message_id, now, BODY),
    }
    return httpx.post(url, content=BODY, headers=headers, trust_env=False).status_code


def test_it_prints_each_message_and_marks_repetitions(running: subprocess.Popen[str]) -> None:
    assert running.stdout is not None
    assert running.stderr is not None
    listening = re.search(r"http://\S+", running.stderr.readline())
    assert listening is not None
    url = listening[0]
    assert httpx.get(url.replace("/alerts", "/healthz"), trust_env=False).status_code == 200
    assert [post(url, "m-1"), post(url, "m-1")] == [204, 204]
    first, second = (json.loads(running.stdout.readline()) for _ in range(2))
    assert (first["webhook_id"], first["repeated"], second["repeated"]) == ("m-1", False, True)
    assert first["data"] == {"merchant_id": "Käsehütte"}
    running.terminate()
    assert running.wait(10) == 0


@pytest.mark.faults
def test_lines_stay_whole_when_many_messages_come_at_once(running: subprocess.Popen[str]) -> None:
    assert running.stdout is not None
    assert running.stderr is not None
    listening = re.search(r"http://\S+", running.stderr.readline())
    assert listening is not None
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda number: post(listening[0], f"m-{number}"), range(200))) == {204}
    told = {json.loads(running.stdout.readline())["webhook_id"] for _ in range(200)}
    assert len(told) == 200


def test_an_invalid_key_is_one_sentence() -> None:
    environment = {**os.environ, "CARDWATCH_NOTIFIER_WEBHOOK_SECRET": "x"}
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: CARDWATCH_NOTIFIER_WEBHOOK_SECRET: expected whsec_ and 24 to 64 bytes in base64"
    )


def test_without_the_platform_package_its_commands_are_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    group = typer.main.get_command(main.app)
    context = typer.Context(group)
    assert {"demo", "platform"} <= set(group.list_commands(context))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cardwatch_platform", None)
    assert not {"demo", "platform"} & set(group.list_commands(context))  # type: ignore[attr-defined]
