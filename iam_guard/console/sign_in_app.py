"""The pages that people sign in with: `/signin` and below. They are forms, and work without JavaScript.

    app.mount("/signin", sign_in_pages(guard))

No page says why a sign-in was refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.people.sign_in import TypedName
from iam_guard.console.company_pages import CompanyPages, offers_sign_on
from iam_guard.console.continue_pages import ContinuePages
from iam_guard.console.factor_pages import FactorPages
from iam_guard.console.federation_pages import FEDERATION, FederationPages
from iam_guard.console.mail import Mailer
from iam_guard.console.oidc_pages import OidcPages
from iam_guard.console.pages import LEAVE_ROLE, Pages, for_sessions, redirect, static_file
from iam_guard.console.passkey_pages import PasskeyPages
from iam_guard.console.password_pages import PasswordPages, SendReset
from iam_guard.console.refusal_pages import RefusalPages
from iam_guard.console.remembered_account import remembered_value
from iam_guard.console.role_pages import RolePages
from iam_guard.console.saml_pages import SamlPages
from iam_guard.console.session_pages import SessionPages
from iam_guard.console.tool_pages import AUTHORIZE, CONFIRMATION, ToolPages
from iam_guard.console.visit import ShortRequests, Visit, cookie_header, remembered_cookie_name
from iam_guard.errors import ConfigurationError, IamGuardError
from iam_guard.guard.guard import Guard
from iam_guard.web.browser.sign_in_redirect import EXPIRED, NOT_SAVED
from iam_guard.web.service import public

SIGN_IN: Final = "/signin"
_NAMED: Final = ("account", "username")
"""What a link to the form may fill in."""
_STYLE: Final = "style.css"
_SCRIPT: Final = "passkeys.js"


def sign_in_pages(
    guard: Guard,
    *,
    language: str = "",
    send_reset: SendReset | None = None,
    templates: Path | None = None,
    style: Path | None = None,
) -> Starlette:
    """Return the pages as an ASGI application. They are public: they find out themselves who sees what.

    `language` is `en` or `de`; by default the browser's. `send_reset` sends root users who have forgotten their
    password the path of a link to choose another one, such as `/signin/reset?token=…`; without it, the setting
    `smtp_url` says which server sends it. With neither there is no such page, and links are made by administrators only
    (`guard.people.own_credentials.make_reset`). `templates` is a folder of Jinja templates that replace those of the
    same name, `style` a style sheet that follows the built-in one. Raises `ConfigurationError` for invalid settings.
    """
    if templates is not None and not templates.is_dir():
        raise ConfigurationError(f"expected a folder, got `{templates}`", place="templates")
    if send_reset is None and guard.settings.smtp_url:
        send_reset = Mailer(guard.settings).send_reset
    pages = Pages(guard, language=language, templates=templates)
    if guard.settings.sign_in_url:
        guard.people.refusal_page = RefusalPages(pages, guard.settings.sign_in_url, language).page
    sign_in = SignInPages(pages, send_reset is not None)
    groups = (
        sign_in,
        PasskeyPages(pages, show_sign_in=sign_in.show_sign_in, show_code=sign_in.show_code),
        PasswordPages(pages, send_reset),
        SessionPages(pages),
        FactorPages(pages),
        RolePages(pages),
        CompanyPages(pages),
        ToolPages(pages),
        FederationPages(pages),
        SamlPages(pages),
        ContinuePages(pages, {"oidc": guard.people.oidc_sign_on, "saml": guard.people.saml_sign_on}),
        OidcPages(pages),
    )
    static = resources.files("iam_guard.console") / "static"
    built_in, script = (static / _STYLE).read_bytes(), (static / _SCRIPT).read_bytes()
    content = built_in if style is None else built_in + b"\n" + style.read_bytes()
    files = (
        Route(f"/{_STYLE}", public(static_file(content, "text/css"))),
        Route(f"/{_SCRIPT}", public(static_file(script, "text/javascript"))),
    )
    routes = [*(route for group in groups for route in group.routes()), *files]
    errors = dict.fromkeys((HTTPException, IamGuardError, Exception), pages.answer_error)
    app = Starlette(routes=routes, middleware=[Middleware(ShortRequests)], exception_handlers=errors)
    app.router.redirect_slashes = False  # these redirects would go to the host that the client names
    return app


def beside_api(guard: Guard, api: ASGIApp) -> ASGIApp:
    """Return an application with the pages at `/signin`, and the API at every other path.

    Brokers and tools open some of the pages at addresses of their own, beside `/signin`.
    """
    pages = Starlette(routes=[Mount(SIGN_IN, sign_in_pages(guard))])

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path == SIGN_IN:
            scope = {**scope, "path": f"{path}/"}
        elif path in (AUTHORIZE, CONFIRMATION, FEDERATION):
            path = f"{SIGN_IN}{path}"
            scope = {**scope, "path": path}
        await (pages if path == SIGN_IN or path.startswith(f"{SIGN_IN}/") else api)(scope, receive, send)

    return choose


class SignInPages:
    """Sign in with a name and a password, and with a second factor."""

    def __init__(self, pages: Pages, can_send: bool) -> None:
        self._pages = pages
        self._sign_in = pages.guard.people.sign_in
        self._own, self._passkeys = pages.guard.people.own_credentials, pages.guard.people.passkeys
        self._can_send = can_send

    def routes(self) -> Iterable[Route]:
        """Return the routes of these pages."""
        yield self._pages.route("/", self.show_sign_in, self.sign_in, hashes=True)
        yield self._pages.route("/mfa", self.show_code, self.check_code)
        yield self._pages.route("/recovery", self.show_code, self.check_code)

    def show_sign_in(self, visit: Visit, problem: str) -> Response:
        """Show the form for a name and a password."""
        if visit.session is not None and visit.session.task == "role":
            return redirect(visit.url(LEAVE_ROLE))
        named = visit.form or {name: value for name, value in visit.request.query_params.items() if name in _NAMED}
        remembered = {} if named or ("email" in visit.remembered) is not visit.is_root else visit.remembered
        filled = {**remembered, "remember": "on"} if remembered else named
        typed = {name: filled.get(name, "") for name in ("email", "account", "username", "remember")}
        title = "as_root" if visit.is_root else "as_user"
        is_over = not problem and visit.request.query_params.get("reason") == EXPIRED
        return self._pages.page(
            visit,
            "sign_in.html",
            title,
            problem,
            note="session_over" if is_over else "",
            root=visit.is_root,
            links_to_root=self._pages.guard.settings.sign_in_links == "root",
            typed=typed,
            can_send=self._can_send,
            passkeys=self._pages.relying_party(visit),
            has_company=not visit.is_root and offers_sign_on(self._pages.guard.settings, visit),
        )

    def sign_in(self, visit: Visit, _: str) -> Response:
        """Sign in with a password."""
        form = visit.form
        if visit.is_root:
            typed = TypedName(email=form.get("email", ""))
        else:
            typed = TypedName(account=form.get("account", ""), username=form.get("username", ""))
        signed_in = self._sign_in.with_password(typed, form.get("password", ""), visit.call, browser=visit.browser)
        if signed_in is None:
            return self.show_sign_in(visit, "refused")
        answer = self._pages.go_on(visit, signed_in)
        value = remembered_value(typed) if form.get("remember") else ""
        if value or visit.remembered:
            answer.headers.append("set-cookie", cookie_header(visit.call, remembered_cookie_name(visit.call), value))
        return answer

    @for_sessions(None, "factor", "password", "enrol")
    def show_code(self, visit: Visit, session: BrowserSession, problem: str) -> Response:
        """Show the form for a code of a second factor, or for a recovery code."""
        is_recovery = visit.request.url.path.endswith("/recovery")
        title = "use_recovery" if is_recovery else "second_factor"
        has_key = not is_recovery and bool(self._passkeys.of(session))
        has_app = not is_recovery and bool(self._own.devices(session))
        shown: dict[str, Any] = {
            "recovery": is_recovery,
            "has_app": has_app,
            "has_factor": is_recovery or has_app or has_key,
            "passkeys": self._pages.relying_party(visit) if has_key else None,
        }
        is_form = not problem and visit.request.query_params.get("reason") == NOT_SAVED
        note = "not_saved" if is_form else ""
        return self._pages.page(visit, "code.html", title, problem, note=note, **shown)

    @for_sessions(None, "factor", "password", "enrol")
    def check_code(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Check a second factor: to continue a sign-in, or to renew that of a session."""
        if visit.request.url.path.endswith("/recovery"):
            use, code = self._sign_in.with_recovery_code, visit.form.get("recovery_code", "")
        else:
            use, code = self._sign_in.with_code, visit.form.get("mfa_code", "")
        signed_in = use(session, code, visit.call, browser=visit.browser)
        return self.show_code(visit, "refused") if signed_in is None else self._pages.go_on(visit, signed_in)
