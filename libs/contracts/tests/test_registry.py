"""A registry that does not answer is reported as unavailable, and no message is refused for it."""

from importlib.metadata import version

import pytest
from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_contracts.internals import CHECKED_VERSION
from cardwatch_contracts.registry import ConfluentRegistry


@pytest.fixture
def nobody() -> ConfluentRegistry:
    # Port 9 (discard) of this machine: nobody listens there.
    return ConfluentRegistry("http://127.0.0.1:9/apis/ccompat/v7", retries=0)


def test_an_unreachable_registry_is_reported_as_unavailable(nobody: ConfluentRegistry) -> None:
    with pytest.raises(RegistryUnavailableError, match=r"the schema registry at http://127\.0\.0\.1:9"):
        nobody.schema_by_id(1)
    with pytest.raises(RegistryUnavailableError):
        nobody.id_of("subject", "alert")
    with pytest.raises(RegistryUnavailableError):
        nobody.ids_of_all_versions("subject")
    with pytest.raises(RegistryUnavailableError):
        nobody.register("subject", "alert")


def test_private_parts_were_checked_against_the_pinned_version() -> None:
    assert version("confluent-kafka") == CHECKED_VERSION, (
        f"confluent-kafka {version('confluent-kafka')} is installed, but cardwatch_contracts/internals.py was checked "
        f"against {CHECKED_VERSION}: check that its registry client still raises HTTP_ERRORS while a registry does not "
        "answer (libs/contracts/tests/test_registry.py), then set CHECKED_VERSION"
    )
