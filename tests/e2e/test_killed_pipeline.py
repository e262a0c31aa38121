"""A pipeline whose services are killed in the middle of their work and started again.

No alert is lost and none is delivered twice; each alert's trace leads from the producer to the webhook; and the same
rules over the same transactions give the same alerts live, replayed from a file, and in a backtest.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cardwatch_card_numbers.scanner import find_card_numbers
from cardwatch_cli.demo.pipeline import Pipeline
from cardwatch_cli.demo.report import build_report, find_problems
from cardwatch_cli.demo.results import alert_set
from cardwatch_cli.demo.services import LAKEHOUSE, base_environment, command
from cardwatch_cli.main import app
from cardwatch_cli.tables.query import open_lake, run_query
from cardwatch_cli.tables.rebuild.compare import compare_table
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_detector.runtime.session import INTERPRETED
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_lakehouse.tables import GOLD_ALERTS, SILVER_TRANSACTIONS
from cardwatch_platform.processes import GuardedProcess, log_tail
from support.pipelines import KilledPipeline
from support.spark_settings import QUICK
from support.whole_traces import whole_traces
from typer.testing import CliRunner

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.faults]

QUESTIONS = Path(__file__).parents[2] / "docs/questions.md"

WAIT_SECONDS = 300.0

# The rebuild is set up for millions of rows; here are thousands.
FEW_ROWS = {**INTERPRETED, "spark.sql.shuffle.partitions": "2"}

# The final alerts: alert id → the alert that it is counted on, None for a raised one.
Standing = dict[str, str | None]


@pytest.fixture(scope="module")
def live(killed: KilledPipeline) -> Pipeline:
    """The alerts of the live pipeline, whose services were killed in between."""
    return killed.pipeline


@pytest.fixture(scope="module")
def raised(live: Pipeline) -> Standing:
    found = standing(live)
    assert sum(on is None for on in found.values()) >= 10
    assert any(on is not None for on in found.values()), "some are suppressed"
    return found


@pytest.fixture(scope="module", autouse=True)
def rebuilding(live: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedProcess]:
    """`cardwatch tables rebuild`, which takes a minute of one core and runs in parallel to the other tests."""
    directory = tmp_path_factory.mktemp("rebuilt")
    few_rows = directory / "few-rows.conf"
    few_rows.write_text("".join(f"{name} {value}\n" for name, value in FEW_ROWS.items()))
    env = base_environment(live.platform, live.options.topic_prefix) | QUICK
    env["CARDWATCH_SPARK_CONF_FILE"] = str(few_rows)
    argv = [command("cardwatch"), *rebuild_arguments(live, directory / "tables")]
    process = GuardedProcess("rebuild", argv, env, directory / "rebuild.log").start()
    yield process
    process.terminate()


@pytest.mark.timeout(600)
def test_killed_services_lose_and_repeat_nothing(killed: KilledPipeline) -> None:
    pipeline = killed.pipeline
    recorded = pipeline.recorded()
    report = build_report(
        recorded, pipeline.deliveries(), rules=pipeline.options.rules, tables_dir=pipeline.tables_dir, simulated=True
    )
    assert find_problems(report, simulated=True) == []
    assert report.oracle["expected"] >= 20
    assert pipeline.receiver.bad_signatures == 0
    # A receiver recognises a retry by its id: there must be as many ids as raised alerts.
    raised_ids = {delivery.webhook_id for delivery in pipeline.deliveries() if delivery.status == "raised"}
    assert len(raised_ids) == report.alerts_raised == report.delivered


@pytest.mark.timeout(600)
def test_each_alerts_trace_leads_from_the_producer_to_the_webhook(killed: KilledPipeline) -> None:
    # A killed service loses the spans that it has not exported yet.
    pipeline, traces = killed
    prefix = pipeline.options.topic_prefix
    requests = {
        request.traceparent: request for request in pipeline.receiver.accepted if request.traceparent is not None
    }
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
    # However often a message was sent or a micro-batch repeated: each delivery is in one trace.
    assert len({(request.webhook_id, traceparent[3:35]) for traceparent, request in requests.items()}) == len(
        {request.webhook_id for request in requests.values()}
    )
    told = " ".join(str(span.attributes) for span in traces.spans)
    assert find_card_numbers(told) == []
    assert [card for card in {one["card_token"] for one in pipeline.recorded().transactions} if card in told] == []


@pytest.mark.timeout(600)
def test_a_backtest_gives_the_same_alerts(live: Pipeline, raised: Standing, tmp_path: Path) -> None:
    file = tmp_path / "alerts.parquet"
    rules, tables = str(live.options.rules), str(live.tables_dir)
    outcome = CliRunner().invoke(app, ["backtest", "--rules", rules, "--tables-dir", tables, "--output", str(file)])
    assert outcome.exit_code == 0, outcome.output
    found = pq.read_table(file).to_pydict()
    assert dict(zip(found["alert_id"], found["suppressed_by"], strict=True)) == raised


@pytest.mark.timeout(600)
def test_a_replay_from_a_file_gives_the_same_alerts(
    live: Pipeline, raised: Standing, start_pipeline: Callable[..., Pipeline], tmp_path: Path
) -> None:
    replayed = start_pipeline(without=frozenset({LAKEHOUSE}), env=QUICK)
    source, mapping = as_file(live, tmp_path)
    replayed.start_producer("replay", str(source), "--mapping", str(mapping), "--speed", "max")
    replayed.wait_produced(timeout=120)
    replayed.drain()
    replayed.stop()
    assert standing(replayed) == raised


def test_every_question_of_the_docs_has_an_answer(live: Pipeline) -> None:
    ask_all_questions(str(live.tables_dir))


@pytest.mark.timeout(600)
def test_a_rebuild_gives_the_same_tables(live: Pipeline, rebuilding: GuardedProcess) -> None:
    """Silver from bronze and the alerts from silver are the same, row by row; gold follows from that silver."""
    assert rebuilding.wait(WAIT_SECONDS) == 0, log_tail(rebuilding.log_path)
    to = rebuilding.log_path.parent / "tables"
    kept, made = Catalog(str(live.tables_dir)), Catalog(str(to))
    for table in (SILVER_TRANSACTIONS, GOLD_ALERTS):
        compared = compare_table(kept, made, table.name)
        assert compared.equal, compared
        assert compared.rebuilt > 0
    # The lakehouse may have been stopped before it computed these windows of the last transactions.
    silver = made.summary(SILVER_TRANSACTIONS.name).rows
    with open_lake(made) as connection:
        counted = run_query(
            connection, "SELECT sum(transactions) AS n FROM gold.velocity_5m WHERE dimension = 'card'"
        ).to_pylist()
    assert [int(row["n"]) for row in counted] == [silver]
    again = CliRunner().invoke(app, rebuild_arguments(live, to))
    assert again.exit_code == 1, "nothing is overwritten"
    assert "already" in again.output


def rebuild_arguments(pipeline: Pipeline, to: Path) -> list[str]:
    return ["tables", "rebuild", "--tables-dir", str(pipeline.tables_dir), "--to", os.path.relpath(to)]


def ask_all_questions(tables: str) -> None:
    """Run the queries of docs/questions.md on real tables."""
    questions = re.findall(r"^## (\d+)\..*?```sql\n(.*?)```", QUESTIONS.read_text(), re.S | re.M)
    assert len(questions) == 10
    for number, sql in questions:
        outcome = CliRunner().invoke(app, ["tables", "query", sql, "--tables-dir", tables, "--format", "json"])
        assert outcome.exit_code == 0, (number, outcome.output)
        assert outcome.output.strip(), f"question {number} has no answer"


def standing(pipeline: Pipeline) -> Standing:
    alerts = alert_set(pipeline.recorded().alert_events)
    return {**dict.fromkeys(alerts.standing), **alerts.suppressed}


def as_file(pipeline: Pipeline, directory: Path) -> tuple[Path, Path]:
    """The transactions of a pipeline as a file, and the mapping that reads it."""
    fields = [field["name"] for field in parsed_schema("transaction")["fields"]]
    file = directory / "transactions.parquet"
    pq.write_table(pa.Table.from_pylist(pipeline.recorded().transactions), file)
    lines = [f"  {name}: {{column: {name}{SPECIAL.get(name, '')}}}" for name in fields]
    mapping = directory / "mapping.yaml"
    mapping.write_text("fields:\n" + "\n".join(lines) + "\n")
    return file, mapping


SPECIAL = {"event_time": ", epoch: us", "amount_minor": ", unit: minor"}
