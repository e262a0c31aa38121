"""Which schema ids the lakehouse can decode."""

import pytest
from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.schemas import schema_text
from cardwatch_detector.lakehouse.io.decode import TopicSchemas
from support.registry import InMemoryRegistry


@pytest.fixture
def registry() -> InMemoryRegistry:
    return InMemoryRegistry({"alert": 7, "transaction": 8})


@pytest.fixture
def schemas(registry: InMemoryRegistry) -> TopicSchemas:
    return TopicSchemas("alert", "alert_id", registry)


def test_all_versions_are_known_before_the_first_micro_batch(schemas: TopicSchemas, registry: InMemoryRegistry) -> None:
    schemas.learn()
    schemas.learn()
    assert list(schemas.writers) == [7]
    assert registry.subjects == ["alerts.v1-value"]


@pytest.mark.parametrize("text", [schema_text("transaction"), "no schema", '{"type":"record","name":"Alert"}'])
def test_a_version_with_which_nothing_can_be_decoded_is_refused(
    schemas: TopicSchemas, registry: InMemoryRegistry, text: str
) -> None:
    registry.texts[9] = text
    schemas.learn()
    assert list(schemas.writers) == [7]
    assert schemas.look_up({9: 1}, known=5) == {9: Reason.WRONG_SCHEMA}


def test_another_subjects_schema_and_an_unknown_id_are_refused(schemas: TopicSchemas) -> None:
    schemas.learn()
    assert schemas.look_up({8: 1, 99: 1}, known=5) == {8: Reason.WRONG_SCHEMA, 99: Reason.UNKNOWN_SCHEMA_ID}


def test_a_new_version_is_learnt(schemas: TopicSchemas, registry: InMemoryRegistry) -> None:
    schemas.learn()
    registry.texts[9] = registry.texts[7]
    assert schemas.look_up({9: 5}, known=0) == {}
    assert sorted(schemas.writers) == [7, 9]


def test_where_most_messages_have_unknown_ids_the_micro_batch_waits(schemas: TopicSchemas) -> None:
    schemas.learn()
    with pytest.raises(RegistryUnavailableError, match="most of the newest"):
        schemas.look_up({99: 60}, known=40)
    assert schemas.look_up({99: 40}, known=60) == {99: Reason.UNKNOWN_SCHEMA_ID}


def test_a_registry_that_does_not_answer_or_is_empty_refuses_nothing(
    schemas: TopicSchemas, registry: InMemoryRegistry
) -> None:
    registry.failures.append(RegistryUnavailableError("down"))
    with pytest.raises(RegistryUnavailableError, match="down"):
        schemas.learn()
    registry.texts.clear()
    with pytest.raises(RegistryUnavailableError, match="no version"):
        schemas.learn()
