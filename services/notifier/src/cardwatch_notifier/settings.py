"""The notifier's own settings, in addition to those of every service. They check themselves when they are loaded."""

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import httpx
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_service.checked_settings import CheckedSettings
from cardwatch_service.tls import TlsFiles
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the prefix that Standard Webhooks prescribes
_SECRET_FORM: Final = "expected whsec_ followed by 24 to 64 random bytes in base64"  # noqa: S105


class OutboxSettings(CheckedSettings):
    """Where the outbox is. Each field is the environment variable ``CARDWATCH_NOTIFIER_<FIELD>``."""

    model_config = SettingsConfigDict(
        env_prefix="CARDWATCH_NOTIFIER_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    outbox_path: Annotated[Path, Field(description="SQLite file, on a local disk; unless there is an outbox_url")] = (
        Path(".cardwatch/notifier/outbox.db")
    )
    outbox_url: Annotated[
        str,
        Field(repr=False, description="postgresql://user@host:5432/database, shared by replicas; empty for SQLite"),
    ] = ""
    outbox_password: Annotated[SecretStr, Field(description="password of the outbox's role")] = SecretStr("")
    outbox_password_file: Annotated[
        Path | None, Field(description="file that holds it instead, read at every connection")
    ] = None
    outbox_ssl_ca_location: Annotated[
        str, Field(description="PEM file for the outbox's server; empty for the system's authorities")
    ] = ""
    outbox_lease_seconds: Annotated[
        float, Field(ge=1, le=3600, description="time until other replicas take over deliveries of one that is gone")
    ] = 30.0

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        yield from TlsFiles("CARDWATCH_NOTIFIER_OUTBOX_SSL", self.outbox_ssl_ca_location).problems()
        if not self.outbox_url:
            return
        # Imported here: these modules are large, and SQLite does not need them.
        from cardwatch_notifier.outbox.postgres.database import Database

        try:
            Database(self.outbox_url, lambda: "")
        except ConfigurationError as error:
            yield str(error)
        if self.outbox_password_file is not None and self.outbox_password.get_secret_value():
            yield (
                "CARDWATCH_NOTIFIER_OUTBOX_PASSWORD and CARDWATCH_NOTIFIER_OUTBOX_PASSWORD_FILE are both set; "
                "expected at most one of them"
            )


class NotifierSettings(OutboxSettings):
    """Each field is the environment variable ``CARDWATCH_NOTIFIER_<FIELD>``."""

    retention_days: Annotated[float, Field(gt=0, description="age after which delivered messages are removed")] = 30.0

    stdout: Annotated[bool, Field(description="write one line per alert to standard output")] = True
    webhook_url: Annotated[
        str, Field(repr=False, description="http(s) URL that alerts are posted to; empty for none")
    ] = ""
    webhook_secret: Annotated[SecretStr, Field(description="whsec_ and 24 to 64 bytes in base64")] = SecretStr("")
    webhook_ssl_ca_location: Annotated[
        str, Field(description="PEM file for the webhook's server; empty for the system's authorities")
    ] = ""
    webhook_timeout_seconds: Annotated[
        float, Field(gt=0, le=300, description="for one attempt, from connecting to the last byte read")
    ] = 10.0
    webhook_concurrency: Annotated[int, Field(ge=1, le=64, description="posts at the same time")] = 4

    retry_first_seconds: Annotated[float, Field(gt=0, description="pause after a first failure; then doubled")] = 0.5
    retry_longest_seconds: Annotated[float, Field(gt=0, description="longest pause after failures")] = 300.0
    # 900 pauses of at most 5 minutes: about three days.
    retry_attempts: Annotated[int, Field(ge=1, description="failures after which a delivery is parked")] = 900
    rejected_first_seconds: Annotated[float, Field(gt=0, description="pause after a first refusal (4xx)")] = 60.0
    rejected_longest_seconds: Annotated[float, Field(gt=0, description="longest pause after refusals")] = 3600.0
    rejected_attempts: Annotated[int, Field(ge=1, description="refusals after which a delivery is parked")] = 8

    def webhook_tls(self) -> TlsFiles:
        """The files of connections to the webhook."""
        return TlsFiles("CARDWATCH_NOTIFIER_WEBHOOK_SSL", self.webhook_ssl_ca_location)

    def _problems(self) -> Iterator[str]:
        yield from super()._problems()
        yield from self.webhook_tls().problems()
        if self.webhook_url:
            yield from _webhook_url_problems(self.webhook_url)
            yield from _webhook_secret_problems(self.webhook_secret.get_secret_value())
        elif not self.stdout:
            yield (
                "there is no receiver: set CARDWATCH_NOTIFIER_WEBHOOK_URL, "
                "or leave standard output on (--stdout, CARDWATCH_NOTIFIER_STDOUT)"
            )
        shortest_lease = 2 * self.webhook_timeout_seconds
        if self.outbox_url and self.webhook_url and self.outbox_lease_seconds < shortest_lease:
            # An attempt to deliver has to end before its lease does.
            yield (
                f"CARDWATCH_NOTIFIER_OUTBOX_LEASE_SECONDS={self.outbox_lease_seconds:g} is less than twice "
                f"CARDWATCH_NOTIFIER_WEBHOOK_TIMEOUT_SECONDS={self.webhook_timeout_seconds:g}; "
                f"expected {shortest_lease:g} or more"
            )
        for kind, first, longest in (
            ("RETRY", self.retry_first_seconds, self.retry_longest_seconds),
            ("REJECTED", self.rejected_first_seconds, self.rejected_longest_seconds),
        ):
            if first > longest:
                yield (
                    f"CARDWATCH_NOTIFIER_{kind}_FIRST_SECONDS={first:g} is more than "
                    f"CARDWATCH_NOTIFIER_{kind}_LONGEST_SECONDS={longest:g}; expected at most that"
                )


def _webhook_url_problems(url: str) -> Iterator[str]:
    """What is wrong with a webhook's URL; does not quote it, as it may hold a secret."""
    try:
        parsed = httpx.URL(url)
        usable = parsed.scheme in {"http", "https"} and bool(parsed.host)
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        yield (
            "CARDWATCH_NOTIFIER_WEBHOOK_URL cannot be used; expected a URL such as https://host/path (or http://); "
            "its value is not shown: it may hold a secret"
        )


def _webhook_secret_problems(secret: str) -> Iterator[str]:
    """What is wrong with a webhook's secret (Standard Webhooks 1.0); does not quote it."""
    if not secret:
        yield ("CARDWATCH_NOTIFIER_WEBHOOK_URL is set but CARDWATCH_NOTIFIER_WEBHOOK_SECRET is not; " + _SECRET_FORM)
        return
    problem = ""
    if not secret.startswith(_SECRET_PREFIX):
        problem = "does not start with whsec_"
    else:
        try:
            size = len(base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True))
        except binascii.Error:
            problem = "is not base64 after whsec_"
        else:
            if not 24 <= size <= 64:
                problem = f"holds {size} bytes"
    if problem:
        yield f"CARDWATCH_NOTIFIER_WEBHOOK_SECRET {problem}; {_SECRET_FORM}"
