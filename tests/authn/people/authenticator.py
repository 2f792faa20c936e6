"""An authenticator for tests, which makes and uses keys as a browser reports it, with any mistake that a test wants."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED = 1, 4, 8, 16, 64
"""Flags of authenticator data."""


def encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Key:
    """A key of the authenticator. `flags` are those of its next answers, `counter` that of the last one."""

    rp_id: str = "localhost"
    user_handle: bytes | None = None
    flags: int = PRESENT | VERIFIED
    counter: int = 0
    step: int = 1
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    private: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))

    def create(self, options: Any, origin: str = "http://localhost", **client: Any) -> str:
        """Answer creation options, as `JSON.stringify` of a credential."""
        self.user_handle = decode(options["user"]["id"])
        numbers = self.private.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        public = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        data = self._data(self.flags | ATTESTED) + attested
        response = {
            "clientDataJSON": encode(client_data("webauthn.create", options, origin, client)),
            "attestationObject": encode(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
            "transports": ["internal", "hybrid", "smoke signals"],
        }
        return self._answer(response)

    def get(self, options: Any, origin: str = "http://localhost", **client: Any) -> str:
        """Answer request options."""
        client_json = client_data("webauthn.get", options, origin, client)
        self.counter += self.step
        data = self._data(self.flags)
        response = {
            "clientDataJSON": encode(client_json),
            "authenticatorData": encode(data),
            "signature": encode(self.private.sign(data + hashlib.sha256(client_json).digest(), ECDSA(SHA256()))),
            "userHandle": None if self.user_handle is None else encode(self.user_handle),
        }
        return self._answer(response)

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4, "big")

    def _answer(self, response: dict[str, Any]) -> str:
        id = encode(self.id)
        return json.dumps({"id": id, "rawId": id, "type": "public-key", "response": response})


def client_data(type: str, options: Any, origin: str, changed: dict[str, Any]) -> bytes:
    members = {"type": type, "challenge": options["challenge"], "origin": origin, "crossOrigin": False}
    return json.dumps({**members, **changed}).encode()
