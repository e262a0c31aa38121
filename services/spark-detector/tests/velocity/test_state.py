"""Which state a detector goes on with, which it refuses, and how a rebuild puts another one in its place."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cardwatch_contracts.errors import CardwatchError, ConfigurationError
from cardwatch_detector.velocity.rebuild_state.plan import (
    PLAN_FILE,
    RebuildPlan,
    needed_since_ms,
    require_complete_history,
    start_offset,
)
from cardwatch_detector.velocity.rebuild_state.position import checkpoint_position, last_position
from cardwatch_detector.velocity.rebuild_state.rebuild import Rebuild
from cardwatch_detector.velocity.state.place import StatePlace
from cardwatch_detector.velocity.state.record import RECORD_FILE, StateRecord
from cardwatch_detector.velocity.state.spark_logs import CheckpointLogs, Position
from cardwatch_detector.velocity.state.usable import require_readable_state, usable_checkpoint
from support.directory_files import DirectoryFiles, KilledError

HOUR_US = 3_600_000_000
RECORD = StateRecord("array 1", ("card", "merchant"), 2, {"card": 30 * HOUR_US, "merchant": HOUR_US})
COMMAND = "`cardwatch-detector rebuild-state`"
SILVER = "transactions.silver.v1"
METADATA = '{"batchWatermarkMs":5,"batchTimestampMs":7,"conf":{"spark.sql.shuffle.partitions":"2"}}'


@pytest.fixture
def place(tmp_path: Path) -> StatePlace:
    return StatePlace(DirectoryFiles(), str(tmp_path), "velocity-card-merchant")


def usable(
    place: StatePlace, wanted: StateRecord = RECORD, *, second_view: bool = False, published: bool = False
) -> str:
    return usable_checkpoint(place, wanted, is_second_view=second_view, has_published=lambda: published)


def process(path: str, batch: int, offset: int, *, committed: bool = True) -> None:
    """What Spark leaves of a micro-batch."""
    files = DirectoryFiles()
    files.write(f"{path}/metadata", '{"id":"x"}')
    files.write(f"{path}/state/0/0/{batch + 1}.changelog", "")
    files.write(f"{path}/offsets/{batch}", f'v1\n{METADATA}\n{{"{SILVER}":{{"0":{offset}}}}}')
    if committed:
        files.write(f"{path}/commits/{batch}", 'v2\n{"nextBatchWatermarkMs":9,"stateUniqueIds":null}')


def test_a_new_detector_begins_and_goes_on(place: StatePlace) -> None:
    path = usable(place)
    assert StateRecord.from_json(Path(path, RECORD_FILE).read_text()) == RECORD
    assert usable(place, published=True) == path, "it was started before, and killed before Spark wrote anything"
    process(path, 0, 4)
    process(path, 1, 6, committed=False)
    assert usable(place, published=True) == path
    assert CheckpointLogs(place.files, path).position() == Position({SILVER: {"0": 4}}, 9)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"layout": "array 2"}, r"another layout \(array 1\) than this version reads \(array 2\)"),
        ({"partitions": 4}, r"in 2 partitions, but CARDWATCH_DETECTOR_PARTITIONS is 4: set it to 2"),
        ({"horizons_us": {"card": 48 * HOUR_US, "merchant": HOUR_US}}, r"30h for the scope card, but .*_CARD is 2d"),
        ({"scopes": ("card", "ip")}, "state of the scopes card, merchant, expected card, ip"),
    ],
)
def test_state_of_other_settings_is_refused(place: StatePlace, changes: dict[str, object], sentence: str) -> None:
    usable(place)
    with pytest.raises(ConfigurationError, match=sentence) as refused:
        usable(place, replace(RECORD, **changes))  # type: ignore[arg-type]
    assert COMMAND in str(refused.value)


def test_a_horizon_that_was_shorter_for_a_while_is_not_long_enough_any_more(place: StatePlace) -> None:
    usable(place)
    usable(place, replace(RECORD, horizons_us={"card": 2 * HOUR_US, "merchant": HOUR_US}))
    with pytest.raises(ConfigurationError, match="keeps the transactions of 2h"):
        usable(place)


def lose_a_commit(path: Path) -> None:
    (path / "commits/1").unlink()
    (path / "commits/0").unlink()


def cut_a_log(path: Path) -> None:
    (path / "offsets/1").write_text("v1\n")


def lose_the_record(path: Path) -> None:
    (path / RECORD_FILE).unlink()


def damage_the_record(path: Path) -> None:
    (path / RECORD_FILE).write_text("{}")


def lose_the_state(path: Path) -> None:
    (path / "state/0/0/1.changelog").unlink()
    (path / "state/0/0/2.changelog").unlink()
    for directory in ("state/0/0", "state/0", "state"):
        (path / directory).rmdir()


def lose_the_query(path: Path) -> None:
    (path / "metadata").unlink()


@pytest.mark.parametrize(
    "damage", [lose_a_commit, cut_a_log, lose_the_record, damage_the_record, lose_the_state, lose_the_query]
)
def test_damage_that_shows_is_refused(place: StatePlace, damage: Callable[[Path], None]) -> None:
    path = usable(place)
    process(path, 0, 4)
    process(path, 1, 6)
    damage(Path(path))
    with pytest.raises(CardwatchError) as refused:
        usable(place)
    assert COMMAND in str(refused.value)
    assert path in str(refused.value)


def test_what_shows_that_there_was_state_before_is_refused(place: StatePlace, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="alerts of the scopes card, merchant have been published"):
        usable(place, published=True)
    assert usable(replace(place, name="velocity-card-merchant-k2"), second_view=True, published=True)
    with pytest.raises(ConfigurationError, match="velocity-card-merchant-k2"):
        usable(place)
    disjoint = replace(RECORD, scopes=("ip",), horizons_us={"ip": HOUR_US})
    assert usable(replace(place, name="velocity-ip"), disjoint), "another process's scopes are nobody's business"
    process(str(tmp_path / "velocity-ip-device"), 0, 4)
    with pytest.raises(ConfigurationError, match=r"velocity-ip-device\)"):
        usable(replace(place, name="velocity-bin-ip"), replace(disjoint, scopes=("bin", "device")))


def test_a_rebuilt_state_of_other_scopes_is_seen_too(place: StatePlace) -> None:
    path = Rebuild(place, PLAN.record).run(PLAN, load)
    other = replace(place, name="velocity-card")
    with pytest.raises(ConfigurationError, match=r"velocity-card-merchant\.1"):
        usable(other, replace(RECORD, scopes=("card",)))
    assert last_position(other, ("card",), "", checkpoint_position) == PLAN.position
    assert place.current() == path


def test_a_query_whose_state_cannot_be_read_is_not_started_again() -> None:
    for reason in (
        "java.io.FileNotFoundException: File file:/c/engine/velocity-card/state/0/1/7.zip does not exist",
        "java.lang.IllegalStateException: a block of the state has layout 9; this version reads layout 1",
        "java.lang.IllegalStateException: the state of a key is damaged: a block of kind 3 is missing",
    ):
        with pytest.raises(CardwatchError, match="rebuild-state"):
            require_readable_state("velocity-card", reason)
    require_readable_state("velocity-card", "org.apache.kafka.common.errors.TimeoutException: no answer")


PLAN = RebuildPlan(replace(RECORD, partitions=4), Position({SILVER: {"0": 6}}, 9), {SILVER: {"0": 2}})


def load(plan: RebuildPlan, path: str) -> None:
    """Spark's part: its last micro-batch reads further than the position."""
    process(path, 0, 3)
    process(path, 1, 11)


