"""``cardwatch schemas apply | check``: topics and schemas of a deployment."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from cardwatch_contracts.errors import ConfigurationError, IncompatibleSchemaError, RegistryUnavailableError
from cardwatch_contracts.registry import COMPATIBILITY
from cardwatch_contracts.schemas import SCHEMA_NAMES, schema_text
from cardwatch_contracts.topics import ALL_TOPICS
from cardwatch_kafka.configuration import KafkaConfig
from cardwatch_kafka.setup import apply
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.tables import print_table
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from cardwatch_cli.rules.files import horizons
from cardwatch_cli.schemas.topics import report_topics

HorizonOption = Annotated[
    list[str] | None,
    typer.Option(
        "--horizon",
        metavar="SCOPE=LENGTH",
        help="The detector's horizon, e.g. card=30h: the silver topic must keep messages for as long. Default: "
        "CARDWATCH_DETECTOR_HORIZON_<SCOPE>, if set. Repeatable.",
    ),
]

# An unreachable broker is reported by the command's error; the client's log would repeat it for each attempt.
_WITHOUT_CLIENT_LOG: Final = {"log_level": 0}
_INCOMPATIBLE: Final = "incompatible"
_CLIENT_ERRORS: Final = range(400, 500)

app = typer.Typer(
    help="The topics and Avro schemas of a deployment (broker and registry: CARDWATCH_KAFKA_BOOTSTRAP_SERVERS, "
    "CARDWATCH_SCHEMA_REGISTRY_URL).",
    no_args_is_help=True,
)


@app.command("apply")
def apply_command(
    replication_factor: Annotated[
        int, typer.Option(min=-1, help="Replicas of each topic that is created; -1: the broker's default.")
    ] = -1,
    horizon: HorizonOption = None,
) -> None:
    """Create missing topics and register every schema under FULL_TRANSITIVE compatibility.

    Applying again changes nothing. A schema that would break earlier readers or writers is rejected with exit code 1,
    and nothing after it is registered.

    Topics that exist are left as they are: for each it says which settings differ from what Cardwatch needs, why that
    matters, and the command that mends it. Exit code 1 if results would be wrong, unless CARDWATCH_TOPIC_CHECK is warn.
    """
    settings = load_settings(ServiceSettings)
    connection: KafkaConfig = {**settings.kafka_config(), **_WITHOUT_CLIENT_LOG}
    horizons_us = horizons(horizon or ())
    applied = list(apply(connection, settings.registry(), settings.topic_prefix, replication_factor))
    print_table(
        ("topic", "is", "schema id"),
        [
            (row.topic, "created" if row.created else "exists", "none" if row.schema_id is None else row.schema_id)
            for row in applied
        ],
    )
    report_topics(settings, connection, horizons_us)


@app.command("check")
def check_command(
    directory: Annotated[
        Path | None, typer.Option(help="Directory of *.avsc to check instead of the installed schemas.")
    ] = None,
    horizon: HorizonOption = None,
) -> None:
    """Check for every schema whether the registry would accept it, and the settings of topics; changes nothing.

    Exit code 1 if a schema is incompatible with a version that is already registered, or a topic that exists has
    settings with which results would be wrong (unless CARDWATCH_TOPIC_CHECK is warn).
    """
    settings = load_settings(ServiceSettings)
    horizons_us = horizons(horizon or ())
    texts = {name: _text(name, directory) for name in SCHEMA_NAMES}
    results: list[tuple[str, str]] = []
    rejected: list[str] = []
    for topic in ALL_TOPICS:
        if topic.schema is None:
            continue
        subject = topic.subject(settings.topic_prefix)
        result = _check_compatibility(settings, subject, texts[topic.schema])
        results.append((subject, result))
        if result == _INCOMPATIBLE:
            rejected.append(f"{topic.schema}.avsc for {subject}")
    print_table(("subject", "schema"), results)
    if rejected:
        raise IncompatibleSchemaError(
            f"{COMPATIBILITY} does not allow {', '.join(rejected)}; a compatible change adds a field with a default "
            "or removes one that has a default, see schemas/README.md"
        )
    report_topics(settings, {**settings.kafka_config(), **_WITHOUT_CLIENT_LOG}, horizons_us)


def _check_compatibility(settings: ServiceSettings, subject: str, text: str) -> str:
    """Whether a schema is new, compatible or incompatible with the registered versions.

    Raises:
        RegistryUnavailableError: the registry does not answer.
    """
    earlier = settings.registry().ids_of_all_versions(subject)
    if not earlier:
        return "new"
    config = {"url": settings.schema_registry_url, "timeout": 10, **settings.registry_access().client_config()}
    try:
        compatible = SchemaRegistryClient(config).test_compatibility_all_versions(subject, Schema(text, "AVRO"))
    except SchemaRegistryError as error:
        if error.http_status_code in _CLIENT_ERRORS:  # not an Avro schema
            return _INCOMPATIBLE
        raise RegistryUnavailableError(
            f"the schema registry at {settings.schema_registry_url} does not answer: {error}"
        ) from error
    return f"compatible with {len(earlier)} earlier" if compatible else _INCOMPATIBLE


def _text(name: str, directory: Path | None) -> str:
    if directory is None:
        return schema_text(name)
    path = directory / f"{name}.avsc"
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; expected one file per schema") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is not JSON: {error}") from error
    return text
