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
    uses_sasl = settings.kafka_security_protocol.startswith("SASL_") and settings.kafka_sasl_mechanism
    if uses_sasl and settings.kafka_sasl_username:
        return Principal(f"{_KAFKA_USER}{settings.kafka_sasl_username}", authenticated=True)
    return Principal(login())


def describe_principal(name: str, *, authenticated: bool, stated_name: str = "") -> str:
    """A recorded principal in words: ``User:anna``, ``anna (not authenticated)``, ``User:desk (by: anna)``."""
    notes = [*([] if authenticated else ["not authenticated"]), *([f"by: {stated_name}"] if stated_name else [])]
    return f"{name} ({', '.join(notes)})" if notes else name
