"""The rules of a micro-batch, and how they reach the workers that evaluate it.

The plan of a streaming query is fixed when it starts, and so is the evaluating function in it. What changes from
micro-batch to micro-batch travels as a Spark local property, which the driver sets before the job and every task of the
job can read.
"""

import base64
import pickle
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final, Protocol

from cardwatch_rules.model import Rule
from pyspark import SparkContext, TaskContext

_PROPERTY: Final = "cardwatch.rule_set"


@dataclass(frozen=True)
class RuleSet:
    """The rules that a micro-batch is evaluated with.

    Attributes:
        rules: none of them paused.
        lists: what ``in list('name')`` looks into.
    """

    rules: tuple[Rule, ...] = ()
    lists: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of_scope(self, scope: str) -> Sequence[Rule]:
        """The rules over the windows of a scope."""
        return [rule for rule in self.rules if rule.scope == scope]

    @cached_property
    def text(self) -> str:
        """The rule set as text, which is all that a local property holds."""
        return base64.b85encode(zlib.compress(pickle.dumps((self.rules, dict(self.lists))), 1)).decode()


class RuleSetSource(Protocol):
    """Gives a worker the rule set of its task; it is pickled to the workers."""

    def current(self) -> RuleSet:
        """The rule set."""


@dataclass(frozen=True)
class TaskRuleSet:
    """The rule set that the driver attached to the job (``attach_rules``)."""

    task_context: Callable[[], TaskContext | None] = TaskContext.get

    def current(self) -> RuleSet:
        context = self.task_context()
        text = context.getLocalProperty(_PROPERTY) if context is not None else None
        if not text:
            raise RuntimeError("the micro-batch came without its rules")
        return _decode(text)


def attach_rules(context: SparkContext, rule_set: RuleSet) -> None:
    """Attach a rule set to all jobs that this thread starts from now on."""
    context.setLocalProperty(_PROPERTY, rule_set.text)


# A worker lives for many micro-batches; rules change rarely.
@lru_cache(maxsize=2)
def _decode(text: str) -> RuleSet:
    rules, lists = pickle.loads(zlib.decompress(base64.b85decode(text)))  # noqa: S301 - from our own driver
    return RuleSet(rules, lists)
