"""The trace that a message belongs to, as it is sent: W3C Trace Context, in headers or as one text.

The text is the value of ``traceparent``, followed by a space and the value of ``tracestate`` if there is one. It names
a trace and the span that the next one continues; nothing in it says anything about a transaction.
"""

import re
from collections.abc import Iterable
from typing import Final

from cardwatch_card_numbers.scanner import holds_card_number

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

# version "-" trace id "-" span id "-" flags; ids of zeros only are invalid, and version ff is forbidden.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?:-[!-~]*)?"
)
_TRACESTATE: Final = re.compile(r"[ -~]{1,512}")
_MAX_TRACEPARENT_BYTES: Final = 512
_SAMPLED: Final = 0x01


def extract_context(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """The trace context in a message's headers; None if they have no valid one.

    Any producer may write headers: a malformed context counts as absent, and so does one that contains
    something that could be a card number, since it is copied to other messages.
    """
    parent = state = None
    for name, value in headers:  # of several with one name the last one counts, as in Kafka's own clients
        if name == TRACEPARENT:
            parent = value
        elif name == TRACESTATE:
            state = value
    if parent is None or len(parent) > _MAX_TRACEPARENT_BYTES:
        return None
    found = _TRACEPARENT.fullmatch(parent.decode("latin-1"))
    if found is None or (found[1] == "00" and len(found[0]) != len("00-") + len(found[2])):
        return None
    # A later version may add parts; these mean the same in all versions.
    context = f"00-{found[2]}"
    if holds_card_number(context):
        return None
    text = (state or b"").decode("latin-1").strip()
    return f"{context} {text}" if _TRACESTATE.fullmatch(text) and not holds_card_number(text) else context


def is_sampled(context: str) -> bool:
    """Whether the trace is recorded."""
    return bool(int(context[53:55], 16) & _SAMPLED)


def to_headers(context: str) -> list[tuple[str, bytes]]:
    """A trace context as headers of a Kafka message."""
    return [(name, value.encode("ascii")) for name, value in to_text_headers(context).items()]


def to_text_headers(context: str) -> dict[str, str]:
    """A trace context as headers of an HTTP request."""
    parent, _, state = context.partition(" ")
    return {TRACEPARENT: parent, TRACESTATE: state} if state else {TRACEPARENT: parent}
