"""Lets Spark itself create the pods of a SparkApplication, as the Spark operator does with spark-submit.

The operator cannot be run here. Where pods are described by templates, it does little itself: it writes the templates
to files and calls spark-submit with the options below.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

Manifest = dict[str, Any]

_OPERATOR_LABEL: Final = "sparkoperator.k8s.io/app-name"


def options(application: Manifest, directory: Path) -> dict[str, str]:
    """Spark's settings for a SparkApplication; its pod templates are written into a directory."""
    spec, name = application["spec"], application["metadata"]["name"]
    settings = {
        "spark.app.name": name,
        "spark.kubernetes.namespace": application["metadata"]["namespace"],
        "spark.kubernetes.container.image": spec["image"],
        "spark.kubernetes.container.image.pullPolicy": spec["imagePullPolicy"],
        "spark.kubernetes.submission.waitAppCompletion": "false",
        "spark.executor.instances": str(spec["executor"]["instances"]),
        "spark.kubernetes.authenticate.driver.serviceAccountName": spec["driver"]["serviceAccount"],
        "spark.kubernetes.authenticate.executor.serviceAccountName": spec["executor"]["serviceAccount"],
        f"spark.kubernetes.driver.label.{_OPERATOR_LABEL}": name,
        f"spark.kubernetes.executor.label.{_OPERATOR_LABEL}": name,
    }
    for kind in ("driver", "executor"):
        pod = spec[kind]
        template = directory / f"{name}-{kind}.yaml"
        template.write_text(yaml.safe_dump(pod["template"]), encoding="utf-8")
        settings |= {
            f"spark.{kind}.cores": str(pod["cores"]),
            f"spark.{kind}.memory": pod["memory"],
            f"spark.{kind}.memoryOverhead": pod["memoryOverhead"],
            f"spark.kubernetes.{kind}.request.cores": pod["coreRequest"],
            f"spark.kubernetes.{kind}.podTemplateFile": str(template),
            f"spark.kubernetes.{kind}.podTemplateContainerName": f"spark-kubernetes-{kind}",
        }
    given: dict[str, str] = spec["sparkConf"]
    return settings | given


def submit(application: Manifest, server: str, directory: Path, java_home: Path, spark_home: Path) -> None:
    """Submit it in cluster mode: Spark makes the driver's pod and its service, and returns.

    Args:
        server: URL of the API server; credentials are in the environment's KUBECONFIG.
        directory: for files of the submission.

    Raises:
        AssertionError: Spark refuses to, or the API server does.
    """
    spec = application["spec"]
    command = [str(spark_home / "bin" / "spark-submit"), "--master", f"k8s://{server}", "--deploy-mode", spec["mode"]]
    for name, value in options(application, directory).items():
        command += ["--conf", f"{name}={value}"]
    command += [spec["mainApplicationFile"], *spec["arguments"]]
    environment = {**os.environ, "JAVA_HOME": str(java_home), "SPARK_HOME": str(spark_home)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-4000:]


_EXECUTORS: Final = """
import json, sys, time
from pyspark.sql import SparkSession
builder = SparkSession.builder.master(sys.argv[1])
for name, value in json.loads(sys.argv[2]).items():
    builder = builder.config(name, value)
session = builder.getOrCreate()
print("started", flush=True)
sys.stdin.read()
session.stop()
"""


def start_executors(application: Manifest, server: str, directory: Path, java_home: Path) -> "subprocess.Popen[str]":
    """A driver as a process of this machine, which asks for its executors' pods; its standard input's end stops it."""
    settings = options(application, directory) | {
        "spark.submit.deployMode": "client",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "0s",
    }
    settings = {name: value for name, value in settings.items() if not name.startswith("spark.kubernetes.driver.")}
    environment = {**os.environ, "JAVA_HOME": str(java_home)}
    command = [sys.executable, "-c", _EXECUTORS, f"k8s://{server}", json.dumps(settings)]
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
