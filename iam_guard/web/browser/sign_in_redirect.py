"""Send people to the sign-in pages, and back: instead of a 401, to sign in; instead of a 403, to use a second factor.

Where these pages are mounted, people also get a page instead of every other 403, and of a 404 of the guard.

    caller                            denied because                     navigations          other requests
    no credential, no valid session   there is none                      303 to sign in       401
    a browser session                 only a fresh second factor lacks   303 to `…/mfa`       403 with a challenge
    any other                         -                                  as before            as before

A form that is sent leads to `…/mfa`, too: back to its page, if `Referer` says that this is one of the same origin, with
the notice that nothing was saved. A sign-in ends a form, which is lost: without a session it gets the 401.

The challenge is that of RFC 9470, for a front end that then sends the person to the page. A concealed denial is a 404,
and stays one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import quote

from iam_guard.administration.refused_visit import RefusedVisit
from iam_guard.errors import ExpiredToken, IamGuardError
from iam_guard.guard.step_up import needs_second_factor
from iam_guard.model.principal import PrincipalType
from iam_guard.web.browser.browser_caller import own_target
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.refusal import PROBLEM, Refusal, challenge_anonymous, decision_of

MAX_NEXT: Final = 2000
"""Maximum characters of the parameter `next`; it is left out for a longer path and query."""
MFA: Final = "/mfa"
"""The page for a second factor, below that to sign in."""
STEP_UP: Final = 'Bearer realm="iam-guard", error="insufficient_user_authentication", max_age="0"'
EXPIRED: Final = "expired"
"""The parameter `reason` of the sign-in page after the end of a session."""
NOT_SAVED: Final = "not-saved"
"""The parameter `reason` of the page for a second factor, if a form was sent."""
_FORBIDDEN, _MISSING = HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND
_MAX_ACCEPT: Final = 1000
_PAGES: Final = ("text/html", "application/xhtml+xml")


def sign_in_redirect(call: CurrentCall, error: IamGuardError, status: int) -> Refusal | None:
    """Return the redirect that answers an error instead of a response with this status; None if there is none.

    If a second factor is missing, and the request is no navigation, the response gets the challenge of the call.
    """
    path, challenged = call.guard.settings.sign_in_url, challenge_anonymous(error)
    methods: Collection[str] = ("GET",)
    if not path or status not in (error.status, challenged.status):  # a format may conceal denials, too
        return None
    if call.principal.type is PrincipalType.ANONYMOUS:
        if challenged.status != HTTPStatus.UNAUTHORIZED:
            return None
    elif _needs_second_factor(call, error):
        path, call.challenge = path.rstrip("/") + MFA, STEP_UP
        methods = ("GET", "POST")
    else:
        return None
    target = _target(call.scope)
    is_page_itself = target.partition("?")[0].rstrip("/") == path.rstrip("/")
    if is_page_itself or not _is_navigation(call.scope, methods):
        return None
    call.challenge = None
    is_form = call.scope["method"] == "POST"
    if is_form:
        target = own_target(call.facts.referer or "", call.facts)
    after = quote(target, safe="")
    is_usable = target.startswith("/") and not target.startswith(("//", "/\\")) and len(after) <= MAX_NEXT
    query = {"next": after} if is_usable else {}
    if is_form:
        query["reason"] = NOT_SAVED
    elif call.browser is not None and isinstance(call.browser.refusal, ExpiredToken):
        query["reason"] = EXPIRED
    location = path + "?" * bool(query) + "&".join(f"{name}={value}" for name, value in query.items())
    headers = [("location", location), ("cache-control", "no-store"), ("x-amzn-requestid", call.facts.request_id)]
    if call.browser is None:  # the headers of a browser's caller have it
        headers.append(("vary", "Cookie"))
    return Refusal(HTTPStatus.SEE_OTHER, tuple(headers), b"")


def answer_for_browser(call: CurrentCall, error: IamGuardError, refusal: Refusal) -> Refusal:
    """Return what a browser gets instead of a problem document: a redirect, or a page. Others get the document."""
    redirect = sign_in_redirect(call, error, refusal.status)
    page = call.guard.people.refusal_page
    is_person = call.browser is not None or call.principal.type is PrincipalType.ANONYMOUS
    if redirect is not None or page is None or not is_person or refusal.status not in (_FORBIDDEN, _MISSING):
        return redirect or refusal
    if ("content-type", PROBLEM) not in refusal.headers or not _is_navigation(call.scope, ("GET", "POST")):
        return refusal  # the application formats its refusals, or the request is one of a script
    is_refused = call.browser is not None and error is call.browser.refusal
    reason: Literal["no_access", "not_found", "other_site"] = "other_site" if is_refused else "no_access"
    languages = [value for name, value in call.scope["headers"] if name.lower() == b"accept-language"]
    headers, body = page(
        RefusedVisit(
            "not_found" if refusal.status == _MISSING else reason,
            b",".join(languages).decode("latin-1"),
            call.facts.request_id,
            call.browser is not None and call.browser.session is not None,
        )
    )
    return Refusal(refusal.status, (*headers, ("x-amzn-requestid", call.facts.request_id)), body)


def _needs_second_factor(call: CurrentCall, error: IamGuardError) -> bool:
    """Return whether the session of the browser would be allowed with a second factor used just now."""
    decision = decision_of(error)
    if call.browser is None or decision is None:
        return False
    is_own = decision.request.principal.credential == call.principal.credential  # a handler may ask about others
    return is_own and needs_second_factor(decision)


def _target(scope: Mapping[str, Any]) -> str:
    """Return path and query as received."""
    raw_path = scope.get("raw_path")
    path = raw_path.partition(b"?")[0] if isinstance(raw_path, bytes) else quote(scope["path"]).encode("ascii")
    query: bytes = scope.get("query_string", b"")
    return (path + b"?" + query if query else path).decode("latin-1")


def _is_navigation(scope: Mapping[str, Any], methods: Collection[str] = ("GET",)) -> bool:
    """Return whether a request opens a page: by `Sec-Fetch-Mode`, or without it by `Accept`."""
    if scope["type"] != "http" or scope.get("method") not in methods:
        return False
    headers = {name.lower(): value for name, value in scope["headers"]}
    mode = headers.get(b"sec-fetch-mode")
    return _prefers_pages(headers.get(b"accept", b"")) if mode is None else bool(mode == b"navigate")


def _prefers_pages(accept: bytes) -> bool:
    """Return whether HTML is what an `Accept` header prefers."""
    best, preferred = 0.0, ""
    for part in accept[:_MAX_ACCEPT].decode("latin-1").split(","):
        kind, *parameters = [text.strip().lower() for text in part.split(";")]
        quality = next((_quality(text[2:]) for text in parameters if text.startswith("q=")), 1.0)
        if quality > best:
            best, preferred = quality, kind
    return preferred in _PAGES


def _quality(text: str) -> float:
    try:
        return min(1.0, float(text))
    except ValueError:
        return 0.0
