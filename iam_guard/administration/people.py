"""`guard.people`: how people sign in with a browser, their sessions, and their own credentials."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from iam_guard.administration.personal_data import PersonalData
from iam_guard.administration.refused_visit import RefusalPage
from iam_guard.audit.trail import Trail
from iam_guard.authn.people.credential_sign_in import CredentialSignIn
from iam_guard.authn.people.own_credentials import OwnCredentials
from iam_guard.authn.people.pending_sign_ins import PendingSignIns
from iam_guard.authn.people.second_factors.passkey_steps import PasskeySteps
from iam_guard.authn.people.sessions.account_sessions import AccountSessions
from iam_guard.authn.people.sessions.browser_sessions import BrowserSessions
from iam_guard.authn.people.sessions.federated_sessions import FederatedSessions
from iam_guard.authn.people.sessions.role_switch import Decide, RoleSwitch
from iam_guard.authn.people.sessions.session_steps import session_steps
from iam_guard.authn.people.sessions.tool_sessions import ToolSessions
from iam_guard.authn.people.sign_in import SignIn
from iam_guard.authn.people.sign_on.company_sign_on import SignOnParts
from iam_guard.authn.people.sign_on.oidc_logout import OidcLogout
from iam_guard.authn.people.sign_on.oidc_sign_on import OidcSignOn
from iam_guard.authn.people.sign_on.saml_sign_on import SamlSignOn
from iam_guard.authn.people.sign_on.sign_on_providers import SignOnProviders
from iam_guard.authn.tokens.token_verifier import TokenVerifier
from iam_guard.model.result import ChangeRecorder
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.credentials.last_used import LastUsedTracker


class People:
    """The parts of one guard that concern people. Each step of a sign-in is recorded in the trail."""

    def __init__(
        self,
        store: CachedStore,
        settings: Settings,
        clock: Callable[[], datetime],
        *,
        uses: LastUsedTracker,
        trail: Trail,
        change_recorder: ChangeRecorder,
        decide: Decide,
        tokens: TokenVerifier,
    ) -> None:
        self._store, audit = store, trail.record_sign_in
        self.browser_sessions = BrowserSessions(store, settings, clock, uses)
        """The sessions of people who signed in."""
        self.federated_sessions = FederatedSessions(store, settings, clock, audit)
        """The sessions without a stored person: of a company's sign-on, and of temporary credentials."""
        self.account_sessions = AccountSessions(store, settings, change_recorder, clock)
        """The sessions of an account, for its administrators: list, end."""
        place = trail.place
        self.personal_data = PersonalData(
            store,
            change_recorder,
            clock,
            trail=None if place is None else place.trail,
            ring=None if place is None else place.known,
        )
        """What is known of a person: export, erase."""
        steps = session_steps(store, self.browser_sessions, settings, clock, audit)
        self.sign_in = SignIn(steps)
        """The steps of a sign-in with a password."""
        self.own_credentials = OwnCredentials(steps, change_recorder)
        """Changes of a person's own password, devices and recovery codes."""
        self.passkeys = PasskeySteps(steps)
        """Passkeys: add, remove, sign in."""
        self.role_switch = RoleSwitch(steps, decide)
        """Switches to roles, and back."""
        self.sign_on_providers = SignOnProviders(store, change_recorder, clock)
        """The identity providers whose people sign in to an account: list, add, remove."""
        self.pending_sign_ins = PendingSignIns(store, clock)
        """Sign-ins with an identity provider that wait for their browser."""
        parts = SignOnParts(
            store, settings, clock, tokens, self.sign_on_providers, self.federated_sessions, decide, audit
        )
        self._add_federated_sign_in(parts)
        self.tool_sessions = ToolSessions(steps, settings, decide, trail.record_result)
        """Sessions of people's tools: approve, list, end."""
        self.saml_sign_on = SamlSignOn(parts, self.pending_sign_ins)
        """Sign-ins with the SAML responses of identity providers."""
        self.notifications = steps.notifications
        """What people must be informed of."""
        self.refusal_page: RefusalPage | None = None
        """Makes the page that a browser gets instead of a problem document; the sign-in pages set it."""

    def _add_federated_sign_in(self, parts: SignOnParts) -> None:
        """Add the ways to sign in without a stored person."""
        self.credential_sign_in = CredentialSignIn(parts.store, parts.sessions, parts.clock, parts.audit)
        """Sign-ins with temporary credentials, by links of the federation endpoint."""
        self.oidc_sign_on = OidcSignOn(parts, self.pending_sign_ins)
        """Sign-ins with the ID tokens of OIDC providers."""
        self.oidc_logout = OidcLogout(parts)
        """Sessions that OIDC providers end."""
