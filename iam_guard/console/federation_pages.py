"""The federation endpoint, with AWS's parameters: credentials of a role or federated user open a browser session.

Action=getSigninToken   GET or POST by a broker: credentials in `Session`, answered with a sign-in token in JSON
Action=login            GET by a browser: a page to confirm, since another site may have made the link; its form
                        signs in, and goes on to `Destination`, if that is on this site
Action=logout           GET by a browser: a page with the button to sign out
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from iam_guard.authn.tokens.session_cookie import cookie_name
from iam_guard.console.forms import read_form, safe_next
from iam_guard.console.pages import Pages, redirect, with_session
from iam_guard.console.visit import HEADERS, Visit
from iam_guard.console.workers import in_page_worker
from iam_guard.errors import IamGuardError, InvalidInput, ServerBusy
from iam_guard.model.request import Call
from iam_guard.web.service import public

FEDERATION: Final = "/federation"
GET_TOKEN, LOG_IN, LOG_OUT = "getSigninToken", "login", "logout"

_log = logging.getLogger("iam_guard.console")


class FederationPages:
    """Sign in with temporary credentials."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._sign_in = pages.guard.people.credential_sign_in

    def routes(self) -> Iterable[Route]:
        """Return the route of the endpoint."""

        async def handle(request: Request) -> Response:
            return await self.answer(request)

        yield Route(FEDERATION, public(handle), methods=["GET", "POST"])

    async def answer(self, request: Request) -> Response:
        """Answer a broker in JSON, and a browser with a page."""
        fields = await _fields(request)
        action = "" if fields is None else fields.get("Action", "")
        if action in (LOG_IN, LOG_OUT):
            return await in_page_worker(self._pages.answer, request, fields, self.show, self.log_in)
        try:
            if fields is None or action != GET_TOKEN:
                message = f"expected {GET_TOKEN}, {LOG_IN} or {LOG_OUT}, and each parameter once"
                raise InvalidInput(message, place="Action")
            return await in_page_worker(self._token_response, request, fields)
        except IamGuardError as error:
            return _error_response(error)

    def show(self, visit: Visit, problem: str) -> Response:
        """Show who the link signs in, or the button to sign out."""
        parameters = visit.request.query_params if visit.request.method == "GET" else visit.form
        if parameters.get("Action") == LOG_OUT:
            note = "" if visit.session is not None else "signed_out"
            return self._pages.page(visit, "federation.html", "sign_out", problem, note=note, caller=None)
        token = parameters.get("SigninToken", "")
        caller = self._sign_in.caller_of(token)
        if caller is None:
            return self._pages.page(visit, "page.html", "sign_in", problem or "link_refused")
        destination = parameters.get("Destination", "")
        return self._pages.page(
            visit, "federation.html", "sign_in", problem, caller=caller, token=token, destination=destination
        )

    def log_in(self, visit: Visit, _: str) -> Response:
        """Sign in with the token of the link."""
        signed_in = self._sign_in.sign_in(visit.form.get("SigninToken", ""), visit.call)
        if signed_in is None:
            return self._pages.page(visit, "page.html", "sign_in", "link_refused")
        url = self._destination(visit) or f"{visit.base}/sessions"
        return with_session(redirect(url), visit, signed_in)

    def _destination(self, visit: Visit) -> str:
        """Return the path and query of `Destination`, if it is on this site; else an empty text."""
        url, call = visit.form.get("Destination", ""), visit.call
        if url.startswith("/"):
            return safe_next(url)
        own = {f"{'https' if call.secure else 'http'}://{call.host}", self._pages.guard.settings.site_url}
        try:
            parts = urlsplit(url)
        except ValueError:
            return ""
        is_own = f"{parts.scheme}://{parts.netloc}".lower() in {origin.lower() for origin in own if origin}
        return safe_next(urlunsplit(("", "", parts.path or "/", parts.query, ""))) if is_own else ""

    def _token_response(self, request: Request, fields: Mapping[str, str]) -> Response:
        call = self._pages.facts(request)
        _require_secure(call)
        if "Session" not in fields:
            raise InvalidInput("expected the credentials as JSON", place="Session")
        token = self._sign_in.sign_in_token(fields["Session"], fields.get("SessionDuration"), call)
        return JSONResponse({"SigninToken": token}, headers=HEADERS)


async def _fields(request: Request) -> Mapping[str, str] | None:
    """Return the parameters of a query, or of a form; None for ones that are too long, or occur twice."""
    if request.method == "POST":
        return await read_form(request)
    pairs = request.query_params.multi_items()
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def _require_secure(call: Call) -> None:
    """Raise `InvalidInput` for a request whose session could not have a cookie: its secrets should not be sent."""
    if cookie_name(secure=call.secure, host=call.host) is None:
        raise InvalidInput("expected a URL that begins with https://, or http://localhost")


def _error_response(error: IamGuardError) -> Response:
    """Answer a broker with the code and message of an error, which have nothing secret."""
    if error.wire_status >= 500:
        _log.error("%s failed: %s", FEDERATION, type(error).__name__)
    headers = {**HEADERS, **({"Retry-After": str(error.retry_after)} if isinstance(error, ServerBusy) else {})}
    content = {"error": error.code, "message": error.message, **({"parameter": error.place} if error.place else {})}
    return JSONResponse(content, status_code=error.wire_status, headers=headers)
