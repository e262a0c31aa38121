"""Files with labels of alerts: CSV with the columns alert_id, label and, if there is something to say, note."""

import csv
from pathlib import Path
from typing import Final, NamedTuple

from cardwatch_contracts.errors import ConfigurationError

_NEEDED: Final = ("alert_id", "label")
_NOTE: Final = "note"


class Verdict(NamedTuple):
    """What is said of one alert, as it was written."""

    alert_id: str
    label: str
    note: str


def read_feedback_file(path: Path) -> list[Verdict]:
    """The verdicts of a file, one a line, in order.

    Raises:
        ConfigurationError: the file cannot be read or is written otherwise.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            if missing := [name for name in _NEEDED if name not in columns]:
                raise ConfigurationError(
                    f"{path} has no column {' and no column '.join(missing)}; its first line must name alert_id, label "
                    "and, if wanted, note"
                )
            return [
                Verdict(row["alert_id"] or "", row["label"] or "", (row.get(_NOTE) or "").strip()) for row in reader
            ]
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no text in UTF-8 (byte {error.start})") from error
    except csv.Error as error:
        raise ConfigurationError(f"{path} is no CSV: {error}") from error
