"""The report of a demo run: numbers computed from the recorded messages and deliveries, and the oracle's comparison."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_contracts.schemas import parsed_schema
from cardwatch_oracle import ObservedAlert, OracleError, expected_alerts, verify
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from cardwatch_cli.demo.lookups import enricher_table, with_lookups
from cardwatch_cli.demo.recorded import Recorded, Transaction
from cardwatch_cli.demo.results import (
    RAISED,
    SUPPRESSED,
    AlertSet,
    Delivery,
    alert_set,
    by_rule,
    deliveries,
    latencies_ms,
    percentile,
    precision,
    recall,
)

DELTA_TABLES: Final = ("bronze.transactions", "silver.transactions", "gold.alerts")

_SAMPLE: Final = 5
_DIGITS: Final = 4


@dataclass(slots=True, kw_only=True)
class Report:
    """The numbers of one run; every field is a key of the JSON.

    Attributes:
        produced: messages that the producers sent, duplicates and invalid ones included.
        transactions: valid transactions in these messages, each counted once.
        silver: messages on the silver topic, duplicates included.
        dead_letters: dead-lettered messages, each counted once; ``dead_letters_by_reason`` splits them.
        refusals_expected: number of messages that the simulator made invalid on purpose, by reason.
        alerts_raised: alerts that were ever raised; ``alerts_retracted`` of them no longer stand.
        alerts_suppressed: hits that are counted on a standing alert.
        alerts_by_rule: standing alerts by rule.
        alerts_shadow: alerts of shadow rules: kept, not delivered.
        delivered: alerts that reached the webhook, each counted once.
        delivery_retries: requests that repeated a webhook id.
        delivery_problems: alerts that did not reach the webhook, reached it under two ids, or were never raised.
        latency_ms: nearest-rank percentiles of the milliseconds from the broker time of the raw transaction to the
            alert's arrival at the webhook.
        precision: share of standing alerts on labelled fraud; null without alerts.
        recall: share of fraud episodes with an alert; null without labels of fraud.
        oracle: ``expected``: alerts that must stand or be suppressed; ``missing``: expected ones that were not found;
            ``extra``: found ones that were not expected.
        oracle_sample: a few of the missing and extra ones.
        first_alert_seconds: from the start of the command to the first alert at the webhook; null without alerts.
        delta_rows: number of rows of each Delta table.
        seconds: when each step was reached, seconds since the start of the command.
    """

    produced: int
    transactions: int
    silver: int
    dead_letters: int
    dead_letters_by_reason: dict[str, int]
    refusals_expected: dict[str, int]
    alerts_raised: int
    alerts_retracted: int
    alerts_shadow: int
    alerts_suppressed: int
    alerts_by_rule: dict[str, int]
    delivered: int
    delivery_retries: int
    delivery_problems: int
    latency_ms: dict[str, float | None]
    precision: float | None
    recall: float | None
    delta_rows: dict[str, int]
    oracle: dict[str, int]
    oracle_sample: dict[str, list[str]]
    first_alert_seconds: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def build_report(
    recorded: Recorded, received: Sequence[Delivery], *, rules: Path, tables_dir: Path, simulated: bool
) -> Report:
    """Compute the report, the comparison with the oracle included.

    Args:
        simulated: whether every invalid message is labelled. Of other input, the dead-lettered transactions are left
            out of the oracle's input, since nothing else says that they are invalid.

    Raises:
        CardwatchError: the oracle fails, or a Delta table cannot be read.
    """
    alerts = alert_set(recorded.alert_events)
    delivered = deliveries(alerts, received)
    latencies = latencies_ms(alerts, received)
    labels = recorded.labels.values()
    transactions = recorded.transactions
    if not simulated:
        transactions = [row for row in transactions if row["transaction_id"] not in recorded.refused_ids]
    expected = _expected(transactions, rules)
    comparison = verify(expected, _observed(alerts))
    return Report(
        produced=recorded.produced,
        transactions=len(transactions),
        silver=recorded.silver,
        dead_letters=recorded.refused.total(),
        dead_letters_by_reason=dict(sorted(recorded.refused.items())),
        refusals_expected=dict(sorted(Counter(x.expected_refusal for x in labels if x.expected_refusal).items())),
        alerts_raised=len(alerts.raised),
        alerts_retracted=len(alerts.raised) - len(alerts.standing),
        alerts_shadow=len(alerts.raised) - len(alerts.to_deliver),
        alerts_suppressed=len(alerts.suppressed),
        alerts_by_rule=by_rule(alerts),
        delivered=delivered.delivered,
        delivery_retries=delivered.repeated,
        delivery_problems=len(delivered.missing | delivered.unexpected | delivered.several_ids),
        latency_ms={f"p{percent}": _rounded(percentile(latencies, percent), 1) for percent in (50, 95, 99)},
        precision=_rounded(precision(alerts, {x.transaction_id for x in labels if x.is_fraud})),
        recall=_rounded(recall(alerts, labels)),
        delta_rows={table: delta_rows(tables_dir, table) for table in DELTA_TABLES},
        oracle={"expected": comparison.expected, "missing": len(comparison.missing), "extra": len(comparison.extra)},
        oracle_sample={"missing": comparison.missing[:_SAMPLE], "extra": comparison.extra[:_SAMPLE]},
    )


def find_problems(report: Report, *, simulated: bool) -> list[str]:
    """The ways in which the run differs from what was expected, a sentence each.

    Args:
        simulated: whether the input came from the simulator, which labels every invalid message.
    """
    found = []
    if report.oracle["missing"] or report.oracle["extra"]:
        found.append(
            f"the alerts are not those that the transactions call for: {report.oracle['missing']} missing, "
            f"{report.oracle['extra']} extra of {report.oracle['expected']} expected"
        )
    if report.delivery_problems:
        found.append(
            f"{report.delivery_problems} alerts were not delivered exactly once "
            f"({report.alerts_raised - report.alerts_shadow} raised, {report.delivered} delivered)"
        )
    if simulated and report.dead_letters_by_reason != report.refusals_expected:
        found.append(
            f"the dead-lettered messages are not those that were made invalid: expected {report.refusals_expected}, "
            f"got {report.dead_letters_by_reason}"
        )
    return found


def write_json(report: Report, path: Path) -> None:
    """Write the report as JSON.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"the report cannot be written to {path}: {error.strerror}") from error


