"""Sign-on by OIDC: `/signin/oidc/start`, `/signin/oidc/callback/PROVIDER` and `/signin/oidc/logout`, with `site_url`.

A browser leaves for the provider with an attempt in a sealed cookie, comes back with an answer to it, at the address of
this provider, and goes on to `/signin/continue`. A link on another site can't begin an attempt without a click here: it
could sign a browser in to the account of an attacker, whose provider asks for nothing. The provider itself sends logout
tokens.

What waits for a provider runs in threads of its own, few for each account, so that one that hangs stops neither the
other pages nor the sign-ins of other accounts.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from iam_guard.authn.constant_time import same
from iam_guard.authn.people.sign_on.oidc_sign_on import Challenge
from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProvider
from iam_guard.console.company_pages import ask_to_begin
from iam_guard.console.continue_pages import record_refusal, refused
from iam_guard.console.forms import read_form
from iam_guard.console.pages import Pages, redirect
from iam_guard.console.sign_on_attempt import SignOnAttempt, end_cookie, read_attempt, start_cookie
from iam_guard.console.visit import Visit
from iam_guard.console.workers import in_page_worker
from iam_guard.errors import ConfigurationError, IamGuardError, InvalidIdentityToken, OwnRedirectRequired
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.web.service import public
from iam_guard.web.shared_workers import in_provider_worker

_log = logging.getLogger("iam_guard.console")
_NOT_STORED: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_ANSWER: Final = ("state", "code", "error", "iss")
"""The parameters of an answer that are read; there may be more."""


class _Exchange(NamedTuple):
    """What is left to do for a request, and waits for a provider of an account."""

    account: str
    work: Callable[[], Response]


class OidcPages:
    """Begin a sign-on by OIDC, receive the answer, and end sessions when the provider says so."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._guard = pages.guard
        self._people = pages.guard.people

    def routes(self) -> Iterable[Route]:
        """Return the routes of these pages; none without an address that providers can know."""
        if self._guard.settings.site_url:
            yield self._route("/oidc/start", self._begin)
            yield self._route("/oidc/callback", self._receive)
            yield self._route("/oidc/callback/{provider}", self._receive)
            yield Route("/oidc/logout", public(self._logout_handler()), methods=["POST"])

    def _route(self, path: str, begin: Callable[[Visit], Response | _Exchange]) -> Route:
        """Return the route of a page: `begin` answers in a page worker, or says what then waits for a provider."""

        async def handle(request: Request) -> Response:
            found = await in_page_worker(lambda: begin(self._pages.visit(request)))
            return found if isinstance(found, Response) else await in_provider_worker(found.account, found.work)

        return Route(path, public(handle))

    # --- to the provider and back ----------------------------------------------------------------------------------

    def _begin(self, visit: Visit) -> Response | _Exchange:
        """Go to the sign-on provider that the URL names."""
        if visit.cookie_name is None:
            self._pages.log_unencrypted(visit.call)
            return self._pages.page(visit, "page.html", "sign_in", "needs_https")
        provider = self._provider(visit.request.query_params.get("provider", ""))
        if provider is None:
            return self._refuse(visit, InvalidIdentityToken("expected the id of a sign-on provider"), None)
        if visit.is_from_elsewhere:
            return ask_to_begin(self._pages, visit, "oidc", provider.id, provider.issuer)
        return _Exchange(provider.account, partial(self._leave, visit, provider))

    def _leave(self, visit: Visit, provider: SignOnProvider) -> Response:
        challenge, now = Challenge.random(), int(self._guard.clock().timestamp())
        try:
            url = self._people.oidc_sign_on.authorization_url(provider, challenge)
        except IamGuardError as error:
            return self._refuse(visit, error, provider)
        attempt = SignOnAttempt("oidc", provider.id, *challenge, next=visit.next, started=now)
        answer = redirect(url)
        answer.headers.append("set-cookie", start_cookie(self._guard.store.sealer, attempt, visit.call))
        return answer

    def _receive(self, visit: Visit) -> Response | _Exchange:
        """Receive the answer of a provider, if it is one to the attempt of this browser."""
        now = int(self._guard.clock().timestamp())
        attempt = read_attempt(self._guard.store.sealer, visit.request, visit.call, now)
        provider = None if attempt is None or attempt.kind != "oidc" else self._provider(attempt.provider_id)
        if attempt is None or provider is None:
            reason = "expected an answer to a sign-in that began in this browser within the last ten minutes"
            return self._refuse(visit, InvalidIdentityToken(reason), None)
        items = [item for item in visit.request.query_params.multi_items() if item[0] in _ANSWER]
        answer = dict(items)
        if len(answer) != len(items) or not same(answer.get("state", ""), attempt.state):
            reason = "expected the state of this browser's sign-in, and each parameter once"
            return self._refuse(visit, InvalidIdentityToken(reason), provider)  # others can't end the attempt
        if visit.request.path_params.get("provider", "") != ("" if provider.has_common_redirect else provider.id):
            reason = "expected an answer at the redirect address of the provider that the sign-in began with"
            return self._refuse_attempt(visit, InvalidIdentityToken(reason), provider)
        return _Exchange(provider.account, partial(self._redeem, visit, provider, attempt, answer))

    def _redeem(
        self, visit: Visit, provider: SignOnProvider, attempt: SignOnAttempt, answer: Mapping[str, str]
    ) -> Response:
        challenge = Challenge(attempt.state, attempt.nonce, attempt.verifier)
        try:
            token = self._people.oidc_sign_on.redeem(provider, answer, challenge)
        except IamGuardError as error:
            return self._refuse_attempt(visit, error, provider)
        return redirect(f"{visit.base}/continue?{urlencode({'pending': token})}")

    def _provider(self, id: str) -> SignOnProvider | None:
        found = self._people.sign_on_providers.get(id) if id else None
        return found if found is not None and found.kind == "oidc" else None

    def _refuse_attempt(self, visit: Visit, error: IamGuardError, provider: SignOnProvider) -> Response:
        """Refuse an answer, and end the attempt that it is for."""
        page = self._refuse(visit, error, provider)
        page.headers.append("set-cookie", end_cookie(visit.call))
        return page

    def _refuse(self, visit: Visit, error: IamGuardError, provider: SignOnProvider | None) -> Response:
        """Record a refusal, and show it without the reason, but an address to register; raise errors that are none."""
        if isinstance(error, ConfigurationError):
            _log.error("sign-on by OIDC is not possible: %s", error.message)
        elif error.wire_status >= 500:
            raise error
        known = {} if provider is None else {"account": provider.account, "provider": provider.provider}
        record_refusal(self._pages, visit.call, error.message, **known)
        if isinstance(error, OwnRedirectRequired):
            return self._pages.page(visit, "own_redirect.html", "sign_in", "own_redirect", address=error.place)
        return refused(self._pages, visit)

    # --- the provider ends sessions ----------------------------------------------------------------------------------

    def _logout_handler(self) -> Callable[[Request], Awaitable[Response]]:
        """Return what ends the sessions that a logout token names (OpenID Connect Back-Channel Logout 1.0, 2.8)."""
        logout = self._people.oidc_logout

        async def end_sessions(request: Request) -> Response:
            form, call = await read_form(request), self._pages.facts(request)
            try:
                found = await in_page_worker(logout.read, (form or {}).get("logout_token", ""))
                await in_provider_worker(found.account, logout.end_sessions, found, call)
            except IamGuardError as error:
                if error.wire_status >= 500:
                    raise
                await in_page_worker(self._record_logout, error, call)
                return JSONResponse({"error": "invalid_request"}, status_code=400, headers=_NOT_STORED)
            return Response(headers=_NOT_STORED)

        return end_sessions

    def _record_logout(self, error: IamGuardError, call: Call) -> None:
        facts = {"Reason": error.message}
        self._guard.trail.record_sign_in(
            SignInEvent(name="ExitSession", principal=None, succeeded=False, facts=facts), call
        )
