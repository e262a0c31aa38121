"""Real Kafka and a real schema registry on a machine that has only Python.

    with EmbeddedPlatform(Path(".cardwatch")) as platform:
        platform.bootstrap_servers, platform.registry_url, platform.environment()

``GuardedProcess`` runs any command so that it never outlives this process.
"""

from cardwatch_platform.embedded import EmbeddedPlatform
from cardwatch_platform.processes import GuardedProcess
from cardwatch_platform.reporting import Reporter, RichReporter, SilentReporter
from cardwatch_platform.settings import PlatformSettings

__all__ = ["EmbeddedPlatform", "GuardedProcess", "PlatformSettings", "Reporter", "RichReporter", "SilentReporter"]
