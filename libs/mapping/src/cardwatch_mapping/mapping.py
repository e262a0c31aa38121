"""The mapping file: which column of a file becomes which field of a transaction.

.. code-block:: yaml

    time_zone: Europe/Berlin                  # of times without one; UTC if left out
    fields:
      transaction_id: {column: id}
      event_time: {column: booked_at}         # ISO 8601; or format: "%d.%m.%Y %H:%M:%S"; or epoch: s | ms | us
      card_number: {column: pan}              # becomes token, BIN and last four digits at once
      amount_minor: {column: amount, unit: major, exponent: 2}   # 12.50 -> 1250; unit: minor for whole cents
      currency: {constant: EUR}
      merchant_id: {template: "{chain}-{branch}"}
      status: {column: response, values: {"00": approved, "05": declined}}
      …
    labels:
      is_fraud: {column: fraud}
      scenario: {column: kind}
"""

from pathlib import Path
from string import Formatter
from typing import Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_contracts.schemas import parsed_schema
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

CARD_NUMBER: Final = "card_number"
TOKEN_FIELDS: Final = ("card_token", "card_bin", "card_last_four")
KEY_ID: Final = "card_token_key_id"
EVENT_TIME: Final = "event_time"
AMOUNT: Final = "amount_minor"

_FIELDS: Final[dict[str, Any]] = {field["name"]: field for field in parsed_schema("transaction")["fields"]}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """Where one field's values come from: exactly one of column, constant and template, then how it is converted.

    Attributes:
        column: a column of the file.
        constant: the same for every row.
        template: text with columns in braces, ``{chain}-{branch}``.
        hash: take the first 128 bits of HMAC-SHA-256 of the value under the token key, in hexadecimal.
        last: take this many characters from the end, padded with zeros on the left.
        values: translation of the values; one that is not in it is an error.
        unit: of amounts: ``minor`` (cents) or ``major`` (euros).
        exponent: of amounts in major units: digits after the point of the currency.
        format: of times as text, as in strptime; ISO 8601 without it.
        epoch: of times as numbers: seconds, milliseconds or microseconds since 1970-01-01 UTC.
    """

    column: str | None = None
    constant: str | int | float | None = None
    template: str | None = None
    hash: bool = False
    last: int | None = Field(default=None, ge=1, le=64)
    values: dict[str, str | None] | None = None
    unit: Literal["minor", "major"] | None = None
    exponent: int = Field(default=2, ge=0, le=4)
    format: str | None = None
    epoch: Literal["s", "ms", "us"] | None = None

    @model_validator(mode="after")
    def _check_one_origin(self) -> Self:
        if sum(origin is not None for origin in (self.column, self.constant, self.template)) != 1:
            raise ValueError("expected exactly one of column, constant and template")
        if self.template is not None and not self.columns:
            raise ValueError("a template names columns in braces, {like} {this}; constant is for fixed text")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        if self.column is not None:
            return (self.column,)
        if self.template is not None:
            return tuple(name for _, name, _, _ in Formatter().parse(self.template) if name)
        return ()


class Labels(_Strict):
    """Where the labels come from. ``is_fraud`` is true for 1, true and yes; only those rows get a label."""

    is_fraud: Source
    scenario: Source | None = None


class Mapping(_Strict):
    """A mapping file (see the module's docstring)."""

    time_zone: str = "UTC"
    fields: dict[str, Source]
    labels: Labels | None = None

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"expected a time zone such as UTC or Europe/Berlin, got {zone!r}") from None
        return zone

    @field_validator("fields")
    @classmethod
    def _check_fields(cls, fields: dict[str, Source]) -> dict[str, Source]:
        known = (*_FIELDS, CARD_NUMBER)
        unknown = [name for name in fields if name not in known]
        if unknown:
            raise ValueError(f"there is no field {' or '.join(unknown)}; the fields are {', '.join(known)}")
        for name, source in fields.items():
            if source.unit is not None and name != AMOUNT:
                raise ValueError(f"{name} has a unit; only {AMOUNT} may have one")
            if name != EVENT_TIME and (source.format is not None or source.epoch is not None):
                raise ValueError(f"{name} has a format or epoch; only {EVENT_TIME} may have one")
        if CARD_NUMBER in fields and any(name in fields for name in (*TOKEN_FIELDS, KEY_ID)):
            raise ValueError(f"{CARD_NUMBER} gives {', '.join(TOKEN_FIELDS)} as well; leave them out")
        given = {*fields, KEY_ID, *(TOKEN_FIELDS if CARD_NUMBER in fields else ())}
        missing = [name for name, field in _FIELDS.items() if "default" not in field and name not in given]
        if missing:
            raise ValueError(f"no source for {', '.join(missing)}")
        if AMOUNT in fields and fields[AMOUNT].unit is None:
            raise ValueError(f"{AMOUNT} has no unit; expected minor (cents) or major (euros)")
        if fields[EVENT_TIME].column is None:
            raise ValueError(f"{EVENT_TIME} must come from a column")
        return fields

    def sources(self) -> dict[str, Source]:
        """Every source, by the field or label that it gives."""
        labels = {} if self.labels is None else {"labels.is_fraud": self.labels.is_fraud}
        if self.labels is not None and self.labels.scenario is not None:
            labels["labels.scenario"] = self.labels.scenario
        return {**self.fields, **labels}

    def columns(self) -> list[str]:
        """Every column that is read, without repetition."""
        return list(dict.fromkeys(column for source in self.sources().values() for column in source.columns))


def default_of(field: str) -> Any:
    """The default of a field that a mapping leaves out.

    Raises:
        KeyError: it has no default; a mapping must have a source for it.
    """
    return _FIELDS[field]["default"]


def is_nullable(field: str) -> bool:
    """Whether a transaction may be without the field."""
    return isinstance(_FIELDS[field]["type"], list)


def is_number(field: str) -> bool:
    """Whether the field is a number with a fraction (latitude, longitude)."""
    return "double" in _FIELDS[field]["type"]


def load_mapping(path: Path) -> Mapping:
    """Read a mapping file.

    Raises:
        ConfigurationError: it cannot be read, is not YAML, or has errors; names all of them.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the mapping {path} cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError, KeyError, RecursionError) as error:  # a date or a number can be wrong as well
        raise ConfigurationError(f"the mapping {path} is not YAML: {' '.join(str(error).split())}") from error
    try:
        return Mapping.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'the file'}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False)
        )
        raise ConfigurationError(f"the mapping {path} has errors: {problems}") from error
