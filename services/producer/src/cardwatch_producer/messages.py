"""From a simulated message to what is sent: topic, key, bytes. Pure; the schema ids come in from outside."""

import json
from datetime import UTC, timedelta, timezone
from typing import Any, Final

from cardwatch_contracts.topics import TRANSACTIONS_JSON, TRANSACTIONS_LABELS, TRANSACTIONS_RAW
from cardwatch_contracts.wire import Encoder
from cardwatch_kafka.messages import OutgoingMessage
from cardwatch_units.timestamps import from_microseconds

from cardwatch_producer.countries import countries
from cardwatch_producer.simulation import Message

# An invalid message names the transaction that it was made of, so that its label leads to its dead letter.
SPOILT_HEADER: Final = "simulated-transaction-id"

_TOKEN_FIELDS: Final = ("card_token", "card_token_key_id", "card_bin", "card_last_four")
_ZONES: Final = {country.code: timezone(timedelta(hours=country.utc_offset_hours)) for country in countries()}


class MessageEncoder:
    """Encodes simulated messages and labels."""

    def __init__(self, transaction: Encoder, label: Encoder, topic_prefix: str = "") -> None:
        self._transaction = transaction
        self._label = label
        self._labels_topic = TRANSACTIONS_LABELS.name(topic_prefix)
        self._topics = {"avro": TRANSACTIONS_RAW.name(topic_prefix), "json": TRANSACTIONS_JSON.name(topic_prefix)}

    def __call__(self, message: Message) -> list[OutgoingMessage]:
        """The message's own bytes, and its label's if it has one: the label first, so that none is ever missing."""
        out: list[OutgoingMessage] = []
        if message.label is not None:
            key = message.label["transaction_id"].encode()
            out.append(OutgoingMessage(self._labels_topic, key, self._label(message.label)))
        out.append(self._encode(message))
        return out

    def _encode(self, message: Message) -> OutgoingMessage:
        record, defect, topic = message.record, message.defect, self._topics[message.format]
        identity = record["transaction_id"]
        key = record["card_token"].encode()
        if message.format == "json":
            record = {name: value for name, value in record.items() if name not in _TOKEN_FIELDS and value is not None}
            record["card_number"] = message.card_number
            # A legacy producer knows no token: its messages are spread by their identity.
            key = identity.encode()
        if defect is not None and defect.spoil_record is not None:
            record = dict(record)
            defect.spoil_record(record)
        value: bytes | None = _json(record) if message.format == "json" else self._transaction(record)
        if defect is None:
            return OutgoingMessage(topic, key, value)
        if defect.spoil_bytes is not None and value is not None:
            value = defect.spoil_bytes(value, self._label(_other_record(identity)))
        return OutgoingMessage(topic, key, value, [(SPOILT_HEADER, identity.encode())])


def _other_record(transaction_id: str) -> dict[str, Any]:
    return {"transaction_id": transaction_id, "is_fraud": False, "scenario": None, "expected_refusal": None}


def _json(record: dict[str, Any]) -> bytes:
    zone = _ZONES.get(record["country"], UTC)
    moment = from_microseconds(record["event_time"]).astimezone(zone)
    # Local time with its offset, as tills write it; all six digits, since zeros would otherwise be left out.
    return json.dumps(
        {**record, "event_time": moment.isoformat(timespec="microseconds")}, separators=(",", ":")
    ).encode()
