"""Decodes Kafka messages in Confluent's frame (magic byte, schema id, Avro) in Spark, each by its writer's schema."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any, Final

from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.registry import Registry
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.subject_schemas import OnOutage, SubjectSchemas
from cardwatch_contracts.wire import HEADER
from cardwatch_service.logs import get_logger
from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.avro.functions import from_avro

SKIP_SECONDS: Final = 600.0
# Between two texts: with it, bytes at the end of one and at the beginning of the next never make up one character.
_NO_PART_OF_A_CHARACTER: Final = "\n"

_log = get_logger(__name__)

# The error with which ``decode_avro`` fails a query.
_UNKNOWN_ID: Final = re.compile(r"schema id (\d+) of (\w+) is not known to this query")


class NewSchemaVersionError(Exception):
    """A query's plan does not know a schema that messages may have by now: it has to be restarted."""


def projection(schema_name: str, fields: Iterable[str]) -> str:
    """A reader's schema with only some of a schema's fields: decoding skips the others.

    Raises:
        ConfigurationError: the schema has no such field.
    """
    schema = json.loads(schema_text(schema_name))
    wanted = set(fields)
    schema["fields"] = [field for field in schema["fields"] if field["name"] in wanted]
    missing = wanted - {field["name"] for field in schema["fields"]}
    if missing:
        raise ConfigurationError(f"{schema_name}.avsc has no field {', '.join(sorted(missing))}")
    return json.dumps(schema)


def schema_id(value: Column) -> Column:
    """The schema id in a message's frame, null where it has none."""
    header = F.hex(F.substring(value, 1, HEADER.size))
    return F.when(
        header.startswith("00") & (F.length(value) > HEADER.size),
        F.conv(F.substring(header, 3, 8), 16, 10).try_cast("int"),
    )


def payload(value: Column) -> Column:
    """The Avro bytes in a framed message."""
    return F.substring(value, HEADER.size + 1, 2**31 - 1)


