"""No text in a log can steer the terminal that shows it, or pass for an event of its own."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog
from cardwatch_service.logs import configure_logging, get_logger
from support.hostile_texts import HARMLESS_TEXTS, HOSTILE_TEXTS, HostileText, control_characters


@pytest.fixture(params=["console", "json"])
def log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Standard error with the service's logging, in one of the two formats."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logging("tests", log_format=request.param)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("case", HOSTILE_TEXTS, ids=str)
def test_events_steer_nothing(log: io.StringIO, case: HostileText) -> None:
    get_logger("test").info(
        f"event {case.text}", reason=case.text, error=ValueError(case.text), many=[case.text, {case.text: case.text}]
    )
    assert control_characters(log.getvalue(), allowed="\n") == []
    assert log.getvalue().count("\n") == 1


@pytest.mark.parametrize("case", HOSTILE_TEXTS, ids=str)
def test_other_libraries_events_steer_nothing(log: io.StringIO, case: HostileText) -> None:
    logging.getLogger("library").warning("got %s", case.text)
    assert control_characters(log.getvalue(), allowed="\n") == []
    assert log.getvalue().count("\n") == 1


@pytest.mark.parametrize("case", HOSTILE_TEXTS, ids=str)
def test_a_traceback_contains_no_line_that_looks_like_an_event(log: io.StringIO, case: HostileText) -> None:
    forged = f"{case.text}\n2026-11-30T00:00:00Z [info     ] forged"

    def fail() -> None:
        raise ValueError(forged)

    try:
        fail()
    except ValueError:
        get_logger("test").exception("failed")
    assert control_characters(log.getvalue(), allowed="\n") == []
    first, *others = log.getvalue().splitlines()
    assert "failed" in first
    assert all(not line or line.startswith("  ") for line in others)


def test_values_of_a_json_event_are_escaped_and_numbers_stay(log: io.StringIO, request: pytest.FixtureRequest) -> None:
    get_logger("test").info("event", text="a\u202eb", number=1, share=0.5, yes=True, nothing=None, many=("a", 2))
    if not log.getvalue().startswith("{"):
        assert re.search(r"text=a\\u202eb\b", log.getvalue())
        return
    event = json.loads(log.getvalue())
    assert event["text"] == "a\\u202eb"
    assert (event["number"], event["share"], event["yes"], event["nothing"], event["many"]) == (
        1,
        0.5,
        True,
        None,
        ["a", 2],
    )


@pytest.mark.parametrize("text", HARMLESS_TEXTS)
def test_text_of_any_script_stays(log: io.StringIO, text: str) -> None:
    get_logger("test").info("event", text=text)
    line = log.getvalue()
    assert text in (json.loads(line)["text"] if line.startswith("{") else line)
