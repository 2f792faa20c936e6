"""Credentials for the demo's callers: a role session from STS, a password, and tokens of an OIDC provider.

The provider is a separate server: it publishes its keys as OIDC specifies, and the guard fetches them. Its
issuer is `https://id.example.com/demo`; a setting of the guard maps that to the server's address.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
from botocore.credentials import Credentials
from joserfc import jwt
from joserfc.jwk import ECKey

ISSUER = "https://id.example.com/demo"
AUDIENCE = "docs"
REGION = "us-east-1"


def assumed(address: str, key: tuple[str, str], role: str) -> Credentials:
    """Assume a role at the service's STS, as boto3 does."""
    made = _client("sts", address, key).assume_role(RoleArn=role, RoleSessionName="demo")["Credentials"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"])


def give_password(address: str, key: tuple[str, str], user: str, password: str) -> None:
    """Set a user's first password at the service's IAM, as `aws iam create-login-profile` does."""
    _client("iam", address, key).create_login_profile(UserName=user, Password=password)


def _client(service: str, address: str, key: tuple[str, str]) -> Any:
    return botocore.session.Session().create_client(
        service,
        region_name=REGION,
        endpoint_url=f"{address}/iam",
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
    )


class Provider:
    """An OIDC provider with one key."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256", {"kid": "demo", "use": "sig", "alg": "ES256"})

    def token(self, subject: str) -> str:
        """Return a token for a subject, valid for five minutes."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 300}
        return jwt.encode({"alg": "ES256", "kid": "demo"}, claims, self._key)

    def published(self, path: str) -> dict[str, object]:
        """Return the published document: the discovery document or the keys."""
        if path.endswith("/.well-known/openid-configuration"):
            return {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
        return {"keys": [self._key.as_dict(private=False)]}


@contextlib.contextmanager
def published(provider: Provider) -> Iterator[str]:
    """Publish the provider's keys until the block ends; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(provider.published(self.path)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Suppress the log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
