"""How many random examples a property test tries: some in `make test`, all of them in `make test-faults`."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import pytest
from hypothesis import settings

THOROUGH: Final = "thorough"
"""Hypothesis's profile in which all are tried (`--hypothesis-profile`), and the marker of tests with such a number."""

_SHARE: Final = 6

Test = TypeVar("Test", bound=Callable[..., None])


def share() -> int:
    """One in this many examples is tried."""
    return 1 if settings.get_current_profile_name() == THOROUGH else _SHARE


def some_of(all_of_them: int) -> int:
    """How many of a test's random examples are tried: in `make test` fewer; the test has the marker `thorough`."""
    return max(all_of_them // share(), 1)


def random_examples(all_of_them: int, **options: Any) -> Callable[[Test], Test]:
    """Like `hypothesis.settings(max_examples=all_of_them, **options)`, with fewer examples in `make test`.

    It has to stand above `hypothesis.given`, which would not pass the marker on.
    """
    chosen = settings(max_examples=some_of(all_of_them), **options)

    def decorate(test: Test) -> Test:
        marked: Test = getattr(pytest.mark, THOROUGH)(chosen(test))
        return marked

    return decorate
