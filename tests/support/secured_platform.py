"""A broker and a registry that let nobody in without a certificate or a token.

The broker is Kafka itself, with a listener for client certificates and one for OAUTHBEARER, whose tokens it checks with
its own handler; the registry is the tests' own behind a proxy that demands what a secured one does.
"""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import httpx
from cardwatch_platform import PlatformSettings, SilentReporter
from cardwatch_platform.artifacts import load_lock
from cardwatch_platform.download import ensure_artifacts
from cardwatch_platform.java import java, java_environment
from cardwatch_platform.ports import HOST, free_port
from cardwatch_platform.processes import GuardedProcess
from cardwatch_platform.services import kafka_answers, new_cluster_id

from support.certificates import Authority, KeyPair, server_context
from support.identity_provider import IdentityProvider
from support.json_handler import JsonHandler
from support.platforms import Platform
from support.waiting import wait_until

USER: Final = "cardwatch"
CLIENT_SECRET: Final = "oauth-s3cret-of-the-test"
REGISTRY_TOKEN: Final = "registry-t0ken-of-the-test"
KEY_PASSWORD: Final = "key-passw0rd-of-the-test"
# Shorter than the tests: every client has to get another one. Longer than what the enricher keeps in hand (30 s).
TOKEN_LIFETIME_SECONDS: Final = 40
# The broker ends connections that have not logged in again by then.
_LOGIN_LIFETIME_MS: Final = 6000

_SERVER: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=OPEN://{host}:{open},MTLS://{host}:{mtls},OAUTH://{host}:{oauth},CONTROLLER://{host}:{controller}
advertised.listeners=OPEN://{host}:{open},MTLS://{host}:{mtls},OAUTH://{host}:{oauth}
controller.listener.names=CONTROLLER
inter.broker.listener.name=OPEN
listener.security.protocol.map=OPEN:PLAINTEXT,MTLS:SSL,OAUTH:SASL_SSL,CONTROLLER:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.mtls.ssl.client.auth=required
listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.oauth.oauthbearer.connections.max.reauth.ms={login_lifetime_ms}
listener.name.oauth.oauthbearer.sasl.server.callback.handler.class=\
org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler
listener.name.oauth.oauthbearer.sasl.jaas.config=\
org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
unsecuredLoginStringClaim_sub="broker" ssl.truststore.type="PEM" ssl.truststore.location="{truststore}";
sasl.oauthbearer.jwks.endpoint.url={idp}/jwks
sasl.oauthbearer.expected.audience={audience}
sasl.oauthbearer.expected.issuer={idp}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:CN={user};User:{user}
allow.everyone.if.no.acl.found=false
log.dirs={directory}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
"""


@dataclass(frozen=True)
class SecuredPlatform:
    """What a test needs to log in, and to look behind the scenes.

    Attributes:
        bootstrap_servers: a listener without security, for the test itself.
        registry_url: the registry without its proxy, likewise.
        secured_registry_url: demands a client certificate and ``REGISTRY_TOKEN``.
        client: the certificate of ``USER``; its key has ``KEY_PASSWORD``.
    """

    bootstrap_servers: str
    registry_url: str
    mtls_servers: str
    oauth_servers: str
    secured_registry_url: str
    authority: Authority
    client: KeyPair
    identity_provider: IdentityProvider

    def mtls(self) -> dict[str, str]:
        """A service's settings for the listener of client certificates."""
        return {
            **self._registry(),
            "CARDWATCH_KAFKA_BOOTSTRAP_SERVERS": self.mtls_servers,
            "CARDWATCH_KAFKA_SECURITY_PROTOCOL": "SSL",
            "CARDWATCH_KAFKA_SSL_CERTIFICATE_LOCATION": str(self.client.certificate),
            "CARDWATCH_KAFKA_SSL_KEY_LOCATION": str(self.client.key),
            "CARDWATCH_KAFKA_SSL_KEY_PASSWORD": KEY_PASSWORD,
        }

    def oauth(self) -> dict[str, str]:
        """A service's settings for the listener of tokens."""
        return {
            **self._registry(),
            "CARDWATCH_KAFKA_BOOTSTRAP_SERVERS": self.oauth_servers,
            "CARDWATCH_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "CARDWATCH_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            "CARDWATCH_KAFKA_OAUTH_TOKEN_ENDPOINT_URL": f"{self.identity_provider.url}/token",
            "CARDWATCH_KAFKA_OAUTH_CLIENT_ID": USER,
            "CARDWATCH_KAFKA_OAUTH_CLIENT_SECRET": CLIENT_SECRET,
            "CARDWATCH_KAFKA_OAUTH_SCOPE": IdentityProvider.scope,
            "CARDWATCH_KAFKA_OAUTH_SSL_CA_LOCATION": str(self.authority.location),
        }

    def _registry(self) -> dict[str, str]:
        return {
            "CARDWATCH_KAFKA_SSL_CA_LOCATION": str(self.authority.location),
            "CARDWATCH_SCHEMA_REGISTRY_URL": self.secured_registry_url,
            "CARDWATCH_SCHEMA_REGISTRY_BEARER_TOKEN": REGISTRY_TOKEN,
            "CARDWATCH_SCHEMA_REGISTRY_SSL_CERTIFICATE_LOCATION": str(self.client.certificate),
            "CARDWATCH_SCHEMA_REGISTRY_SSL_KEY_LOCATION": str(self.client.key),
            "CARDWATCH_SCHEMA_REGISTRY_SSL_KEY_PASSWORD": KEY_PASSWORD,
        }


