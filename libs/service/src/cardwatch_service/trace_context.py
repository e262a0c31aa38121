"""The trace that a message belongs to, as it travels: W3C Trace Context, in headers or as one text.

The text is what ``traceparent`` holds, and where there is a ``tracestate`` a space and that. It names a trace and the
step that told it; nothing in it says anything about a transaction.
"""

import re
from collections.abc import Iterable
from typing import Final

from cardwatch_contracts.cards import find_card_numbers

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

# version "-" trace id "-" id of the step "-" flags; ids of zeros only are none, and version ff is forbidden.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(?:-[!-~]*)?"
)
_TRACESTATE: Final = re.compile(r"[ -~]{1,512}")
_LONGEST_TRACEPARENT: Final = 512
_SAMPLED: Final = 0x01


def carried(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """The trace context among a message's headers; None where there is none that can be used.

    Whoever may write to a topic may write headers: what is malformed counts as absent, and so does what holds something
    that could be a card number, since it would be handed on.
    """
    parent = state = None
    for name, value in headers:  # of several with one name the last one counts, as Kafka's own clients have it
        if name == TRACEPARENT:
            parent = value
        elif name == TRACESTATE:
            state = value
    if parent is None or len(parent) > _LONGEST_TRACEPARENT:
        return None
    found = _TRACEPARENT.fullmatch(parent.decode("latin-1"))
    if found is None or (found[1] == "00" and len(found[0]) != len("00-") + len(found[2])):
        return None
    # Of a version to come, this much means the same.
    context = f"00-{found[2]}"
    if find_card_numbers(context):
        return None
    text = (state or b"").decode("latin-1").strip()
    return f"{context} {text}" if _TRACESTATE.fullmatch(text) and not find_card_numbers(text) else context


def is_sampled(context: str) -> bool:
    """Whether the trace is recorded."""
    return bool(int(context[53:55], 16) & _SAMPLED)


def as_headers(context: str) -> list[tuple[str, bytes]]:
    """A trace context as headers of a Kafka message."""
    return [(name, value.encode("ascii")) for name, value in as_text_headers(context).items()]


def as_text_headers(context: str) -> dict[str, str]:
    """A trace context as headers of an HTTP request."""
    parent, _, state = context.partition(" ")
    return {TRACEPARENT: parent, TRACESTATE: state} if state else {TRACEPARENT: parent}
