"""``cardwatch webhook``: a receiver of alerts for trying out a notifier."""

import json
import sys
import threading
from typing import Annotated, Final

import typer
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_service.printable import escape_control_characters
from cardwatch_service.settings import load_settings
from cardwatch_service.shutdown import Shutdown
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from cardwatch_cli.webhook.receiver import ReceivedRequest, WebhookReceiver

_WAIT_SECONDS: Final = 3600.0


class WebhookSettings(BaseSettings):
    """``CARDWATCH_NOTIFIER_WEBHOOK_SECRET``, the signing key that notifier and receiver share."""

    model_config = SettingsConfigDict(env_prefix="CARDWATCH_NOTIFIER_", extra="ignore", frozen=True)

    webhook_secret: Annotated[SecretStr, Field(description="whsec_ and 24 to 64 bytes in base64")] = SecretStr("")


def webhook(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")] = 8080,
) -> None:
    """Receive alerts as a webhook, verify their signatures and print each as a line of JSON, until stopped.

    The key is the notifier's CARDWATCH_NOTIFIER_WEBHOOK_SECRET. A line has the webhook id, the time of the request
    (microseconds since 1970-01-01 UTC), whether the id was received before (a retry), and the message. Nothing is kept.
    """
    secret = load_settings(WebhookSettings).webhook_secret.get_secret_value()
    shutdown = Shutdown().install()
    seen: set[str] = set()
    output_lock = threading.Lock()

    def show(request: ReceivedRequest) -> None:
        # Requests come in several threads: a line is complete before the next one begins.
        with output_lock:
            repeated = request.webhook_id in seen
            seen.add(request.webhook_id)
            line = {"webhook_id": request.webhook_id, "received_at": request.received_at, "repeated": repeated}
            print(escape_control_characters(json.dumps({**line, **request.body}, ensure_ascii=False)), flush=True)

    try:
        receiver = WebhookReceiver(secret, show, host=host, port=port, remember=False)
    except (ValueError, RuntimeError) as error:
        raise ConfigurationError(
            "CARDWATCH_NOTIFIER_WEBHOOK_SECRET: expected whsec_ and 24 to 64 bytes in base64"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another port with --port"
        ) from error
    with receiver:
        print(f"listening on {receiver.url}", file=sys.stderr, flush=True)
        while not shutdown.wait(_WAIT_SECONDS):
            pass
