"""The standard output receiver: one line an alert that a person can read."""

import json
import sys
from typing import Any, Final, TextIO

from cardwatch_units.durations import format_duration

from cardwatch_notifier.delivery.currencies import format_amount
from cardwatch_notifier.delivery.receiver import Delivered, Outcome, TryAgain
from cardwatch_notifier.outbox.protocol import Message


class StandardOutput:
    """Writes lines to a text stream. A line counts as delivered once it is flushed."""

    name: Final = "stdout"
    target: Final = "stdout"
    concurrency: Final = 1  # lines keep the order of the alerts

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream: Final = sys.stdout if stream is None else stream

    def deliver(self, message: Message) -> Outcome:
        try:
            self._stream.write(alert_line(json.loads(message.body)) + "\n")
            self._stream.flush()
        except (OSError, ValueError) as error:  # a closed pipe, a full disk
            return TryAgain(f"standard output cannot be written: {error}")
        return Delivered()

    def close(self) -> None:
        """Standard output is not ours to close."""


def alert_line(body: dict[str, Any]) -> str:
    """The line of a message: time, severity, title, card, amount, merchant, country, measures, id."""
    data = body["data"]
    severity = str(data["severity"]).upper()
    status = body["type"].removeprefix("alert.")
    verdict = severity if status == "raised" else f"{status.upper()} {severity}"
    measures = ", ".join(_measure(measure) for measure in data["measures"])
    parts = [
        f"{data['event_time'][:19]}Z  {verdict:<8}  {data['rule_title']}",
        f"card {data['card_bin']}…{data['card_last_four']}",
        f"{format_amount(data['amount_minor'], data['currency'])} at {data['merchant_id']} in {data['country']}",
        measures,
        f"alert {data['alert_id']}",
    ]
    return _printable(" | ".join(part for part in parts if part))


def _measure(measure: dict[str, Any]) -> str:
    value = measure["value"] if measure.get("text") is None else measure["text"]
    shown = "none" if value is None else _number(value) if isinstance(value, int | float) else value
    return f"{measure['name']} {shown} in {format_duration(measure['window_us'], one_day='1d')}"


def _number(value: float) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"


def _printable(line: str) -> str:
    """No control characters: text from a transaction must not break the line or steer the terminal."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in line)