def delta_rows(tables_dir: Path, table: str) -> int:
    """The number of rows of a Delta table, read without Spark; 0 if the table does not exist."""
    path = tables_dir / table.replace(".", "/")
    if not (path / "_delta_log").is_dir():
        return 0
    try:
        return int(DeltaTable(str(path)).count())
    except DeltaError as error:
        raise CardwatchError(f"the Delta table {path} cannot be read: {error}") from error


def _expected(transactions: list[Transaction], rules: Path) -> pa.Table:
    table = with_lookups(pa.Table.from_pylist(transactions, schema=_arrow_schema()))
    try:
        return expected_alerts(table, rules, enricher_table("exchange_rates.csv"))
    except OracleError as error:
        raise CardwatchError(f"the oracle failed: {error}") from error


def _observed(alerts: AlertSet) -> list[ObservedAlert]:
    return [
        *(ObservedAlert(alert_id, RAISED) for alert_id in alerts.standing),
        *(ObservedAlert(alert_id, SUPPRESSED, by) for alert_id, by in alerts.suppressed.items()),
    ]


def _arrow_schema() -> pa.Schema:
    """``schemas/transaction.avsc`` as an Arrow schema; times are integer microseconds."""
    arrow: dict[str, pa.DataType] = {"string": pa.string(), "long": pa.int64(), "double": pa.float64()}

    def kind(avro: Any) -> pa.DataType:
        if isinstance(avro, list):
            (avro,) = (branch for branch in avro if branch != "null")
        return arrow[avro["type"] if isinstance(avro, dict) else avro]

    return pa.schema([(field["name"], kind(field["type"])) for field in parsed_schema("transaction")["fields"]])


def _rounded(value: float | None, digits: int = _DIGITS) -> float | None:
    return None if value is None else round(value, digits)
