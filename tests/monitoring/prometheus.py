"""Prometheus and Alertmanager as processes, with the configuration of `deploy` and this machine's ports."""

import json
import re
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import yaml
from cardwatch_platform.ports import free_port
from cardwatch_platform.processes import GuardedProcess, log_tail

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
PROMETHEUS: Final = "prometheus"
# Debian's package has another name for it.
ALERTMANAGER: Final = "prometheus-alertmanager"

SCRAPE_SECONDS: Final = 1

_START_SECONDS: Final = 30.0


class Watch:
    """A running Prometheus with an Alertmanager. Its targets may change while it runs."""

    def __init__(self, directory: Path, changes: Mapping[str, Mapping[str, str]]) -> None:
        """``changes`` are thresholds and windows of alert rules that would take longer than a test: text by text.

        Of a rule one after the other, in their order.
        """
        self._directory: Final = directory
        self._targets: Final = directory / "targets"
        self._targets.mkdir(parents=True)
        self._port: Final = free_port()
        self._alertmanager_port: Final = free_port()
        self._running: Final = ExitStack()
        self._client: Final = httpx.Client(trust_env=False, timeout=10)
        self.jobs: Final = self._configure()
        self._shorten(changes)

    def __enter__(self) -> Self:
        self._start(
            ALERTMANAGER,
            "--config.file", str(DEPLOY / "alertmanager/alertmanager.yml"),
            "--storage.path", str(self._directory / "alertmanager"),
            "--web.listen-address", f"127.0.0.1:{self._alertmanager_port}",
            "--cluster.listen-address", "",
            port=self._alertmanager_port,
        )  # fmt: skip
        self._start(
            PROMETHEUS,
            "--config.file", str(self._directory / "prometheus.yml"),
            "--storage.tsdb.path", str(self._directory / "tsdb"),
            "--web.listen-address", f"127.0.0.1:{self._port}",
            port=self._port,
        )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()
        self._running.close()

    def scrape(self, job: str, *ports: int) -> None:
        """From now on a job has these targets."""
        groups = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
        # Prometheus may look at any moment: it sees the old file or the new one.
        new = self._targets / f"{job}.new"
        new.write_text(json.dumps(groups))
        new.replace(self._targets / f"{job}.json")

    def ask(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """The current samples of a dashboard's expression, without those that are not a number."""
        answer = self._get(self._port, "/api/v1/query", query=with_windows(expression))
        assert answer["status"] == "success", f"{expression}: {answer}"
        data = answer["data"]
        pairs = (
            [({}, data["result"])]
            if data["resultType"] == "scalar"
            else [(one["metric"], one["value"]) for one in data["result"]]
        )
        samples = [(labels, float(value)) for labels, (_, value) in pairs]
        return [(labels, value) for labels, value in samples if value == value]

    def firing(self) -> set[tuple[str, str]]:
        """The firing alerts, by name and by the labels that tell alerts of one name apart."""
        return {(labels["alertname"], _what(labels)) for labels, _ in self.ask('ALERTS{alertstate="firing"}')}

    def at_alertmanager(self) -> Mapping[tuple[str, str], str]:
        """The alerts that have come to Alertmanager: active or suppressed (silenced, inhibited)."""
        alerts = self._get(self._alertmanager_port, "/api/v2/alerts")
        return {(one["labels"]["alertname"], _what(one["labels"])): one["status"]["state"] for one in alerts}

    def series(self) -> set[str]:
        """The names of all series that were scraped from Cardwatch's services."""
        answer = self._get(self._port, "/api/v1/label/__name__/values")
        return set(answer["data"])

    def until(self, condition: Callable[[], object], what: Callable[[], str], seconds: float) -> None:
        """Wait for a condition; asserts that it comes true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what()} within {seconds:.0f} s"
            time.sleep(0.5)

    def _get(self, port: int, path: str, **parameters: str) -> Any:
        return self._client.get(f"http://127.0.0.1:{port}{path}", params=parameters).json()

    def _configure(self) -> tuple[str, ...]:
        config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"}
        (manager,) = config["alerting"]["alertmanagers"]
        manager["static_configs"] = [{"targets": [f"127.0.0.1:{self._alertmanager_port}"]}]
        scraped = [one for one in config["scrape_configs"] if "dns_sd_configs" in one]
        for one in scraped:
            (found,) = one.pop("dns_sd_configs")
            assert found["names"] == [one["job_name"]], "compose's service has the name of the job"
            one["file_sd_configs"] = [
                {"files": [str(self._targets / f"{one['job_name']}.json")], "refresh_interval": "1s"}
            ]
        config["scrape_configs"] = scraped
        (self._directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        return tuple(one["job_name"] for one in scraped)

    def _shorten(self, changes: Mapping[str, Mapping[str, str]]) -> None:
        rules = self._directory / "rules"
        shutil.copytree(DEPLOY / "prometheus/rules", rules)
        path = rules / "alerts.yml"
        content = yaml.safe_load(path.read_text())
        left = dict(changes)
        for group in content["groups"]:
            for rule in group["rules"]:
                if "for" in rule:
                    rule["for"] = "3s"
                for old, new in left.pop(rule["alert"], {}).items():
                    assert old in rule["expr"], f"{rule['alert']} has no {old}"
                    rule["expr"] = rule["expr"].replace(old, new)
        assert not left, f"no such alerts: {sorted(left)}"
        path.write_text(yaml.safe_dump(content))

    def _start(self, program: str, *arguments: str, port: int) -> None:
        log = self._directory / f"{program}.log"
        process = GuardedProcess(program, [program, *arguments], {"PATH": "/usr/bin:/bin"}, log).start()
        self._running.callback(process.kill)
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready(port):
            assert process.poll() is None, f"{program} ended:\n{log_tail(log)}"
            assert time.monotonic() < deadline, f"{program} is not ready:\n{log_tail(log)}"
            time.sleep(0.1)

    def _ready(self, port: int) -> bool:
        try:
            return self._client.get(f"http://127.0.0.1:{port}/-/ready").is_success
        except httpx.HTTPError:
            return False


def with_windows(expression: str) -> str:
    """A panel's expression with Grafana's variables filled in."""
    filled = expression.replace("$__rate_interval", "30s").replace("$__range", "10m")
    assert not re.search(r"\$\w|\$\{", filled), f"a variable that nobody fills in: {filled}"
    return filled


def _what(labels: Mapping[str, str]) -> str:
    """The labels that tell alerts of one name apart, without those that every target has."""
    return " ".join(
        labels[name]
        for name in sorted(labels)
        if name not in ("__name__", "alertname", "alertstate", "severity", "instance")
    )
