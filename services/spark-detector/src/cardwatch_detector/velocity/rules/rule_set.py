"""The rules of a micro-batch, and how they reach the rule engine.

The plan of a streaming query is fixed when it starts. What changes from micro-batch to micro-batch travels as Spark
local properties, which the sink sets in the driver before the job, and every task of the job can read (``SinkControl``
and ``AttachedRules`` in the engine).
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from cardwatch_rules.model import Rule
from cardwatch_rules.program.document import lists_json, program_json


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
    def packed_program(self) -> str:
        """The rules as the engine takes them: compiled, as compressed JSON."""
        return packed(program_json(self.rules))

    @cached_property
    def packed_lists(self) -> str:
        """The lists as the engine takes them."""
        return packed(lists_json(self.lists))


def packed(text: str) -> str:
    """A text as the engine unpacks it."""
    return base64.b64encode(zlib.compress(text.encode(), 1)).decode()