def test_a_rebuild_survives_a_kill_between_any_two_changes(tmp_path: Path) -> None:
    for changes in range(40):
        files = DirectoryFiles()
        place = StatePlace(files, str(tmp_path / str(changes)), "velocity-card-merchant")
        old = usable(place)
        process(old, 0, 6)
        files.changes_left = changes
        try:
            Rebuild(place, PLAN.record).run(PLAN, load)
        except KilledError:
            files.changes_left = None
            # Whichever of them is in use, it is whole and at the position.
            current = CheckpointLogs(files, place.current())
            current.require_complete()
            assert current.position() == PLAN.position
            Rebuild(place, PLAN.record).run(PLAN, load)
        else:
            assert changes > 5
            break
        path = usable(place, PLAN.record, published=True)
        assert CheckpointLogs(files, path).position() == PLAN.position
        assert sorted(files.names(place.directory)) == [Path(path).name, "velocity-card-merchant.current"]
        lines = Path(path, "offsets/1").read_text().splitlines()
        assert json.loads(lines[1]) == {**json.loads(METADATA), "batchWatermarkMs": 9}
        assert Path(path, "commits/1").read_text() == 'v2\n{"nextBatchWatermarkMs":9,"stateUniqueIds":null}'
        assert lines[2:] == [f'{{"{SILVER}":{{"0":6}}}}']
        assert PLAN_FILE not in files.names(path)
    else:
        pytest.fail("it was never run to its end")


