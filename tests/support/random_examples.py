"""How many random examples a property test tries: some in `make test`, all of them in `make test-faults`."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import pytest
from hypothesis import settings

THOROUGH: Final = "thorough"
"""Hypothesis's profile in which all are tried (`--hypothesis-profile`), and the marker of tests with such a number."""

SHARE: Final = 6
"""Without that profile, one in this many examples is tried."""

Test = TypeVar("Test", bound=Callable[..., None])


def random_examples(all_of_them: int, **options: Any) -> Callable[[Test], Test]:
    """Like `hypothesis.settings(max_examples=all_of_them, **options)`, with fewer examples in `make test`.

    It has to stand above `hypothesis.given`, which would not pass the marker on.
    """
    thorough = settings.get_current_profile_name() == THOROUGH
    chosen = settings(max_examples=all_of_them if thorough else max(all_of_them // SHARE, 1), **options)

    def decorate(test: Test) -> Test:
        marked: Test = getattr(pytest.mark, THOROUGH)(chosen(test))
        return marked

    return decorate
