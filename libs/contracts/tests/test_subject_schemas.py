"""Which schema ids are accepted, what asking for them costs, and what counts as an outage of the registry."""

import json
import struct
from typing import Any

import pytest
from cardwatch_contracts.errors import CardwatchError, RefusedError, RegistryUnavailableError
from cardwatch_contracts.reasons import Reason
from cardwatch_contracts.registry_outages import (
    MAX_WAIT_SECONDS,
    MIN_UNKNOWN_MESSAGES,
    TRUST_SECONDS,
    WINDOW_MESSAGES,
    UnknownIdWindow,
)
from cardwatch_contracts.request_budget import RequestBudget
from cardwatch_contracts.schemas import schema_text
from cardwatch_contracts.subject_schemas import NEGATIVE_SECONDS, REQUESTS_PER_SECOND, SubjectSchemas
from cardwatch_contracts.wire import Decoder, Encoder
from support.registry import InMemoryRegistry

SUBJECT = "transactions.labels.v1-value"
LABEL, OLDER, ALERT = 7, 3, 8
RECORD = {"transaction_id": "t1", "is_fraud": True, "scenario": None, "expected_refusal": None}


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> InMemoryRegistry:
    return InMemoryRegistry({"transaction_label": LABEL, "alert": ALERT})


@pytest.fixture
def outages() -> list[bool]:
    return []


@pytest.fixture
def schemas(registry: InMemoryRegistry, clock: Clock, outages: list[bool]) -> SubjectSchemas:
    return SubjectSchemas(
        "transaction_label", registry, SUBJECT, on_outage=outages.append, clock=clock, sleep=clock.sleep
    )


def reason(schemas: SubjectSchemas, schema_id: int) -> Reason:
    with pytest.raises(RefusedError) as caught:
        schemas.parsed_writer(schema_id)
    return caught.value.reason


def without(field: str) -> str:
    schema = json.loads(schema_text("transaction_label"))
    schema["fields"] = [one for one in schema["fields"] if one["name"] != field]
    return json.dumps(schema)


def test_every_version_of_the_subject_is_accepted_and_asked_for_once(
    schemas: SubjectSchemas, registry: InMemoryRegistry
) -> None:
    registry.texts[OLDER] = without("scenario")
    for _ in range(3):
        assert schemas.parsed_writer(LABEL)
        assert schemas.parsed_writer(OLDER)
    assert registry.subjects == [SUBJECT]
    assert sorted(schemas.writers) == [OLDER, LABEL]


def test_a_schema_of_the_right_name_from_another_subject_is_refused(registry: InMemoryRegistry) -> None:
    # Anybody who may register a schema somewhere could choose how messages are read.
    registry.texts[ALERT] = schema_text("transaction_label")
    decode = Decoder("transaction_label", registry)
    with pytest.raises(RefusedError, match="but not as that") as caught:
        decode(Encoder("transaction_label", ALERT)(RECORD))
    assert caught.value.reason is Reason.WRONG_SCHEMA


@pytest.mark.parametrize(
    "text",
    [
        schema_text("alert"),
        "not a schema",
        "[" * 10_000,
        without("scenario").replace('"boolean"', '{"type": "array", "items": "null"}'),
        without("scenario").replace('"boolean"', '"TransactionLabel"'),
        without("scenario").replace('"boolean"', '"io.cardwatch.events.Elsewhere"'),
    ],
)
def test_a_version_that_costs_too_much_is_refused_and_stops_no_other(
    schemas: SubjectSchemas, registry: InMemoryRegistry, text: str
) -> None:
    registry.texts[OLDER] = text
    assert reason(schemas, OLDER) is Reason.WRONG_SCHEMA
    assert schemas.parsed_writer(LABEL)
    assert reason(schemas, OLDER) is Reason.WRONG_SCHEMA
    assert registry.subjects == [SUBJECT]


def test_an_unknown_id_is_not_asked_for_again_for_a_while(
    schemas: SubjectSchemas, registry: InMemoryRegistry, clock: Clock
) -> None:
    schemas.parsed_writer(LABEL)
    assert [reason(schemas, 99) for _ in range(5)] == [Reason.UNKNOWN_SCHEMA_ID] * 5
    assert len(registry.subjects) == 2
    registry.texts[99] = without("scenario")
    clock.now += NEGATIVE_SECONDS
    assert schemas.parsed_writer(99), "it was registered meanwhile"


def test_a_new_version_is_asked_for_at_once_whatever_else_is_unknown(
    schemas: SubjectSchemas, registry: InMemoryRegistry
) -> None:
    schemas.parsed_writer(LABEL)
    assert reason(schemas, 99) is Reason.UNKNOWN_SCHEMA_ID
    registry.texts[100] = without("scenario")
    assert schemas.parsed_writer(100)


