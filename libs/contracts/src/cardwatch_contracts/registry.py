"""The schema registry (Confluent's API): ids, schemas by id, registration with compatibility."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from cardwatch_contracts.errors import CardwatchError, IncompatibleSchemaError, RegistryUnavailableError
from cardwatch_contracts.internals import HTTP_ERRORS
from cardwatch_contracts.registry_access import RegistryAccess
from cardwatch_contracts.schemas import schema_text

COMPATIBILITY: Final = "FULL_TRANSITIVE"
MAX_VERSIONS: Final = 200

_NETWORK_ERRORS: Final = (*HTTP_ERRORS, OSError)

_OPEN: Final = RegistryAccess()
_NOT_FOUND: Final = 404
_LOGIN_NEEDED: Final = (401, 403)
_CLIENT_ERRORS: Final = range(400, 500)


class Registry(Protocol):
    """What services need of a registry; tests use a fake."""

    def schema_by_id(self, schema_id: int) -> str | None:
        """The writer's schema text, or None if the registry knows no such id.

        Raises:
            RegistryUnavailableError: it does not answer.
        """

    def ids_of_all_versions(self, subject: str) -> dict[int, str]:
        """Every registered version of a subject: schema id → schema text; empty when the subject does not exist.

        Raises:
            RegistryUnavailableError: it does not answer.
        """

    def id_of(self, subject: str, schema_name: str) -> int:
        """The id under which ``schemas/<schema_name>.avsc`` is registered for the subject.

        Raises:
            RegistryUnavailableError: it does not answer.
            IncompatibleSchemaError: the schema is not registered there.
        """


class ConfluentRegistry:
    """A registry behind Confluent's HTTP API (Apicurio's ``/apis/ccompat/v7``, Confluent's, Karapace)."""

    def __init__(
        self, url: str, access: RegistryAccess = _OPEN, *, retries: int = 3, timeout_seconds: float = 10
    ) -> None:
        """
        Args:
            access: what the registry demands of its clients; by default nothing.
            timeout_seconds: for connecting, and between two parts of an answer.
        """
        self._url = url
        self._client = SchemaRegistryClient(
            {"url": url, "timeout": timeout_seconds, "max.retries": retries, **access.client_config()}
        )

    def schema_by_id(self, schema_id: int) -> str | None:
        try:
            with self._asking():
                return str(self._client.get_schema(schema_id).schema_str)
        except _NotFoundError:
            return None

    def id_of(self, subject: str, schema_name: str) -> int:
        try:
            with self._asking():
                return _known(self._client.lookup_schema(subject, _schema(schema_name)).schema_id)
        except _NotFoundError as error:
            raise IncompatibleSchemaError(
                f"{schema_name}.avsc is not registered as {subject} at {self._url}: "
                "run `cardwatch schemas apply` before the services start"
            ) from error

    def ids_of_all_versions(self, subject: str) -> dict[int, str]:
        try:
            with self._asking():
                # The client would answer from its memory what the registry may have lost since.
                self._client.clear_caches()  # type: ignore[no-untyped-call]
                numbers = self._client.get_versions(subject)
                if len(numbers) > MAX_VERSIONS:
                    raise RegistryUnavailableError(
                        f"the schema registry at {self._url} has {len(numbers)} versions of {subject}; expected at "
                        f"most {MAX_VERSIONS}: delete those that no message is written with any more"
                    )
                versions = [self._client.get_version(subject, at) for at in numbers]
        except _NotFoundError:
            return {}
        return {_known(version.schema_id): str(version.schema.schema_str) for version in versions}

    def register(self, subject: str, schema_name: str, text: str | None = None) -> int:
        """Register a schema under COMPATIBILITY and return its id; registering it again changes nothing.

        Args:
            text: schema text instead of ``schemas/<schema_name>.avsc``.

        Raises:
            IncompatibleSchemaError: it breaks an earlier version, or is not a schema.
            RegistryUnavailableError: the registry does not answer.
        """
        schema = _schema(schema_name) if text is None else Schema(text, "AVRO")
        try:
            with self._asking():
                # Explicit per subject: Apicurio does not enforce its default on registration.
                self._client.set_compatibility(subject, COMPATIBILITY)
                if self._has_versions(subject) and not self._client.test_compatibility_all_versions(subject, schema):
                    raise _incompatible(subject, schema_name)
                return self._client.register_schema(subject, schema)
        except _RefusedByRegistryError as error:
            raise _incompatible(subject, schema_name, str(error)) from error

    def _has_versions(self, subject: str) -> bool:
        try:
            with self._asking():
                return bool(self._client.get_versions(subject))
        except _NotFoundError:
            return False

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Translate the errors of a request: not found, refused, or no answer."""
        try:
            yield
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                raise _NotFoundError(str(error.error_message)) from error
            if error.http_status_code in _LOGIN_NEEDED:
                # As an outage: an expired token is replaced, a right is granted, and no message may be lost until then.
                raise RegistryUnavailableError(
                    f"the schema registry at {self._url} refuses the login ({error.http_status_code}, "
                    f"{error.error_message}): check CARDWATCH_SCHEMA_REGISTRY_BASIC_AUTH, _BEARER_TOKEN or "
                    "_SSL_CERTIFICATE_LOCATION, and the rights of that user"
                ) from error
            if error.http_status_code in _CLIENT_ERRORS:
                raise _RefusedByRegistryError(str(error.error_message)) from error
            raise self._unavailable(error) from error
        except _NETWORK_ERRORS as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> RegistryUnavailableError:
        return RegistryUnavailableError(f"the schema registry at {self._url} does not answer: {error}")


class _RefusedByRegistryError(CardwatchError):
    """The registry refused the request."""


class _NotFoundError(_RefusedByRegistryError):
    """The registry does not have what was asked for."""


def _schema(schema_name: str) -> Schema:
    return Schema(schema_text(schema_name), "AVRO")


def _incompatible(subject: str, schema_name: str, why: str = "") -> IncompatibleSchemaError:
    return IncompatibleSchemaError(
        f"{schema_name}.avsc is refused as a new version of {subject} under {COMPATIBILITY}"
        f"{': ' + why if why else ''}; a compatible change adds a field with a default "
        "or removes one that has a default, see schemas/README.md"
    )


def _known(schema_id: int | None) -> int:
    if schema_id is None:
        raise RegistryUnavailableError("the schema registry answered without a schema id")
    return schema_id
