"""What the ScaledObjects make of idle, new, stuck and busy consumer groups."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.kubernetes.keda import INVALID_OFFSET, PartitionOffsets, wanted_replicas

SCALERS = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "components" / "autoscaling" / "scalers.yaml"
TRIGGERS = [
    pytest.param(scaler, number, id=f"{scaler['metadata']['name']}-{trigger['metadata']['topic']}")
    for scaler in yaml.safe_load_all(SCALERS.read_text(encoding="utf-8"))
    if scaler["kind"] == "ScaledObject"
    for number, trigger in enumerate(scaler["spec"]["triggers"])
]
# A topic in which ten million messages have been, per partition, and most of them deleted.
OLD_END = 10_000_000
MINIMUM, MAXIMUM = 2, 3


@pytest.mark.parametrize(("scaler", "trigger"), TRIGGERS)
@pytest.mark.parametrize(
    ("partitions", "expected"),
    [
        pytest.param([PartitionOffsets(INVALID_OFFSET, OLD_END)] * 3, MINIMUM, id="a new group on an old topic"),
        pytest.param(
            [PartitionOffsets(OLD_END, OLD_END, OLD_END), *[PartitionOffsets(INVALID_OFFSET, OLD_END)] * 2],
            MINIMUM,
            id="partitions without traffic, whose offsets have expired",
        ),
        pytest.param([PartitionOffsets(INVALID_OFFSET, 0)] * 3, MINIMUM, id="an empty topic"),
        pytest.param([PartitionOffsets(OLD_END, OLD_END, OLD_END)] * 3, MINIMUM, id="idle"),
        pytest.param([PartitionOffsets(0, OLD_END, 0)] * 3, MINIMUM, id="a group that does not advance"),
        pytest.param(
            [PartitionOffsets(1, OLD_END, 0), *[PartitionOffsets(5, 5, 5)] * 2], MINIMUM, id="one partition is behind"
        ),
        pytest.param([PartitionOffsets(1, OLD_END, 0)] * 3, MAXIMUM, id="behind, and at work"),
        pytest.param([PartitionOffsets(0, OLD_END)] * 3, MAXIMUM, id="behind, asked for the first time"),
    ],
)
def test_only_a_group_that_replicas_help_is_scaled_up(
    scaler: Mapping[str, Any], trigger: int, partitions: list[PartitionOffsets], expected: int
) -> None:
    assert wanted_replicas(scaler, partitions, trigger) == expected


@pytest.mark.parametrize(("scaler", "trigger"), TRIGGERS)
def test_how_offsets_count_is_left_to_no_default(scaler: Mapping[str, Any], trigger: int) -> None:
    """Defaults differ between versions of KEDA."""
    metadata = scaler["spec"]["triggers"][trigger]["metadata"]
    assert {
        name: metadata.get(name)
        for name in (
            "offsetResetPolicy",
            "scaleToZeroOnInvalidOffset",
            "allowIdleConsumers",
            "excludePersistentLag",
            "limitToPartitionsWithLag",
        )
    } == {
        "offsetResetPolicy": "latest",
        "scaleToZeroOnInvalidOffset": "false",
        "allowIdleConsumers": "false",
        "excludePersistentLag": "true",
        "limitToPartitionsWithLag": "true",
    }
