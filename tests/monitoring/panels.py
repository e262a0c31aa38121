"""The queries of the committed dashboards."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

DASHBOARDS: Final = Path(__file__).parents[2] / "deploy/grafana/dashboards"


@dataclass(frozen=True, slots=True)
class Question:
    """One query of one panel."""

    dashboard: str
    row: str
    panel: str
    ref: str
    expression: str

    def __str__(self) -> str:
        return f"{self.dashboard} / {self.row} / {self.panel} / {self.ref}"


def questions() -> list[Question]:
    """All queries of all panels of all dashboards."""
    return [question for path in sorted(DASHBOARDS.glob("*.json")) for question in _of(json.loads(path.read_text()))]


def _of(board: dict[str, Any]) -> Iterator[Question]:
    row = ""
    for panel in board["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
            continue
        for target in panel["targets"]:
            yield Question(board["uid"], row, panel["title"], target["refId"], target["expr"])
