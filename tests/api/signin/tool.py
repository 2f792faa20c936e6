"""A tool as `aws login` of the AWS CLI is: PKCE, a DPoP key, a code, credentials."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from iam_guard.authn.people.sessions.tool_sessions import SAME_DEVICE, ToolRequest

CALLBACK = "http://127.0.0.1:41234/oauth/callback"


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def part(members: object) -> str:
    return encoded(json.dumps(members, separators=(",", ":")).encode())


@dataclass
class Tool:
    """One run of a tool: its key, its verifier, and what it has got."""

    url: str
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_id: str = SAME_DEVICE
    redirect: str = CALLBACK

    @property
    def challenge(self) -> str:
        return encoded(hashlib.sha256(self.verifier.encode()).digest())

    @property
    def request(self) -> ToolRequest:
        return ToolRequest(self.client_id, self.redirect, self.challenge, self.state)

    @property
    def jwk(self) -> dict[str, str]:
        numbers = self.key.public_key().public_numbers()
        x, y = (encoded(value.to_bytes(32)) for value in (numbers.x, numbers.y))
        return {"kty": "EC", "x": x, "y": y, "crv": "P-256"}

    def proof(self, *, now: float | None = None, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """Return a proof; `header` and `claims` replace its members, None removes one."""
        made = {
            "htm": "POST",
            "htu": f"{self.url}/v1/token",
            "iat": int(time.time() if now is None else now),
            "jti": str(uuid.uuid4()),
        }
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk, **(header or {})}
        present = [
            {name: value for name, value in members.items() if value is not None} for members in (head, made | claims)
        ]
        text = ".".join(map(part, present))
        r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(SHA256())))
        return f"{text}.{encoded(r.to_bytes(32) + s.to_bytes(32))}"

    def send(self, body: Mapping[str, Any], proof: str | None = "", now: float | None = None, **headers: str) -> Any:
        """Send a request for a token; without a `proof`, with a good one, None for none."""
        sent = {**headers} if proof is None else {"DPoP": proof or self.proof(now=now), **headers}
        content = {name: value for name, value in body.items() if value is not None}
        return requests.post(f"{self.url}/v1/token", json=content, headers=sent, timeout=30)

    def redeem(self, code: str, /, proof: str | None = "", now: float | None = None, **changes: Any) -> Any:
        body = {
            "clientId": self.client_id,
            "grantType": "authorization_code",
            "code": code,
            "codeVerifier": self.verifier,
            "redirectUri": self.redirect,
        }
        return self.send(body | changes, proof, now)

    def refresh(self, token: str, /, proof: str | None = "", now: float | None = None, **changes: Any) -> Any:
        body = {"clientId": self.client_id, "grantType": "refresh_token", "refreshToken": token}
        return self.send(body | changes, proof, now)
