"""Services are killed (SIGKILL) in the middle of their work and started again: no alert is lost, none is told twice.

produce ├────────────────────────────────────────────────────────────────────────┤
enricher          ✗     ↻
detector                         ✗     ↻
notifier                                        ✗     ↻
then                                                    drain, compare with the oracle and with the webhook
"""

import time
from collections.abc import Callable

import pytest
from cardwatch_cli.demo.line import Line
from cardwatch_cli.demo.report import build_report
from cardwatch_cli.demo.stages import DETECTOR, ENRICHER, LAKEHOUSE, NOTIFIER

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

SIMULATION = (
    "simulate", "--rate", "100", "--duration", "0", "--seed", "11", "--fraud-fraction", "0.1",
    "--late-fraction", "0.05", "--max-late", "10s", "--duplicate-fraction", "0.03", "--invalid-fraction", "0.02",
    "--json-fraction", "0.1",
)  # fmt: skip


@pytest.mark.timeout(600)
def test_killed_services_lose_and_repeat_nothing(make_line: Callable[..., Line]) -> None:
    line = make_line(without=frozenset({LAKEHOUSE}))
    line.start_producer(*SIMULATION)
    told = _wait_for_alerts(line, 5)
    for victim in (ENRICHER, DETECTOR, NOTIFIER):
        line.kill(victim)
        time.sleep(2)
        line.restart(victim)
        line.wait_ready()
        told = _wait_for_alerts(line, told + 5)
    line.stop_producer()
    line.drain()
    line.stop()

    recorded = line.recorded()
    report = build_report(recorded, line.deliveries(), line.options.rules, line.tables_dir, simulated=True)
    assert report.problems(simulated=True) == []
    assert report.oracle["expected"] >= 20
    assert line.receiver.bad_signatures == 0
    # A receiver tells a retry by its id: so many different ids of raised alerts as there are alerts.
    raised_ids = {delivery.webhook_id for delivery in line.deliveries() if delivery.status == "raised"}
    assert len(raised_ids) == report.alerts_raised == report.delivered


def _wait_for_alerts(line: Line, least: int, timeout: float = 120.0) -> int:
    deadline = time.monotonic() + timeout
    while (told := len(line.receiver.unique_ids())) < least:
        line.check_alive()
        assert time.monotonic() < deadline, f"only {told} alerts within {timeout:.0f} s"
        time.sleep(0.1)
    return told
