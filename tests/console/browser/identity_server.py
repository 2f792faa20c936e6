"""A SAML identity provider over HTTP: a login form, and a page whose button posts the response to the site."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from iam_guard.console.forms import read_form
from tests.authn.saml.identity_provider import IdentityProvider
from tests.console.company import Company, request_of, role_arn
from tests.serving import serving

PASSWORD = "of the company"


class IdentityServer:
    """Signs people in at the site of `company`; `roles` and `changes` are what its next response says."""

    def __init__(self) -> None:
        self.company: Company | None = None
        self.roles: tuple[str, ...] = (role_arn(),)
        self.changes: dict[str, Any] = {}
        self.relay_state = ""
        self.url = ""
        self._number = 0
        self.app = Starlette(
            routes=[
                Route("/sso", self.show_login),
                Route("/portal", self.show_login),
                Route("/login", self.log_in, methods=["POST"]),
                Route("/response", self.show_response),
            ]
        )

    async def show_login(self, request: Request) -> Response:
        """Show the login form; `/portal` begins without a request of the site."""
        id = request_of(str(request.url)).attributes["ID"] if "SAMLRequest" in request.query_params else ""
        form = (
            f'<form method="post" action="/login?request={id}">'
            '<label>Name <input name="name" autocomplete="username"></label>'
            '<label>Password <input name="password" type="password" autocomplete="current-password"></label>'
            "<button>Log in</button></form>"
        )
        return self._page(form)

    async def log_in(self, request: Request) -> Response:
        """Answer the login form with the page that posts the response."""
        form = await read_form(request) or {}
        if form.get("password") != PASSWORD:
            return self._page("<p>Wrong</p>")
        return self._page(self.form(request.query_params["request"]))

    async def show_response(self, request: Request) -> Response:
        """Show the page that posts a response, without a login: an attacker's page that a victim was lured to."""
        return self._page(self.form(request.query_params.get("request", "")))

    def form(self, request: str = "") -> str:
        """Return the form that posts a response to the site."""
        assert self.company is not None
        self._number += 1
        terms = {"assertion_id": f"_{self._number}", "in_response_to": request, **self.changes}
        fields = {"SAMLResponse": self.company.response(*self.roles, **terms), "RelayState": self.relay_state}
        inputs = "".join(
            f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in fields.items() if value
        )
        return f'<form method="post" action="{self.company.acs}">{inputs}<button>Go on</button></form>'

    def _page(self, content: str) -> Response:
        return HTMLResponse(
            f'<!doctype html><html lang="en"><title>IdP</title><link rel="icon" href="data:,">{content}</html>'
        )


class LateApp:
    """An application that is made once its address is known."""

    def __init__(self) -> None:
        self.app: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@contextmanager
def identity_server() -> Iterator[IdentityServer]:
    """Serve an identity provider, at another site than `localhost`."""
    server = IdentityServer()
    with serving(server.app) as url:
        server.url = url
        yield server


def signer_of(server: IdentityServer) -> IdentityProvider:
    """Return the identity provider whose metadata names this server."""
    return IdentityProvider(server.url)
