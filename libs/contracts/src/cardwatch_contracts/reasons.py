"""Reason codes: why a message was refused. The only place where they are defined."""

from enum import StrEnum


class Reason(StrEnum):
    """Value of ``DeadLetter.reason`` and of the ``reason`` label of every refusal metric."""

    # The frame and its encoding
    EMPTY_MESSAGE = "empty_message"
    NOT_CONFLUENT_FRAMED = "not_confluent_framed"
    UNKNOWN_SCHEMA_ID = "unknown_schema_id"
    WRONG_SCHEMA = "wrong_schema"
    UNDECODABLE_AVRO = "undecodable_avro"
    MALFORMED_JSON = "malformed_json"
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    WRONG_TYPE = "wrong_type"

    # The values
    INVALID_TRANSACTION_ID = "invalid_transaction_id"
    INVALID_CARD_TOKEN = "invalid_card_token"  # noqa: S105
    INVALID_CARD_NUMBER = "invalid_card_number"
    CARD_NUMBER_PRESENT = "card_number_present"
    CONTROL_CHARACTERS = "control_characters"
    INVALID_BIN = "invalid_bin"
    INVALID_AMOUNT = "invalid_amount"
    UNKNOWN_CURRENCY = "unknown_currency"
    INVALID_MERCHANT_ID = "invalid_merchant_id"
    INVALID_MERCHANT_CATEGORY_CODE = "invalid_merchant_category_code"
    INVALID_COUNTRY = "invalid_country"
    INVALID_CHANNEL = "invalid_channel"
    INVALID_TRANSACTION_TYPE = "invalid_transaction_type"
    INVALID_STATUS = "invalid_status"
    INVALID_LOCATION = "invalid_location"
    EVENT_TIME_IN_FUTURE = "event_time_in_future"
    EVENT_TIME_IMPLAUSIBLE = "event_time_implausible"
    UNKNOWN_LABEL = "unknown_label"

    # An internal error: the message is kept as well, so that nothing is lost, and the metrics show it
    INTERNAL_ERROR = "internal_error"