def test_ids_made_up_at_random_cost_one_request_a_batch(
    schemas: SubjectSchemas, registry: InMemoryRegistry, clock: Clock
) -> None:
    schemas.parsed_writer(LABEL)
    began, asked = clock.now, len(registry.subjects)
    for batch in range(100):
        made_up = {100_000 + 50 * batch + number: 1 for number in range(50)}
        schemas.look_up({LABEL: 450, **made_up})
        assert all(reason(schemas, number) is Reason.UNKNOWN_SCHEMA_ID for number in made_up)
    assert len(registry.subjects) - asked == 100
    requests = len(registry.subjects) + len(registry.asked)
    assert requests <= (clock.now - began) * REQUESTS_PER_SECOND + 22, "no more than the budget"


def test_messages_that_were_all_there_cost_one_request(
    schemas: SubjectSchemas, registry: InMemoryRegistry, clock: Clock
) -> None:
    schemas.parsed_writer(LABEL)
    asked, clock.now = len(registry.subjects), clock.now + 100
    written, began = clock.now, clock.now
    for batch in range(12):
        made_up = {100_000 + 1000 * batch + number: 1 for number in range(1000)}
        schemas.look_up({LABEL: 1, **made_up}, suspect_outage=False, written_before=written)
        assert all(reason(schemas, number) is Reason.UNKNOWN_SCHEMA_ID for number in made_up)
    assert len(registry.subjects) - asked == 1
    assert clock.now == began, "nobody waited"
    registry.texts[99] = without("scenario")
    schemas.look_up({99: 1}, suspect_outage=False, written_before=written + 1)
    assert schemas.parsed_writer(99), "it was written later"


def test_single_messages_keep_to_the_budget_too(
    schemas: SubjectSchemas, registry: InMemoryRegistry, clock: Clock
) -> None:
    schemas.look_up({LABEL: 10_000})
    began = clock.now
    for number in range(100, 300):
        reason(schemas, number)
    assert len(registry.subjects) + len(registry.asked) <= (clock.now - began) * REQUESTS_PER_SECOND + 22


@pytest.mark.parametrize("error", [RegistryUnavailableError("down"), CardwatchError("no right"), OSError(), KeyError()])
def test_a_registry_that_does_not_answer_is_waited_for(
    schemas: SubjectSchemas, registry: InMemoryRegistry, outages: list[bool], error: Exception
) -> None:
    registry.failures += [error, error]
    for _ in range(2):
        with pytest.raises(RegistryUnavailableError):
            schemas.look_up({LABEL: 1})
    assert schemas.parsed_writer(LABEL)
    assert outages == [True, False]


def test_what_is_known_is_decoded_while_the_registry_is_down(
    schemas: SubjectSchemas, registry: InMemoryRegistry
) -> None:
    schemas.parsed_writer(LABEL)
    registry.failures += [RegistryUnavailableError("down")]
    schemas.look_up({LABEL: 100})
    assert schemas.parsed_writer(LABEL)


def test_an_emptied_registry_is_an_outage_from_the_first_message(
    schemas: SubjectSchemas, registry: InMemoryRegistry, outages: list[bool]
) -> None:
    texts, registry.texts = registry.texts, {}
    for _ in range(50):
        with pytest.raises(RegistryUnavailableError, match="cardwatch schemas apply"):
            schemas.look_up({99: 1})
    registry.texts = texts
    schemas.look_up({99: 1})
    assert reason(schemas, 99) is Reason.UNKNOWN_SCHEMA_ID
    assert outages == [True, False]


def test_a_registry_that_has_lost_a_version_is_an_outage(schemas: SubjectSchemas, registry: InMemoryRegistry) -> None:
    # Emptied and filled again: the same schema has another id.
    schemas.parsed_writer(LABEL)
    text = registry.texts.pop(LABEL)
    registry.texts[50] = text
    with pytest.raises(RegistryUnavailableError, match=f"lost schema id {LABEL}"):
        schemas.look_up({99: 1})
    assert schemas.parsed_writer(LABEL), "messages with it are still decoded"
    registry.texts[LABEL] = without("scenario")
    with pytest.raises(RegistryUnavailableError, match="another schema"):
        schemas.look_up({99: 1})


def test_a_registry_that_writes_a_schema_otherwise_has_lost_nothing(
    schemas: SubjectSchemas, registry: InMemoryRegistry
) -> None:
    schemas.parsed_writer(LABEL)
    registry.texts[LABEL] = json.dumps(json.loads(registry.texts[LABEL]), indent=4)
    assert reason(schemas, 99) is Reason.UNKNOWN_SCHEMA_ID


