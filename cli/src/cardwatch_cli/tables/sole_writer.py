"""Keeps a command that writes tables away from the lakehouse, and from other commands, where only one may write."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import typer
from cardwatch_lakehouse.leases.keeper import hold
from cardwatch_lakehouse.leases.opening import WRITER, open_lease, why_no_lease
from cardwatch_lakehouse.leases.record import LeaseRecord
from cardwatch_lakehouse.locations import takes_one_writer

_REPORT_EVERY_SECONDS: Final = 5


@contextmanager
def sole_writer(tables_dir: str, command: str, *, dry_run: bool = False) -> Iterator[Callable[[], None]]:
    """Be the only writer of the tables for the time of the block, where there must be only one: on S3.

    Args:
        command: the command, for those who find it as the lease's holder.
        dry_run: the block writes nothing.

    Yields:
        What to call before each write: it returns if this process may still write.

    Raises:
        CardwatchError: the lakehouse, or another command, is writing there; the sentence names it.
    """
    reason = why_no_lease(tables_dir)
    if dry_run or reason or not takes_one_writer(tables_dir):
        if reason and not dry_run and takes_one_writer(tables_dir):
            _report(f"warning: nothing keeps the lakehouse from writing meanwhile: {reason}")
        yield lambda: None
        return
    lease = open_lease(tables_dir, WRITER, f"cardwatch tables {command}")
    with hold([lease], waiting=_report_wait, on_failure=_report_failure):
        yield lease.check


def _report_wait(record: LeaseRecord, seconds: float) -> None:
    if round(seconds) % _REPORT_EVERY_SECONDS == 0:
        _report(f"waiting {seconds:.0f} s for {record.holder}, which shows no sign of life")


def _report_failure(error: Exception) -> None:
    _report(f"warning: {error}; it is tried again")


def _report(text: str) -> None:
    typer.echo(text, err=True)
