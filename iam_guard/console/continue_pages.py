"""The end of a company's sign-on, `/signin/continue`: the role that a person chooses, and whether it wants to sign in.

What the identity provider stated was verified, and waits. A statement that answers the request of this browser, for
one role, signs in at once. One that answers another request is refused: it is that of another browser. One that answers
none began at the identity provider, or comes from an attacker who wants this browser to use the attacker's account. So
the page shows whose it is, and takes the button; and it continues only in the browser that brought it, since URLs are
logged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from iam_guard.authn.constant_time import same
from iam_guard.authn.people.sessions.federated_sessions import provider_facts
from iam_guard.authn.people.sign_on.company_sign_on import CompanySignOn, VerifiedSignOn
from iam_guard.authn.tokens.session_cookie import token_digest
from iam_guard.console.pages import Pages, redirect, with_session
from iam_guard.console.sign_on_attempt import SignOnAttempt, end_cookie, read_attempt
from iam_guard.console.visit import Visit, cookie_header, own_cookie_name
from iam_guard.errors import AccessDenied, IamGuardError
from iam_guard.model.arn import account_of
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent

MAX_NAME: Final = 64
"""Characters of a name that the page shows."""
_RECEIVED_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class _Continued:
    """A verified sign-on that may continue in this browser. `attempt` is the one that it answers, if it began here."""

    token: str
    verified: VerifiedSignOn
    attempt: SignOnAttempt | None
    provider: str | None


class ContinuePages:
    """Choose a role, and confirm a sign-on. `sign_ons` verifies each kind of statement."""

    def __init__(self, pages: Pages, sign_ons: Mapping[str, CompanySignOn]) -> None:
        self._pages = pages
        self._guard = pages.guard
        self._pending = pages.guard.people.pending_sign_ins
        self._sign_ons = sign_ons

    def routes(self) -> Iterable[Route]:
        """Return the routes of these pages."""
        yield self._pages.route("/continue", self.show, self.choose)

    def show(self, visit: Visit, problem: str) -> Response:
        """Sign in with the only role of a sign-on that began here; else show the form."""
        found = self._find(visit)
        if found is None:
            return refused(self._pages, visit)
        roles = found.verified.roles
        if found.attempt is not None and len(roles) == 1:
            return self._sign_in(visit, found, roles[0])
        return self._show_form(visit, found, problem)

    def choose(self, visit: Visit, _: str) -> Response:
        """Sign in with the role that was chosen."""
        found = self._find(visit)
        if found is None:
            return refused(self._pages, visit)
        return self._sign_in(visit, found, visit.form.get("role", ""))

    def _find(self, visit: Visit) -> _Continued | None:
        """Return the sign-on that the URL names; None for one that is over or refused, which is recorded."""
        token = visit.request.query_params.get("pending", "")
        pending = self._pending.get(token) if token else None
        if pending is None:
            return None
        owner = self._guard.people.sign_on_providers.get(pending.provider_id)
        provider = None if owner is None else owner.provider
        now = int(self._guard.clock().timestamp())
        attempt = read_attempt(self._guard.store.sealer, visit.request, visit.call, now)
        try:
            verified = self._sign_ons[pending.kind].verify(pending, visit.call)
            state = verified.in_response_to
            if state is None:
                if not same(visit.request.cookies.get(_received_name(visit.call), ""), token_digest(token)):
                    raise AccessDenied("expected the browser that has received the response")
                return _Continued(token, verified, None, provider)
            if attempt is None or attempt.kind != pending.kind or not same(attempt.state, state):
                raise AccessDenied("expected a response to the present request of this browser")
            return _Continued(token, verified, attempt, provider)
        except IamGuardError as error:
            self._record(visit, error, None if provider is None else account_of(provider), provider)
            return None

    def _show_form(self, visit: Visit, found: _Continued, problem: str) -> Response:
        roles = [_shown(role) for role in found.verified.roles]
        accounts: dict[str, list[dict[str, str]]] = {}
        for role in roles:
            accounts.setdefault(role["account"], []).append(role)
        shown: dict[str, Any] = {
            "accounts": accounts,
            "only": roles[0] if len(roles) == 1 else None,
            "name": found.verified.name[:MAX_NAME],
            "began_here": found.attempt is not None,
        }
        return self._pages.page(visit, "continue.html", "sign_in", problem, **shown)

    def _sign_in(self, visit: Visit, found: _Continued, role: str) -> Response:
        account = account_of(role)
        try:
            if role not in found.verified.roles:
                raise AccessDenied("expected a role that the identity provider has named")
            federated = found.verified.for_role(role, visit.call)
            signed_in = self._guard.people.federated_sessions.sign_in(federated, visit.call, pending=found.token)
        except IamGuardError as error:
            provider = found.provider if found.provider and account_of(found.provider) == account else None
            self._record(visit, error, account, provider)
            return refused(self._pages, visit)
        begun = "" if found.attempt is None else found.attempt.next
        answer = with_session(redirect(begun or self._pages.next_url(visit, signed_in.session)), visit, signed_in)
        answer.headers.append("set-cookie", end_cookie(visit.call))
        answer.headers.append("set-cookie", received_cookie(visit.call, ""))
        return answer

    def _record(self, visit: Visit, error: IamGuardError, account: str | None, provider: str | None) -> None:
        """Record a refusal; raise errors that are none: the store is unavailable, for example."""
        if error.wire_status >= 500:
            raise error
        record_refusal(self._pages, visit.call, error.message, account=account, provider=provider)


def _shown(role: str) -> dict[str, str]:
    return {"arn": role, "name": role.partition(":role/")[2], "account": account_of(role) or ""}


def refused(pages: Pages, visit: Visit) -> Response:
    """Return the page of a sign-on that was refused or is over, which does not say why."""
    return pages.page(visit, "page.html", "sign_in", "sign_on_refused")


def record_refusal(
    pages: Pages, call: Call, reason: str, *, account: str | None = None, provider: str | None = None
) -> None:
    """Record that a sign-on was refused, and why. `provider` is the ARN of the identity provider, if it is known."""
    facts = {"LoginTo": call.path, "MobileVersion": "No", "MFAUsed": "No", "Reason": reason, **provider_facts(provider)}
    event = SignInEvent(name="ConsoleLogin", principal=None, account=account, succeeded=False, facts=facts)
    pages.guard.trail.record_sign_in(event, call)


def received_cookie(call: Call, token: str) -> str:
    """Return the header of the cookie of the browser that has received a response; without a token, it is removed."""
    return cookie_header(call, _received_name(call), token_digest(token) if token else "", _RECEIVED_SECONDS)


def _received_name(call: Call) -> str:
    return own_cookie_name(call, "received")
