"""Decoding ``transactions.raw.v1``: Avro of any registered version of ``transaction.avsc``.

A later version may have fields that this enricher does not know. They go no further, but a message that holds a card
number in one of them is refused like any other.
"""

from typing import Any, Final

from cardwatch_card_numbers.avro_masking import AvroMasker, NotThisSchemaError
from cardwatch_card_numbers.exemptions import NO_FIELDS
from cardwatch_card_numbers.masking import mask_bytes
from cardwatch_contracts.errors import RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_contracts.wire import HEADER, MAGIC_BYTE, Decoder, Record


class AvroTransactions:
    """Decodes an Avro message into a record of ``transaction.avsc``, and masks one by its writer's schema."""

    def __init__(self, decoder: Decoder, exempt_fields: frozenset[str] = NO_FIELDS) -> None:
        """``exempt_fields``: fields whose numbers are not searched for card numbers."""
        self._decoder: Final = decoder
        self._exempt_fields: Final = exempt_fields
        self._known: Final = frozenset(field["name"] for field in parsed_schema("transaction")["fields"])
        # By the identity of a schema, which the decoder keeps. None: it has no field that this enricher does not know.
        self._checks: Final[dict[int, AvroMasker | None]] = {}

    def __call__(self, value: bytes | None) -> Record:
        """Decode one message's value.

        Raises:
            RefusedError: the message is invalid, or a field that is not decoded holds a card number.
            RegistryUnavailableError: its schema cannot be looked up now: try again.
        """
        record = self._decoder(value)
        check = self._check(self._decoder.writer_schema(value)) if value else None
        if check is not None and value is not None:
            _refuse_card_numbers(check, value)
        return record

    def mask(self, value: bytes) -> bytes:
        """The value without card numbers, of the same length, whether it can be decoded or not."""
        if len(value) < HEADER.size or value[0] != MAGIC_BYTE:
            return mask_bytes(value)
        try:
            masker = AvroMasker(self._decoder.writer_schema(value), self._exempt_fields)
            return masker.mask_any(value, HEADER.size)
        except (RefusedError, RegistryUnavailableError):
            return mask_bytes(value)

    def _check(self, writer: Any) -> AvroMasker | None:
        key = id(writer)
        if key not in self._checks:
            knows_all = self._known.issuperset(field["name"] for field in writer["fields"])
            self._checks[key] = None if knows_all else AvroMasker(writer, self._exempt_fields)
        return self._checks[key]


def _refuse_card_numbers(masker: AvroMasker, value: bytes) -> None:
    # The decoder skips unknown fields without a look at them: what it takes may be no record all the same.
    try:
        masked = masker(value, HEADER.size)
    except NotThisSchemaError as error:
        raise RefusedError(
            Reason.UNDECODABLE_AVRO,
            f"expected a record of its schema, got something else in a field that transaction.avsc does not have: "
            f"{error}",
        ) from error
    if masked != value:
        raise RefusedError(
            Reason.CARD_NUMBER_PRESENT,
            "expected tokens only, got a record that holds a card number or a security code, maybe in a field that "
            "transaction.avsc does not have",
        )
