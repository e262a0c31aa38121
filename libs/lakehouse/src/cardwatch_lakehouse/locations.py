"""Where the tables are, said so that readers and writers other than Spark find them.

One setting, ``CARDWATCH_LAKEHOUSE_TABLES_DIR``, serves both: Spark is given it as it is (any Hadoop file system; a path
of this machine from the root), and what is here says it in delta-rs's words. Credentials and endpoints come from the
environment (docs/object-stores.md).
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
# Paths from the root, and whatever has a scheme.
_ABSOLUTE: Final = re.compile(r"/|[A-Za-z][A-Za-z0-9+.-]*:")
# The library's own 3 minutes are long for who has mistyped an address, and short for nobody.
_RETRY_TIMEOUT: Final = "30s"


@dataclass(frozen=True, slots=True)
class Location:
    """A directory of tables, or a table, for delta-rs.

    Attributes:
        uri: a path of this machine, or ``s3://``, ``abfss://`` or ``gs://``; without a slash at its end.
        storage_options: what delta-rs needs beside what it finds in the environment by itself. No secrets.
    """

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine."""
        return "://" not in self.uri

    def of(self, name: str) -> "Location":
        """The table ``<layer>.<what>`` under this directory."""
        return Location(f"{self.uri}/{name.replace('.', '/')}", self.storage_options)

    def options(self) -> dict[str, str] | None:
        """``storage_options`` as delta-rs's functions take them."""
        return dict(self.storage_options) or None


def for_spark(directory: str) -> str:
    """A directory as Spark has to be told it: Delta makes no table at a path that is relative or goes up again."""
    text = directory.strip()
    return text if not text or _ABSOLUTE.match(text) else os.path.abspath(text)  # noqa: PTH100 - links stay links


def locate(tables_dir: str, environment: Mapping[str, str] = os.environ) -> Location:
    """The directory of tables that a setting names.

    Args:
        tables_dir: a path, ``file://…``, ``s3a://…`` (or ``s3://…``), ``abfss://…`` or ``gs://…``.
        environment: where the object stores' usual variables are: ``AWS_*``, ``AZURE_*``, ``GOOGLE_*``.

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
            raise ConfigurationError("the tables' directory is empty; a path, s3a://, abfss:// or gs:// would be right")
        return Location(text.rstrip("/") or "/")
    if scheme not in _SCHEMES:
        raise ConfigurationError(
            f"{text} can be read by Spark only; without it the tables can be at a path, file://, s3a://, abfss:// or gs://"
        )
    if not rest.strip("/"):
        raise ConfigurationError(f"{text} names no bucket; {scheme}://bucket/directory would be right")
    return Location(f"{_SCHEMES[scheme]}://{rest.rstrip('/')}", _options(_SCHEMES[scheme], environment))


def _options(scheme: str, environment: Mapping[str, str]) -> dict[str, str]:
    options = {"retry_timeout": _RETRY_TIMEOUT}
    if scheme == "s3":
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL", "")
        if endpoint:
            options["aws_endpoint_url"] = endpoint
            if endpoint.startswith("http://"):
                # Who writes http:// has decided; asked twice, one forgets the second.
                options["aws_allow_http"] = "true"
    return options
