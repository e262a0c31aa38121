"""`python -m cardwatch_oracle`: computes the expected alerts, and compares them with the observed ones."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from cardwatch_oracle.comparison import Comparison, ObservedAlert, verify
from cardwatch_oracle.errors import OracleError
from cardwatch_oracle.expectation import expected_alerts
from cardwatch_oracle.lists import read_lists

_RAISED, _SUPPRESSED = "raised", "suppressed"


def judge(
    transactions: Annotated[
        Path, typer.Option(help="Parquet file of transactions (fields of transaction.avsc), in any order.")
    ],
    rules: Annotated[Path, typer.Option(help="Rule file (YAML).")],
    rates: Annotated[
        Path | None, typer.Option(help="CSV currency,exponent,rate_e8; needed if base_amount_minor is missing.")
    ] = None,
    alerts: Annotated[
        Path | None,
        typer.Option(
            help="Alerts that were published and not retracted, one per line: id, or id,status,suppressed_by; "
            "without it, nothing is compared."
        ),
    ] = None,
    category_groups: Annotated[
        Path | None,
        typer.Option(help="CSV first,last,group; needed if a rule uses merchant_category_group and it is missing."),
    ] = None,
    bin_countries: Annotated[
        Path | None, typer.Option(help="CSV bin,country; needed if a rule uses bin_country and it is missing.")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(help="YAML or JSON, name: [value, …], for rules with `in list('name')`.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the expected alerts to this Parquet file.")] = None,
    show: Annotated[int, typer.Option(min=0, help="How many missing and extra alerts to print.")] = 10,
) -> None:
    """Compute the expected alerts in SQL, independently of the detector, and compare them with the observed ones.

    Exit code 0 if the sets are equal (or nothing is compared), 1 if they differ, 2 if the input is wrong.

    Example: python -m cardwatch_oracle --transactions t.parquet --rules config/rules/demo.yaml --rates rates.csv
    --alerts observed.txt
    """
    try:
        expected = expected_alerts(
            transactions,
            rules,
            rates,
            category_groups_file=category_groups,
            bin_countries_file=bin_countries,
            lists=None if lists is None else read_lists(lists),
        )
        observed = None if alerts is None else list(_observed(alerts))
        if output is not None:
            _write(expected, output)
    except OracleError as error:
        typer.echo(f"Error: {error}.", err=True)
        raise typer.Exit(2) from error
    for line in _counts(expected):
        typer.echo(line)
    if observed is None:
        typer.echo(f"{expected.num_rows:>12,}  alerts expected")
        return
    comparison = verify(expected, observed)
    typer.echo(str(comparison))
    _explain(comparison, expected, show)
    if not comparison.holds:
        raise typer.Exit(1)


def _counts(expected: pa.Table) -> Iterator[str]:
    """One line per rule: the number of alerts that it raises, and that it suppresses."""
    alerts = Counter(
        (str(alert["rule_id"]), alert["status"]) for alert in expected.select(["rule_id", "status"]).to_pylist()
    )
    for rule_id in sorted({rule_id for rule_id, _ in alerts}):
        suppressed = alerts[rule_id, _SUPPRESSED]
        yield f"{alerts[rule_id, _RAISED]:>12,}  {rule_id}" + (f" and {suppressed:,} suppressed" if suppressed else "")


def _explain(comparison: Comparison, expected: pa.Table, show: int) -> None:
    missing = set(comparison.missing[:show])
    for alert in expected.to_pylist() if missing else []:
        if alert["alert_id"] in missing:
            typer.echo(
                f"missing {alert['alert_id']}: {alert['rule_id']} for transaction {alert['transaction_id']} "
                f"of {alert['scope']} {alert['key']} at {alert['event_time']}, {alert['measures']}, {_standing(alert)}"
            )
    for alert_id in comparison.extra[:show]:
        typer.echo(f"extra   {alert_id}")
    if (hidden := max(len(comparison.missing) - show, 0) + max(len(comparison.extra) - show, 0)) > 0:
        typer.echo(f"… and {hidden:,} more (--show)")


def _standing(alert: dict[str, Any]) -> str:
    return f"suppressed by {alert['suppressed_by']}" if alert["suppressed_by"] else str(alert["status"])


def _observed(path: Path) -> Iterator[str | ObservedAlert]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OracleError(f"the observed alerts cannot be read from {path}: {error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        fields = [field.strip() for field in line.split(",")]
        match fields:
            case [""]:
                continue
            case [alert_id]:
                yield alert_id
            case [alert_id, "raised" | "suppressed" as status, suppressed_by]:
                yield ObservedAlert(alert_id, status, suppressed_by or None)
            case _:
                raise OracleError(f"{path}, line {number}: expected id or id,status,suppressed_by, got {line!r}")


def _write(expected: pa.Table, path: Path) -> None:
    try:
        pq.write_table(expected, path)
    except OSError as error:
        raise OracleError(f"the expected alerts cannot be written to {path}: {error}") from error


def main() -> None:
    """Entry point of `python -m cardwatch_oracle`."""
    typer.run(judge)


if __name__ == "__main__":
    main()
