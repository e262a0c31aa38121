"""How Faust is configured: connection, consumer group, and as little of the rest as possible."""

from pathlib import Path
from typing import Any

import faust
import faust.auth
from cardwatch_kafka.lost_offsets import LostOffsets
from cardwatch_service.metrics import Metrics
from cardwatch_service.settings import ServiceSettings

from cardwatch_enricher.internals import FaustApplication, Fetching
from cardwatch_enricher.settings import EnricherSettings
from cardwatch_enricher.stream.oauth_tokens import OAuthTokens

_MIN_REQUEST_TIMEOUT_SECONDS = 30.0


def make_faust(
    service: ServiceSettings,
    settings: EnricherSettings,
    data_dir: Path,
    metrics: Metrics,
    fetching: Fetching,
) -> FaustApplication:
    """Faust's application, for the running event loop.

    Args:
        data_dir: a directory that Faust may write to; nothing in it is needed again.
        metrics: counts messages that were deleted before they were read.
    """
    options = faust_options(service, settings, data_dir)
    group = service.consumer_group("enricher")
    lost_offsets = LostOffsets(service.on_lost_offsets, metrics)
    return FaustApplication(group, fetching=fetching, lost_offsets=lost_offsets, **options)


def faust_options(service: ServiceSettings, settings: EnricherSettings, data_dir: Path) -> dict[str, Any]:
    """Options of Faust's application.

    Args:
        data_dir: a directory that Faust may write to; nothing in it is needed again.
    """
    return {
        "broker": broker_urls(service.kafka_bootstrap_servers),
        "broker_credentials": credentials(service),
        "broker_client_id": "cardwatch-enricher",
        "broker_session_timeout": settings.session_timeout_seconds,
        "broker_heartbeat_interval": settings.session_timeout_seconds / 3,
        "broker_request_timeout": max(_MIN_REQUEST_TIMEOUT_SECONDS, settings.session_timeout_seconds),
        "broker_max_poll_records": settings.batch_size,
        # An offset that is gone ends the consumer; where the next one begins is decided by `LostOffsets`.
        "consumer_auto_offset_reset": "none",
        "consumer_group_instance_id": settings.instance_id or None,
        "stream_wait_empty": False,
        "stream_buffer_maxsize": 4 * settings.batch_size,
        "stream_recovery_delay": 0.0,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        "datadir": str(data_dir),
        "autodiscover": False,
    }


def broker_urls(bootstrap_servers: str) -> list[str]:
    """``host:port,host:port`` as Faust wants it."""
    servers = (server.strip() for server in bootstrap_servers.split(","))
    return [f"kafka://{server}" for server in servers if server]


def credentials(service: ServiceSettings) -> Any:
    """Faust's credentials for the connection settings, None for a plain connection."""
    context = service.kafka_tls().context() if service.uses_tls else None
    if service.uses_oauth:
        return faust.auth.OAuthCredentials(oauth_cb=OAuthTokens(service), ssl_context=context)
    if service.uses_sasl:
        return faust.SASLCredentials(
            username=service.kafka_sasl_username,
            password=service.kafka_sasl_password.get_secret_value(),
            mechanism=service.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context is not None else None
