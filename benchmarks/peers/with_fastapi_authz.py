"""fastapi-authz, casbin's own middleware for FastAPI, set up as its README does: behind Starlette's authentication.

The backend uses the name from Basic credentials without checking the password. The model is like the README's
(a role, a path with `*`, a method), with nine lines of policy, of which the fifth allows GET and the fourth POST. For
pycasbin with our rules see `with_casbin`.
"""

from __future__ import annotations

import base64
import binascii

import casbin
from fastapi import FastAPI
from fastapi_authz import CasbinMiddleware
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
)
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from benchmarks import fastapi_apps

USER = "ada"
MODEL = """
[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = (p.sub == "*" || g(r.sub, p.sub)) && (r.obj == p.obj || keyMatch(r.obj, p.obj)) && \
(p.act == "*" || r.act == p.act)
"""
RULES = [
    ["bob", "/documents/41/draft", "*"],
    ["bob", "/documents/42/*", "GET"],
    ["eve", "/documents/43/*", "POST"],
    ["ada", "/documents/40/*", "POST"],
    ["ada", "/documents/40/*", "GET"],
    ["editor", "/documents/*", "*"],
    ["anonymous", "/login", "*"],
    ["anonymous", "/", "GET"],
]
ROLES = [["joe", "editor"]]


class _BasicAuth(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        header = conn.headers.get("authorization")
        if header is None:
            return None
        try:
            _, encoded = header.split()
            name = base64.b64decode(encoded).decode("ascii").partition(":")[0]
        except (ValueError, binascii.Error):
            raise AuthenticationError("expected basic credentials") from None
        return AuthCredentials(["authenticated"]), SimpleUser(name)


def enforcer() -> casbin.Enforcer:
    """Return an enforcer with the lines of policy."""
    made = casbin.Enforcer(casbin.Enforcer.new_model(text=MODEL))
    made.add_policies(RULES)
    made.add_grouping_policies(ROLES)
    return made


def guarded() -> FastAPI:
    """Return the application with both middlewares."""
    app = fastapi_apps.bare()
    app.add_middleware(CasbinMiddleware, enforcer=enforcer())
    app.add_middleware(AuthenticationMiddleware, backend=_BasicAuth())
    return app


def basic() -> str:
    """Return the header of a caller."""
    return f"Basic {base64.b64encode(f'{USER}:secret'.encode()).decode('ascii')}"
