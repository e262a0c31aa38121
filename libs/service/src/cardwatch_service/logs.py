"""Logging: one line per event to standard error, for people (console) or machines (JSON).

Texts of messages and of other systems get into events. Control characters and marks of direction in them are escaped,
in both formats: no text can steer a terminal, or write a line that looks like another event.
"""

import logging
import sys
from typing import Any, Final

import structlog

from cardwatch_service.printable import escape_control_characters

# What has lines of its own: they are indented, so that none of them can pass for an event.
_WITH_LINES: Final = frozenset({"exception", "stack"})
_INDENT: Final = "  "


def configure_logging(service: str, level: str = "INFO", log_format: str = "console") -> None:
    """Configure structlog and the standard library's logging in the same way.

    Args:
        service: added to every event as ``service``.
        level: DEBUG, INFO, WARNING or ERROR.
        log_format: ``console`` or ``json``.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _escape_texts,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("httpx", "httpx2", "httpcore", "httpcore2", "py4j"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)


def _escape_texts(_logger: Any, _method: str, event: Any) -> Any:
    """A structlog processor: every text of an event without control characters."""
    return {
        escape_control_characters(str(key)): _indented(value)
        if key in _WITH_LINES and isinstance(value, str)
        else _escaped(value)
        for key, value in event.items()
    }


def _escaped(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_escaped(item) for item in value]
    return escape_control_characters(str(value))


def _indented(text: str) -> str:
    return _INDENT + escape_control_characters(text, keep_newlines=True).replace("\n", f"\n{_INDENT}")


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; ``log.info("what happened", key=value)``."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
