"""The platform as a background process, which outlives the command that started it: ``up``, ``down``, ``status``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cardwatch_contracts.errors import PlatformError

from cardwatch_platform.artifacts import load_lock
from cardwatch_platform.embedded import STOP_GRACE_SECONDS, EmbeddedPlatform, environment, home_lock
from cardwatch_platform.reporting import Reporter
from cardwatch_platform.services import KAFKA, REGISTRY, kafka_answers, registry_answers
from cardwatch_platform.settings import PlatformSettings
from cardwatch_platform.state import Component, PlatformState, load_state


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """One line of ``status``. ``state`` is ``up``, ``not answering`` or ``down``."""

    name: str
    state: str
    address: str
    component: Component | None


def up(
    home: Path, settings: PlatformSettings, reporter: Reporter, start_timeout_seconds: float
) -> tuple[PlatformState, bool]:
    """Start the platform in the background unless it runs. Returns its state, and whether it was started now.

    Raises:
        PlatformError: it could not be started, or the platform that runs in this home does not answer.
    """
    home = home.absolute()
    if _is_up(state := load_state(home)):
        return state, False
    with home_lock(home):  # another command may be starting it at this moment
        state = load_state(home)
    if _is_up(state):
        return state, False
    if state.running():
        reporter.message("Only a part of the platform runs and answers; restarting it.")
        down(home)
    platform = EmbeddedPlatform(
        home, settings=settings, reporter=reporter, start_timeout_seconds=start_timeout_seconds
    ).start()
    platform.release()
    return platform.state, True


def down(home: Path) -> list[str]:
    """Stop the platform in ``home``. Returns the components that were running."""
    home = home.absolute()
    if not home.is_dir():
        return []
    with home_lock(home):
        state = load_state(home)
        stopped = [name for name, component in state.components.items() if component.stop(STOP_GRACE_SECONDS)]
        if state.components:
            state.without_components().save(home)
    return stopped


def status(home: Path) -> list[ComponentStatus]:
    """The state of each component."""
    state = load_state(home.absolute())
    return [_status(state, name) for name in (KAFKA, REGISTRY)]


def exports(home: Path, settings: PlatformSettings) -> Mapping[str, str]:
    """The settings with which a service finds the platform in ``home``.

    Raises:
        PlatformError: it does not run.
    """
    state = load_state(home.absolute())
    if len(state.running()) < len((KAFKA, REGISTRY)):
        raise PlatformError(f"no platform is running in {home.absolute()}; `cardwatch platform up` starts one")
    return environment(state, settings, load_lock())


def _is_up(state: PlatformState) -> bool:
    return all(_status(state, name).state == "up" for name in (KAFKA, REGISTRY))


def _status(state: PlatformState, name: str) -> ComponentStatus:
    component = state.components.get(name)
    if component is None or component.process() is None:
        return ComponentStatus(name, "down", "", None)
    answers = (
        kafka_answers(state.bootstrap_servers, state.kafka_port)
        if name == KAFKA
        else registry_answers(state.registry_url)
    )
    return ComponentStatus(name, "up" if answers else "not answering", state.address(name), component)
