"""``cardwatch webhook``: a receiver of alerts to try a notifier with."""

import json
import sys
import threading
from typing import Annotated

import typer
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_service.settings import load
from cardwatch_service.shutdown import Shutdown
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from cardwatch_cli.webhook.receiver import ReceivedRequest, WebhookReceiver

_A_WHILE_SECONDS = 3600.0


class WebhookSettings(BaseSettings):
    """The notifier's ``CARDWATCH_NOTIFIER_WEBHOOK_SECRET``, which both sides know."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_NOTIFIER_", extra="ignore", frozen=True)

    webhook_secret: Annotated[SecretStr, Field(description="whsec_ and 24 to 64 bytes in base64")] = SecretStr("")


def webhook(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
) -> None:
    """Receive alerts as a webhook, verify their signatures and print each as a line of JSON, until stopped.

    The key is CARDWATCH_NOTIFIER_WEBHOOK_SECRET, as the notifier has it. A line holds the webhook id, when the request
    came (microseconds since 1970, UTC), whether the id came before (a retry), and the message. Nothing is kept.
    """
    secret = load(WebhookSettings).webhook_secret.get_secret_value()
    shutdown = Shutdown().install()
    seen: set[str] = set()
    one_at_a_time = threading.Lock()

    def show(request: ReceivedRequest) -> None:
        # Requests come in several threads: a line is whole before the next one begins.
        with one_at_a_time:
            again = request.webhook_id in seen
            seen.add(request.webhook_id)
            line = {"webhook_id": request.webhook_id, "received_at": request.received_at, "repeated": again}
            print(json.dumps({**line, **request.body}, ensure_ascii=False), flush=True)

    try:
        receiver = WebhookReceiver(secret, show, host=host, port=port, remember=False)
    except (ValueError, RuntimeError) as error:
        raise ConfigurationError(
            "CARDWATCH_NOTIFIER_WEBHOOK_SECRET cannot be used; whsec_ and 24 to 64 bytes in base64 would be right"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}; --port names another port"
        ) from error
    with receiver:
        print(f"listening on {receiver.url}", file=sys.stderr, flush=True)
        while not shutdown.wait(_A_WHILE_SECONDS):
            pass
