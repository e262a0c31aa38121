"""The rules of a micro-batch, and how they reach the rule engine.

The plan of a streaming query is fixed when it starts. What changes from micro-batch to micro-batch travels as Spark
local properties, which the driver sets before the job and every task of the job can read (``AttachedRules`` in the
engine).
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from cardwatch_rules.model import Rule
from cardwatch_rules.program.document import lists_json, program_json
from pyspark import SparkContext

PROGRAM: Final = "cardwatch.program"
LISTS: Final = "cardwatch.lists"


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
    def properties(self) -> Mapping[str, str]:
        """The local properties with which the engine gets it: compiled rules and lists, each as compressed JSON."""
        return {PROGRAM: packed(program_json(self.rules)), LISTS: packed(lists_json(self.lists))}


def attach_rules(context: SparkContext, rule_set: RuleSet) -> None:
    """Attach a rule set to all jobs that this thread starts from now on; to be called inside ``foreachBatch``."""
    for name, text in rule_set.properties.items():
        context.setLocalProperty(name, text)


def packed(text: str) -> str:
    """A text as the engine unpacks it."""
    return base64.b64encode(zlib.compress(text.encode(), 1)).decode()
