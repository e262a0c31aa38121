"""Finds dangling references: everything that a manifest names or selects must exist, or be created by others.

Every function returns one sentence per problem. They take manifests as rendered, and
objects as a cluster has them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

Manifest = dict[str, Any]
Labels = Mapping[str, str]

# Secrets that the person who installs Cardwatch creates (docs/kubernetes.md lists them): name → keys; None where the
# keys are
# environment variables of their own choice.
EXTERNAL_SECRETS: Final[Mapping[str, frozenset[str] | None]] = {
    "token-key": frozenset({"key", "key-id"}),
    "notifier-postgres": frozenset({"url", "password"}),
    "notifier-webhook": frozenset({"url", "secret"}),
    "object-store": None,
    "snowflake": None,
    "snowflake-private-key": frozenset({"private-key.pem"}),
}
# The keys of the Secret that Strimzi's user operator creates for a user.
_USER_KEYS: Final = frozenset({"password", "sasl.jaas.config"})
_WORKLOADS: Final = ("Deployment", "StatefulSet", "Job")


@dataclass(frozen=True)
class PodTemplate:
    """The pods of a manifest, or an existing pod: its owner, labels and content."""

    owner: str
    labels: Labels
    spec: Manifest

    @property
    def containers(self) -> list[Manifest]:
        """Init containers as well."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    def port_names(self) -> set[str]:
        """Names of the ports of its containers."""
        return {port["name"] for container in self.containers for port in container.get("ports", []) if "name" in port}


class Manifests:
    """All manifests of one namespace."""

    def __init__(self, manifests: Iterable[Manifest]) -> None:
        self._all: Final = list(manifests)

    def of(self, *kinds: str) -> list[Manifest]:
        """Those of some kinds."""
        return [manifest for manifest in self._all if manifest["kind"] in kinds]

    def names(self, *kinds: str) -> set[str]:
        """Names of those of some kinds."""
        return {_name(manifest) for manifest in self.of(*kinds)}

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self._all)

    def pods(self) -> list[PodTemplate]:
        """The pods that the manifests create, including Spark's, and existing pods."""
        found = []
        for manifest in self.of(*_WORKLOADS):
            template = manifest["spec"]["template"]
            found.append(PodTemplate(_title(manifest), template["metadata"]["labels"], template["spec"]))
        for manifest in self.of("SparkApplication"):
            for kind in ("driver", "executor"):
                template = manifest["spec"][kind]["template"]
                labels = {**template["metadata"]["labels"], "spark-role": kind}
                account = {"serviceAccountName": manifest["spec"][kind]["serviceAccount"]}
                found.append(PodTemplate(f"{_title(manifest)}, {kind}", labels, {**template["spec"], **account}))
        for manifest in self.of("Pod"):
            found.append(PodTemplate(_title(manifest), manifest["metadata"].get("labels", {}), manifest["spec"]))
        return found

    def strimzi_pods(self) -> list[Labels]:
        """Labels of the pods that Strimzi creates for a Kafka cluster."""
        return [
            {"strimzi.io/cluster": name, "strimzi.io/name": f"{name}-{part}"}
            for name in self.names("Kafka")
            for part in ("kafka", "entity-operator")
        ]


def problems(manifests: Manifests) -> list[str]:
    """All problems."""
    return [
        sentence
        for check in (dangling_selectors, dangling_names, dangling_kafka, dangling_scalers, dangling_addresses)
        for sentence in check(manifests)
    ]


