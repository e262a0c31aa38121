"""Converts batches of a file's rows to transactions, by a mapping; column by column, because that is fast. No I/O."""

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from cardwatch_card_numbers.tokens import tokenise
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_units.timestamps import MICROSECONDS_PER_MILLISECOND, MICROSECONDS_PER_SECOND, to_microseconds

from cardwatch_mapping.conversions import parse_truth, require_value, to_list, to_whole_number
from cardwatch_mapping.mapping import (
    AMOUNT,
    CARD_NUMBER,
    EVENT_TIME,
    KEY_ID,
    TOKEN_FIELDS,
    Mapping,
    Source,
    is_nullable,
    is_number,
)

_MICROSECONDS_PER_EPOCH_UNIT: Final = {"s": MICROSECONDS_PER_SECOND, "ms": MICROSECONDS_PER_MILLISECOND, "us": 1}
# Its value is never quoted.
_CARD_NUMBER: Final = "a card number of 13 to 19 digits with a valid check digit"

Convert = Callable[[Any], Any]


class Row(NamedTuple):
    """A transaction as in schemas/transaction.avsc, and what is known of it as in schemas/transaction_label.avsc."""

    record: dict[str, Any]
    label: dict[str, Any] | None


class Columns(NamedTuple):
    """Fields of some rows.

    Attributes:
        values: field → a value for each row; fields that are the same in every row are not in it.
        is_fraud: for each row; None if the mapping says nothing about labels.
    """

    values: dict[str, list[Any]]
    is_fraud: list[bool] | None


