"""What the log says of a warm-up: that it was completed, or why it was not."""

from types import SimpleNamespace
from typing import Any, cast

from cardwatch_detector.velocity.warm_up import WarmUp, wait_until_warm
from cardwatch_service.shutdown import Shutdown
from pyspark.sql.streaming.query import StreamingQuery
from structlog.testing import capture_logs

ENOUGH_BATCHES = 3


def a_query(*, active: bool) -> StreamingQuery:
    return cast(StreamingQuery, SimpleNamespace(isActive=active))


def logged(run: WarmUp, *, stop: bool = False, max_seconds: float = 60.0) -> Any:
    shutdown = Shutdown()
    if stop:
        shutdown.request()
    with capture_logs() as logs:
        wait_until_warm(run, shutdown, max_seconds)
    (line,) = logs
    return line["log_level"], line["event"]


def test_a_completed_warm_up_is_logged_as_completed() -> None:
    assert logged(WarmUp(a_query(active=True), ENOUGH_BATCHES)) == ("info", "warmed up")


def test_a_warm_up_that_takes_too_long_is_not_logged_as_completed() -> None:
    run = WarmUp(a_query(active=True), ENOUGH_BATCHES - 1)
    assert logged(run, max_seconds=0.0) == ("warning", "not warmed up in time, starting anyway")


def test_a_stop_during_the_warm_up_is_not_logged_as_completed() -> None:
    run = WarmUp(a_query(active=True), ENOUGH_BATCHES - 1)
    assert logged(run, stop=True) == ("info", "stopped before it was warmed up")


def test_a_warm_up_whose_query_failed_is_not_logged_as_completed() -> None:
    run = WarmUp(a_query(active=False), 1)
    assert logged(run) == ("warning", "the warm-up failed, starting anyway")
