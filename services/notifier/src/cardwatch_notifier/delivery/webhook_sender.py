"""Sends messages to a webhook: one HTTP POST per message, signed as Standard Webhooks 1.0 says."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

import httpx
from cardwatch_service.trace_context import to_text_headers
from standardwebhooks import Webhook

from cardwatch_notifier.delivery.receiver import Delivered, Gone, Outcome, Rejected, TryAgain
from cardwatch_notifier.delivery.retry_schedule import parse_retry_after
from cardwatch_notifier.delivery.webhook_client import (
    DEFAULT_NETWORK,
    Answer,
    Network,
    WebhookClient,
    certificate_problem,
)
from cardwatch_notifier.outbox.protocol import Message

_USER_AGENT: Final = f"cardwatch-notifier/{version('cardwatch-notifier')}"
_TRANSIENT: Final = frozenset({408, 425, 429})
_GONE: Final = 410


class WebhookSender:
    """Posts messages to a URL. The id and the body of a message are the same on every attempt."""

    name: Final = "webhook"

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        timeout_seconds: float = 10.0,
        concurrency: int = 4,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        network: Network = DEFAULT_NETWORK,
    ) -> None:
        """Make a sender; it keeps connections until ``close``.

        Args:
            secret: ``whsec_`` and base64.
            timeout_seconds: how long an attempt may take, from connecting to the last byte that is read.
            network: which servers are trusted.
        """
        self.deadline_seconds: Final = timeout_seconds
        self.concurrency: Final = concurrency
        # The URL may hold a secret of its own (a token in its path): only its digest is kept.
        self.target: Final = hashlib.sha256(url.encode()).hexdigest()
        self._url: Final = url
        self._signer: Final = Webhook(secret)
        self._clock: Final = clock
        self._client: Final = WebhookClient(
            timeout_seconds=timeout_seconds, concurrency=concurrency, user_agent=_USER_AGENT, network=network
        )

    def deliver(self, message: Message) -> Outcome:
        now = self._clock()
        try:
            answer = self._client.post(
                self._url,
                content=message.body.encode(),
                headers={
                    "content-type": "application/json",
                    "webhook-id": message.message_id,
                    "webhook-timestamp": str(int(now.timestamp())),
                    "webhook-signature": self._signer.sign(message.message_id, now, message.body),
                    **({} if message.trace_context is None else to_text_headers(message.trace_context)),
                },
            )
        except TimeoutError:
            return TryAgain(f"no answer within {self.deadline_seconds:g} s")
        except httpx.HTTPError as error:
            if problem := certificate_problem(error):
                return TryAgain(
                    f"its certificate is not trusted ({problem}); expected one for the URL's host, signed by an "
                    "authority in CARDWATCH_NOTIFIER_WEBHOOK_SSL_CA_LOCATION or, if that is empty, of the system"
                )
            # The exception's text may quote the URL, and with it a secret.
            return TryAgain(f"no answer: {type(error).__name__}")
        return self._outcome(answer, now)

    def close(self) -> None:
        self._client.close()

    @staticmethod
    def _outcome(answer: Answer, now: datetime) -> Outcome:
        status = answer.status
        if httpx.codes.is_success(status):
            return Delivered()
        if status == _GONE:
            return Gone("it answered 410 Gone")
        why = f"it answered {status} {answer.reason}".rstrip()
        after = parse_retry_after(answer.retry_after, now)
        if httpx.codes.is_server_error(status) or status in _TRANSIENT:
            return TryAgain(why, after)
        return Rejected(f"{why}; redirects are not followed" if httpx.codes.is_redirect(status) else why, after)
