"""The committed dashboards and rules are those of the generator, use existing metrics, and each alert has a page and a
test.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from cardwatch_observability import recorded
from cardwatch_observability.catalogue import JOBS, OURS, all_metrics
from cardwatch_observability.files import generated
from cardwatch_observability.slo import ERROR_BUDGET, OBJECTIVES, WINDOWS

REPOSITORY: Final = Path(__file__).parents[3]
DEPLOY: Final = REPOSITORY / "deploy"
RULES: Final = DEPLOY / "prometheus/rules"
TESTS: Final = DEPLOY / "prometheus/tests"
RUNBOOKS: Final = REPOSITORY / "docs/runbooks"
SECTIONS: Final = ("## What it means", "## What to look at", "## What to do")

# What Prometheus itself adds.
TARGET_LABELS: Final = {"job", "instance"}
OF_PROMETHEUS: Final = {
    "up": TARGET_LABELS,
    "ALERTS": {"alertname", "alertstate"},
}
RECORDED_LABELS: Final = {"job", "topic", "partition", "slo"}


def dashboards() -> Mapping[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((DEPLOY / "grafana/dashboards").glob("*.json"))}


def rule_groups() -> list[Any]:
    return [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]


def alerts() -> Mapping[str, Any]:
    return {rule["alert"]: rule for group in rule_groups() for rule in group["rules"] if "alert" in rule}


def recorded_names() -> set[str]:
    return {rule["record"] for group in rule_groups() for rule in group["rules"] if "record" in rule}


def panels(board: Any) -> list[Any]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression with its place."""
    for name, board in dashboards().items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target["expr"]
    for group in rule_groups():
        for rule in group["rules"]:
            yield rule.get("alert", rule.get("record")), rule["expr"]


def test_the_committed_files_are_what_the_generator_makes() -> None:
    made = generated()
    there = {f"grafana/dashboards/{name}.json" for name in dashboards()} | {"prometheus/rules/slo.yml"}
    assert there == set(made)
    for name, text in made.items():
        assert (DEPLOY / name).read_text() == text, (
            f"deploy/{name} differs from the output of scripts/dashboards; run it"
        )


def test_every_query_uses_existing_metrics_and_jobs() -> None:
    known: dict[str, set[str]] = {
        name: TARGET_LABELS | set(m.labels) for m in all_metrics().values() for name in m.series
    }
    known |= {name: labels | {"le"} for name, labels in known.items() if name.endswith("_bucket")}
    known |= dict.fromkeys(recorded_names(), RECORDED_LABELS) | OF_PROMETHEUS
    for where, expression in expressions():
        for name, matchers in selectors(expression):
            assert name in known, f"{where}: there is no {name}"
            unknown = {label for label, _ in matchers} - known[name]
            assert not unknown, f"{where}: {name} has no {unknown}"
            jobs = {job for label, value in matchers if label == "job" for job in value.split("|")}
            assert jobs <= set(JOBS), f"{where}: no job of ours is called {jobs - set(JOBS)}"


def test_every_metric_is_shown_or_watched() -> None:
    asked = {name for _, expression in expressions() for name, _ in selectors(expression)}
    # No series of its own is asked for, so any of a histogram's will do.
    ours = {metric for metric in all_metrics().values() if metric.name.startswith(OURS)}
    assert [metric.name for metric in ours if not asked & set(metric.series)] == []


def selectors(expression: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The series that an expression names, with their label matchers."""
    for name, inside in re.findall(r"\b((?:cardwatch|process_|python_)[\w:]*|up|ALERTS)\b(?:\{([^}]*)\})?", expression):
        yield name, re.findall(r'(\w+)\s*[!=]=?~?\s*"([^"]*)"', inside)


def test_recorded_names_are_those_of_the_rule_files() -> None:
    named = {value for name, value in vars(recorded).items() if name.isupper()}
    ratios = {recorded.error_ratio(window) for window in WINDOWS}
    helpers = {"cardwatch:consumer_position:offset", ERROR_BUDGET}
    assert recorded_names() == named | ratios | helpers


@pytest.mark.parametrize("board", dashboards().values(), ids=dashboards())
def test_a_dashboard_can_be_read(board: Any) -> None:
    assert board["uid"].startswith("cardwatch-")
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    (variable,) = board["templating"]["list"]
    assert (variable["name"], variable["query"]) == ("datasource", "prometheus")
    for panel in panels(board):
        assert panel["title"], "a panel has a title"
        assert len(panel["description"]) > 3, f"{panel['title']} does not say what it shows"
        assert panel["fieldConfig"]["defaults"]["unit"], f"{panel['title']} has no unit"
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs) > 0
    covered = [cell for panel in board["panels"] for cell in cells(panel["gridPos"])]
    assert len(covered) == len(set(covered)), "panels lie on each other"
    assert max(x for x, _ in covered) == 23
    height = max(y for _, y in covered) + 1
    assert len(covered) == 24 * height, "there are holes"


def cells(place: Mapping[str, int]) -> Iterable[tuple[int, int]]:
    return (
        (x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])
    )


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(alerts())
    index = (RUNBOOKS / "README.md").read_text()
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"].endswith("."), f"{name}: a summary is a sentence"
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
        page = (RUNBOOKS / f"{name}.md").read_text()
        assert page.startswith(f"# {name}\n")
        found = [line for line in page.splitlines() if line.startswith("## ")]
        assert found == list(SECTIONS), f"{name}: {found}"
        assert f"**{rule['labels']['severity']}**" in page.splitlines()[2], f"{name}: the page says how bad it is"
        assert f"]({name}.md)" in index, f"{name} is not in the index"


def test_every_alert_is_tested() -> None:
    tested = set()
    for path in TESTS.glob("*.yml"):
        for one in yaml.safe_load(path.read_text())["tests"]:
            tested |= {check["alertname"] for check in one.get("alert_rule_test", []) if check["exp_alerts"]}
    assert tested == set(alerts())


def test_objectives_have_a_small_budget_and_a_window() -> None:
    for objective in OBJECTIVES:
        assert 0 < objective.budget < 0.1
        assert "WINDOW" not in objective.error_ratio("5m")


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not on the PATH; Debian has it in the package prometheus")
    return found


def test_prometheus_takes_its_configuration_and_rules(promtool: str) -> None:
    # Rules, too: the configuration names them.
    run(promtool, "check", "config", str(DEPLOY / "prometheus/prometheus.yml"))


def test_alert_rules_pass_promtools_tests(promtool: str) -> None:
    run(promtool, "test", "rules", *map(str, sorted(TESTS.glob("*.yml"))))


def test_alertmanager_takes_its_configuration() -> None:
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("amtool is not on the PATH; Debian has it in the package prometheus-alertmanager")
    run(amtool, "check-config", str(DEPLOY / "alertmanager/alertmanager.yml"))


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
