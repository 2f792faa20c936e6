"""What signing in by OIDC and by SAML have in common, once the identity provider has sent its statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from iam_guard.authn.people.pending_sign_ins import PendingSignIn
from iam_guard.authn.people.sessions.federated_sessions import FederatedSessions, FederatedSignIn
from iam_guard.authn.people.sessions.role_switch import Decide
from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProviders
from iam_guard.authn.tokens.token_verifier import TokenVerifier
from iam_guard.model.request import Call
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.settings import Settings
from iam_guard.store.protocol import RecordStore


@dataclass(frozen=True, slots=True)
class SignOnParts:
    """The parts of one guard that sign-on needs.

    `clock` is timezone-aware; `decide` decides and records a question about a role, `audit` writes to the audit trail.
    """

    store: RecordStore
    settings: Settings
    clock: Callable[[], datetime]
    tokens: TokenVerifier
    providers: SignOnProviders
    sessions: FederatedSessions
    decide: Decide
    audit: Callable[[SignInEvent, Call | None], None]


@dataclass(frozen=True, slots=True)
class VerifiedSignOn:
    """A verified statement about a person.

    `name` is who that is, for the page; `roles` are the ARNs of the roles to choose from. `in_response_to` is the
    `state` of the attempt that it answers; None for one that did not begin here. `for_role` decides the trust policy of
    a role now, and returns what becomes a session; it raises `AccessDenied`, `DecisionUnavailable`.
    """

    name: str
    roles: tuple[str, ...]
    in_response_to: str | None
    for_role: Callable[[str, Call], FederatedSignIn] = field(repr=False)


class CompanySignOn(Protocol):
    """Verifies the statements of one kind of identity provider."""

    def verify(self, pending: PendingSignIn, call: Call) -> VerifiedSignOn:
        """Verify a statement again, as of the time when it was received.

        Raises `InvalidIdentityToken`, `IdpRejectedClaim`, `ExpiredIdentityToken`.
        """