def test_what_was_loaded_for_another_position_is_not_used(place: StatePlace) -> None:
    loaded: list[str] = []
    usable(place)

    def killed(plan: RebuildPlan, path: str) -> None:
        loaded.append(path)
        raise KilledError

    for plan in (PLAN, PLAN, replace(PLAN, position=Position({SILVER: {"0": 7}}, 9))):
        with pytest.raises(KilledError):
            Rebuild(place, PLAN.record).run(plan, killed)
    assert [Path(path).name.rpartition(".")[2] for path in loaded] == ["1", "1", "2"]


def test_a_checkpoint_that_was_not_loaded_to_the_position_is_not_used(place: StatePlace) -> None:
    with pytest.raises(CardwatchError, match="has not been loaded up to the position"):
        Rebuild(place, PLAN.record).run(PLAN, lambda plan, path: process(path, 0, 5))
    assert place.current_name() == ""


def test_without_messages_the_detector_begins_at_the_topics_beginning(place: StatePlace) -> None:
    nothing = replace(PLAN, start={SILVER: {"0": 6}})
    path = Rebuild(place, RECORD).run(nothing, lambda plan, path: pytest.fail("there is nothing to load"))
    assert usable(place, published=True) == path
    assert CheckpointLogs(place.files, path).position() is None


def test_the_position_is_that_of_the_old_checkpoint(place: StatePlace, tmp_path: Path) -> None:
    def position(chosen: str = "") -> Position:
        return last_position(place, RECORD.scopes, chosen, checkpoint_position)

    with pytest.raises(ConfigurationError, match="where the detector was is not known"):
        position()
    process(str(tmp_path / "velocity-card"), 3, 30)
    assert position().offsets == {SILVER: {"0": 30}}, "of a version before the rule engine"
    process(str(tmp_path / "velocity-merchant"), 3, 40)
    with pytest.raises(ConfigurationError, match="several others"):
        position()
    assert position(str(tmp_path / "velocity-merchant")).offsets == {SILVER: {"0": 40}}
    process(usable(place, second_view=True), 0, 50)
    assert position().offsets == {SILVER: {"0": 50}}
    with pytest.raises(ConfigurationError, match=r"--from .*nowhere"):
        position(str(tmp_path / "nowhere"))
    Path(place.current(), "commits/0").write_text("v1\nnothing")
    with pytest.raises(CardwatchError, match=r"is damaged.*--position now"):
        position()


def test_what_is_read_reaches_back_as_far_as_the_horizon() -> None:
    at = Position({SILVER: {"0": 6}}, 100 * 3_600_000)
    assert needed_since_ms(at, RECORD.horizons_us) == (100 - 30 - 1) * 3_600_000
    assert needed_since_ms(Position({}, 5), RECORD.horizons_us) == 0
    assert start_offset(first=10, since=20, until=50) == 20
    assert start_offset(first=10, since=50, until=50) == 49, "there has to be a micro-batch that keeps the position"
    assert start_offset(first=10, since=10, until=10) == 10, "there is nothing to read"


def test_a_topic_that_does_not_reach_back_is_refused() -> None:
    def check(first: int, since: int, until: int) -> None:
        require_complete_history(SILVER, first={0: first}, since={0: since}, until={0: until}, since_text="Monday")

    check(0, 0, 9)  # nothing was ever deleted
    check(4, 5, 9)  # what was deleted is older
    with pytest.raises(ConfigurationError, match=r"does not reach back to Monday.*partitions 0 .*--incomplete-history"):
        check(4, 4, 9)
