"""Settings that check themselves when they are loaded, and report all problems at once."""

from collections.abc import Iterator
from typing import Self

from pydantic import model_validator
from pydantic_settings import BaseSettings


class CheckedSettings(BaseSettings):
    """A class of settings adds its own ``_problems`` to those of its bases."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        """Everything that is wrong with several settings together, or that must not be quoted: sentences."""
        yield from ()
