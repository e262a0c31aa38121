"""A certificate authority for tests, with certificates for servers and clients, as PEM files."""

import ipaddress
import itertools
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM: Final = serialization.Encoding.PEM
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """PEM files of one certificate.

    Attributes:
        certificate: with the authority's after it.
        key: PKCS#8.
        both: one file with key and certificates.
    """

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates and writes them into a directory. ``location`` is the file that clients trust."""

    def __init__(self, directory: Path, name: str = "test authority") -> None:
        self._directory: Final = directory
        self._key: Final = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        self._certificate: Final = _build(subject, self._key, subject, self._key, authority=True, hosts=())
        self.location: Final = directory / f"{name.replace(' ', '-')}.crt"
        self.location.write_bytes(self._certificate.public_bytes(_PEM))

    def issue(self, name: str, hosts: Sequence[str] = ("127.0.0.1", "localhost"), *, password: str = "") -> KeyPair:
        """A new key and its certificate.

        Args:
            name: the common name: as a client, its user.
            hosts: names and addresses that the certificate is valid for, as a server's.
            password: encrypts the key.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        mine = _build(_name(name), key, self._certificate.subject, self._key, authority=False, hosts=hosts)
        encryption = (
            serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        )
        private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, encryption)
        chain = mine.public_bytes(_PEM) + self._certificate.public_bytes(_PEM)
        stem = f"{name}-{next(_numbers)}"
        pair = KeyPair(*(self._directory / f"{stem}.{suffix}" for suffix in ("crt", "key", "pem")))
        pair.certificate.write_bytes(chain)
        for path, content in ((pair.key, private), (pair.both, private + chain)):
            path.touch(mode=0o600)
            path.write_bytes(content)
        return pair


def server_context(pair: KeyPair, demanded: Authority | None = None) -> ssl.SSLContext:
    """What a TLS server needs.

    Args:
        demanded: clients have to show a certificate of this authority.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.both)
    if demanded is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(demanded.location)
    return context


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _build(
    subject: x509.Name, key: Any, issuer: x509.Name, issuer_key: Any, *, authority: bool, hosts: Sequence[str]
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
