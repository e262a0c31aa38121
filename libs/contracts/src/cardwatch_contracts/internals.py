"""Private parts of confluent_kafka that this package uses, and the version that they were checked with."""

from typing import Final

# The registry client lets the errors of its HTTP library through, and chooses that library itself.
from confluent_kafka.schema_registry.common._httpx_compat import httpx as _http

CHECKED_VERSION: Final = "2.16.1"

HTTP_ERRORS: Final = (_http.HTTPError,)
