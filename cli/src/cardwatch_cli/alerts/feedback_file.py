"""Files with labels of alerts: CSV with the columns alert_id, label and, optionally, note."""

import csv
from pathlib import Path
from typing import Final, NamedTuple

from cardwatch_contracts.errors import ConfigurationError

_REQUIRED_COLUMNS: Final = ("alert_id", "label")
_NOTE_COLUMN: Final = "note"


class AlertFeedback(NamedTuple):
    """An analyst's label of one alert, not checked yet."""

    alert_id: str
    label: str
    note: str


def read_feedback_file(path: Path) -> list[AlertFeedback]:
    """The labels of a file, one per line, in order.

    Raises:
        ConfigurationError: the file cannot be read or has another format.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            if missing := [name for name in _REQUIRED_COLUMNS if name not in columns]:
                raise ConfigurationError(
                    f"{path}, line 1: expected the columns alert_id, label and, optionally, note; "
                    f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
                )
            return [
                AlertFeedback(row["alert_id"] or "", row["label"] or "", (row.get(_NOTE_COLUMN) or "").strip())
                for row in reader
            ]
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text (byte {error.start})") from error
    except csv.Error as error:
        raise ConfigurationError(f"{path} is not valid CSV: {error}") from error
