"""Which schema ids the lakehouse can decode."""

import pytest
from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import schema_text
from cardwatch_detector.lakehouse.decode import Schemas


class FakeRegistry:
    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.down = False

    def schema_by_id(self, schema_id: int) -> str | None:
        if self.down:
            raise RegistryUnavailableError("down")
        return self.texts.get(schema_id)

    def id_of(self, subject: str, schema_name: str) -> int:
        raise NotImplementedError


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


def test_a_version_of_the_schema_is_learnt(registry: FakeRegistry) -> None:
    registry.texts[7] = schema_text("alert")
    schemas = Schemas("alert", "alert_id", registry)
    assert schemas.look_up(7) is None
    assert schemas.writers == {7: schema_text("alert")}


def test_another_schema_is_refused(registry: FakeRegistry) -> None:
    registry.texts[7] = schema_text("transaction")
    schemas = Schemas("alert", "alert_id", registry)
    assert schemas.look_up(7) is Reason.WRONG_SCHEMA
    assert schemas.writers == {}


def test_an_unknown_id_is_asked_for_again(registry: FakeRegistry) -> None:
    schemas = Schemas("alert", "alert_id", registry)
    assert schemas.look_up(7) is Reason.UNKNOWN_SCHEMA_ID
    registry.texts[7] = schema_text("alert")
    assert schemas.look_up(7) is None


def test_a_silent_registry_refuses_nothing(registry: FakeRegistry) -> None:
    registry.down = True
    with pytest.raises(RegistryUnavailableError):
        Schemas("alert", "alert_id", registry).look_up(7)
