"""A lease on an object store: writes with ``If-None-Match: *`` and ``If-Match`` decide who has it.

Amazon's S3 has both since 2024, and so have many others with its protocol. Azure and Google have had the like from the
beginning. obstore is the library inside of delta-rs, so it takes credentials from the same variables.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import obstore
from cardwatch_contracts.errors import ConfigurationError
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import from_url

from cardwatch_lakehouse.catalog import one_line
from cardwatch_lakehouse.leases.store import LeaseConflictError, LeaseStoreError, SystemLock
from cardwatch_lakehouse.locations import Location

# A request and its repetition must be over before a lease of 15 s ends.
_CLIENT: Final = {"timeout": timedelta(seconds=4), "connect_timeout": timedelta(seconds=2)}
_RETRIES: Final = {
    "max_retries": 1,
    "retry_timeout": timedelta(seconds=5),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
}
# No store makes such a tag.
_NO_VERSION: Final = {"e_tag": '"cardwatch-no-such-version"', "version": "0"}


class ObjectLeaseStore:
    """A lease's object; its version is what the store calls it (an entity tag, a generation)."""

    has_system_lock: Final = False

    def __init__(self, directory: Location, path: str) -> None:
        """
        Args:
            path: of the object, under the directory.

        Raises:
            ConfigurationError: the directory's address or the environment's settings for it are wrong.
        """
        self._path: Final = path
        self._where: Final = f"{directory.uri}/{path}"
        self._conditions_hold = False
        given = directory.storage_options
        options: dict[str, Any] = {
            "config": {"endpoint": given["aws_endpoint_url"]} if "aws_endpoint_url" in given else None,
            "client_options": {**_CLIENT, **({"allow_http": True} if "aws_allow_http" in given else {})},
            "retry_config": _RETRIES,
        }
        try:
            self._store: Any = from_url(directory.uri, **options)
        except (BaseError, ValueError) as error:
            raise ConfigurationError(f"{directory.uri} cannot be opened: {one_line(error)}") from error

    @property
    def where(self) -> str:
        return self._where

    def try_lock(self) -> SystemLock:
        """There is none: an object store knows no processes."""
        return SystemLock.NOT_AVAILABLE

    def read(self) -> tuple[bytes, Any] | None:
        with self._errors("read"):
            try:
                found = obstore.get(self._store, self._path)
            except FileNotFoundError:
                return None
            return bytes(found.bytes()), _version(found.meta)

    def create(self, content: bytes) -> Any:
        return self._put(content, "create")

    def replace(self, content: bytes, version: Any) -> Any:
        return self._put(content, version)

    def close(self) -> None:
        """Do nothing: there is no lock."""

    def _put(self, content: bytes, mode: Any) -> Any:
        with self._errors("written"):
            written = obstore.put(self._store, self._path, content, mode=mode, use_multipart=False)
        if not self._conditions_hold:
            self._check_conditions(content)
        return _version(written)

    def _check_conditions(self, content: bytes) -> None:
        """Two writes that must not succeed: a store that ignores what it does not know protects nothing."""
        conditions: tuple[Any, ...] = ("create", _NO_VERSION)
        for condition in conditions:
            try:
                with self._errors("written"):
                    obstore.put(self._store, self._path, content, mode=condition, use_multipart=False)
            except LeaseConflictError:
                continue
            raise ConfigurationError(
                f"the object store of {self._where} ignores the conditions of writes (If-None-Match, If-Match), so "
                "nothing keeps two processes apart there; update it, or use another one (docs/object-stores.md)"
            )
        self._conditions_hold = True

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
            raise LeaseConflictError(f"{self._where} has changed") from error
        except (BaseError, OSError, ValueError) as error:
            raise LeaseStoreError(f"the lease {self._where} cannot be {done}: {one_line(error)}") from error


def _version(of: Any) -> dict[str, str]:
    """What the store calls a version: an entity tag, a generation, or both."""
    return {name: of[name] for name in ("e_tag", "version") if of.get(name) is not None}
