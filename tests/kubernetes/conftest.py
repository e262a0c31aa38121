"""A cluster to apply deploy/kubernetes to: started by a program, or named by a context.

The current context is never used.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = "CLUSTER"
CONTEXT = "KUBE_CONTEXT"
NODES = "4"


@dataclass(frozen=True)
class Cluster:
    """A cluster, and kubectl for it.

    Attributes:
        kubeconfig: its only context is the cluster's.
        simulated: nothing runs in its pods, and nothing provisions its volumes.
    """

    kubectl: str
    kubeconfig: Path
    simulated: bool

    @property
    def server(self) -> str:
        """URL of its API server."""
        return self.run("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """The output of kubectl.

        Raises:
            AssertionError: it failed; contains its error output.
        """
        done = self.attempt(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}:\n{done.stderr}"
        return done.stdout

    def attempt(self, *arguments: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        """The same where it may fail."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        command = [self.kubectl, *arguments]
        return subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, timeout=300)

    def get(self, *arguments: str) -> list[dict[str, Any]]:
        """Objects as the API server has them."""
        items: list[dict[str, Any]] = json.loads(self.run("get", "-o", "json", *arguments))["items"]
        return items

    def apply(self, *arguments: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Server-side, and any field that the API server does not know is an error."""
        apply = ("apply", "--server-side", "--force-conflicts", "--validate=strict")
        return self.attempt(*apply, *arguments, stdin=stdin)

    def eventually(self, what: str, holds: Callable[[], bool], seconds: float = 120.0) -> None:
        """Wait for something.

        Raises:
            AssertionError: it did not happen in time.
        """
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
            time.sleep(1.0)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Started by the program that CLUSTER names, or the one of the context that KUBE_CONTEXT names."""
    if program := os.environ.get(PROGRAM):
        yield from _started(program)
    elif context := os.environ.get(CONTEXT):
        kubectl = shutil.which("kubectl") or pytest.fail("there is no kubectl on the PATH")
        config = tmp_path_factory.mktemp("cluster") / "kubeconfig"
        view = [kubectl, "config", "view", "--minify", "--flatten", "--context", context]
        config.write_bytes(subprocess.run(view, check=True, capture_output=True).stdout)
        yield Cluster(kubectl, config, simulated=False)
    else:
        pytest.exit(
            "no cluster was named, and the current one is not taken: CLUSTER=PROGRAM (`PROGRAM up NODES` starts one "
            "and prints its kubeconfig's path, `PROGRAM run COMMAND` has its tools on the PATH, `PROGRAM down` stops "
            "it), or KUBE_CONTEXT=NAME for one of your kubeconfig's contexts, in which the namespaces cardwatch and "
            "cardwatch-dev are made and removed",
            returncode=4,
        )


def _started(program: str) -> Iterator[Cluster]:
    def run(*arguments: str) -> str:
        return subprocess.run([program, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    subprocess.run([program, "down"], check=False)  # one that was left would be somebody's idea of a cluster
    kubeconfig = run("up", NODES).splitlines()[-1]
    try:
        yield Cluster(run("run", "sh", "-c", "command -v kubectl"), Path(kubeconfig), simulated=True)
    finally:
        run("down")


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory for files of a submission."""
    with tempfile.TemporaryDirectory(prefix="cardwatch-kubernetes-") as directory:
        yield Path(directory)
