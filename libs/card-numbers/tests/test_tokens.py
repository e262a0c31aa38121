"""Card numbers are turned into tokens."""

import hashlib
import hmac

import pytest
from cardwatch_card_numbers.check_digits import luhn_valid
from cardwatch_card_numbers.tokens import tokenise

KEY = bytes(range(32))


def test_token_is_the_hmac_of_the_whole_number() -> None:
    # 4111111111111111 is the card schemes' well-known test number.
    found = tokenise("4111 1111-1111 1111", KEY)
    assert found.card_token == hmac.new(KEY, b"4111111111111111", hashlib.sha256).hexdigest()[:32]
    assert (found.card_bin, found.card_last_four) == ("411111", "1111")
    assert tokenise("4111111111111111", KEY[:16]).card_token != found.card_token


@pytest.mark.parametrize("number", ["4111111111111112", "411111111111", "41111111111111111111", "x", ""])
def test_invalid_card_numbers_are_not_tokenised(number: str) -> None:
    with pytest.raises(ValueError, match="13 to 19 digits"):
        tokenise(number, KEY)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        tokenise("4111111111111111", b"short")


@pytest.mark.parametrize(
    ("number", "valid"),
    [("79927398713", False), ("4111111111111111", True), ("378282246310005", True), ("3782822463100051", False)],
)
def test_luhn(number: str, valid: bool) -> None:
    assert luhn_valid(number) is valid
