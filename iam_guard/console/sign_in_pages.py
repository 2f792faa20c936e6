"""The pages that people sign in with: `/signin` and below. They are forms, and work without JavaScript.

    app.mount("/signin", sign_in_pages(guard))

Each page has a content security policy without scripts, and is never stored. No page says why a sign-in was refused.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import wraps
from importlib import resources
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from iam_guard.api.iam.qr_code import provisioning_uri, qr_drawing
from iam_guard.authn.people.browser_sessions import BrowserSession
from iam_guard.authn.people.person import person_of
from iam_guard.authn.people.sign_in import SignedIn, Typed
from iam_guard.authn.session_cookie import clear_cookie, cookie_name, csrf_token, read_cookie, set_cookie
from iam_guard.console.forms import is_own_form, read_form
from iam_guard.console.languages import choose_language, texts
from iam_guard.console.visit import HEADERS, Visit, browser_cookie_name, cookie_header, cookie_values, form_cookie_name
from iam_guard.guard.guard import Guard
from iam_guard.model.request import Resource
from iam_guard.web.connection import Connection
from iam_guard.web.service import public

SIGN_IN: Final = "/signin"
MAX_RESETS: Final = 100
"""Requests for links that wait to be sent."""
_log = logging.getLogger("iam_guard.console")
_STYLE: Final = "style.css"


SendReset = Callable[[str, str], None]
"""Sends a link to an e-mail address; it runs in a thread of the pages."""


def sign_in_pages(guard: Guard, *, language: str = "", send_reset: SendReset | None = None) -> Starlette:
    """Return the pages as an ASGI application. They are public: they find out themselves who sees what.

    `language` is `en` or `de`; by default the browser's. `send_reset` sends root users who have forgotten their
    password the path of a link to choose another one, such as `/signin/reset?token=…`; without it there is no such
    page, and links are made by administrators only (`guard.sign_in.make_reset`).
    """
    pages = _SignInPages(guard, language, send_reset)
    routes = [
        Route("/", pages.endpoint(pages.show_sign_in, pages.sign_in), methods=["GET", "POST"]),
        Route("/mfa", pages.endpoint(pages.show_code, pages.check_code), methods=["GET", "POST"]),
        Route("/recovery", pages.endpoint(pages.show_code, pages.check_code), methods=["GET", "POST"]),
        Route("/password", pages.endpoint(pages.show_password, pages.change_password), methods=["GET", "POST"]),
        Route("/sessions", pages.endpoint(pages.show_sessions, pages.end_session), methods=["GET", "POST"]),
        Route("/factors", pages.endpoint(pages.show_factors, pages.add_factor), methods=["GET", "POST"]),
        Route("/reset", pages.endpoint(pages.show_reset, pages.reset_password), methods=["GET", "POST"]),
        Route("/forgot", pages.endpoint(pages.show_forgot, pages.send_reset), methods=["GET", "POST"]),
        Route("/out", pages.endpoint(pages.show_sessions, pages.sign_out), methods=["GET", "POST"]),
        Route(f"/{_STYLE}", public(pages.style_sheet)),
    ]
    return Starlette(routes=routes)


def beside_api(guard: Guard, api: ASGIApp) -> ASGIApp:
    """Return an application with the pages at `/signin`, and the API at every other path."""
    pages = Starlette(routes=[Mount(SIGN_IN, sign_in_pages(guard))])

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path == SIGN_IN:
            scope = {**scope, "path": f"{path}/"}
        await (pages if path == SIGN_IN or path.startswith(f"{SIGN_IN}/") else api)(scope, receive, send)

    return choose


def _for_sessions(*tasks: str | None) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Return a decorator of a page: without a session with one of these tasks, go to sign in; None is no task."""

    def decorate(page: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(page)
        def guarded(self: _SignInPages, visit: Visit, problem: str, **shown: Any) -> Response:
            session = visit.session
            if session is None or session.task not in tasks:
                return _redirect(visit.url("/"))
            return page(self, visit, session, problem, **shown)

        return guarded

    return decorate


class _SignInPages:
    """The pages of one guard."""

    def __init__(self, guard: Guard, language: str, send_reset: SendReset | None) -> None:
        self._send_reset = send_reset
        self._sender = ThreadPoolExecutor(1, "iam-guard-resets")
        self._resets = threading.BoundedSemaphore(MAX_RESETS)
        self._guard = guard
        self._sign_in = guard.sign_in
        self._sessions = guard.browser_sessions
        self._language = language
        self._connection = Connection(guard.settings)
        self.style_sheet = _style_sheet()
        self._templates = Environment(
            loader=PackageLoader("iam_guard.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def endpoint(self, show: _Page, act: _Page) -> Callable[[Request], Awaitable[Response]]:
        """Return the handler of a page: `show` for GET, `act` for its form, if the form is our own."""

        async def handle(request: Request) -> Response:
            form = await read_form(request) if request.method == "POST" else {}
            return await run_in_threadpool(self._answer, request, form, show, act)

        return public(handle)

    def _answer(self, request: Request, form: Mapping[str, str] | None, show: _Page, act: _Page) -> Response:
        call = self._connection.facts(request.scope)
        name = cookie_name(secure=call.secure, host=call.host)
        cookie = None if name is None else read_cookie(cookie_values(request), name)
        session = None if cookie is None or not cookie.digest else self._sessions.find_by_digest(cookie.digest)
        visit = Visit(request, call, session, name)
        if name is None:
            return self._page(visit, "page.html", "sign_in", "needs_https")
        if request.method != "POST":
            return show(visit, "")
        if not is_own_form(request, call, form, visit.secret):
            return show(visit, "expired_form")
        visit.form = form or {}
        return act(visit, "")

    # --- sign-in -------------------------------------------------------------------------------------------------

    def show_sign_in(self, visit: Visit, problem: str) -> Response:
        """Show the form for a name and a password."""
        typed = {name: visit.form.get(name, "") for name in ("email", "account", "username")}
        title = "as_root" if visit.is_root else "as_user"
        return self._page(visit, "sign_in.html", title, problem, root=visit.is_root, typed=typed)

    def sign_in(self, visit: Visit, _: str) -> Response:
        """Sign in with a password."""
        form = visit.form
        if visit.is_root:
            typed = Typed(email=form.get("email", ""))
        else:
            typed = Typed(account=form.get("account", ""), username=form.get("username", ""))
        browser = visit.request.cookies.get(browser_cookie_name(visit.call), "")
        signed_in = self._sign_in.with_password(typed, form.get("password", ""), visit.call, browser=browser)
        if signed_in is None:
            return self.show_sign_in(visit, "refused")
        answer = self._go_on(visit, signed_in)
        answer.headers.append(
            "set-cookie", cookie_header(visit.call, browser_cookie_name(visit.call), signed_in.browser)
        )
        return answer

    @_for_sessions(None, "factor", "password")
    def show_code(self, visit: Visit, session: BrowserSession, problem: str) -> Response:
        """Show the form for a code of a second factor, or for a recovery code."""
        is_recovery = visit.request.url.path.endswith("/recovery")
        title = "use_recovery" if is_recovery else "second_factor"
        return self._page(visit, "code.html", title, problem, recovery=is_recovery)

    @_for_sessions(None, "factor", "password")
    def check_code(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Check a second factor: to continue a sign-in, or to renew that of a session."""
        if visit.request.url.path.endswith("/recovery"):
            signed_in = self._sign_in.with_recovery_code(session, visit.form.get("recovery_code", ""), visit.call)
        else:
            signed_in = self._sign_in.with_code(session, visit.form.get("mfa_code", ""), visit.call)
        return self.show_code(visit, "refused") if signed_in is None else self._go_on(visit, signed_in)

    @_for_sessions(None, "password")
    def show_password(self, visit: Visit, session: BrowserSession, problem: str) -> Response:
        """Show the form for a new password."""
        if not self._may_change_password(visit, session):
            return self._page(visit, "page.html", "change_password", "not_allowed")
        note = "must_change" if session.task == "password" and not problem else ""
        return self._page(
            visit, "password.html", "change_password", problem, note=note, name=session.principal.name or ""
        )

    @_for_sessions(None, "password")
    def change_password(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Change the password; other sessions end."""
        if not self._may_change_password(visit, session):
            return self.show_password(visit, "")
        old, new = visit.form.get("password", ""), visit.form.get("new_password", "")
        changed = self._sign_in.change_password(session, old, new, visit.call)
        if isinstance(changed, str):
            return self.show_password(visit, changed)
        return self._go_on(visit, changed)

    def show_reset(self, visit: Visit, problem: str) -> Response:
        """Show the form for a new password of a link."""
        token = visit.form.get("token") or visit.request.query_params.get("token", "")
        return self._page(visit, "reset.html", "change_password", problem, token=token)

    def reset_password(self, visit: Visit, _: str) -> Response:
        """Set a new password; the person then signs in with it."""
        token, new = visit.form.get("token", ""), visit.form.get("new_password", "")
        problem = self._sign_in.reset_password(token, new, visit.call)
        return self.show_reset(visit, problem) if problem is not None else _redirect(f"{visit.base}/")

    def show_forgot(self, visit: Visit, problem: str) -> Response:
        """Show the form for the e-mail address of a root user who has forgotten the password."""
        if self._send_reset is None:
            return _redirect(f"{visit.base}/")
        return self._page(visit, "forgot.html", "forgot", problem)

    def send_reset(self, visit: Visit, _: str) -> Response:
        """Send a link. The answer is the same for every address, and waits for nothing that depends on it."""
        if self._send_reset is None:
            return _redirect(f"{visit.base}/")
        if self._resets.acquire(blocking=False):  # while many are waiting, further ones are dropped
            self._sender.submit(self._look_up_and_send, self._send_reset, visit.form.get("email", ""), visit.base)
        return self._page(visit, "page.html", "forgot", "", note="reset_sent")

    def _look_up_and_send(self, send: SendReset, email: str, base: str) -> None:
        try:
            token = self._sign_in.request_reset(email)
            if token is not None:
                send(email.strip(), f"{base}/reset?{urlencode({'token': token})}")
        except Exception as error:  # noqa: BLE001  the page was answered already
            _log.error("no link to reset a password was sent: %s", type(error).__name__)
        finally:
            self._resets.release()

    # --- a session -----------------------------------------------------------------------------------------------

    @_for_sessions(None)
    def show_sessions(self, visit: Visit, session: BrowserSession, problem: str) -> Response:
        """Show the sessions of the person."""
        shown = [
            {
                "id": found.id,
                "created": _written(found.created),
                "seen": _written(found.seen),
                "address": found.address,
                "user_agent": found.user_agent,
                "is_current": found.id == session.id,
            }
            for found in self._sessions.of(person_of(session.principal))
        ]
        name = session.principal.name or session.principal.account
        return self._page(visit, "sessions.html", "sessions", problem, wide=True, sessions=shown, name=name)

    @_for_sessions(None)
    def end_session(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """End one session of the person."""
        self._sessions.end(visit.form.get("session", ""), person_of(session.principal))
        return _redirect(f"{visit.base}/sessions")

    def sign_out(self, visit: Visit, _: str) -> Response:
        """End this session."""
        if visit.session is not None:
            self._sign_in.sign_out(visit.session, visit.call)
        answer = self._page(visit, "page.html", "sign_in", "", note="signed_out")
        if visit.cookie_name is not None:
            answer.headers.append("set-cookie", clear_cookie(visit.cookie_name))
        return answer

    @_for_sessions(None)
    def show_factors(self, visit: Visit, session: BrowserSession, problem: str, **shown: Any) -> Response:
        """Show the second factors of the person."""
        defaults = {"devices": self._sign_in.devices(session), "device": None, "codes": [], "drawing": ""}
        return self._page(visit, "factors.html", "factors", problem, **(defaults | shown))

    @_for_sessions(None)
    def add_factor(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Make a device, or enable the one that the form names with two codes in a row."""
        form = visit.form
        if not self._may(visit, session, "iam:EnableMFADevice"):
            return self.show_factors(visit, "not_allowed")
        if "device" not in form:
            device = self._sign_in.new_device(session)
            name = session.principal.name or session.principal.account or ""
            drawing = Markup(qr_drawing(provisioning_uri(name, session.principal.account or "", device.seed)))  # noqa: S704
            return self.show_factors(visit, "", device=device, drawing=drawing)
        codes = form.get("mfa_code", ""), form.get("mfa_code_2", "")
        added = self._sign_in.enable_device(session, form["device"], codes, visit.call)
        if added is None:
            return self.show_factors(visit, "wrong_codes")
        visit.secret = added.signed_in.token
        answer = self.show_factors(visit, "", note="added", codes=added.recovery_codes)
        return _with_session(answer, visit, added.signed_in)

    def _may_change_password(self, visit: Visit, session: BrowserSession) -> bool:
        """Return whether a person may change its password: it must, or its policies or its account allow it."""
        if session.task == "password":
            return True
        return self._may(visit, session, "iam:ChangePassword", self._sign_in.may_all_change_passwords(session))

    def _may(self, visit: Visit, session: BrowserSession, action: str, is_granted: bool = False) -> bool:
        """Decide about an action on the person itself; `is_granted`: its account allows it to all users."""
        principal = session.principal
        statement = {"Effect": "Allow", "Principal": {"AWS": principal.arn}, "Action": action, "Resource": "*"}
        policy = {"Version": "2012-10-17", "Statement": [statement]} if is_granted else None
        person = Resource(principal.arn, account=principal.account, policy=policy)
        return self._guard.decide(principal, action, person, call=visit.call).allowed

    # --- answers -------------------------------------------------------------------------------------------------

    def _go_on(self, visit: Visit, signed_in: SignedIn) -> Response:
        """Answer with the cookie of a new session, and go to its task, or to where the person wanted to go."""
        pages = {"factor": "/mfa", "password": "/password"}
        task = signed_in.session.task
        answer = _redirect(visit.next or f"{visit.base}/sessions" if task is None else visit.url(pages[task]))
        return _with_session(answer, visit, signed_in)

    def _page(self, visit: Visit, template: str, title: str, problem: str, *, note: str = "", **shown: Any) -> Response:
        language = choose_language(visit.request.headers.get("accept-language", ""), self._language)
        text = texts(language)
        html = self._templates.get_template(template).render(
            text=text,
            language=language,
            title=text[title],
            problem=text.get(problem, problem),
            note=text[note] if note else "",
            base=visit.base,
            csrf_token=csrf_token(visit.secret),
            next=visit.next,
            can_send=self._send_reset is not None,
            next_query=f"?{urlencode({'next': visit.next})}" if visit.next else "",
            **({"wide": False} | shown),
        )
        answer = HTMLResponse(html, status_code=400 if problem else 200, headers=HEADERS)
        if visit.session is None:
            answer.headers.append(
                "set-cookie", cookie_header(visit.call, form_cookie_name(visit.call), visit.form_cookie)
            )
        return answer


def _style_sheet() -> Callable[[Request], Awaitable[Response]]:
    content = (resources.files("iam_guard.console") / "static" / _STYLE).read_bytes()
    headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}

    async def style_sheet(request: Request) -> Response:
        return Response(content, media_type="text/css", headers=headers)

    return style_sheet


def _with_session(answer: Response, visit: Visit, signed_in: SignedIn) -> Response:
    if visit.cookie_name is not None:
        answer.headers.append("set-cookie", set_cookie(visit.cookie_name, signed_in.token))
    return answer


def _redirect(url: str) -> Response:
    return RedirectResponse(url, status_code=303, headers=HEADERS)


def _written(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


_Page = Callable[[Visit, str], Response]
