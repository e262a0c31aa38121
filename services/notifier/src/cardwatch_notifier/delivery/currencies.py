"""How an amount in minor units is written in its currency."""

from collections.abc import Mapping
from typing import Final

# ISO 4217, list one: the currencies whose minor unit is not a hundredth.
_EXPONENTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND"), 0),
    **dict.fromkeys(("VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def exponent(currency: str) -> int:
    """How many decimals a currency has (ISO 4217)."""
    return _EXPONENTS.get(currency, 2)


def format_amount(minor: int, currency: str) -> str:
    """``1234567`` and ``EUR`` → ``EUR 12,345.67``; exact for any amount."""
    decimals = exponent(currency)
    sign = "-" if minor < 0 else ""
    (major, rest) = divmod(abs(minor), 10**decimals)
    fraction = f".{rest:0{decimals}d}" if decimals else ""
    return f"{currency} {sign}{major:,}{fraction}"
