"""Whether libpq makes sure that it talks to the right PostgreSQL server.

Libpq's own default (``prefer``) takes any certificate, and no encryption if a server offers none: whoever is between
notifier and server can read the alerts.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

import certifi
from cardwatch_service.loopback import is_loopback

_VERIFYING: Final = ("verify-ca", "verify-full")
_SOCKET: Final = ("/", "@")


def verification(
    parameters: Mapping[str, Any], ca_location: str, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """``sslmode`` and ``sslrootcert``, where neither URL nor libpq's own variables have them.

    A server on another machine has to prove its name (``verify-full``). The authorities are those of ``ca_location``,
    or the system's; libpq alone would look for a file in the user's home.
    """
    chosen: dict[str, str] = {}
    mode = parameters.get("sslmode") or environment.get("PGSSLMODE")
    if not mode and any(_is_beyond(host) for host in _hosts(parameters, environment)):
        mode = chosen["sslmode"] = "verify-full"
    if not (parameters.get("sslrootcert") or environment.get("PGSSLROOTCERT")):
        if ca_location:
            chosen["sslrootcert"] = ca_location
        elif mode in _VERIFYING:
            # Libpq's word `system` would be, for the wheel's OpenSSL, a directory of the machine that built it.
            chosen["sslrootcert"] = environment.get("SSL_CERT_FILE") or certifi.where()
    return chosen


def _hosts(parameters: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[str]:
    for name, variable in (("host", "PGHOST"), ("hostaddr", "PGHOSTADDR")):
        yield from str(parameters.get(name) or environment.get(variable) or "").split(",")
    # A service file may name any host.
    yield str(parameters.get("service") or environment.get("PGSERVICE") or "")


def _is_beyond(host: str) -> bool:
    """Whether a host is another machine; a path is a Unix socket, and an empty name the default one."""
    return bool(host) and not host.startswith(_SOCKET) and not is_loopback(host)
