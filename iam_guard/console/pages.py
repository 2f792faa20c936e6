"""What all pages share: who asks, whether a form is our own, the templates, and the session that an answer starts.

Each page has a content security policy without inline scripts, and is never stored.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from iam_guard.audit.record.redaction import loggable
from iam_guard.authn.people.passwords.failed_attempts import network_of
from iam_guard.authn.people.second_factors.passkey_challenges import RelyingParty, relying_party
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.people.sessions.session_steps import SignedIn
from iam_guard.authn.tokens.session_cookie import cookie_name, csrf_token, read_cookie, set_cookie
from iam_guard.console.forms import is_own_form, read_form
from iam_guard.console.languages import choose_language, texts
from iam_guard.console.password_queue import in_password_worker
from iam_guard.console.visit import (
    HEADERS,
    SCRIPT_HEADERS,
    Visit,
    browser_cookie_name,
    cookie_header,
    cookie_values,
    form_cookie_name,
)
from iam_guard.console.workers import in_page_worker
from iam_guard.errors import AccountNotActive, ServerBusy
from iam_guard.guard.guard import Guard
from iam_guard.imports import requires_extra
from iam_guard.model.request import Call, Resource
from iam_guard.web.call_context import CURRENT_CALL
from iam_guard.web.connection import Connection
from iam_guard.web.service import public

with requires_extra("console", "a page in the browser"):
    from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

Page: TypeAlias = Callable[[Visit, str], Response]
"""Answers a visit; the text is the key of what was wrong with its form, empty for nothing."""
_log = logging.getLogger("iam_guard.console")
_TASK_PAGES = {"factor": "/mfa", "password": "/password", "enrol": "/factors"}
LEAVE_ROLE: Final = "/exit"
NOT_A_PERSON: Final = "not_a_person"
"""The text for sessions without a stored person, on pages for what belongs to people."""


class Pages:
    """The pages of one guard. `templates` is a folder whose templates replace those of the same name."""

    def __init__(self, guard: Guard, *, language: str = "", templates: Path | None = None) -> None:
        self.guard = guard
        self.sessions = guard.people.browser_sessions
        self._language = language
        self._connection = Connection(guard.settings)
        self._is_unencrypted_logged = False
        own = [] if templates is None else [FileSystemLoader(templates)]
        self.templates = Environment(
            loader=ChoiceLoader([*own, PackageLoader("iam_guard.console")]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def route(self, path: str, show: Page, act: Page, *, hashes: bool = False) -> Route:
        """Return the route of a page: `show` for GET, `act` for its form, if the form is our own.

        `hashes` is whether `act` hashes a password: such forms have threads of their own.
        """

        async def handle(request: Request) -> Response:
            form = await read_form(request) if request.method == "POST" else {}
            if request.method != "POST" or not hashes:
                return await in_page_worker(self.answer, request, form, show, act)
            answer, network = partial(self.answer, request, form, show, act), self.facts(request).source_ip
            return await in_password_worker(self.guard.settings.password_hashes, network_of(network), answer)

        return Route(path, public(handle), methods=["GET", "POST"])

    def answer(self, request: Request, form: Mapping[str, str] | None, show: Page, act: Page) -> Response:
        """Answer a request with a page, or with what its form does; `form` is None for one that can't be read."""
        visit = self.visit(request)
        if visit.cookie_name is None:
            self.log_unencrypted(visit.call)
            return self.page(visit, "page.html", "sign_in", "needs_https")
        if request.method != "POST":
            return show(visit, "")
        if not is_own_form(request, visit.call, form, visit.secret):
            return show(visit, "expired_form")
        visit.form = form or {}
        return act(visit, "")

    def log_unencrypted(self, call: Call) -> None:
        """Log once what to set if the request was encrypted as far as a proxy: any client may send such requests."""
        if not self._is_unencrypted_logged:
            self._is_unencrypted_logged = True
            _log.warning(
                "a sign-in page was requested without TLS from %s, so it can't sign in: if that is your proxy, add its "
                "network to the setting `trusted_proxies`, and let it set the header `X-Forwarded-Proto`",
                loggable(call.source_ip or "an unknown address"),
            )

    def visit(self, request: Request) -> Visit:
        """Return who asks, by the cookies of a request. Without a name for a cookie, no page works."""
        call = self.facts(request)
        name = cookie_name(secure=call.secure, host=call.host)
        cookie = None if name is None else read_cookie(cookie_values(request), name)
        session = None if cookie is None or not cookie.digest else self.sessions.find_by_digest(cookie.digest)
        return Visit(request, call, session, name)

    async def answer_error(self, request: Request, error: Exception) -> Response:
        """Answer with a page that says nothing about the error but whether to try again, or the account is closed."""
        visit = Visit(request, self.facts(request), None, None)
        is_missing, is_closed = isinstance(error, HTTPException), isinstance(error, AccountNotActive)
        problem = "no_page" if is_missing else "account_not_active" if is_closed else "unavailable"
        answer = self.page(visit, "page.html", "sign_in", problem)
        answer.status_code = getattr(error, "status_code", getattr(error, "status", 500))
        if isinstance(error, HTTPException):
            answer.headers.update(error.headers or {})
        if isinstance(error, ServerBusy):
            answer.headers["Retry-After"] = str(error.retry_after)
        elif not is_missing and not is_closed:
            _log.error("%s failed: %s", loggable(visit.call.path), type(error).__name__)
        return answer

    def facts(self, request: Request) -> Call:
        """Return the facts of a request, which are those of a guard that stands before the pages, if there is one."""
        guarded = CURRENT_CALL.get()
        return self._connection.facts(request.scope) if guarded is None else guarded.facts

    def page(self, visit: Visit, template: str, title: str, problem: str, *, note: str = "", **shown: Any) -> Response:
        """Return a page. `title`, `problem` and `note` are keys of texts; a problem may also be a sentence."""
        language = choose_language(visit.request.headers.get("accept-language", ""), self._language)
        text = texts(language)
        html = self.templates.get_template(template).render(
            text=text,
            language=language,
            title=text[title],
            problem=text.get(problem, problem),
            note=text[note] if note else "",
            base=visit.base,
            csrf_token=csrf_token(visit.secret),
            next=visit.next,
            is_signed_in=visit.session is not None,
            home="" if visit.cookie_name is None else f"{visit.base}/{'' if visit.session is None else 'sessions'}",
            next_query=f"?{urlencode({'next': visit.next})}" if visit.next else "",
            **({"wide": False, "passkeys": None, "provider_url": ""} | shown),
        )
        headers = SCRIPT_HEADERS if shown.get("passkeys") is not None else HEADERS
        answer = HTMLResponse(html, status_code=400 if problem else 200, headers=headers)
        if visit.session is None:
            answer.headers.append(
                "set-cookie", cookie_header(visit.call, form_cookie_name(visit.call), visit.form_cookie, None)
            )
        return answer

    def go_on(self, visit: Visit, signed_in: SignedIn) -> Response:
        """Answer with the cookie of a new session, and go to its task, or to where the person wanted to go."""
        return with_session(redirect(self.next_url(visit, signed_in.session)), visit, signed_in)

    def next_url(self, visit: Visit, session: BrowserSession) -> str:
        """Return where a person goes on to after a step: the page of the session's task, or where it wanted to go."""
        if session.task is not None:
            return visit.url(_TASK_PAGES[session.task])
        return visit.next or f"{visit.base}/sessions"

    def relying_party(self, visit: Visit) -> RelyingParty | None:
        """Return the site whose passkeys a page can use; None for a page without them."""
        return relying_party(self.guard.settings.site_url, visit.call)

    def may(
        self,
        visit: Visit,
        session: BrowserSession,
        action: str,
        *,
        is_granted: bool = False,
        context: Mapping[str, str] | None = None,
    ) -> bool:
        """Decide about an action on the person itself; `is_granted`: its account allows it to all users."""
        principal = session.principal
        statement = {"Effect": "Allow", "Principal": {"AWS": principal.arn}, "Action": action, "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [statement]} if is_granted else None
        person = Resource(principal.arn, account=principal.account, policy=policy)
        return self.guard.decide(principal, action, person, context, call=visit.call).allowed


def for_sessions(
    *tasks: str | None, in_role: bool = False, federated: bool = False
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Return a decorator of a page: without a session with one of these tasks, go to sign in; None is no task.

    In a role, go to the page to leave it first, unless the page is also for roles (`in_role`). A session without a
    stored person goes to its sessions, where it is said why, unless the page is also for these (`federated`).
    """

    def decorate(page: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(page)
        def guarded(self: object, visit: Visit, problem: str, **shown: Any) -> Response:
            session = visit.session
            if session is None or session.task not in tasks:
                return redirect(visit.url("/"))
            if session.federation is not None and not federated:
                return redirect(f"{visit.base}/sessions?{urlencode({'reason': NOT_A_PERSON})}")
            if session.role is not None and not in_role:
                return redirect(f"{visit.base}{LEAVE_ROLE}?{urlencode({'next': visit.request.url.path})}")
            return page(self, visit, session, problem, **shown)

        return guarded

    return decorate


def redirect(url: str) -> Response:
    """Return the redirect that follows a form."""
    return RedirectResponse(url, status_code=303, headers=HEADERS)


def with_session(answer: Response, visit: Visit, signed_in: SignedIn) -> Response:
    """Add the cookie of a new session to an answer, and that of the browser, if it is known from now on."""
    if visit.cookie_name is not None:
        answer.headers.append("set-cookie", set_cookie(visit.cookie_name, signed_in.token))
    if signed_in.browser:
        header = cookie_header(visit.call, browser_cookie_name(visit.call), signed_in.browser)
        answer.headers.append("set-cookie", header)
    return answer


def options_response(options: Any) -> Response:
    """Return the browser's options for a passkey, which the script asks for."""
    return JSONResponse(options, headers=HEADERS)


def readable(instant: datetime) -> str:
    """Return an instant for people."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def static_file(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of a style sheet or script."""
    headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}

    async def answer(request: Request) -> Response:
        return Response(content, media_type=media_type, headers=headers)

    return answer
