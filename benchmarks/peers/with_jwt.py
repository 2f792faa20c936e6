"""FastAPI and PyJWT: a typical dependency that verifies a token signed with RS256.

`HTTPBearer` reads the header, `jwt.decode` verifies signature, audience, issuer and expiry with the public key. With
`async def` it runs on the event loop; with `def`, as recommended for blocking code, FastAPI runs it in a thread.
"""

from __future__ import annotations

import os
import time
from typing import Annotated, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from fastapi import Depends, FastAPI
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from benchmarks import fastapi_apps

KEY_VARIABLE = "BENCHMARK_JWT_KEY"
"""The environment variable with the private key as PEM, for a server that checks what another process signs."""


def _key() -> rsa.RSAPrivateKey:
    given = os.environ.get(KEY_VARIABLE)
    if given is None:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key = load_pem_private_key(given.encode("ascii"), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


KEY = _key()
PUBLIC = KEY.public_key()
AUDIENCE, ISSUER = "docs", "https://issuer.example"

Bearer = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, PUBLIC, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER)
    return claims


async def on_the_loop(credentials: Bearer) -> dict[str, Any]:
    """Verify the token on the event loop; a dependency."""
    return _claims(credentials.credentials)


def _in_a_thread(credentials: Bearer) -> dict[str, Any]:
    return _claims(credentials.credentials)


def guarded() -> FastAPI:
    """Return the application with the dependency on the event loop."""
    return fastapi_apps.application(dependencies=[on_the_loop])


def guarded_in_thread() -> FastAPI:
    """Return the application with the dependency in a thread."""
    return fastapi_apps.application(dependencies=[_in_a_thread])


def pem() -> str:
    """Return the private key for another process."""
    return KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def bearer() -> str:
    """Return the header of a caller with a token that is valid for an hour."""
    now = int(time.time())
    claims = {"sub": "ada", "aud": AUDIENCE, "iss": ISSUER, "iat": now, "exp": now + 3600}
    return f"Bearer {jwt.encode(claims, KEY, algorithm='RS256')}"