class RowReader:
    """Turns batches into transactions."""

    def __init__(self, mapping: Mapping, columns: list[str], *, token_key: bytes, token_key_id: str) -> None:
        """
        Args:
            columns: the file's columns.

        Raises:
            ConfigurationError: the mapping reads columns that the file does not have; names them and the file's own.
        """
        missing = [
            f"{purpose} from column {column}"
            for purpose, source in mapping.sources().items()
            for column in source.columns
            if column not in columns
        ]
        if missing:
            raise ConfigurationError(
                f"the mapping reads {' and '.join(missing)}, but the file's columns are {', '.join(columns)}"
            )
        self._mapping = mapping
        self._zone = ZoneInfo(mapping.time_zone)
        self._key = token_key
        self._hashes: dict[str, str] = {}
        self._tokens: dict[str, tuple[str, str, str]] = {}
        self._read = 0
        # Fields that are the same in every row are converted once.
        self._constants: dict[str, Any] = {KEY_ID: token_key_id}
        self._varying: dict[str, Source] = {}
        one_row = pa.record_batch({"no column": pa.array([0])})
        for field, source in mapping.fields.items():
            if source.constant is None:
                self._varying[field] = source
            else:
                self._constants.update({name: values[0] for name, values in self._field(field, source, one_row)})

    def __call__(self, batch: Any) -> Iterator[Row]:
        """The batch's transactions, in its order.

        Raises:
            ConfigurationError: a value is not what the mapping says; names row, column and what was expected.
        """
        columns = self._columns(batch, self._varying)
        labels = self._labels(batch, columns["transaction_id"])
        self._read += batch.num_rows
        names = tuple(columns)
        for values, label in zip(zip(*columns.values(), strict=True), labels, strict=True):
            record = self._constants.copy()
            record.update(zip(names, values, strict=True))
            yield Row(record, label)

    @property
    def constants(self) -> dict[str, Any]:
        """The fields that are the same in every row."""
        return self._constants.copy()

    def columns(self, batch: Any, fields: Collection[str]) -> Columns:
        """Some of the batch's fields, column by column: faster than records where there are many rows.

        Raises:
            ConfigurationError: as for a call; values of other fields are not looked at.
        """
        wanted = {
            field: source
            for field, source in self._varying.items()
            if field in fields or (field == CARD_NUMBER and not set(fields).isdisjoint(TOKEN_FIELDS))
        }
        values = self._columns(batch, wanted)
        is_fraud = self._are_fraud(batch)
        self._read += batch.num_rows
        return Columns({field: column for field, column in values.items() if field in fields}, is_fraud)

    def _columns(self, batch: Any, sources: dict[str, Source]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {}
        for field, source in sources.items():
            columns.update(self._field(field, source, batch))
        return columns

    def _field(self, field: str, source: Source, batch: Any) -> list[tuple[str, list[Any]]]:
        """The values of a field (of three, for a card number) with its name."""
        if field == CARD_NUMBER:
            return list(zip(TOKEN_FIELDS, self._card_fields(batch, source), strict=True))
        if field == EVENT_TIME:
            return [(field, self.event_times(batch))]
        if field == AMOUNT:
            return [(field, self._amounts(batch, source))]
        values = self._texts(batch, source, nullable=is_nullable(field))
        if is_number(field):
            values = self._each(source, values, float, "a number", nullable=True)
        return [(field, values)]

    def event_times(self, batch: Any) -> list[int]:
        """The rows' event times, microseconds since 1970-01-01 UTC.

        Raises:
            ConfigurationError: a time is missing or cannot be parsed.
        """
        source = self._mapping.fields[EVENT_TIME]
        column = batch.column(source.column)
        if pa.types.is_timestamp(column.type):
            if column.type.tz is None:
                # A local time that occurs twice, or not at all, when the clocks change is taken as the earlier one.
                column = pc.assume_timezone(
                    column, self._mapping.time_zone, ambiguous="earliest", nonexistent="earliest"
                )
            micros = to_list(column.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64()))
            return self._without_nulls(source, micros)
        if source.epoch is not None:
            scale = _MICROSECONDS_PER_EPOCH_UNIT[source.epoch]
            return self._each(
                source, column.to_pylist(), lambda value: to_whole_number(value, scale), f"a number ({source.epoch})"
            )
        wanted = f"a time as {source.format}" if source.format else "an ISO 8601 time"
        return self._each(source, to_list(column.cast(pa.string())), lambda text: self._moment(text, source), wanted)

    def _moment(self, text: str, source: Source) -> int:
        moment = datetime.strptime(text, source.format) if source.format else datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
        return to_microseconds(moment)

    def _amounts(self, batch: Any, source: Source) -> list[int]:
        if source.unit == "minor" and source.column and pa.types.is_integer(batch.column(source.column).type):
            return self._without_nulls(source, to_list(batch.column(source.column)))
        values = self._raw(batch, source)
        if source.unit == "minor":
            return self._each(source, values, to_whole_number, "a whole number of minor units")
        scale = 10**source.exponent
        return self._each(source, values, lambda value: to_whole_number(value, scale, rounded=True), "an amount")

    def _card_fields(self, batch: Any, source: Source) -> tuple[list[str], list[str], list[str]]:
        identities = self._each(source, self._texts(batch, source), self._token, _CARD_NUMBER)
        tokens, bins, last_fours = zip(*identities, strict=True) if identities else ((), (), ())
        return list(tokens), list(bins), list(last_fours)

    def _token(self, number: str) -> tuple[str, str, str]:
        identity = self._tokens.get(number)
        if identity is None:
            identity = self._tokens[number] = tokenise(number, self._key)
        return identity

    def _labels(self, batch: Any, identities: list[str]) -> list[dict[str, Any] | None]:
        labels = self._mapping.labels
        if labels is None:
            return [None] * len(identities)
        fraud = self._are_fraud(batch) or []
        scenarios: list[str | None] = [None] * len(identities)
        if labels.scenario is not None:
            scenarios = self._texts(batch, labels.scenario, nullable=True)
        return [
            {"transaction_id": identity, "is_fraud": True, "scenario": scenario, "expected_refusal": None}
            if is_fraud
            else None
            for identity, is_fraud, scenario in zip(identities, fraud, scenarios, strict=True)
        ]

    def _are_fraud(self, batch: Any) -> list[bool] | None:
        if self._mapping.labels is None:
            return None
        source = self._mapping.labels.is_fraud
        return self._each(source, self._texts(batch, source), parse_truth, "1 or 0, true or false")

    def _raw(self, batch: Any, source: Source) -> list[Any]:
        """Values as the file has them."""
        if source.constant is not None:
            return [source.constant] * batch.num_rows
        if source.column is not None:
            raw: list[Any] = to_list(batch.column(source.column))
            return raw
        template = str(source.template)
        texts = [to_list(batch.column(name).cast(pa.string())) for name in source.columns]
        return [
            None if None in row else template.format(**dict(zip(source.columns, row, strict=True)))
            for row in zip(*texts, strict=True)
        ]

    def _texts(self, batch: Any, source: Source, *, nullable: bool = False) -> list[Any]:
        """Values as text, after translation, shortening and hashing."""
        if source.column is not None:
            values: list[Any] = to_list(batch.column(source.column).cast(pa.string()))
        else:
            values = [None if value is None else str(value) for value in self._raw(batch, source)]
        if source.values is not None:
            table = source.values
            values = self._each(source, values, table.__getitem__, f"one of {', '.join(table)}", nullable=True)
        if source.last is not None:
            count = source.last
            values = [None if value is None else value[-count:].zfill(count) for value in values]
        if source.hash:
            known = self._hashes
            values = [None if value is None else known.get(value) or self._hash(value) for value in values]
        return values if nullable else self._without_nulls(source, values)

    def _without_nulls(self, source: Source, values: list[Any]) -> list[Any]:
        """The values, if none is missing."""
        return self._each(source, values, require_value, "a value") if None in values else values

    def _hash(self, text: str) -> str:
        digest = self._hashes[text] = hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:32]
        return digest

    def _each(
        self, source: Source, values: list[Any], convert: Convert, wanted: str, *, nullable: bool = False
    ) -> list[Any]:
        """Convert every value; an error names the first row that cannot be (from 1, without the header)."""
        result = []
        for value in values:
            try:
                result.append(None if nullable and value is None else convert(value))
            except (ValueError, TypeError, KeyError, ArithmeticError) as error:
                shown = "nothing" if value is None else "something else" if wanted == _CARD_NUMBER else repr(value)[:40]
                raise ConfigurationError(
                    f"row {self._read + len(result) + 1}, {_origin(source)}: expected {wanted}, got {shown}"
                ) from error
        return result


def _origin(source: Source) -> str:
    if source.column is not None:
        return f"column {source.column}"
    return "the constant" if source.template is None else f"the template {source.template}"
