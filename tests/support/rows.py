"""One test that checks every row of a table: as a test each, hundreds of rows would cost seconds of pytest's work."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

Test = Callable[..., None]


def _as_written(*values: Any) -> str:
    return ", ".join(map(repr, values))


def every_row(names: str, rows: Iterable[Any], ids: Callable[..., str] = _as_written) -> Callable[[Test], Test]:
    """Like `pytest.mark.parametrize`, as one test that checks all rows and names each that fails.

    For tests of which a row takes no time and changes nothing: fixtures are the same for all rows.

    Args:
        names: parameters of the test that a row has values for, separated by commas.
        rows: tuples with a value per parameter; the values themselves if there is one parameter.
        ids: what a row is called, of its values.
    """
    parameters = [name.strip() for name in names.split(",")]
    table = [(row,) if len(parameters) == 1 else tuple(row) for row in rows]
    if not table:
        raise ValueError(f"a table of {names} without rows tests nothing")

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)

        @functools.wraps(test)
        def check_all(**fixtures: Any) -> None:
            failed: list[str] = []
            for values in table:
                try:
                    test(**fixtures, **dict(zip(parameters, values, strict=True)))
                except Exception as error:  # noqa: BLE001 - reported below, with the row
                    failed.append(f"{ids(*values)}: {type(error).__name__}: {error}")
            if failed:
                raise AssertionError(f"{len(failed)} of {len(table)} rows fail:\n" + "\n".join(failed))

        fixtures = [parameter for name, parameter in signature.parameters.items() if name not in parameters]
        check_all.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return check_all

    return decorate
