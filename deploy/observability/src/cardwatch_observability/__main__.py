"""Writes the dashboards and the objectives' recording rules below a directory, ``deploy`` by default."""

import sys
from pathlib import Path
from typing import Final

from cardwatch_observability.files import generated

_DEPLOY: Final = Path(__file__).resolve().parents[3]


def main() -> None:
    """Write what has changed, and name each file."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else _DEPLOY
    for name, text in generated().items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
