"""Services are killed in the middle of their work and started again: no alert is lost, none is told twice.

Traces are on meanwhile: each alert's leads from the producer through all of them to the webhook.
"""

import pytest
from cardwatch_card_numbers.detection import find_card_numbers
from cardwatch_cli.demo.report import build_report
from support.pipelines import Struck
from support.whole_traces import whole_traces

pytestmark = [pytest.mark.integration, pytest.mark.e2e]


@pytest.mark.timeout(600)
def test_killed_services_lose_and_repeat_nothing(struck: Struck) -> None:
    line = struck.line
    recorded = line.recorded()
    report = build_report(
        recorded, line.deliveries(), rules=line.options.rules, tables_dir=line.tables_dir, simulated=True
    )
    assert report.problems(simulated=True) == []
    assert report.oracle["expected"] >= 20
    assert line.receiver.bad_signatures == 0
    # A receiver tells a retry by its id: so many different ids of raised alerts as there are alerts.
    raised_ids = {delivery.webhook_id for delivery in line.deliveries() if delivery.status == "raised"}
    assert len(raised_ids) == report.alerts_raised == report.delivered


@pytest.mark.timeout(600)
def test_each_alerts_trace_leads_from_the_producer_to_the_webhook(struck: Struck) -> None:
    # A killed service takes along the steps that it has not told yet.
    line, traces = struck
    prefix = line.options.topic_prefix
    requests = {request.traceparent: request for request in line.receiver.accepted if request.traceparent is not None}
    found = whole_traces(requests, traces.spans)
    assert len(found) >= 5
    of_their_own = 0
    for traceparent, trace in found.items():
        assert [(step.service, step.name, step.kind) for step in trace.steps] == [
            ("cardwatch-producer", trace.sent.name, "PRODUCER"),
            ("cardwatch-enricher", trace.sent.name.replace("send", "process"), "CONSUMER"),
            ("cardwatch-detector", f"process {prefix}transactions.silver.v1", "CONSUMER"),
            ("cardwatch-notifier", "deliver webhook", "CLIENT"),
        ]
        request = requests[traceparent]
        alert = request.body["data"]
        assert trace.delivered.attributes["cardwatch.message_id"] == request.webhook_id
        assert trace.raised.attributes["cardwatch.alert_id"] == alert["alert_id"]
        assert trace.sent.attributes["messaging.kafka.offset"] == trace.enriched.attributes["messaging.kafka.offset"]
        # One machine, one clock: each begins after the one before it.
        starts = [step.start_ns for step in trace.steps]
        assert starts == sorted(starts)
        assert all(step.start_ns <= step.end_ns and not step.error for step in trace.steps)
        of_their_own += trace.enriched.attributes["cardwatch.transaction_id"] == alert["transaction_id"]
    assert of_their_own >= 5, "few are raised by a late transaction in place of the one that they are about"
    # However often a message was sent or a micro-batch done: what receivers are told is in one trace.
    assert len({(request.webhook_id, traceparent[3:35]) for traceparent, request in requests.items()}) == len(
        {request.webhook_id for request in requests.values()}
    )
    told = " ".join(str(span.attributes) for span in traces.spans)
    assert find_card_numbers(told) == []
    assert [card for card in {one["card_token"] for one in line.recorded().transactions} if card in told] == []
