"""The whole of the enricher's work on one message, without I/O of its own.

decode ─▶ (tokenise) ─▶ validate ─▶ enrich ─▶ Enriched
   └────────┴─────────────┴────────────┴─ RefusedError, defects ─▶ dead letter
                                                          └─ defects ─▶ last-resort dead letter
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cardwatch_contracts.errors import RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Record
from cardwatch_kafka.dead_letters import DeadLetter, ReportInternalError, build_or_last_resort, describe_internal_error
from cardwatch_kafka.messages import ReceivedMessage

from cardwatch_enricher.pipeline.dead_letters import SERVICE
from cardwatch_enricher.pipeline.outcomes import Enriched, Outcome

Decode = Callable[[bytes | None], Record]
Validate = Callable[[Record, int], None]
Enrich = Callable[[Record, ReceivedMessage, int, int], Record]
LookUpSchemas = Callable[..., None]
BuildDeadLetter = Callable[[ReceivedMessage, RefusedError, Record | None, int], DeadLetter]


@dataclass(frozen=True)
class Pipeline:
    """Turns messages into outcomes.

    Attributes:
        decoders: by topic, how its values become records of ``transaction.avsc``.
        validate: as ``Validator``.
        enrich: as ``Enricher``.
        build_dead_letter: as ``DeadLetterBuilder``.
        now: the time, in microseconds since 1970 UTC.
        report_internal_error: called with each message that the enricher fails on.
        schema_look_ups: by topic, how the schemas of a batch are asked for: ``Decoder.look_up``.
    """

    decoders: Mapping[str, Decode]
    validate: Validate
    enrich: Enrich
    build_dead_letter: BuildDeadLetter
    now: Callable[[], int]
    report_internal_error: ReportInternalError
    schema_look_ups: Mapping[str, LookUpSchemas] = field(default_factory=dict)

    def look_up(self, messages: Sequence[ReceivedMessage], *, suspect_outage: bool = True) -> None:
        """Ask the registry for the schemas of a batch at once, before its messages are decoded one by one.

        Args:
            suspect_outage: whether most messages having unknown schema ids is an outage of the registry.

        Raises:
            RegistryUnavailableError: it has an outage: repeat the call with the same batch.
        """
        for topic, look_up in self.schema_look_ups.items():
            values = [message.value for message in messages if message.topic == topic]
            look_up(values, suspect_outage=suspect_outage)

    def __call__(self, message: ReceivedMessage, decoded: Record | None = None) -> Outcome:
        """The outcome of a message; an invalid message is an outcome, not an exception.

        Args:
            decoded: the message's content, a record of ``transaction.avsc``, where its bytes no longer hold all of it.

        Raises:
            RegistryUnavailableError: nothing can be known about the message now: try again.
        """
        record: Record | None = None
        now = self.now()
        # A broker that keeps no times leaves only our own clock to measure from.
        received_at = now if message.broker_time is None else message.broker_time
        try:
            record = self.decoders[message.topic](message.value) if decoded is None else decoded
            self.validate(record, received_at)
            silver = self.enrich(record, message, received_at, now)
            return Enriched(message, silver["card_token"].encode("ascii"), silver)
        except RegistryUnavailableError:
            raise
        except RefusedError as error:
            return self._dead_letter(message, error, record)
        except Exception as error:  # noqa: BLE001  # an internal error must affect one message at most, never the stream
            return self.internal_error(message, error, record)

    def internal_error(self, message: ReceivedMessage, error: Exception, record: Record | None = None) -> DeadLetter:
        """The dead letter of a message that the enricher failed on.

        The exception's text is left out, since it may quote the message.
        """
        (error_type, where) = describe_internal_error(error)
        self.report_internal_error(message, error_type, where)
        refused = RefusedError(
            Reason.INTERNAL_ERROR,
            f"the enricher failed with {error_type}, a defect of its own; redrive once it is fixed",
        )
        return self._dead_letter(message, refused, record)

    def _dead_letter(self, message: ReceivedMessage, refused: RefusedError, record: Record | None) -> DeadLetter:
        now = self.now()
        return build_or_last_resort(
            lambda: self.build_dead_letter(message, refused, record, now),
            message,
            refused,
            service=SERVICE,
            refused_at=now,
            report_internal_error=self.report_internal_error,
        )
