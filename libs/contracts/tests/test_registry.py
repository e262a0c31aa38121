"""A registry that is away is a sentence and a retry, never a refusal."""

import pytest
from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_contracts.registry import ConfluentRegistry


@pytest.fixture
def nobody() -> ConfluentRegistry:
    # Port 9 (discard) of this machine: nobody listens there.
    return ConfluentRegistry("http://127.0.0.1:9/apis/ccompat/v7", retries=0)


def test_a_registry_that_is_away(nobody: ConfluentRegistry) -> None:
    with pytest.raises(RegistryUnavailableError, match=r"the schema registry at http://127\.0\.0\.1:9"):
        nobody.schema_by_id(1)
    with pytest.raises(RegistryUnavailableError):
        nobody.id_of("subject", "alert")
    with pytest.raises(RegistryUnavailableError):
        nobody.ids_of_all_versions("subject")
    with pytest.raises(RegistryUnavailableError):
        nobody.register("subject", "alert")
