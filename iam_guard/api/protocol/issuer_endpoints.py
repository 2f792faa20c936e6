"""What everybody may fetch of an account that issues identity tokens: its discovery document and its keys (S-37).

Two addresses below `issuer_url`, without credentials, as OpenID Connect has it: nothing there is secret, and an issuer
is known by a random name alone.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from iam_guard.api.protocol.messages import WireAnswer
from iam_guard.api.token_issuer import ALGORITHMS, published_keys
from iam_guard.guard.guard import Guard

DISCOVERY, KEYS = "openid-configuration", "jwks.json"
_WANTED = re.compile(
    r"(?:.*/)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/\.well-known/(openid-configuration|jwks\.json)"
)
_SECONDS: Final = 3600
"""For which an answer may be kept; a key is published longer than that before it signs."""


def issuer_document(path: str) -> tuple[str, str] | None:
    """Return which document of which issuer a path asks for; None for every other path."""
    found = _WANTED.fullmatch(path)
    return (found[1], found[2]) if found else None


def answer_for_issuer(guard: Guard, name: str, document: str) -> WireAnswer:
    """Return a document of an issuer; 404 where there is none of the name."""
    issuer = f"{guard.settings.issuer_url}/{name}"
    with guard.store.viewing() as records:
        keys = published_keys(records, guard.store.sealer, issuer) if guard.settings.issuer_url else []
    if not keys:
        return _json(404, {"error": "not_found"}, "no-store")
    content = {"keys": keys} if document == KEYS else _discovery(issuer)
    return _json(200, content, f"public, max-age={_SECONDS}")


def _discovery(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/.well-known/{KEYS}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ALGORITHMS),
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "jti", "https://sts.amazonaws.com/"],
    }


def _json(status: int, content: object, kept: str) -> WireAnswer:
    headers = (("content-type", "application/json"), ("cache-control", kept), ("access-control-allow-origin", "*"))
    return WireAnswer(status, headers, json.dumps(content).encode())
