"""How an amount in minor units is written in its currency."""

from cardwatch_contracts.currencies import exponent


def format_amount(minor: int, currency: str) -> str:
    """``1234567`` and ``EUR`` → ``EUR 12,345.67``; exact for any amount."""
    decimals = exponent(currency)
    sign = "-" if minor < 0 else ""
    (major, rest) = divmod(abs(minor), 10**decimals)
    fraction = f".{rest:0{decimals}d}" if decimals else ""
    return f"{currency} {sign}{major:,}{fraction}"