@contextmanager
def secured_platform(platform: Platform, directory: Path) -> Iterator[SecuredPlatform]:
    """Start the broker, the identity provider, and the proxy in front of the platform's registry."""
    authority = Authority(directory)
    server = authority.issue("server")
    with ExitStack() as stack:
        provider = stack.enter_context(
            IdentityProvider(server_context(server), USER, CLIENT_SECRET, TOKEN_LIFETIME_SECONDS)
        )
        proxy = stack.enter_context(_registry_proxy(platform.registry_url, server, authority))
        ports = {name: free_port() for name in ("open", "mtls", "oauth", "controller")}
        stack.enter_context(_broker(directory, authority, server, provider, ports))
        yield SecuredPlatform(
            bootstrap_servers=f"{HOST}:{ports['open']}",
            registry_url=platform.registry_url,
            mtls_servers=f"{HOST}:{ports['mtls']}",
            oauth_servers=f"{HOST}:{ports['oauth']}",
            secured_registry_url=proxy,
            authority=authority,
            client=authority.issue(USER, password=KEY_PASSWORD),
            identity_provider=provider,
        )


@contextmanager
def _broker(
    directory: Path, authority: Authority, server: KeyPair, provider: IdentityProvider, ports: dict[str, int]
) -> Iterator[None]:
    properties = directory / "server.properties"
    properties.write_text(
        _SERVER.format(
            host=HOST, directory=directory, keystore=server.both, truststore=authority.location, idp=provider.url,
            audience=provider.audience, user=USER, login_lifetime_ms=_LOGIN_LIFETIME_MS, **ports,
        )
    )  # fmt: skip
    jars = ensure_artifacts(load_lock(), PlatformSettings(), SilentReporter())["kafka"]
    command = [
        *(java(), "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={provider.url}/jwks",
        *("-cp", f"{jars}/*"),
    ]
    storage = ["kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", str(properties)]
    subprocess.run([*command, *storage], check=True, env=java_environment(), capture_output=True)
    log = directory / "kafka.log"
    broker = GuardedProcess("kafka", [*command, "kafka.Kafka", str(properties)], java_environment(), log, cwd=directory)
    broker.start()
    try:
        wait_until(
            lambda: kafka_answers(f"{HOST}:{ports['open']}", ports["open"]), "an answer of the broker", seconds=90.0
        )
        yield
    finally:
        broker.terminate(10.0)


@contextmanager
def _registry_proxy(registry_url: str, server: KeyPair, authority: Authority) -> Iterator[str]:
    """Passes requests on that come with a certificate of the authority and the token."""
    upstream = httpx.Client(trust_env=False, timeout=20.0)

    class Handler(JsonHandler, BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.headers.get("authorization") != f"Bearer {REGISTRY_TOKEN}":
                self.answer(401, b'{"error_code": 401, "message": "Unauthorized"}')
                return
            kind = {"content-type": self.headers["content-type"]} if content else {}
            answer = upstream.request(self.command, f"{registry_url}{self.path}", content=content, headers=kind)
            self.answer(answer.status_code, answer.content)

        do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - names of http.server

    proxy = ThreadingHTTPServer((HOST, 0), Handler)
    context = server_context(server, demanded=authority)
    proxy.socket = context.wrap_socket(proxy.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield f"https://{HOST}:{proxy.server_address[1]}"
    finally:
        proxy.shutdown()
        proxy.server_close()
        upstream.close()