def dangling_selectors(manifests: Manifests) -> Iterator[str]:
    """Selectors that select no pod, and ports that the selected pods do not have."""
    pods = manifests.pods()
    everyone = [pod.labels for pod in pods] + manifests.strimzi_pods()

    def selected(selector: Manifest) -> list[Labels]:
        return [labels for labels in everyone if matches(selector, labels)]

    for manifest in manifests.of(*_WORKLOADS):
        selector = manifest["spec"].get("selector")
        if selector and not matches(selector, manifest["spec"]["template"]["metadata"]["labels"]):
            yield f"{_title(manifest)} does not select its own pods"
    for pod in pods:
        for constraint in pod.spec.get("topologySpreadConstraints", []):
            if not matches(constraint["labelSelector"], pod.labels):
                yield f"{pod.owner} is spread by labels that it does not have"
        yield from (f"{pod.owner}: a probe asks port {port}, which it has not" for port in _probed(pod))
    for service in manifests.of("Service"):
        if not (selector := service["spec"].get("selector")):
            continue
        yield from _selects(service, {"matchLabels": selector}, selected)
        wanted = [port.get("targetPort", port["port"]) for port in service["spec"]["ports"]]
        yield from _ports(service, wanted, {"matchLabels": selector}, pods)
    for budget in manifests.of("PodDisruptionBudget"):
        selector = budget["spec"]["selector"]
        yield from _selects(budget, selector, selected)
        alone = [pod for pod in pods if pod.owner.startswith("SparkApplication") and matches(selector, pod.labels)]
        if alone and not isinstance(budget["spec"].get("minAvailable"), int):
            yield f"{_title(budget)} is of pods without a controller, for which only a number in minAvailable counts"
    for monitor in manifests.of("PodMonitor"):
        selector = monitor["spec"]["selector"]
        yield from _selects(monitor, selector, selected)
        yield from _ports(monitor, [end["port"] for end in monitor["spec"]["podMetricsEndpoints"]], selector, pods)
        if any(monitor["spec"]["jobLabel"] not in pod.labels for pod in pods if matches(selector, pod.labels)):
            yield f"{_title(monitor)} scrapes pods without the label {monitor['spec']['jobLabel']}"
    for policy in manifests.of("NetworkPolicy"):
        spec = policy["spec"]
        yield from _selects(policy, spec["podSelector"], selected)
        for rule in spec.get("ingress", []):
            yield from _ports(policy, _policy_ports(rule), spec["podSelector"], pods)
            yield from _peers(policy, rule.get("from", []), selected)
        for rule in spec.get("egress", []):
            yield from _peers(policy, rule.get("to", []), selected)


def dangling_names(manifests: Manifests) -> Iterator[str]:
    """ConfigMaps, Secrets, accounts, claims and volumes that are named but do not exist."""
    maps = {_name(m): set(m.get("data", {})) for m in manifests.of("ConfigMap")}
    secrets = secret_keys(manifests)
    accounts, claims = manifests.names("ServiceAccount"), manifests.names("PersistentVolumeClaim")
    for pod in manifests.pods():
        account = pod.spec.get("serviceAccountName")
        if account not in accounts:
            yield f"{pod.owner} runs as the service account {account}, which is nowhere"
        for kind, name, keys in named(pod):
            known: Mapping[str, Any] = maps if kind == "ConfigMap" else secrets
            if name not in known:
                yield f"{pod.owner} needs the {kind} {name}, which is nowhere"
            elif known[name] is not None and not keys <= known[name]:
                yield f"{pod.owner} needs {', '.join(sorted(keys - known[name]))} of the {kind} {name}, which lacks it"
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        for volume in volumes.values():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim is not None and claim not in claims:
                yield f"{pod.owner} mounts the claim {claim}, which is nowhere"
        templates = _claim_templates(manifests, pod)
        for container in pod.containers:
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes and mount["name"] not in templates:
                    yield f"{pod.owner} mounts {mount['name']}, which is not one of its volumes"
    roles = manifests.names("Role")
    for binding in manifests.of("RoleBinding"):
        if binding["roleRef"]["name"] not in roles:
            yield f"{_title(binding)} binds the role {binding['roleRef']['name']}, which is nowhere"
        for subject in binding["subjects"]:
            if subject["name"] not in accounts:
                yield f"{_title(binding)} binds {subject['name']}, which is nowhere"


def secret_keys(manifests: Manifests) -> dict[str, frozenset[str] | None]:
    """The Secrets of the manifests, of Strimzi, and of the installation."""
    found = dict(EXTERNAL_SECRETS)
    for secret in manifests.of("Secret"):
        found[_name(secret)] = frozenset({*secret.get("data", {}), *secret.get("stringData", {})})
    for kafka in manifests.of("Kafka"):
        found[f"{_name(kafka)}-cluster-ca-cert"] = frozenset({"ca.crt", "ca.p12", "ca.password"})
        prefix = kafka["spec"]["entityOperator"]["userOperator"].get("secretPrefix", "")
        for user in manifests.names("KafkaUser"):
            found[f"{prefix}{user}"] = _USER_KEYS
    return found


