"""The operator in Java, over state in memory; its other end is OperatorConsole.java."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from cardwatch_contracts.schemas import schema_text
from cardwatch_rules.fields import PROFILE_SCOPE, SCOPE_KEYS
from cardwatch_rules.program.document import lists_json, program_json

from support.engine_console import Console, java_console
from support.equivalence.histories import DAY, Arrived, History
from support.equivalence.suites import Suite

EVIDENCE_LIMIT: Final = 4
_END: Final = 10**6 * DAY
_MAIN: Final = "cardwatch.engine.spark.OperatorConsole"


class Operator:
    """Histories given to the operator."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def results(self, suite: Suite) -> list[list[dict[str, Any]]]:
        """Of each batch of each history the `alerts` that it publishes, and the offsets of the `late` transactions.

        Raises:
            AssertionError: a rule was set aside, or a key has state when all that it holds is too old to be needed.
        """
        used = [*suite.used, suite.used[-1]]
        answer = self._console.ask(
            {
                "options": _options(suite.horizons),
                "rule_sets": [
                    {"program": program_json(one.rules), "lists": lists_json(one.lists)} for one in suite.rule_sets
                ],
                "histories": [
                    [_batch(*one) for one in zip(_to_the_end(history), used, strict=True)]
                    for history in suite.histories
                ],
            }
        )
        assert answer["set_aside"] == []
        results: list[list[dict[str, Any]]] = answer["histories"]
        for batches in results:
            keys, _ = batches.pop(), batches.pop()
            assert not keys, "state is left when nothing of it can be needed"
        return results


@contextmanager
def running_operator() -> Iterator[Operator]:
    """The operator in a process of its own."""
    with java_console(_MAIN) as console:
        yield Operator(console)


def _to_the_end(history: History) -> list[Arrived]:
    return [*history, Arrived(_END)]


def _batch(arrived: Arrived, rules: int) -> dict[str, Any]:
    return {
        "rules": rules,
        "watermark": arrived.watermark,
        "now": arrived.now,
        "repeated": arrived.repeated,
        "transactions": arrived.transactions,
        "profiles": arrived.profiles,
    }


def _options(horizons: Mapping[str, int]) -> str:
    schema = json.loads(schema_text("alert"))
    for field in schema["fields"]:
        # Histories have nulls also where silver has none, in keys of other scopes too.
        if field["type"] == "string":
            field["type"] = ["null", "string"]
    return json.dumps(
        {
            "scopes": [
                {"name": scope, "key_field": SCOPE_KEYS[scope], "horizon_us": horizon}
                for scope, horizon in horizons.items()
            ],
            "profile_scope": PROFILE_SCOPE,
            "alerts": {
                "topic": "alerts",
                "schema": json.dumps(schema),
                "schema_id": 1,
                "evidence_limit": EVIDENCE_LIMIT,
            },
            "late": {"topic": "late", "detector": "", "query": ""},
            "trace_share": None,
        }
    )