class QuerySchemas:
    """The schemas of one topic in the plan of a streaming query, which is fixed while the query runs.

    A message with an id that the plan does not know fails the query: its schema may have been registered after the
    start. The next plan has the registry's versions of that moment. If the id is none of them, that plan skips all
    messages with unknown ids, for SKIP_SECONDS: with one failure for each, ids made up at random would keep the query
    from running. So that no message of a new version is skipped meanwhile, each micro-batch asks the registry first
    (``check``): what is in it was registered before it was sent.
    """

    def __init__(
        self,
        schema_name: str,
        registry: Registry,
        subject: str,
        newest_ids: Callable[[], Counter[int]],
        on_outage: OnOutage = lambda waiting: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            schema_name: that of the messages: a file of ``schemas/`` without ``.avsc``.
            newest_ids: the schema ids of the topic's newest messages, with the number of messages; whether most of them
                are unknown tells an outage from an invalid message.
        """
        self.schema_name: Final = schema_name
        self._versions: Final = SubjectSchemas(schema_name, registry, subject, on_outage=on_outage)
        self._newest_ids: Final = newest_ids
        self._clock: Final = clock
        self._unanswered: set[int] = set()
        self._planned: frozenset[int] = frozenset()
        self._skips = False
        self._skip_until = float("-inf")

    def learn(self, failure: str) -> None:
        """Note the unknown ids that a query failed on, for the next plan."""
        self._unanswered |= {int(number) for number, name in _UNKNOWN_ID.findall(failure) if name == self.schema_name}

    def decode(self, value: Column, reader: str) -> Column:
        """The record of a framed message, in a new plan: see ``decode_avro``.

        Raises:
            RegistryUnavailableError: the registry has an outage.
        """
        writers = self.begin_plan()
        skipped = F.lit(True) if self._skips else schema_id(value).isin(list(self._versions.unsafe_ids))
        return decode_avro(value, writers, reader, skipped=skipped, name=self.schema_name)

    def begin_plan(self) -> Mapping[int, str]:
        """The versions for a new plan, by id; asks the registry where it must be asked.

        Raises:
            RegistryUnavailableError: the registry has an outage.
        """
        if not self._versions.writers:
            self._versions.refresh()
        if self._unanswered:
            self._ask_for(self._unanswered)
            self._unanswered = set()
        writers = self._versions.writers
        self._planned = frozenset(writers)
        self._skips = self._clock() < self._skip_until
        return writers

    def check(self) -> None:
        """Before a micro-batch of a plan that skips messages: fail if one of them may be valid by now.

        Raises:
            NewSchemaVersionError: a version was registered; the next plan has it.
            RegistryUnavailableError: the registry has an outage.
        """
        if self._skips:
            self._versions.refresh()
            new = self._versions.writers.keys() - self._planned
            if new:
                raise NewSchemaVersionError(f"schema id {min(new)} of {self.schema_name} was registered meanwhile")

    def needs_restart(self) -> bool:
        """Whether the plan skips messages although it need not any more."""
        return self._skips and self._clock() >= self._skip_until

    def _ask_for(self, unanswered: Set[int]) -> None:
        self._versions.look_up(self._newest_ids() + Counter(unanswered))
        for number in sorted(unanswered):
            if self._versions.refusal(number) is not None:
                self._skip_until = self._clock() + SKIP_SECONDS
                _log.error(
                    "messages with this schema id are not evaluated, nor others with unknown ids in the next minutes: "
                    f"the registry does not know it as a version of {self.schema_name}, or nothing can be decoded with "
                    "it; the lakehouse keeps them in its quarantine",
                    schema_id=number,
                )


def has_valid_text(record: Column, reader: str) -> Column:
    """Whether all texts of a record are UTF-8, those in its lists included; true for a record that is null.

    Avro's decoder in Java does not check them, and Python fails on others.

    Args:
        reader: text of the reader's schema.
    """
    # One check of all of them together: it stands in the plan of each micro-batch.
    return F.is_valid_utf8(F.concat_ws(_NO_PART_OF_A_CHARACTER, *_texts(record, json.loads(reader))))


def _texts(value: Column, schema: Any) -> Iterator[Column]:
    """The texts in a value of a schema, as strings and arrays of strings; those of an array's elements joined."""
    if schema == "string":
        yield value
    elif isinstance(schema, list):
        for branch in schema:
            yield from _texts(value, branch)
    elif isinstance(schema, dict) and schema["type"] == "record":
        for field in schema["fields"]:
            yield from _texts(value[field["name"]], field["type"])
    elif isinstance(schema, dict) and schema["type"] == "array":
        items = schema["items"]
        if list(_texts(F.lit(None), items)):
            yield F.transform(value, lambda item: F.concat_ws(_NO_PART_OF_A_CHARACTER, *_texts(item, items)))
    elif isinstance(schema, dict) and not isinstance(schema["type"], str):
        yield from _texts(value, schema["type"])


def decode_avro(
    value: Column, writers: Mapping[int, str], reader: str, *, skipped: Column | None = None, name: str = "any schema"
) -> Column:
    """The record of a framed message as a struct of the reader's schema; null where it cannot be decoded.

    Args:
        value: the framed message.
        writers: the text of each schema that it may have been written with, by schema id.
        reader: text of the reader's schema.
        skipped: whether a message with any other id becomes null; it fails the query otherwise.
        name: of the schema, for that failure.
    """
    which, avro = schema_id(value), payload(value)
    decoded: Column | None = None
    for number, text in writers.items():
        record = from_avro(avro, text, {"mode": "PERMISSIVE", "avroSchema": reader})
        decoded = F.when(which == number, record) if decoded is None else decoded.when(which == number, record)
    if decoded is None:
        raise ConfigurationError("at least one writer's schema is needed")
    if skipped is not None:
        decoded = decoded.when(skipped, F.lit(None))
    failure = F.concat(F.lit("schema id "), which.cast("string"), F.lit(f" of {name} is not known to this query"))
    return decoded.when(which.isNotNull(), F.raise_error(failure))
