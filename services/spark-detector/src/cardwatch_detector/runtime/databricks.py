"""What differs on a Databricks cluster (docs/databricks.md)."""

import os
from collections.abc import Mapping
from typing import Final

# Set on every machine of a cluster.
RUNTIME_VARIABLE: Final = "DATABRICKS_RUNTIME_VERSION"
_LOGIN_MODULES: Final = "org.apache.kafka.common.security"


def on_databricks(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process runs on a Databricks cluster."""
    return RUNTIME_VARIABLE in environment


def login_modules(environment: Mapping[str, str] = os.environ) -> str:
    """The Java package of the Kafka client's login modules: the runtime has its client under another name."""
    return f"kafkashaded.{_LOGIN_MODULES}" if on_databricks(environment) else _LOGIN_MODULES
