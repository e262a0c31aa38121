"""The lakehouse's own check of the audit trail: a broken chain shows in the metrics, and no error ends the check."""

from collections.abc import Callable, Iterable

import pytest
from cardwatch_contracts.errors import ConfigurationError
from cardwatch_detector.lakehouse.audit_check import AuditCheck, audit_check
from cardwatch_detector.lakehouse.metrics import AUDIT_BROKEN_LINKS, AuditMetrics
from cardwatch_detector.lakehouse.settings import LakehouseSettings
from cardwatch_lakehouse.audit.chain import Content, Link, chain
from cardwatch_service.metrics import Metrics
from cardwatch_service.shutdown import Shutdown

LINKS = list(chain(Content("rules.v1", 0, offset, 1, b"k", b"v%d" % offset) for offset in range(5)))
ALTERED = [*LINKS[:2], LINKS[2]._replace(content=LINKS[2].content._replace(value=b"x")), *LINKS[3:]]


class Checked:
    """A check of links that a test sets."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.links: Callable[[], Iterable[Link]] = lambda: LINKS
        self.check = AuditCheck(lambda: self.links(), AuditMetrics(self.metrics), 3600, Shutdown()).check

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)


@pytest.mark.parametrize(
    ("links", "is_broken"),
    [
        ([], False),
        (LINKS, False),
        (LINKS[:3], False),
        (ALTERED, True),
        (LINKS[:1] + LINKS[2:], True),
        (LINKS[1:], True),
    ],
)
def test_a_broken_chain_shows_in_the_metrics_until_it_is_whole(links: list[Link], is_broken: bool) -> None:
    checked = Checked()
    checked.links = lambda: links
    checked.check()
    assert bool(checked.value(AUDIT_BROKEN_LINKS)) is is_broken
    checked.links = lambda: LINKS
    checked.check()
    assert checked.value(AUDIT_BROKEN_LINKS) == 0


@pytest.mark.parametrize("error", [OSError("disk"), ConfigurationError("no table"), ValueError("x")])
def test_a_table_that_cannot_be_read_leaves_the_last_result(error: Exception) -> None:
    def fail() -> Iterable[Link]:
        raise error

    checked = Checked()
    checked.links = lambda: ALTERED
    checked.check()
    broken = checked.value(AUDIT_BROKEN_LINKS)
    checked.links = fail
    checked.check()
    assert checked.value(AUDIT_BROKEN_LINKS) == broken != 0


def test_a_file_system_that_only_spark_knows_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDWATCH_LAKEHOUSE_TABLES_DIR", "hdfs://namenode/tables")
    metrics = Metrics()
    check = audit_check(LakehouseSettings(), AuditMetrics(metrics), Shutdown())
    assert check is not None
    check.check()
    assert metrics.registry.get_sample_value(AUDIT_BROKEN_LINKS) == 0


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert audit_check(LakehouseSettings(), AuditMetrics(Metrics()), Shutdown()) is not None
    monkeypatch.setenv("CARDWATCH_LAKEHOUSE_AUDIT_CHECK_EVERY", "off")
    assert audit_check(LakehouseSettings(), AuditMetrics(Metrics()), Shutdown()) is None
