"""Who makes a change: the Kafka user of the connection, or else the login name of the machine.

Kafka stores no user with a message, so that the writer itself records it. What of this the broker vouches for is in
docs/audit.md.
"""

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cardwatch_service.settings import ServiceSettings
from cryptography import x509

# As the broker's ACLs and its log name a user.
_KAFKA_USER: Final = "User:"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a change.

    Attributes:
        name: ``User:…`` as the broker names it, or the login name of the machine.
        authenticated: whether the broker authenticates the connection as this user.
    """

    name: str
    authenticated: bool = False


def login_name(user_id: int | None = None) -> str:
    """The login name of a user, by default of this process's; not taken from variables, which anybody can set."""
    number = os.getuid() if user_id is None else user_id
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # in a container with a user id of its own
        return f"uid {number}"


def principal_of(settings: ServiceSettings, login: Callable[[], str] = login_name) -> Principal:
    """The principal as which these settings write to the broker."""
    user = ""
    if settings.uses_oauth:
        user = settings.kafka_oauth_client_id  # a token of client credentials has it as its subject
    elif settings.uses_sasl:
        user = settings.kafka_sasl_username
    elif settings.uses_tls and settings.kafka_ssl_certificate_location:
        user = _certificate_subject(settings.kafka_tls().certificate_chain())
    return Principal(f"{_KAFKA_USER}{user}", authenticated=True) if user else Principal(login())


def _certificate_subject(chain: str) -> str:
    """The subject of the first certificate of a PEM text, as the broker takes it for the user: ``CN=…,O=…,C=…``."""
    return x509.load_pem_x509_certificate(chain.encode()).subject.rfc4514_string()


def describe_principal(name: str, *, authenticated: bool, stated_name: str = "") -> str:
    """A recorded principal in words: ``User:anna``, ``anna (not authenticated)``, ``User:desk (by: anna)``."""
    notes = [*([] if authenticated else ["not authenticated"]), *([f"by: {stated_name}"] if stated_name else [])]
    return f"{name} ({', '.join(notes)})" if notes else name
