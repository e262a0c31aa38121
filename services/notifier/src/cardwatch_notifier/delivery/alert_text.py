"""An alert as one line of text that a person can read."""

from collections.abc import Mapping
from typing import Any, Final

from cardwatch_service.printable import escape_control_characters
from cardwatch_units.durations import format_duration

# ISO 4217, list one: the currencies whose minor unit is not a hundredth.
_EXPONENTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND"), 0),
    **dict.fromkeys(("VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def alert_line(body: dict[str, Any]) -> str:
    """The line of a message: time, severity, title, card, amount, merchant, country, measures, id."""
    data = body["data"]
    severity = str(data["severity"]).upper()
    status = body["type"].removeprefix("alert.")
    severity_and_status = severity if status == "raised" else f"{status.upper()} {severity}"
    measures = ", ".join(_measure(measure) for measure in data["measures"])
    parts = [
        f"{data['event_time'][:19]}Z  {severity_and_status:<8}  {data['rule_title']}",
        f"card {data['card_bin']}…{data['card_last_four']}",
        f"{format_amount(data['amount_minor'], data['currency'])} at {data['merchant_id']} in {data['country']}",
        measures,
        f"alert {data['alert_id']}",
    ]
    return escape_control_characters(" | ".join(part for part in parts if part))


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


def _measure(measure: dict[str, Any]) -> str:
    value = measure["value"] if measure.get("text") is None else measure["text"]
    shown = "none" if value is None else _number(value) if isinstance(value, int | float) else value
    return f"{measure['name']} {shown} in {format_duration(measure['window_us'], one_day='1d')}"


def _number(value: float) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
