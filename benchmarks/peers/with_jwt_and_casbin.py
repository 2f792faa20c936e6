"""PyJWT and pycasbin together: what a FastAPI application combines to authenticate and to authorize.

A dependency verifies the token as in `with_jwt`, and another one asks an enforcer: with our 75 rules as in
`with_casbin`, or with the model and the nine lines of `with_fastapi_authz`.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from starlette.requests import Request

from benchmarks import fastapi_apps
from benchmarks.peers import with_casbin, with_fastapi_authz, with_jwt

Claims = Annotated[dict[str, Any], Depends(with_jwt.on_the_loop)]


def with_our_rules() -> FastAPI:
    """Return the application that asks about 75 rules."""
    ask = with_casbin.asking()

    async def authorize(request: Request, claims: Claims) -> None:
        if not ask(request.scope["path"]):
            raise HTTPException(403)

    return fastapi_apps.application(dependencies=[authorize])


def with_few_rules() -> FastAPI:
    """Return the application that asks about nine lines of policy."""
    enforcer = with_fastapi_authz.enforcer()

    async def authorize(request: Request, claims: Claims) -> None:
        if not enforcer.enforce(claims["sub"], request.url.path, request.method):
            raise HTTPException(403)

    return fastapi_apps.application(dependencies=[authorize])
