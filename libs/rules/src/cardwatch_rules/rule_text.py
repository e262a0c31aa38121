"""A rule as it is written in YAML: which entries there are, and of what type."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cardwatch_rules.model import MAX_RULE_VERSION, Mode, Severity

# Reported first: a misspelt name explains why another one is missing.
_UNKNOWN_ENTRY: Final = "unknown entry"
_MAX_MISTAKES: Final = 20


class RuleMistakeError(Exception):
    """A mistake in a rule.

    Attributes:
        place: the keys that lead to the mistake within the rule.
        sentence: what was expected and what was found.
    """

    def __init__(self, place: tuple[str, ...], sentence: str) -> None:
        super().__init__(sentence)
        self.place = place
        self.sentence = sentence


class MeasureText(BaseModel):
    """An entry under ``measures:``."""

    model_config = ConfigDict(extra="forbid")
    window: str
    is_: Annotated[str, Field(alias="is")]
    where: str | None = None


class RuleText(BaseModel):
    """An entry under ``rules:``."""

    model_config = ConfigDict(extra="forbid")
    id: str
    version: Annotated[int, Field(ge=1, le=MAX_RULE_VERSION)] = 1
    title: str
    explanation: str = ""
    scope: str
    severity: Severity = Severity.MEDIUM
    mode: Mode = Mode.LIVE
    measures: dict[str, MeasureText] = {}
    when: str
    suppress: str | None = None


def validate_rule_text(item: Any) -> RuleText:
    """Check the entries of a rule and their types.

    Raises:
        RuleMistakeError: some are wrong; the sentence names each.
    """
    try:
        return RuleText.model_validate(item)
    except ValidationError as error:
        (place, first), *others = sorted(
            islice(_mistakes(error), _MAX_MISTAKES), key=lambda mistake: _UNKNOWN_ENTRY not in mistake[1]
        )
        sentence = "; ".join([first, *(": ".join((*where, other)) for where, other in others)])
        if error.error_count() > _MAX_MISTAKES:
            sentence += f"; and {error.error_count() - _MAX_MISTAKES} more mistakes"
        raise RuleMistakeError(place, sentence) from error


def _mistakes(error: ValidationError) -> Iterator[tuple[tuple[str, ...], str]]:
    for mistake in error.errors(include_url=False, include_input=False):
        place = tuple(str(part) for part in mistake["loc"])
        match mistake["type"]:
            case "missing":
                yield place[:-1], f"`{place[-1]}` is missing"
            case "extra_forbidden":
                model = MeasureText if place[:1] == ("measures",) else RuleText
                known = ", ".join(field.alias or name for name, field in model.model_fields.items())
                yield place, f"{_UNKNOWN_ENTRY}; expected one of {known}"
            case "model_type" | "model_attributes_type":
                yield place, "expected a mapping of names to values"
            case _:
                yield place, str(mistake["msg"])