def dangling_kafka(manifests: Manifests) -> Iterator[str]:
    """Topics, users and node pools that belong to no cluster, rights to no topic, more copies than brokers."""
    clusters, topics = manifests.names("Kafka"), manifests.names("KafkaTopic")
    for manifest in manifests.of("KafkaTopic", "KafkaUser", "KafkaNodePool"):
        if manifest["metadata"].get("labels", {}).get("strimzi.io/cluster") not in clusters:
            yield f"{_title(manifest)} belongs to no Kafka cluster that there is"
    for user in manifests.of("KafkaUser"):
        for rule in user["spec"]["authorization"]["acls"]:
            resource = rule["resource"]
            if resource["type"] == "topic" and resource["name"] not in topics:
                yield f"{_title(user)} has a right to the topic {resource['name']}, which is nowhere"
    brokers = sum(p["spec"]["replicas"] for p in manifests.of("KafkaNodePool") if "broker" in p["spec"]["roles"])
    for topic in manifests.of("KafkaTopic"):
        if topic["spec"]["replicas"] > brokers:
            yield f"{_title(topic)} wants {topic['spec']['replicas']} copies on {brokers} brokers"
    for kafka in manifests.of("Kafka"):
        for name, value in kafka["spec"]["kafka"]["config"].items():
            if name.endswith(("replication.factor", "isr", "insync.replicas")) and value > brokers:
                yield f"{_title(kafka)}: {name} is {value} with {brokers} brokers"


def dangling_scalers(manifests: Manifests) -> Iterator[str]:
    """Scalers of nothing, or by a topic or group that is nowhere; more replicas than partitions."""
    partitions = {_name(topic): topic["spec"]["partitions"] for topic in manifests.of("KafkaTopic")}
    groups = {
        rule["resource"]["name"]
        for user in manifests.of("KafkaUser")
        for rule in user["spec"]["authorization"]["acls"]
        if rule["resource"]["type"] == "group" and "Read" in rule["operations"]
    }
    logins = {_name(login): login for login in manifests.of("TriggerAuthentication")}
    secrets = secret_keys(manifests)
    maps = {_name(m): set(m.get("data", {})) for m in manifests.of("ConfigMap")}
    for scaler in manifests.of("ScaledObject"):
        title, spec = _title(scaler), scaler["spec"]
        if spec["scaleTargetRef"]["name"] not in manifests.names(spec["scaleTargetRef"].get("kind", "Deployment")):
            yield f"{title} scales {spec['scaleTargetRef']['name']}, which is nowhere"
        for trigger in spec["triggers"]:
            topic, group = trigger["metadata"]["topic"], trigger["metadata"]["consumerGroup"]
            if topic not in partitions:
                yield f"{title} looks at the topic {topic}, which is nowhere"
            elif spec["maxReplicaCount"] > partitions[topic]:
                yield f"{title} goes up to {spec['maxReplicaCount']} replicas for {partitions[topic]} partitions"
            if group not in groups:
                yield f"{title} looks at the group {group}, which no user may join"
            if trigger["authenticationRef"]["name"] not in logins:
                yield f"{title} logs in with {trigger['authenticationRef']['name']}, which is nowhere"
    for login in logins.values():
        for known, field in ((maps, "configMapTargetRef"), (secrets, "secretTargetRef")):
            for reference in login["spec"].get(field, []):
                keys = known.get(reference["name"])
                if keys is None or reference["key"] not in keys:
                    yield f"{_title(login)} needs {reference['key']} of {reference['name']}, which is nowhere"


def dangling_addresses(manifests: Manifests) -> Iterator[str]:
    """Hosts of this namespace in settings without a Service."""
    services = {_name(each): {port["port"] for port in each["spec"]["ports"]} for each in manifests.of("Service")}
    for kafka in manifests.of("Kafka"):
        listeners = kafka["spec"]["kafka"]["listeners"]
        services[f"{_name(kafka)}-kafka-bootstrap"] = {listener["port"] for listener in listeners}
    namespaces = {m["metadata"].get("namespace") for m in manifests.of("Deployment")}
    for source, text in _texts(manifests):
        for host, port in _addresses(text):
            name, _, rest = host.partition(".")
            if rest and rest.split(".")[0] not in namespaces:
                continue
            if int(port) not in services.get(name, set()):
                yield f"{source} names {host}:{port}, for which there is no Service"


