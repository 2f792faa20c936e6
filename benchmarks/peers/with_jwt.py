"""FastAPI and PyJWT: a dependency that verifies a token signed by RS256, as FastAPI's own tutorial has it."""

from __future__ import annotations

import time
from typing import Annotated, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = KEY.public_key()
AUDIENCE = "docs"


async def _verified(credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(credentials.credentials, PUBLIC, algorithms=["RS256"], audience=AUDIENCE)
    return claims


def bare() -> FastAPI:
    """Make the application without the dependency."""
    app = FastAPI()

    @app.get("/documents/{folder}/{name}", response_class=PlainTextResponse)
    async def get_document(folder: str, name: str) -> PlainTextResponse:
        return PlainTextResponse("ok")

    return app


def guarded() -> FastAPI:
    """Make it with the dependency."""
    app = FastAPI()

    @app.get("/documents/{folder}/{name}", response_class=PlainTextResponse)
    async def get_document(
        folder: str, name: str, claims: Annotated[dict[str, Any], Depends(_verified)]
    ) -> PlainTextResponse:
        return PlainTextResponse("ok")

    return app


def bearer() -> str:
    """Give the header of a caller with a token good for an hour."""
    token = jwt.encode({"sub": "ada", "aud": AUDIENCE, "exp": int(time.time()) + 3600}, KEY, algorithm="RS256")
    return f"Bearer {token}"
