"""The public endpoints of an identity token issuer: its OpenID Connect discovery document and its keys (S-37).

Both are below `issuer_url` and need no credentials: they contain nothing secret, and issuer names are random.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from iam_guard.api.protocol.messages import WireResponse
from iam_guard.api.token_issuer import ALGORITHMS, published_keys
from iam_guard.guard.guard import Guard

KEYS = "jwks.json"
_PATH = re.compile(
    r"(?:.*/)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/\.well-known/(openid-configuration|jwks\.json)"
)
_CACHE_SECONDS: Final = 3600
"""How long clients may cache a response; a new key is published longer than that before it signs."""


def issuer_document(path: str) -> tuple[str, str] | None:
    """Return the issuer name and document of a path; None for every other path."""
    found = _PATH.fullmatch(path)
    return (found[1], found[2]) if found else None


def issuer_response(guard: Guard, name: str, document: str) -> WireResponse:
    """Return a document of an issuer; 404 for an unknown issuer."""
    issuer = f"{guard.settings.issuer_url}/{name}"
    with guard.store.read_transaction() as records:
        keys = published_keys(records, guard.store.sealer, issuer) if guard.settings.issuer_url else []
    if not keys:
        return _json(404, {"error": "not_found"}, "no-store")
    content = {"keys": keys} if document == KEYS else _discovery(issuer)
    return _json(200, content, f"public, max-age={_CACHE_SECONDS}")


def _discovery(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/.well-known/{KEYS}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ALGORITHMS),
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "jti", "https://sts.amazonaws.com/"],
    }


def _json(status: int, content: object, cache_control: str) -> WireResponse:
    headers = (
        ("content-type", "application/json"),
        ("cache-control", cache_control),
        ("access-control-allow-origin", "*"),
    )
    return WireResponse(status, headers, json.dumps(content).encode())
