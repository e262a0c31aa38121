"""The location of the tables, for Spark and for delta-rs.

Both use the setting ``CARDWATCH_LAKEHOUSE_TABLES_DIR``. Spark takes any URI of a Hadoop file system, or an absolute
path; this module translates it into delta-rs's URIs and options. Credentials and endpoints come from the environment
(docs/object-stores.md).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from cardwatch_contracts.errors import ConfigurationError

# Hadoop's scheme → delta-rs's.
_SCHEMES: Final = {"s3a": "s3", "s3": "s3", "abfss": "abfss", "gs": "gs"}
_FILE: Final = "file:"
# Absolute paths, and URIs with a scheme.
_ABSOLUTE: Final = re.compile(r"/|[A-Za-z][A-Za-z0-9+.-]*:")
# The library's default of 3 minutes is long to wait after a typing mistake in an address.
_RETRY_TIMEOUT: Final = "30s"


@dataclass(frozen=True, slots=True)
class Location:
    """A directory of tables, or a table, for delta-rs.

    Attributes:
        uri: a local path, or ``s3://``, ``abfss://`` or ``gs://``; without a trailing slash.
        storage_options: options that delta-rs does not take from the environment by itself. No secrets.
    """

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether it is a local path."""
        return "://" not in self.uri

    def of(self, name: str) -> "Location":
        """The table ``<layer>.<what>`` under this directory."""
        return Location(f"{self.uri}/{name.replace('.', '/')}", self.storage_options)

    def options(self) -> dict[str, str] | None:
        """``storage_options`` as delta-rs's functions expect them: None if there are none."""
        return dict(self.storage_options) or None


def for_spark(directory: str) -> str:
    """A directory for Spark: absolute, because Delta creates no table at a relative path or one with ``..``."""
    text = directory.strip()
    return text if not text or _ABSOLUTE.match(text) else os.path.abspath(text)  # noqa: PTH100 - links stay links


def is_known_location(directory: str) -> bool:
    """Whether ``locate`` knows where a directory is; Spark knows more kinds of file systems."""
    scheme, separator, _ = directory.strip().partition(":")
    return not separator or "/" in scheme or scheme in ("file", *_SCHEMES)


def takes_one_writer(tables_dir: str) -> bool:
    """Whether only one process may write a table there at a time: on S3 (docs/object-stores.md)."""
    return locate(tables_dir).uri.startswith("s3://") if is_known_location(tables_dir) else False


def locate(tables_dir: str, environment: Mapping[str, str] = os.environ) -> Location:
    """The location of the directory that a setting names.

    Args:
        tables_dir: a path, ``file://…``, ``s3a://…`` (or ``s3://…``), ``abfss://…`` or ``gs://…``.
        environment: the object stores' usual variables: ``AWS_*``, ``AZURE_*``, ``GOOGLE_*``.

    Raises:
        ConfigurationError: it is none of these.
    """
    text = tables_dir.strip()
    if text.startswith(_FILE):
        path = "/" + unquote(text[len(_FILE) :]).strip("/")
        return Location(path)
    scheme, separator, rest = text.partition("://")
    if not separator:
        if not text:
            raise ConfigurationError("the tables' directory is empty, expected a path, s3a://, abfss:// or gs://")
        return Location(text.rstrip("/") or "/")
    if scheme not in _SCHEMES:
        raise ConfigurationError(
            f"{text} can be read by Spark only; without Spark, expected a path, file://, s3a://, abfss:// or gs://"
        )
    if not rest.strip("/"):
        raise ConfigurationError(f"expected a bucket in the tables' directory, {scheme}://bucket/directory, got {text}")
    return Location(f"{_SCHEMES[scheme]}://{rest.rstrip('/')}", _options(_SCHEMES[scheme], environment))


def _options(scheme: str, environment: Mapping[str, str]) -> dict[str, str]:
    options = {"retry_timeout": _RETRY_TIMEOUT}
    if scheme == "s3":
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL", "")
        if endpoint:
            options["aws_endpoint_url"] = endpoint
            if endpoint.startswith("http://"):
                # An endpoint with http:// is a decision; a second setting for it would be forgotten.
                options["aws_allow_http"] = "true"
    return options