def test_where_most_messages_have_unknown_ids_they_wait_and_then_are_refused(
    schemas: SubjectSchemas, registry: InMemoryRegistry, clock: Clock, outages: list[bool]
) -> None:
    # A fresh process, and a registry that was filled again before it started: nothing is known to be lost.
    began = clock.now
    batch = {99: MIN_UNKNOWN_MESSAGES}
    while clock.now < began + MAX_WAIT_SECONDS:
        with pytest.raises(RegistryUnavailableError, match="most of the newest messages"):
            schemas.look_up(batch)
        clock.now += 5
    schemas.look_up(batch)
    assert reason(schemas, 99) is Reason.UNKNOWN_SCHEMA_ID
    assert outages == [True, False]


def test_they_go_on_as_soon_as_their_id_is_registered(schemas: SubjectSchemas, registry: InMemoryRegistry) -> None:
    with pytest.raises(RegistryUnavailableError):
        schemas.look_up({99: 500})
    registry.texts[99] = without("scenario")
    schemas.look_up({99: 500})
    assert schemas.parsed_writer(99)


WAIT, GO_ON = True, False


@pytest.mark.parametrize(
    ("past", "batch", "expected"),
    [
        ([], (0, MIN_UNKNOWN_MESSAGES - 1), GO_ON),
        ([], (0, MIN_UNKNOWN_MESSAGES), WAIT),
        ([], (MIN_UNKNOWN_MESSAGES, MIN_UNKNOWN_MESSAGES), GO_ON),
        ([], (MIN_UNKNOWN_MESSAGES, MIN_UNKNOWN_MESSAGES + 1), WAIT),
        ([(0, 1)] * (MIN_UNKNOWN_MESSAGES - 1), (0, 1), WAIT),
        ([(0, 1)] * (MIN_UNKNOWN_MESSAGES - 1), (1, 0), GO_ON),
        ([(1, 0)] * 500, (0, 400), GO_ON),
        ([(1, 0)] * 500, (0, 501), WAIT),
        # Only the newest messages count: a long past does not excuse them.
        ([(WINDOW_MESSAGES, 0)] * 100, (0, WINDOW_MESSAGES), WAIT),
        ([(WINDOW_MESSAGES, 0)] * 100, (0, WINDOW_MESSAGES // 2), GO_ON),
        ([(1, 0)] * 100 * WINDOW_MESSAGES, (0, WINDOW_MESSAGES + 200), WAIT),
        # A large batch with good messages excuses a burst.
        ([(0, 19)], (100_000, 40_000), GO_ON),
    ],
)
def test_when_unknown_ids_are_an_outage(past: list[tuple[int, int]], batch: tuple[int, int], expected: bool) -> None:
    window = UnknownIdWindow()
    for known, unknown in past:
        assert not window.must_wait(known, unknown, 0.0)
    for _ in range(3):  # the same batch gets the same answer
        assert window.must_wait(*batch, 1.0) is expected
        if expected is GO_ON:
            break


def test_whoever_sends_unknown_ids_delays_messages_for_a_part_of_the_time_only() -> None:
    window, waited, now = UnknownIdWindow(), 0.0, 0.0
    while now < 100_000:
        if window.must_wait(0, 1000, now):
            waited += 5
            now += 5
        else:
            now += 1
    assert waited / now < 1.05 * MAX_WAIT_SECONDS / (MAX_WAIT_SECONDS + TRUST_SECONDS)


def test_a_budget_lets_a_burst_through_and_then_so_many_per_second(clock: Clock) -> None:
    budget = RequestBudget(2.0, 4, clock=clock, sleep=clock.sleep)
    began = clock.now
    for _ in range(4):
        budget.wait()
    assert clock.now == began
    assert not budget.take()
    for _ in range(10):
        budget.wait()
    assert clock.now - began == pytest.approx(5.0)
    clock.now += 3600
    assert [budget.take() for _ in range(5)] == [True] * 4 + [False]


def test_a_batch_is_looked_up_before_it_is_decoded(registry: InMemoryRegistry) -> None:
    decode = Decoder("transaction_label", registry)
    good = Encoder("transaction_label", LABEL)(RECORD)
    junk: list[Any] = [struct.pack(">bI", 0, 500 + number) + b"x" for number in range(40)]
    decode.look_up([None, b"", b"\x00", b"{}", *[good] * 60, *junk])
    assert registry.subjects == [SUBJECT]
    assert decode(good) == RECORD
    for value in junk:
        with pytest.raises(RefusedError):
            decode(value)
    assert registry.subjects == [SUBJECT]
