"""What a query does about schema ids that its plan does not know."""

import json
from collections import Counter

import pytest
from cardwatch_contracts.errors import RegistryUnavailableError
from cardwatch_contracts.schemas import schema_text
from cardwatch_detector.runtime.confluent_avro import SKIP_SECONDS, NewSchemaVersionError, QuerySchemas
from support.registry import InMemoryRegistry

KNOWN, NEW = 7, 9
MADE_UP = range(100, 110)


class Topic:
    """The schema ids of its newest messages, and a clock."""

    def __init__(self) -> None:
        self.ids = Counter({KNOWN: 1000})
        self.now = 0.0


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def registry() -> InMemoryRegistry:
    return InMemoryRegistry({"alert": KNOWN})


@pytest.fixture
def schemas(registry: InMemoryRegistry, topic: Topic) -> QuerySchemas:
    return QuerySchemas("alert", registry, "alerts.v1-value", lambda: topic.ids, clock=lambda: topic.now)


def fail(schemas: QuerySchemas, schema_id: int, name: str = "alert") -> None:
    schemas.learn(f"SparkRuntimeException: schema id {schema_id} of {name} is not known to this query")


def newer() -> str:
    return json.dumps(json.loads(schema_text("alert")) | {"doc": "newer"})


def test_a_version_registered_after_the_start_is_in_the_next_plan(
    schemas: QuerySchemas, registry: InMemoryRegistry
) -> None:
    assert list(schemas.begin_plan()) == [KNOWN]
    registry.texts[NEW] = newer()
    fail(schemas, NEW)
    assert sorted(schemas.begin_plan()) == [KNOWN, NEW]
    asked = len(registry.subjects)
    schemas.check()
    assert len(registry.subjects) == asked, "nothing is skipped, so that there is nothing to ask for"


def test_ids_made_up_at_random_fail_a_query_once(
    schemas: QuerySchemas, registry: InMemoryRegistry, topic: Topic
) -> None:
    schemas.begin_plan()
    fail(schemas, MADE_UP[0])
    schemas.begin_plan()
    schemas.check()
    assert not schemas.needs_restart()
    topic.now += SKIP_SECONDS
    assert schemas.needs_restart()
    schemas.begin_plan()
    assert not schemas.needs_restart()


def test_no_message_of_a_new_version_is_skipped(schemas: QuerySchemas, registry: InMemoryRegistry) -> None:
    schemas.begin_plan()
    fail(schemas, MADE_UP[0])
    schemas.begin_plan()
    schemas.check()
    registry.texts[NEW] = newer()
    with pytest.raises(NewSchemaVersionError, match=str(NEW)):
        schemas.check()
    assert sorted(schemas.begin_plan()) == [KNOWN, NEW]
    schemas.check()


def test_a_query_waits_for_a_registry_that_has_lost_what_most_messages_have(
    schemas: QuerySchemas, registry: InMemoryRegistry, topic: Topic
) -> None:
    schemas.begin_plan()
    topic.ids = Counter({NEW: 600, KNOWN: 400})
    fail(schemas, NEW)
    for _ in range(3):
        with pytest.raises(RegistryUnavailableError, match="most of the newest"):
            schemas.begin_plan()
    registry.texts[NEW] = newer()
    assert sorted(schemas.begin_plan()) == [KNOWN, NEW]


def test_an_outage_does_not_make_a_query_skip_messages(schemas: QuerySchemas, registry: InMemoryRegistry) -> None:
    schemas.begin_plan()
    fail(schemas, NEW)
    registry.failures += [RegistryUnavailableError("down")] * 2
    for _ in range(2):
        with pytest.raises(RegistryUnavailableError, match="down"):
            schemas.begin_plan()
    registry.texts[NEW] = newer()
    assert sorted(schemas.begin_plan()) == [KNOWN, NEW]


def test_what_is_known_is_planned_while_the_registry_is_down(schemas: QuerySchemas, registry: InMemoryRegistry) -> None:
    schemas.begin_plan()
    registry.failures.append(RegistryUnavailableError("down"))
    fail(schemas, NEW, "card_profile")  # another topic's
    assert list(schemas.begin_plan()) == [KNOWN]
