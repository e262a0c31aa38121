"""``cardwatch audit``: whether the trail of changes of rules and lists is complete and unchanged."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from cardwatch_contracts.errors import configuration_errors
from cardwatch_contracts.topics import AUDITED_TOPICS
from cardwatch_lakehouse.audit.comparison import Comparison
from cardwatch_lakehouse.audit.heads import check_heads, hashes_at, heads_text, parse_heads
from cardwatch_lakehouse.audit.table import read_links
from cardwatch_lakehouse.audit.verification import Finding, PartitionSummary, verify_links
from cardwatch_lakehouse.catalog import Catalog
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.tables import print_table
from cardwatch_units.durations import parse_duration
from cardwatch_units.timestamps import now_microseconds

from cardwatch_cli.audit.trail import compare_topics
from cardwatch_cli.connections import current_connections
from cardwatch_cli.output import counted, echo_text, print_json
from cardwatch_cli.tables.options import TABLES_DIR, TablesDirOption
from cardwatch_cli.text_files import read_text_file, write_text_file

_BROKEN_EXIT_CODE: Final = 1

app = typer.Typer(
    help="The audit trail of rules and lists: every change, as a hash chain in the table bronze.rule_changes. "
    "docs/audit.md says what it proves.",
    no_args_is_help=True,
)


@app.callback()
def _audit() -> None:
    """Keeps `verify` a sub-command though it is the only one."""


@app.command()
def verify(
    tables_dir: TablesDirOption = TABLES_DIR,
    topics: Annotated[
        bool, typer.Option("--topics/--no-topics", help="Also compare with what the topics on the broker hold.")
    ] = True,
    copied_within: Annotated[
        str, typer.Option(help="A message of a topic that is older must be in the table; else that is an error.")
    ] = "15m",
    heads: Annotated[
        Path | None, typer.Option("--heads", help="A file of --save-heads: its links must still be in the table.")
    ] = None,
    save_heads: Annotated[
        Path | None,
        typer.Option("--save-heads", help="Write the last hash of each chain to this file, if all is well."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON for a program instead of a table.")] = False,
) -> None:
    """Recompute the chains, and name each link that was removed, altered, inserted or reordered.

    Exit code 1 if there is any. Keep the file of --save-heads where those who may write the tables cannot change it:
    somebody who can write the tables and the topics could compute a whole chain again.
    """
    with configuration_errors("--copied-within"):
        before = now_microseconds() - parse_duration(copied_within)
    settings, catalog = load_settings(ServiceSettings), Catalog(tables_dir)
    links = list(read_links(catalog))
    verification = verify_links(links)
    findings = list(verification.findings)
    if heads is not None:
        saved = parse_heads(read_text_file(heads, "--heads"), str(heads))
        findings += check_heads(saved, hashes_at(saved, links))
    comparisons: Mapping[tuple[str, int], Comparison] = {}
    if topics:
        names = [topic.name(settings.topic_prefix) for topic in AUDITED_TOPICS]
        reader = current_connections().topic_reader(settings)
        try:
            comparisons = compare_topics(names, links, reader, must_be_copied_before=before)
        finally:
            reader.close()
        findings += [finding for comparison in comparisons.values() for finding in comparison.findings]
    if as_json:
        print_json(_document(verification.partitions, comparisons, findings))
    else:
        print_table(_COLUMNS, _rows(verification.partitions, comparisons), align_right=_COLUMNS[2:7])
        for finding in findings:
            echo_text(f"error: {finding}", err=True)
    if findings:
        raise typer.Exit(_BROKEN_EXIT_CODE)
    if save_heads is not None:
        write_text_file(heads_text(verification.partitions), save_heads, counted(len(verification.partitions), "head"))


_COLUMNS: Final = (
    "topic",
    "partition",
    "links",
    "last offset",
    "also in topic",
    "table only",
    "not copied yet",
    "head",
)


def _rows(
    partitions: Sequence[PartitionSummary], comparisons: Mapping[tuple[str, int], Comparison]
) -> list[tuple[object, ...]]:
    chains = {(one.topic, one.partition): one for one in partitions}
    rows: list[tuple[object, ...]] = []
    for place in sorted(chains.keys() | comparisons.keys()):
        chain, comparison = chains.get(place), comparisons.get(place)
        in_table = (0, None) if chain is None else (chain.links, chain.last_offset)
        in_topic = (None,) * 3
        if comparison is not None:
            in_topic = (comparison.compared, comparison.older, comparison.newer)  # type: ignore[assignment]
        rows.append((*place, *in_table, *in_topic, None if chain is None else chain.head))
    return rows


def _document(
    partitions: Sequence[PartitionSummary],
    comparisons: Mapping[tuple[str, int], Comparison],
    findings: Sequence[Finding],
) -> dict[str, Any]:
    return {
        "chains": [asdict(one) for one in partitions],
        "topics": [
            {
                "topic": topic,
                "partition": partition,
                "in_both": comparison.compared,
                "table_only": comparison.older,
                "not_copied_yet": comparison.newer,
            }
            for (topic, partition), comparison in comparisons.items()
        ],
        "findings": [asdict(finding) for finding in findings],
    }
