"""PEM files of TLS clients: checked when settings are loaded, and made into Python's SSL contexts."""

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cardwatch_service.secret_files import close_secret_file

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.+?-----END \1PRIVATE KEY-----", re.DOTALL)
_PKCS8: Final = ("", "ENCRYPTED ")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of one connection.

    Attributes:
        variables: prefix of the environment variables that name them, such as ``CARDWATCH_KAFKA_SSL``.
        ca_location: authorities that may sign the server's certificate, instead of the system's; empty for the
            system's.
        certificate_location: this client's certificate and the intermediate ones of its authority, in this order.
        key_location: its private key; empty when it is in the certificate's file.
        key_password: opens the key; empty for a key in the clear.
    """

    variables: str
    ca_location: str = ""
    certificate_location: str = ""
    key_location: str = ""
    key_password: str = ""

    @property
    def key_file(self) -> str:
        """Where the private key is; empty without a client certificate."""
        return self.key_location or self.certificate_location

    def problems(self) -> Iterator[str]:
        """Everything that is wrong with the files: sentences that name variable and file, and quote no secret."""
        readable = True
        for what, location, pattern in (
            ("CA", self.ca_location, _CERTIFICATE),
            ("CERTIFICATE", self.certificate_location, _CERTIFICATE),
            ("KEY", self.key_file, _PRIVATE_KEY),
        ):
            if location and (problem := _file_problem(location, pattern)):
                readable = False
                yield f"{self._variable(what, location)} {problem}"
        if self.certificate_location:
            if readable:
                yield from self._pair_problems()
        elif self.key_location or self.key_password:
            yield (
                f"{self.variables}_KEY_LOCATION or {self.variables}_KEY_PASSWORD is set without "
                f"{self.variables}_CERTIFICATE_LOCATION; set it to the PEM file of the certificate that the key is of"
            )

    def context(self) -> ssl.SSLContext:
        """A new context of a client that checks the server's certificate and host name; reads the files now.

        Raises:
            OSError, ssl.SSLError: a file has become wrong since ``problems`` found nothing.
        """
        context = ssl.create_default_context(cafile=self.ca_location or None)
        self._load_pair(context)
        return context

    def certificate_chain(self) -> str:
        """The client's certificates as PEM text."""
        return "\n".join(_CERTIFICATE.findall(_read(self.certificate_location)))

    def private_key(self) -> str:
        """The client's private key as PEM text, encrypted or not as in the file."""
        found = _PRIVATE_KEY.search(_read(self.key_file))
        return found[0] if found else ""

    def _load_pair(self, context: ssl.SSLContext) -> None:
        if self.certificate_location:
            # Without a password OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self.certificate_location, self.key_location or None, lambda: self.key_password)

    def _pair_problems(self) -> Iterator[str]:
        found = _PRIVATE_KEY.search(_read(self.key_file))
        if found and found[1] not in _PKCS8:
            # Java reads no other form. One rule for all clients: a file that works for one service works for all.
            yield (
                f"{self._variable('KEY', self.key_file)} holds {found[1]}PRIVATE KEY; expected PKCS#8 (PRIVATE KEY or "
                "ENCRYPTED PRIVATE KEY), which `openssl pkcs8 -topk8 -nocrypt -in old.key -out new.key` writes"
            )
            return
        try:
            self._load_pair(ssl.create_default_context())
        except (ssl.SSLError, ValueError) as error:
            yield (
                f"{self._variable('CERTIFICATE', self.certificate_location)} and the private key in {self.key_file} do "
                f"not belong together, or {self.variables}_KEY_PASSWORD does not open the key ({_reason(error)}); "
                "expected a certificate, its key, and the key's password if it has one"
            )

    def _variable(self, what: str, location: str) -> str:
        name = "CERTIFICATE" if what == "KEY" and not self.key_location else what
        return f"{self.variables}_{name}_LOCATION={location}"


def _file_problem(location: str, pattern: re.Pattern[str]) -> str:
    what = "certificate" if pattern is _CERTIFICATE else "private key"
    if pattern is not _CERTIFICATE:
        close_secret_file(Path(location))
    try:
        text = _read(location)
    except OSError as error:
        return f"cannot be read: {error.strerror}; expected a PEM file"
    except UnicodeDecodeError:
        text = ""
    return "" if pattern.search(text) else f"holds no {what}; expected PEM (-----BEGIN {what.upper()}-----)"


def _read(location: str) -> str:
    return Path(location).read_text(encoding="utf-8")


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).lower().replace("_", " ")
