"""A message that cannot be read stops no reader, with any exception."""

import pytest
from cardwatch_contracts.errors import RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_kafka.messages import ReceivedMessage
from cardwatch_rulebook.messages import Reader

MESSAGE = ReceivedMessage("rules.v1", 0, 3, b"k", b"v")


def reader_that_raises(error: Exception, refused: list[Reason]) -> Reader[object]:
    def from_record(_: object) -> object:
        raise error

    return Reader(lambda _: {}, from_record, refused.append)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RefusedError(Reason.UNDECODABLE_AVRO, "no"), Reason.UNDECODABLE_AVRO),
        (ValueError("no"), Reason.WRONG_TYPE),
        (OverflowError("no"), Reason.INTERNAL_ERROR),
        (RecursionError("no"), Reason.INTERNAL_ERROR),
        (KeyError("no"), Reason.INTERNAL_ERROR),
    ],
)
def test_a_message_that_cannot_be_read_is_skipped(error: Exception, reason: Reason) -> None:
    refused: list[Reason] = []
    reader = reader_that_raises(error, refused)
    assert reader(MESSAGE) is None
    assert (refused, reader.skipped) == ([reason], 1)


def test_a_registry_that_is_away_skips_nothing() -> None:
    with pytest.raises(RegistryUnavailableError):
        reader_that_raises(RegistryUnavailableError("away"), [])(MESSAGE)
