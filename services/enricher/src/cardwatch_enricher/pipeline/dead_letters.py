"""The dead letter of a refused message: the reason, everything needed to send it again, and no card number."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from cardwatch_card_numbers.exemptions import NO_FIELDS
from cardwatch_card_numbers.json_documents import MalformedJsonError
from cardwatch_card_numbers.masking import CARD_NUMBER_FIELD, mask_bytes
from cardwatch_card_numbers.tokens import only_digits
from cardwatch_contracts.errors import RefusedError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Record
from cardwatch_kafka.dead_letters import DeadLetter, build_dead_letter, mask_message
from cardwatch_kafka.messages import ReceivedMessage

from cardwatch_enricher.pipeline.decode_json import parse

SERVICE: Final = "enricher"

_DIGIT: Final = re.compile(r"[0-9]")


class DeadLetterBuilder:
    """Builds the dead letters of refused messages."""

    def __init__(
        self,
        json_topic: str,
        mask_avro: Callable[[bytes], bytes],
        tokenise: Callable[[Any], Record],
        exempt_fields: frozenset[str] = NO_FIELDS,
    ) -> None:
        """
        Args:
            json_topic: the topic whose messages are JSON; all others' are Avro.
            mask_avro: masks a value of another topic, whether it can be decoded or not.
            tokenise: turns a card number into the four card fields, or raises RefusedError.
            exempt_fields: fields of JSON whose numbers are not searched for card numbers.
        """
        self._json_topic: Final = json_topic
        self._mask_avro: Final = mask_avro
        self._tokenise: Final = tokenise
        self._exempt_fields: Final = exempt_fields

    def __call__(self, message: ReceivedMessage, error: RefusedError, decoded: Record | None, now: int) -> DeadLetter:
        """The dead letter of a message.

        Args:
            decoded: the record that its value was decoded into, None if it could not be.
            now: the time of refusing, in microseconds since 1970 UTC.
        """
        mask_value = self._mask_json if message.topic == self._json_topic else self._mask_avro
        content = mask_message(message, error, mask_value)
        return build_dead_letter(message, Reason(error.reason), content, service=SERVICE, refused_at=now)

    def _mask_json(self, value: bytes) -> bytes:
        """The JSON message with the fields that stand for its ``card_number``, so that it can be sent again."""
        try:
            document = parse(value)
        except MalformedJsonError:
            return mask_bytes(value, exempt_fields=self._exempt_fields)
        if not isinstance(document, dict) or CARD_NUMBER_FIELD not in document:
            return mask_bytes(value, exempt_fields=self._exempt_fields)
        tokenised: dict[str, Any] = {}
        for name, field in document.items():
            tokenised.update(self._token_fields(field) if name == CARD_NUMBER_FIELD else {name: field})
        number = None if CARD_NUMBER_FIELD in tokenised else only_digits(document[CARD_NUMBER_FIELD])
        return mask_bytes(
            json.dumps(tokenised, ensure_ascii=False).encode("utf-8", "replace"), number, self._exempt_fields
        )

    def _token_fields(self, card_number: Any) -> Record:
        try:
            return self._tokenise(card_number)
        except RefusedError:
            text = card_number if isinstance(card_number, str) else json.dumps(card_number)
            return {CARD_NUMBER_FIELD: _DIGIT.sub("*", text)}
