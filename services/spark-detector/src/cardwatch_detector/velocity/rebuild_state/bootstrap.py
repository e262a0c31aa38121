"""The wiring of ``cardwatch-detector rebuild-state``."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from cardwatch_service.logs import configure_logging, get_logger
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings, load_settings
from cardwatch_service.shutdown import Shutdown
from cardwatch_service.token_settings import RotationSettings
from pyspark.sql import SparkSession

from cardwatch_detector.runtime.leases import ProcessLeases
from cardwatch_detector.runtime.local_directories import close_directories
from cardwatch_detector.runtime.session import COMPILED, build_session, given_session
from cardwatch_detector.runtime.settings import SparkSettings
from cardwatch_detector.velocity.plan import VelocityPlanner
from cardwatch_detector.velocity.rebuild_state.history import History
from cardwatch_detector.velocity.rebuild_state.load import Loader, LoadSources
from cardwatch_detector.velocity.rebuild_state.plan import RebuildPlan
from cardwatch_detector.velocity.rebuild_state.position import PositionFrom, checkpoint_position, last_position
from cardwatch_detector.velocity.rebuild_state.rebuild import Rebuild
from cardwatch_detector.velocity.rules.reading import active_rules
from cardwatch_detector.velocity.settings import VelocitySettings
from cardwatch_detector.velocity.spark_config import spark_config
from cardwatch_detector.velocity.startup import check_topics
from cardwatch_detector.velocity.state.query_state import QueryState
from cardwatch_detector.velocity.token_views import views_of

_log = get_logger(__name__)

_NAME: Final = "cardwatch-rebuild-state"


@dataclass(frozen=True)
class RebuildOptions:
    """What the person who runs the command has chosen.

    Attributes:
        position: what tells where the detector was.
        checkpoint: the path of the checkpoint that tells it; empty for the query's own one.
        incomplete: whether to go on where the silver topic does not reach back as far as the horizon.
    """

    position: PositionFrom
    checkpoint: str
    incomplete: bool


def run_rebuild_state(shutdown: Shutdown, options: RebuildOptions) -> None:
    """Build the state of all queries of a detector with these settings, which must not run, and print what was done.

    Raises:
        StoppedError: the process was asked to stop.
        CardwatchError: the detector runs, settings or history do not allow it, or loading fails again and again.
    """
    service, settings = load_settings(ServiceSettings), load_settings(VelocitySettings)
    configure_logging("spark-detector", service.log_level, service.log_format)
    check_topics(service, settings, shutdown)
    close_directories(settings.checkpoint_dir)
    rotation = load_settings(RotationSettings).rotation()
    scopes = tuple(settings.scope_list())
    config = {**spark_config(settings), **COMPILED}  # micro-batches are large
    with (
        History.open(service, settings) as history,
        active_rules(service, settings, Metrics(), reports=False) as rules,
    ):
        states = [
            QueryState(VelocityPlanner(scopes, service, settings, view), rotation.key_id) for view in views_of(rotation)
        ]
        leases = ProcessLeases.of(
            {state.query: settings.checkpoint_dir for state in states}, f"rebuild-state of {settings.title}", shutdown
        )
        with leases.held(), _session(config) as session:
            for state in states:
                _rebuild(session, state, history, LoadSources(rules, leases.held_seconds, shutdown), options)


@contextmanager
def _session(config: Mapping[str, str]) -> Iterator[SparkSession]:
    """The platform's session, or one of this process."""
    given = given_session(config)
    session = given or build_session(_NAME, load_settings(SparkSettings), config)
    try:
        yield session
    finally:
        if given is None:
            session.stop()


def _rebuild(
    session: SparkSession,
    state: QueryState,
    history: History,
    sources: LoadSources,
    options: RebuildOptions,
) -> None:
    place, record, topics = state.place(session), state.record(), state.planner.topics
    if state.is_second_view and not place.is_there():
        print(f"{state.query} has not begun: the detector fills its state when it starts")
        return
    rebuild = Rebuild(place, record)
    if options.position is PositionFrom.BEGINNING:
        path = rebuild.begin_without_state()
        print(f"{state.query} begins without state in {path}: the detector evaluates all that the topic has")
        return
    began = time.monotonic()
    if options.position is PositionFrom.NOW:
        up_to = history.now(topics)
    else:
        up_to = last_position(place, record.scopes, options.checkpoint, checkpoint_position)
    plan = history.plan(record, up_to, topics, incomplete=options.incomplete)
    _log.info("rebuilding the state", query=state.query, messages=plan.messages, position=plan.position.offsets)

    def load(planned: RebuildPlan, path: str) -> None:
        Loader(session, state, sources).load(planned, history.known_late(planned), path)

    path = rebuild.run(plan, load)
    seconds = time.monotonic() - began
    print(f"{state.query}: state of {plan.messages:,} messages built in {path} in {seconds:.0f} s; start the detector")