def named(pod: PodTemplate) -> Iterator[tuple[str, str, set[str]]]:
    """The ConfigMaps and Secrets that a pod uses: kind, name, the keys that it needs."""
    for container in pod.containers:
        for source in container.get("envFrom", []):
            kind = "ConfigMap" if "configMapRef" in source else "Secret"
            yield kind, (source.get("configMapRef") or source["secretRef"])["name"], set()
        for variable in container.get("env", []):
            given = variable.get("valueFrom", {})
            if reference := given.get("configMapKeyRef") or given.get("secretKeyRef"):
                keys = set() if reference.get("optional") else {reference["key"]}
                yield "ConfigMap" if "configMapKeyRef" in given else "Secret", reference["name"], keys
    for volume in pod.spec.get("volumes", []):
        if given := volume.get("configMap"):
            yield "ConfigMap", given["name"], {item["key"] for item in given.get("items", [])}
        if given := volume.get("secret"):
            yield "Secret", given["secretName"], {item["key"] for item in given.get("items", [])}


def matches(selector: Manifest, labels: Labels) -> bool:
    """Whether a label selector selects a pod; an empty one selects all."""
    if any(labels.get(name) != value for name, value in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", []):
        value, operator = labels.get(rule["key"]), rule["operator"]
        holds = {
            "Exists": value is not None,
            "DoesNotExist": value is None,
            "In": value in rule.get("values", []),
            "NotIn": value not in rule.get("values", []),
        }[operator]
        if not holds:
            return False
    return True


def _selects(manifest: Manifest, selector: Manifest, selected: Any) -> Iterator[str]:
    if not selected(selector):
        yield f"{_title(manifest)} selects no pod"


def _peers(policy: Manifest, peers: Sequence[Manifest], selected: Any) -> Iterator[str]:
    for peer in peers:
        if "namespaceSelector" not in peer and "podSelector" in peer and not selected(peer["podSelector"]):
            yield f"{_title(policy)} lets in or out pods that are nowhere: {peer['podSelector']}"


def _ports(manifest: Manifest, ports: Iterable[Any], selector: Manifest, pods: Sequence[PodTemplate]) -> Iterator[str]:
    for port in ports:
        for pod in pods:
            if isinstance(port, str) and matches(selector, pod.labels) and port not in pod.port_names():
                yield f"{_title(manifest)} wants the port {port}, which {pod.owner} has not"


def _policy_ports(rule: Manifest) -> list[Any]:
    return [port["port"] for port in rule.get("ports", [])]


def _probed(pod: PodTemplate) -> Iterator[str]:
    for container in pod.containers:
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            port = container.get(name, {}).get("httpGet", {}).get("port")
            if isinstance(port, str) and port not in pod.port_names():
                yield port


def _claim_templates(manifests: Manifests, pod: PodTemplate) -> set[str]:
    for manifest in manifests.of("StatefulSet"):
        if _title(manifest) == pod.owner:
            return {claim["metadata"]["name"] for claim in manifest["spec"]["volumeClaimTemplates"]}
    return set()


def _texts(manifests: Manifests) -> Iterator[tuple[str, str]]:
    for manifest in manifests.of("ConfigMap"):
        for name, value in manifest.get("data", {}).items():
            if name.startswith("CARDWATCH_"):
                yield f"{_title(manifest)}, {name}", value
    for pod in manifests.pods():
        for container in pod.containers:
            for variable in container.get("env", []):
                if variable["name"].startswith(("CARDWATCH_", "APICURIO_KAFKASQL_BOOTSTRAP")):
                    yield f"{pod.owner}, {variable['name']}", variable.get("value") or ""
    for scaler in manifests.of("ScaledObject"):
        for trigger in scaler["spec"]["triggers"]:
            yield _title(scaler), trigger["metadata"]["bootstrapServers"]


def _addresses(text: str) -> Iterator[tuple[str, str]]:
    if "://" in text:
        parts = urlsplit(text)
        if parts.hostname and parts.port:
            yield parts.hostname, str(parts.port)
    elif re.fullmatch(r"[a-z0-9.-]*[a-z][a-z0-9.-]*:\d+(,[a-z0-9.-]+:\d+)*", text):
        yield from ((host, port) for host, _, port in (each.partition(":") for each in text.split(",")))


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def _title(manifest: Manifest) -> str:
    return f"{manifest['kind']} {_name(manifest)}"
