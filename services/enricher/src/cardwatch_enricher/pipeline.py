"""The whole of the enricher's work on one message: raw message in, silver record or dead letter out. No I/O of its own.

decode ─▶ (tokenise) ─▶ validate ─▶ enrich ─▶ Enriched
   └────────┴─────────────┴────────────┴─ RefusedError ─▶ refuse ─▶ Refused
"""

import traceback
from collections.abc import Callable
from typing import Final

from cardwatch_contracts.errors import RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.wire import Record

from cardwatch_enricher.enrich import Enricher
from cardwatch_enricher.message import Enriched, Outcome, RawMessage, Refused
from cardwatch_enricher.refuse import Refusal
from cardwatch_enricher.validate import Validator

Decode = Callable[[bytes | None], Record]

DefectReport = Callable[[RawMessage, str, str], None]
"""Told of a defect of ours: the message, the exception's type, and where it was raised (no values)."""


class Pipeline:
    """Turns messages into outcomes."""

    def __init__(
        self,
        *,
        decoders: dict[str, Decode],
        validate: Validator,
        enrich: Enricher,
        refuse: Refusal,
        now: Callable[[], int],
        report_defect: DefectReport,
    ) -> None:
        """
        Args:
            decoders: topic → how its values become records of ``transaction.avsc``.
            now: the time, microseconds since epoch UTC.
        """
        self._decoders: Final = decoders
        self._validate = validate
        self._enrich = enrich
        self._refuse = refuse
        self._now = now
        self._report_defect = report_defect

    def __call__(self, message: RawMessage, decoded: Record | None = None) -> Outcome:
        """What becomes of a message. A bad one is an outcome, not an exception.

        Args:
            decoded: what the message says, a record of ``transaction.avsc``, where its bytes no longer hold all of it.

        Raises:
            RegistryUnavailableError: nothing can be known about it now: try again.
        """
        record: Record | None = None
        now = self._now()
        # A broker that keeps no times leaves only our own clock to measure from.
        received_at = now if message.broker_time is None else message.broker_time
        try:
            record = self._decoders[message.topic](message.value) if decoded is None else decoded
            self._validate(record, received_at)
            silver = self._enrich(record, message, received_at, now)
            return Enriched(message, silver["card_token"].encode("ascii"), silver)
        except RegistryUnavailableError:
            raise
        except RefusedError as error:
            return self._refuse(message, error, record, now)
        except Exception as error:  # noqa: BLE001  # a defect of ours must cost one message at most, never the stream
            return self.defect(message, error, record)

    def defect(self, message: RawMessage, error: Exception, record: Record | None = None) -> Refused:
        """The dead letter of a message that something unforeseen happened to; the exception's text is left out, since
        it may quote the message."""
        self._report_defect(message, type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
        refused = RefusedError(
            Reason.INTERNAL_ERROR,
            f"the enricher failed with {type(error).__name__}, a defect of its own; redrive when it is mended",
        )
        return self._refuse(message, refused, record, self._now())
