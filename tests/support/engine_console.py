"""The rule engine in the JVM as one process that evaluates what tests send it; its other end is ProgramConsole.java."""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cardwatch_platform.artifacts import load_lock
from cardwatch_platform.java import java, java_environment
from cardwatch_platform.java_build import JavaBuild, JavaProject
from cardwatch_platform.reporting import SilentReporter
from cardwatch_platform.settings import PlatformSettings
from cardwatch_rules.program.document import expression_document
from cardwatch_rules.program.instructions import Expression
from cardwatch_rules.program.polars_conditions import Lists

ENGINE: Final = JavaProject("cardwatch-engine", Path(__file__).resolve().parents[2] / "services/spark-detector/jvm")
_PROGRAM_CONSOLE: Final = "cardwatch.engine.program.ProgramConsole"

Row = Mapping[str, Any]


class Console:
    """Requests to a process, one after another."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request, default=str) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer


class EngineConsole:
    """Programs evaluated by the process ProgramConsole."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def values(
        self, expressions: Sequence[Expression], rows: Sequence[Row], lists: Lists, measure_types: Sequence[str]
    ) -> list[list[Any]]:
        """The values of each expression on each row.

        Args:
            rows: each with ``fields``, ``measures`` (a list) and ``profile`` (without fields that are null).
            measure_types: as in programs.
        """
        request = {
            "expressions": [expression_document(expression) for expression in expressions],
            "rows": rows,
            "lists": {name: sorted(values) for name, values in lists.items()},
            "measure_types": measure_types,
        }
        values: list[list[Any]] = self._console.ask(request)["values"]
        return values

    def rules(self, program: str, lists: str, events: Sequence[Row]) -> dict[str, Any]:
        """``hits``: of each rule [ordinal, values of the measures…], latest first; ``set_aside``: reason by rule.

        Args:
            program: as JSON.
            lists: as JSON.
            events: of one key, with ``event_time``.
        """
        return self._console.ask({"program": json.loads(program), "lists": json.loads(lists), "events": events})


@contextmanager
def engine_console() -> Iterator[EngineConsole]:
    """A running process that evaluates programs."""
    with java_console(_PROGRAM_CONSOLE) as console:
        yield EngineConsole(console)


@contextmanager
def java_console(main: str) -> Iterator[Console]:
    """A running process of one of the engine's test classes with a main method, which answers a line with a line."""
    build = JavaBuild(ENGINE, PlatformSettings(), load_lock(), SilentReporter())
    command = [java(), "-Xmx512m", "-XX:+UseSerialGC", "-cp", build.test_class_path(), main]
    with subprocess.Popen(
        command, env=java_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            yield Console(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(timeout=30)
