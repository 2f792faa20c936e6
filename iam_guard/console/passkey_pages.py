"""The forms for signing in with a passkey, and for using a passkey or a security key as second factor.

Their forms need the script `passkeys.js`, which sends each twice: without an answer of the browser, to get the options
for it, then with the answer, like any other form. Without the script they are hidden, and the other ways remain.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.responses import Response
from starlette.routing import Route

from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.tokens.session_cookie import token_digest
from iam_guard.console.pages import Page, Pages, for_sessions, options_response
from iam_guard.console.visit import Visit


class PasskeyPages:
    """Act on the forms for passkeys; the other pages show these, and what went wrong."""

    def __init__(self, pages: Pages, *, show_sign_in: Page, show_code: Page) -> None:
        self._pages = pages
        self._passkeys = pages.guard.people.passkeys
        self._show_sign_in, self._show_code = show_sign_in, show_code

    def routes(self) -> Iterable[Route]:
        """Return the routes of these forms."""
        yield self._pages.route("/passkey", self._show_sign_in, self.sign_in)
        yield self._pages.route("/mfa/passkey", self._show_code, self.check)

    def sign_in(self, visit: Visit, _: str) -> Response:
        """Sign in with a passkey alone."""
        party, answer = self._pages.relying_party(visit), visit.form.get("credential", "")
        if party is None:
            return self._show_sign_in(visit, "refused")
        binding = token_digest(visit.secret)
        if not answer:
            return options_response(self._passkeys.sign_in_options(party, binding))
        signed_in = self._passkeys.sign_in(party, binding, answer, visit.call, browser=visit.browser)
        if signed_in is None:
            return self._show_sign_in(visit, "passkey_refused")
        return self._pages.go_on(visit, signed_in)

    @for_sessions(None, "factor", "password", "enrol")
    def check(self, visit: Visit, session: BrowserSession, _: str) -> Response:
        """Check a second factor: to continue a sign-in, or to renew that of a session."""
        party, answer = self._pages.relying_party(visit), visit.form.get("credential", "")
        if party is None:
            return self._show_code(visit, "refused")
        if not answer:
            return options_response(self._passkeys.factor_options(session, party))
        signed_in = self._passkeys.with_passkey(session, party, answer, visit.call, browser=visit.browser)
        return self._show_code(visit, "passkey_refused") if signed_in is None else self._pages.go_on(visit, signed_in)
