"""The pages on which people give their tools access: `/v1/authorize` and `/v1/sessions/confirmation`.

`aws login` opens the first one. It shows who will give which tool access, and takes a button in our own page. The tool
gets a code: by a redirect to its own address at loopback, or, on another device, from the second page by hand. What
does not come from such a tool is never redirected to.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response
from starlette.routing import Route

from iam_guard.authn.people.sessions.tool_sessions import CROSS_DEVICE, SAME_DEVICE, ToolRequest
from iam_guard.console.pages import Pages, redirect
from iam_guard.console.session_pages import role_name
from iam_guard.console.visit import HEADERS, Visit
from iam_guard.errors import AccessDenied, DecisionUnavailable
from iam_guard.settings import Settings

AUTHORIZE: Final = "/v1/authorize"
CONFIRMATION: Final = "/v1/sessions/confirmation"

_POLICY: Final = "Content-Security-Policy"
_LOOPBACK = re.compile(r"(?P<origin>http://127\.0\.0\.1:[1-9][0-9]{0,4})/oauth/callback", re.ASCII)
"""Where a tool on the same device receives its code. A name such as `localhost` might lead elsewhere (RFC 8252)."""
_MAX_PORT: Final = 65_535
_FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    "response_type": re.compile("code"),
    "client_id": re.compile(f"{re.escape(SAME_DEVICE)}|{re.escape(CROSS_DEVICE)}"),
    "redirect_uri": re.compile(r"[\x21-\x7e]{1,2048}"),
    "state": re.compile(r"[\x21-\x7e]{1,512}"),
    "scope": re.compile("openid"),
    "code_challenge": re.compile(r"[A-Za-z0-9_-]{43}"),
    "code_challenge_method": re.compile("SHA-256"),
}
"""Each parameter of a tool, which it sends once."""
_CONFIRMED: Final = {"state": _FORMS["state"], "code": re.compile(r"[A-Za-z0-9_-]{1,512}")}


class ToolPages:
    """Approve a tool, and show the code for one on another device."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._tools = pages.guard.people.tool_sessions

    def routes(self) -> Iterable[Route]:
        """Return the routes of these pages."""
        yield self._pages.route(AUTHORIZE, self.show_request, self.decide)
        yield self._pages.route(CONFIRMATION, self.show_code, self.show_code)

    def show_request(self, visit: Visit, problem: str) -> Response:
        """Show what a tool asks for; without a session, go to sign in and come back."""
        request, session = _tool_request(visit, self._pages.guard.settings), visit.session
        if request is None:
            return self._pages.page(visit, "page.html", "tool_access", "no_tool")
        if session is None or session.task is not None:
            return redirect(
                f"{visit.base}/?{urlencode({'next': f'{visit.base}{AUTHORIZE}?{visit.request.url.query}'})}"
            )
        is_here = request.client_id == SAME_DEVICE
        who: dict[str, Any] = {
            "arn": session.principal.arn,
            "role": role_name(session),
            "account": session.principal.account,
        }
        answer = self._pages.page(visit, "tool_access.html", "tool_access", problem, is_here=is_here, **who)
        return _with_redirect(answer, request.redirect_uri)

    def decide(self, visit: Visit, _: str) -> Response:
        """Approve the tool's request, or deny it."""
        request, session = _tool_request(visit, self._pages.guard.settings), visit.session
        decision = visit.form.get("decision")
        if request is None or session is None or session.task is not None or decision not in ("allow", "deny"):
            return self.show_request(visit, "")
        if decision == "deny":
            return self._deny(visit, request)
        try:
            code = self._tools.approve(session, request, visit.call)
        except (AccessDenied, DecisionUnavailable):
            return self.show_request(visit, "not_allowed")
        return redirect(_target(visit, request, code=code))

    def show_code(self, visit: Visit, _: str) -> Response:
        """Show the code that a person types into a tool on another device, if this browser has approved it."""
        given, session = _parameters(visit, _CONFIRMED), visit.session
        if given is None or session is None or not self._tools.is_approved_by(session, given["code"]):
            return self._pages.page(visit, "page.html", "tool_access", "no_tool")
        text = base64.b64encode(urlencode({"state": given["state"], "code": given["code"]}).encode()).decode("ascii")
        answer = self._pages.page(visit, "tool_code.html", "tool_code", "", code=text)
        answer.headers["Referrer-Policy"] = "no-referrer"  # the address has the code
        return answer

    def _deny(self, visit: Visit, request: ToolRequest) -> Response:
        if request.client_id == SAME_DEVICE:
            return redirect(_target(visit, request, error="access_denied"))
        return self._pages.page(visit, "page.html", "tool_access", "", note="tool_denied")


def _tool_request(visit: Visit, settings: Settings) -> ToolRequest | None:
    """Return what a tool asks for; None for anything that is not exactly the request of a tool."""
    given = _parameters(visit, _FORMS)
    if given is None:
        return None
    redirect_uri = given["redirect_uri"]
    if given["client_id"] == SAME_DEVICE:
        is_own = _loopback_origin(redirect_uri) is not None
    else:
        is_own = redirect_uri in {f"{site}{CONFIRMATION}" for site in _sites(visit, settings)}
    return ToolRequest(given["client_id"], redirect_uri, given["code_challenge"], given["state"]) if is_own else None


def _parameters(visit: Visit, forms: Mapping[str, re.Pattern[str]]) -> Mapping[str, str] | None:
    """Return the parameters of the query, each of which is there once and has its form; None otherwise."""
    try:
        pairs = parse_qsl(visit.request.url.query, keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        return None
    given = dict(pairs)
    if len(given) != len(pairs) or not forms.keys() <= given.keys():
        return None
    return given if all(form.fullmatch(given[name]) for name, form in forms.items()) else None


def _loopback_origin(url: str) -> str | None:
    found = _LOOPBACK.fullmatch(url)
    return found["origin"] if found and int(found["origin"].rpartition(":")[2]) <= _MAX_PORT else None


def _sites(visit: Visit, settings: Settings) -> Iterable[str]:
    """Return the addresses under which a client may know this server."""
    yield f"{'https' if visit.call.secure else 'http'}://{visit.call.host}"
    yield from (f"https://{host}" for host in settings.public_hosts)
    if settings.site_url:
        yield settings.site_url.rstrip("/")


def _target(visit: Visit, request: ToolRequest, **answer: str) -> str:
    """Return where the answer for a tool is redirected to; on another device, this is a page of ours."""
    place = request.redirect_uri if request.client_id == SAME_DEVICE else f"{visit.base}{CONFIRMATION}"
    return f"{place}?{urlencode({**answer, 'state': request.state})}"


def _with_redirect(answer: Response, redirect_uri: str) -> Response:
    """Let the form of a page lead to the tool: browsers check the redirect that answers it, too."""
    origin = _loopback_origin(redirect_uri)
    if origin is not None:
        answer.headers[_POLICY] = HEADERS[_POLICY].replace("form-action 'self'", f"form-action 'self' {origin}")
    return answer
