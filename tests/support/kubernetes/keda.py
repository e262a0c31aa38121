"""How many replicas KEDA's Kafka scaler wants, as its source computes it (2.20.2, pkg/scalers/kafka_scaler.go).

``getLagForPartition`` and ``getTotalLag``; the horizontal pod autoscaler then divides by the threshold (AverageValue).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INVALID_OFFSET = -1


@dataclass(frozen=True)
class PartitionOffsets:
    """What KEDA asks for of a partition.

    Attributes:
        committed: by the group; INVALID_OFFSET where it has committed none.
        end: the offset of the next message, whatever is left of the earlier ones.
        previous: what was committed when KEDA asked before; None the first time.
    """

    committed: int
    end: int
    previous: int | None = None


def wanted_replicas(scaler: Mapping[str, Any], partitions: Sequence[PartitionOffsets], trigger: int = 0) -> int:
    """The number of replicas for the offsets of one trigger's topic; the other triggers see no lag."""
    spec = scaler["spec"]
    metadata = spec["triggers"][trigger]["metadata"]
    threshold = int(metadata["lagThreshold"])
    lags = [_lag(metadata, one) for one in partitions]
    total = sum(lags)
    if not _is_on(metadata, "allowIdleConsumers") or _is_on(metadata, "limitToPartitionsWithLag"):
        limited = _is_on(metadata, "limitToPartitionsWithLag")
        bound = sum(lag > 0 for lag in lags) if limited else len(lags)
        if total // threshold > bound:
            total = bound * threshold
    wanted = math.ceil(total / threshold)
    return max(int(spec["minReplicaCount"]), min(int(spec["maxReplicaCount"]), wanted))


def _lag(metadata: Mapping[str, str], partition: PartitionOffsets) -> int:
    if partition.committed == INVALID_OFFSET:
        if metadata.get("offsetResetPolicy", "latest") == "latest":
            return 0 if _is_on(metadata, "scaleToZeroOnInvalidOffset") else 1
        return 0 if _is_on(metadata, "scaleToZeroOnInvalidOffset") else partition.end
    if _is_on(metadata, "excludePersistentLag") and partition.previous == partition.committed:
        return 0
    return partition.end - partition.committed


def _is_on(metadata: Mapping[str, str], name: str) -> bool:
    return metadata.get(name, "false") == "true"
