"""The Snowflake loader in this process, with the fake Snowflake of its own tests, and its metrics on a port."""

import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from cardwatch_lakehouse.tables import GOLD_ALERTS, GOLD_VELOCITY_5M
from cardwatch_service.health import HealthEndpoint
from cardwatch_service.metrics import Metrics
from cardwatch_service.shutdown import Shutdown
from cardwatch_snowflake.bootstrap import make_service
from cardwatch_snowflake.metrics import LoaderMetrics
from cardwatch_snowflake.settings import LoaderSettings
from cardwatch_snowflake.snowflake_warehouse import SnowflakeWarehouse

_ITS_TESTS: Final = Path(__file__).parents[2] / "services/snowflake-loader/tests/conftest.py"
_POLL_SECONDS: Final = 2.0


class Loader:
    """It loads until it is stopped; its metrics stay to be scraped."""

    def __init__(self, port: int, shutdown: Shutdown, thread: threading.Thread) -> None:
        self.port: Final = port
        self._shutdown = shutdown
        self._thread = thread

    def stop(self) -> None:
        """Load nothing any more."""
        self._shutdown.request()
        self._thread.join(60)
        assert not self._thread.is_alive()


@contextmanager
def loader(tables_dir: Path) -> Iterator[Loader]:
    """Loads two gold tables as they change."""
    snowflake: Any = _of_its_tests().Snowflake()
    warehouse = SnowflakeWarehouse(snowflake.connect)
    warehouse.open()
    metrics, shutdown = Metrics(), Shutdown()
    own = LoaderSettings(tables_dir=str(tables_dir), poll_seconds=_POLL_SECONDS)
    service = make_service((GOLD_ALERTS, GOLD_VELOCITY_5M), warehouse, own, LoaderMetrics(metrics), shutdown)
    endpoint = HealthEndpoint(metrics.registry)
    endpoint.start()
    thread = threading.Thread(target=service.run, name="snowflake-loader", daemon=True)
    thread.start()
    running = Loader(endpoint.port, shutdown, thread)
    try:
        yield running
    finally:
        running.stop()
        endpoint.stop()


def _of_its_tests() -> ModuleType:
    spec = importlib.util.spec_from_file_location("snowflake_loader_conftest", _ITS_TESTS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
