"""Where a detector's rules come from: the topics of rules and lists, or a file."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from cardwatch_rulebook.connect import follower, status_reporter
from cardwatch_rules.parse import load_rules
from cardwatch_service.logs import get_logger
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings

from cardwatch_detector.velocity.metrics import RuleMetrics
from cardwatch_detector.velocity.rules.active_rules import ActiveRules, NoReporter, Reporter, fixed_snapshot
from cardwatch_detector.velocity.settings import VelocitySettings

_RULES_WAIT_SECONDS: Final = 60.0


@contextmanager
def active_rules(
    service: ServiceSettings, settings: VelocitySettings, metrics: Metrics, *, reports: bool = True
) -> Iterator[ActiveRules]:
    """The rules of a detector, followed for the length of a ``with``.

    Args:
        reports: whether analysts are told which rules this process evaluates.

    Raises:
        CardwatchError: the rules cannot be read.
    """
    scopes = settings.scope_list()
    horizons_us = {scope: settings.horizon_us(scope) for scope in scopes}
    rule_metrics, budget_seconds = RuleMetrics(metrics), settings.rule_budget_seconds
    if settings.rules is not None:
        rules = load_rules(settings.rules, horizons_us)
        get_logger(__name__).info("rules of a file", file=str(settings.rules))
        yield ActiveRules(scopes, fixed_snapshot(rules), NoReporter(), rule_metrics, budget_seconds)
        return
    with ExitStack() as stack:
        refused = metrics.errors.labels("rule_message_refused")
        followed = stack.enter_context(
            follower(service, horizons_us, lambda reason: refused.inc(), metrics.registry_outage)
        )
        reporter: Reporter = NoReporter()
        if reports:
            reporter = to_analysts = status_reporter(service, settings.name)
            stack.callback(to_analysts.close)
        found = followed.wait_until_read(_RULES_WAIT_SECONDS)
        get_logger(__name__).info("rules read", rules=len(found.rules), broken=len(found.broken))
        yield ActiveRules(scopes, followed.snapshot, reporter, rule_metrics, budget_seconds)
