"""The pages for passkeys and security keys: sign in with one, use one as second factor, add and remove them.

Their forms need the script `passkeys.js`, which sends each twice: without an answer of the browser, to get the options
for it, then with the answer, like any other form. Without the script they are hidden, and the other ways remain.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from iam_guard.authn.people.browser_sessions import BrowserSession
from iam_guard.authn.people.passkey_challenges import Kind
from iam_guard.authn.people.passkey_steps import NewPasskey
from iam_guard.authn.session_cookie import token_digest
from iam_guard.console.pages import Page, Pages, for_sessions, with_browser, with_session
from iam_guard.console.visit import HEADERS, Visit, browser_cookie_name

_KINDS: dict[str, Kind] = {"passkey": "passkey", "key": "security key"}
"""The field `kind` of the form that adds one."""


class FactorsPage(Protocol):
    """Shows the second factors of a person, with what was just done."""

    def __call__(self, visit: Visit, problem: str, **shown: Any) -> Response: ...


class PasskeyPages:
    """Act on the forms for passkeys; the other pages show these, and what went wrong."""

    def __init__(self, pages: Pages, *, show_sign_in: Page, show_code: Page, show_factors: FactorsPage) -> None:
        self._pages = pages
        self._passkeys = pages.guard.passkeys
        self._show_sign_in, self._show_code, self._show_factors = show_sign_in, show_code, show_factors

    def routes(self) -> Iterable[Route]:
        """Return the routes of these forms."""
        yield self._pages.route("/passkey", self._show_sign_in, self.sign_in)
        yield self._pages.route("/mfa/passkey", self._show_code, self.check)
        yield self._pages.route("/factors/passkey", self._show_factors, self.add)
        yield self._pages.route("/factors/remove", self._show_factors, self.remove)

    def sign_in(self, visit: Visit, _: str) -> Response:
        """Sign in with a passkey alone."""
        party, answer = self._pages.relying_party(visit), visit.form.get("credential", "")
        if party is None:
            return self._show_sign_in(visit, "refused")
        binding = token_digest(visit.secret)
        if not answer:
            return _options(self._passkeys.sign_in_options(party, binding))
        browser = visit.request.cookies.get(browser_cookie_name(visit.call), "")
        signed_in = self._passkeys.sign_in(party, binding, answer, visit.call, browser=browser)
        if signed_in is None:
            return self._show_sign_in(visit, "passkey_refused")
        return with_browser(self._pages.go_on(visit, signed_in), visit, signed_in)

    @for_sessions(None, "factor", "password", "enrol")
    def check(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Check a second factor: to continue a sign-in, or to renew that of a session."""
        party, answer = self._pages.relying_party(visit), visit.form.get("credential", "")
        if party is None:
            return self._show_code(visit, "refused")
        if not answer:
            return _options(self._passkeys.factor_options(session, party))
        signed_in = self._passkeys.with_passkey(session, party, answer, visit.call)
        return self._show_code(visit, "passkey_refused") if signed_in is None else self._pages.go_on(visit, signed_in)

    @for_sessions(None, "enrol")
    def add(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Add a passkey or a security key."""
        party, answer = self._pages.relying_party(visit), visit.form.get("credential", "")
        kind = _KINDS.get(visit.form.get("kind", ""))
        if party is None or kind is None:
            return self._show_factors(visit, "refused")
        step = {"iam:RegisterSecurityKey": "Activate" if answer else "Create"}  # as at AWS
        is_allowed = session.task == "enrol" or self._pages.may(visit, session, "iam:EnableMFADevice", context=step)
        if not is_allowed:
            return self._show_factors(visit, "not_allowed")
        if not answer:
            return _options(self._passkeys.creation_options(session, party, kind))
        added = self._passkeys.add(session, party, NewPasskey(kind, visit.form.get("name", ""), answer), visit.call)
        if isinstance(added, str):
            return self._show_factors(visit, added)
        visit.secret, visit.session = added.signed_in.token, added.signed_in.session
        codes = added.recovery_codes
        after = self._pages.next_url(visit, added.signed_in.session)
        page = self._show_factors(visit, "", note="added" if codes else "key_added", codes=codes, after=after)
        return with_session(page, visit, added.signed_in)

    @for_sessions(None)
    def remove(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Remove a second factor."""
        if not self._pages.may(visit, session, "iam:DeactivateMFADevice"):
            return self._show_factors(visit, "not_allowed")
        removed = self._pages.guard.own_credentials.remove_factor(session, visit.form.get("serial", ""), visit.call)
        if isinstance(removed, str):
            return self._show_factors(visit, removed)
        return self._show_factors(visit, "", note="key_removed", removed=removed.passkey)


def _options(options: Any) -> Response:
    return JSONResponse(options, headers=HEADERS)
