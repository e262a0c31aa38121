"""An OIDC identity provider in this process: tokens for client credentials, and its keys (JWKS), over TLS."""

import base64
import json
import ssl
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from support.json_handler import JsonHandler

_KEY_ID: Final = "test-key"


class IdentityProvider:
    """Gives signed tokens (JWT, RS256) to one client.

    Attributes:
        asked: how many tokens it was asked for, with the right secret or not.
    """

    audience: Final = "kafka"
    scope: Final = "kafka-clients"

    def __init__(self, context: ssl.SSLContext, client_id: str, secret: str, lifetime_seconds: int) -> None:
        self.asked = 0
        self._login: Final = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        self._client_id: Final = client_id
        self._lifetime_seconds: Final = lifetime_seconds
        self._key: Final = rsa.generate_private_key(65537, 2048)
        provider = self

        class Handler(JsonHandler, BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(200, json.dumps(provider._keys()).encode())

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                status, body = provider._grant(self.headers.get("authorization", ""), form)
                self.answer(status, json.dumps(body).encode())

        self._server: Final = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url: Final = f"https://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _keys(self) -> dict[str, Any]:
        public = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**public, "kid": _KEY_ID, "use": "sig", "alg": "RS256"}]}

    def _grant(self, login: str, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        self.asked += 1
        if login != f"Basic {self._login}":
            return 401, {"error": "invalid_client"}
        if form.get("grant_type") != ["client_credentials"] or form.get("scope") != [self.scope]:
            return 400, {"error": "invalid_request"}
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": self.audience, "sub": self._client_id, "scope": self.scope,
            "iat": now, "exp": now + self._lifetime_seconds, "jti": uuid.uuid4().hex,
        }  # fmt: skip
        token = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": _KEY_ID})
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self._lifetime_seconds}
