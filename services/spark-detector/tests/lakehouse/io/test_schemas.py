"""Which schema ids the lakehouse can decode."""

import pytest
from cardwatch_contracts.errors import IncompatibleSchemaError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import schema_text
from cardwatch_detector.lakehouse.io.decode import TopicSchemas


class FakeRegistry:
    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.down = False

    def schema_by_id(self, schema_id: int) -> str | None:
        if self.down:
            raise RegistryUnavailableError("down")
        return self.texts.get(schema_id)

    def id_of(self, subject: str, schema_name: str) -> int:
        if self.down:
            raise RegistryUnavailableError("down")
        for schema_id, text in self.texts.items():
            if (subject, text) == ("alerts-value", schema_text(schema_name)):
                return schema_id
        raise IncompatibleSchemaError("not registered")


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


def test_a_version_of_the_schema_is_learnt(registry: FakeRegistry) -> None:
    registry.texts[7] = schema_text("alert")
    schemas = TopicSchemas("alert", "alert_id", registry)
    assert schemas.look_up(7) is None
    assert schemas.writers == {7: schema_text("alert")}


def test_another_schema_is_refused(registry: FakeRegistry) -> None:
    registry.texts[7] = schema_text("transaction")
    schemas = TopicSchemas("alert", "alert_id", registry)
    assert schemas.look_up(7) is Reason.WRONG_SCHEMA
    assert schemas.writers == {}


def test_an_unknown_id_is_asked_for_again(registry: FakeRegistry) -> None:
    schemas = TopicSchemas("alert", "alert_id", registry)
    assert schemas.look_up(7) is Reason.UNKNOWN_SCHEMA_ID
    registry.texts[7] = schema_text("alert")
    assert schemas.look_up(7) is None


def test_a_registry_that_does_not_answer_refuses_nothing(registry: FakeRegistry) -> None:
    registry.down = True
    with pytest.raises(RegistryUnavailableError):
        TopicSchemas("alert", "alert_id", registry).look_up(7)


def test_the_newest_version_is_expected(registry: FakeRegistry) -> None:
    registry.texts[7] = schema_text("alert")
    schemas = TopicSchemas("alert", "alert_id", registry, "alerts-value")
    schemas.learn_newest()
    assert schemas.writers == {7: schema_text("alert")}


@pytest.mark.parametrize("down", [True, False])
def test_an_unregistered_newest_version_is_not_expected(registry: FakeRegistry, down: bool) -> None:
    registry.down = down
    schemas = TopicSchemas("alert", "alert_id", registry, "alerts-value")
    schemas.learn_newest()
    assert schemas.writers == {}
