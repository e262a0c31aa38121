"""The standard output receiver: one line per alert that a person can read."""

import json
import sys
from typing import Final, TextIO

from cardwatch_notifier.delivery.alert_text import alert_line
from cardwatch_notifier.delivery.receiver import Delivered, Outcome, TryAgain
from cardwatch_notifier.outbox.protocol import Message


class StandardOutput:
    """Writes lines to a text stream. A line counts as delivered once it is flushed."""

    name: Final = "stdout"
    target: Final = "stdout"
    concurrency: Final = 1  # lines keep the order of the alerts
    deadline_seconds: Final = 60.0  # not enforced: whoever reads may pause

    def __init__(self, stream: TextIO | None = None) -> None:
        """``stream`` is standard output unless given."""
        if stream is None:
            stream = sys.stdout
            if hasattr(stream, "reconfigure"):
                # A character that the terminal cannot show is written as its code instead of raising an error.
                stream.reconfigure(errors="backslashreplace")
        self._stream: Final = stream

    def deliver(self, message: Message) -> Outcome:
        try:
            self._stream.write(alert_line(json.loads(message.body)) + "\n")
            self._stream.flush()
        except (OSError, ValueError) as error:  # a closed pipe, a full disk
            return TryAgain(f"standard output cannot be written: {error}")
        return Delivered()

    def close(self) -> None:
        """Standard output is not ours to close."""
