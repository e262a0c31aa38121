"""The rules of a micro-batch, and how they reach the workers that evaluate it.

The plan of a streaming query is fixed when it starts, and so is the function in it that evaluates. What changes with
each micro-batch goes as a local property of Spark's: set by the driver before the micro-batch runs, handed to each of
its tasks.
"""

import base64
import pickle
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final, Protocol

from cardwatch_rules.model import Rule
from pyspark import SparkContext, TaskContext

_PROPERTY: Final = "cardwatch.rule_set"


@dataclass(frozen=True)
class RuleSet:
    """What is evaluated in a micro-batch.

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
        """All of it as a text: a property holds nothing else."""
        return base64.b85encode(zlib.compress(pickle.dumps((self.rules, dict(self.lists))), 1)).decode()


class RuleSetSource(Protocol):
    """Where a worker gets the rule set of its task from; it is pickled to the workers."""

    def current(self) -> RuleSet:
        """The rule set."""


@dataclass(frozen=True)
class FixedRuleSet:
    """The same rule set always."""

    rule_set: RuleSet

    def current(self) -> RuleSet:
        return self.rule_set


class TaskRuleSet:
    """The rule set that the driver gave with the micro-batch (``attach_rules``)."""

    def current(self, task: TaskContext | None = None) -> RuleSet:
        """The rule set of a task, of the one that runs in this thread unless another is given."""
        context = task or TaskContext.get()
        text = context.getLocalProperty(_PROPERTY) if context is not None else None
        if not text:
            raise RuntimeError("the micro-batch came without its rules")
        return _decoded(text)


def attach_rules(context: SparkContext, rule_set: RuleSet) -> None:
    """Attach a rule set to all tasks that this thread starts from now on."""
    context.setLocalProperty(_PROPERTY, rule_set.text)


# A worker lives for many micro-batches; rules change rarely.
@lru_cache(maxsize=2)
def _decoded(text: str) -> RuleSet:
    rules, lists = pickle.loads(zlib.decompress(base64.b85decode(text)))  # noqa: S301 - from our own driver
    return RuleSet(rules, lists)
