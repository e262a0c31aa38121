"""The terminal output while the pipeline runs: a line of progress, and the alerts as they arrive.

On a terminal the progress stays at the bottom; elsewhere (a log, a pipe) a plain line is printed every few seconds.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from cardwatch_service.printable import escape_control_characters
from rich.console import Console
from rich.live import Live
from rich.text import Text

from cardwatch_cli.demo.progress import Progress

_PLAIN_EVERY_SECONDS: Final = 5.0
_ALERTS_SHOWN_AT_ONCE: Final = 3
_SEVERITY_STYLES: Final = {"critical": "bold red", "high": "red", "medium": "yellow"}


class Screen:
    """Writes to standard output."""

    def __init__(self, console: Console | None = None) -> None:
        self.console: Final = console or Console(highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._last_plain = 0.0
        self._started: Final = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        """Print a line that stays."""
        self.console.print(Text(text, style=style))

    def step(self, text: str) -> None:
        """Print what has been reached, with the seconds since the command started."""
        self.console.print(Text(f"{time.monotonic() - self._started:6.1f} s  {text}"))

    def live(self) -> AbstractContextManager[object]:
        """While this is open, ``status`` stays at the bottom of a terminal."""
        if not self.console.is_terminal:
            return nullcontext()
        self._live = Live(Text(""), console=self.console, refresh_per_second=4, transient=True)
        return self._live

    def status(self, text: str, *, at_once: bool = False) -> None:
        """Show progress: on a terminal it replaces the last one; elsewhere it is printed every few seconds."""
        if self._live is not None and self._live.is_started:
            self._live.update(Text(text, style="cyan"))
        elif at_once or time.monotonic() - self._last_plain >= _PLAIN_EVERY_SECONDS:
            self._last_plain = time.monotonic()
            self.step(text)

    def waiting(self, reasons: Mapping[str, str]) -> None:
        """Show which services are not ready yet."""
        if reasons:
            self.status("waiting for " + ", ".join(reasons), at_once=True)

    def progress(self, progress: Progress) -> None:
        """Show how far the pipeline is."""
        self.status(
            f"produced {progress.produced:,}  silver {progress.silver:,}  alerts {progress.alerts:,}  "
            f"delivered {progress.delivered:,}  lag {progress.lag:,}"
        )

    def draining(self, name: str, left: int) -> None:
        """Show which service still has something to process after the producer has ended."""
        self.status(f"waiting for the {name}: {left:,} to go")

    def alerts(self, payloads: Sequence[Mapping[str, Any]]) -> None:
        """Print alerts that have just arrived at the webhook: the first few in full."""
        for payload in payloads[:_ALERTS_SHOWN_AT_ONCE]:
            self.console.print(Text(alert_line(payload), style=_SEVERITY_STYLES.get(str(payload["severity"]), "")))
        if (more := len(payloads) - _ALERTS_SHOWN_AT_ONCE) > 0:
            self.console.print(Text(f"          … and {more} more", style="dim"))


def alert_line(alert: Mapping[str, Any]) -> str:
    """One alert as a line: severity, rule, card, merchant and the measures."""
    measures = ", ".join(
        f"{measure['name']} {measure.get('text') or _number(measure['value'])}" for measure in alert["measures"]
    )
    word = "ALERT" if alert["status"] == "raised" else str(alert["status"]).upper()
    return escape_control_characters(
        f"  {word} {alert['severity']:<8}  {alert['rule_title']}  card …{alert['card_last_four']}  "
        f"{alert['merchant_id']} {alert['country']}  ({measures})"
    )


def _number(value: float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
