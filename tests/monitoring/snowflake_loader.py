"""The Snowflake loader in this process, with the fake Snowflake of its tests, and its metrics on a port."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cardwatch_lakehouse.tables import GOLD_ALERTS, GOLD_VELOCITY_5M
from cardwatch_service.health import HealthEndpoint
from cardwatch_service.metrics import Metrics
from cardwatch_service.shutdown import Shutdown
from cardwatch_snowflake.bootstrap import make_service
from cardwatch_snowflake.metrics import LoaderMetrics
from cardwatch_snowflake.settings import LoaderSettings
from cardwatch_snowflake.snowflake_warehouse import SnowflakeWarehouse
from support.fake_snowflake import FakeSnowflake

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
    snowflake = FakeSnowflake()
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
