import sys
from pathlib import Path

import pytest
from cardwatch_cli.demo.service_process import ServiceProcess
from cardwatch_cli.demo.services import ServiceDefinition


def test_a_service_that_runs_is_not_started_a_second_time(tmp_path: Path) -> None:
    definition = ServiceDefinition("sleeper", (sys.executable, "-c", "import time; time.sleep(60)"), {}, ())
    service = ServiceProcess(definition, {}, tmp_path / "log", tmp_path)
    service.start()
    try:
        first = service.process.pid
        with pytest.raises(RuntimeError, match="the sleeper is running already"):
            service.start()
        assert service.process.pid == first
        service.kill()
        service.start()
        assert service.process.pid != first
    finally:
        service.kill()
