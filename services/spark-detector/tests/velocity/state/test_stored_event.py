"""What the state keeps of a transaction."""

import pyarrow as pa
import pytest
from cardwatch_contracts.values import SHOWN_FIELDS
from cardwatch_detector.velocity.state.stored_event import fields_to_read, stored_fields, times
from cardwatch_rules.fields import RULE_FIELDS, SCOPE_KEYS


@pytest.mark.parametrize("scope", SCOPE_KEYS)
def test_it_keeps_all_that_rules_can_name_and_alerts_show(scope: str) -> None:
    kept = {*stored_fields(scope), SCOPE_KEYS[scope]}
    assert kept == {*RULE_FIELDS, *SHOWN_FIELDS, "raw_broker_time"}, "another choice of fields is another layout"
    assert SCOPE_KEYS[scope] not in stored_fields(scope), "the group has it"


def test_what_is_decoded_is_what_is_kept_and_the_keys() -> None:
    assert set(fields_to_read(SCOPE_KEYS)) >= {"event_time", *SCOPE_KEYS.values()}
    assert "raw_offset" not in fields_to_read(SCOPE_KEYS)


def ordered(us: int) -> bytes:
    return (us + 2**63).to_bytes(8, "big")


def test_times_of_stamps() -> None:
    stamps = pa.array(
        [ordered(-1) + ordered(5), ordered(0) + ordered(2**62), ordered(7) + ordered(-(2**63))], pa.binary()
    )
    assert times(stamps).tolist() == [[-1, 5], [0, 2**62], [7, -(2**63)]]
    assert times(stamps[1:]).tolist() == [[0, 2**62], [7, -(2**63)]], "a slice begins somewhere in the same bytes"
    assert times(pa.chunked_array([stamps[:1], stamps[2:]])).tolist() == [[-1, 5], [7, -(2**63)]]
    assert times(pa.array([ordered(3)], pa.binary()), width=1).tolist() == [[3]]
    assert times(pa.array([], pa.binary())).tolist() == []


def test_bytes_in_order_are_times_in_order() -> None:
    moments = [-(2**63), -5, -1, 0, 1, 1_795_478_400_000_000, 2**63 - 1]
    assert sorted(map(ordered, reversed(moments))) == [ordered(at) for at in moments]
