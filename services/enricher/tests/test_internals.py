"""The versions of Faust and aiokafka whose private parts the enricher uses."""

from importlib.metadata import version

import pytest
from aiokafka.structs import TopicPartition as ClientTopicPartition
from cardwatch_enricher.internals import WRITTEN_FOR
from cardwatch_kafka.messages import TopicPartition


@pytest.mark.parametrize(("package", "written_for"), sorted(WRITTEN_FOR.items()))
def test_private_parts_are_used_of_the_versions_they_were_read_in(package: str, written_for: str) -> None:
    assert version(package) == written_for, (
        f"{package} is {version(package)}, and cardwatch_enricher/internals.py uses private parts of {written_for}: "
        "compare each of them with the new version, run tests/integration/test_enricher.py, then change WRITTEN_FOR"
    )


def test_partitions_are_equal_to_those_of_the_client() -> None:
    assert ClientTopicPartition("t", 1) == TopicPartition("t", 1)
