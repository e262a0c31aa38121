"""Traces of the notifier: a span for each attempt to deliver, in the trace that the alert came with."""

from dataclasses import replace
from typing import Final

from cardwatch_service.tracing import MESSAGE_ID, OUTCOME, Tracer

from cardwatch_notifier.delivery.receiver import Delivered, Gone, Outcome, Receiver, Rejected, TryAgain
from cardwatch_notifier.outbox.protocol import Message

# How attempts are counted in the metrics too, as far as a receiver can know.
_OUTCOMES: Final = {Delivered: "delivered", TryAgain: "try_again", Rejected: "rejected", Gone: "gone"}


class TracedReceiver:
    """A receiver whose attempts are spans; the span's context goes out with the message in place of the alert's."""

    def __init__(self, receiver: Receiver, tracer: Tracer) -> None:
        self._receiver: Final = receiver
        self._tracer: Final = tracer
        self.name: Final = receiver.name
        self.target: Final = receiver.target
        self.concurrency: Final = receiver.concurrency
        self.deadline_seconds: Final = receiver.deadline_seconds

    def deliver(self, message: Message) -> Outcome:
        if message.trace_context is None:
            return self._receiver.deliver(message)
        span = self._tracer.start_delivery(self.name, context=message.trace_context)
        span.set_attributes({MESSAGE_ID: message.message_id})
        try:
            outcome = self._receiver.deliver(replace(message, trace_context=span.context))
        except BaseException as error:
            span.end(type(error).__name__)
            raise
        name = _OUTCOMES[type(outcome)]
        span.set_attributes({OUTCOME: name})
        span.end("" if isinstance(outcome, Delivered) else name)
        return outcome

    def close(self) -> None:
        self._receiver.close()
