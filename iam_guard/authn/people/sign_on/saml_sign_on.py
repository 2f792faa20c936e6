"""Sign in with a SAML response that a browser brings: what it says, and the session.

A response names its issuer only, and several accounts can have the same identity provider. `saml_candidates` finds the
providers that can have sent it, and the order in which they are tried. Once one has verified it, the assertion names
roles, each with its provider: those count whose provider is in the account of the role, and has verified the response,
or has the same metadata as one that has. So another account's provider with the same entity id gives roles of that
account at most. The number of verifications is limited; what is refused with some certificates and keys is not verified
with these again.

A request that begins here has the id of its sign-on provider in its own id: a response to it counts only if that
provider has verified it. The page decides whether this browser has sent the request (`console/continue_pages`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from iam_guard.authn.federation.role_session import admit, find_role, session_principal
from iam_guard.authn.federation.saml_identity import (
    ROLE_ATTRIBUTE,
    StoredSamlProvider,
    find_saml_provider_of,
    providers_in,
    remembered_until,
    role_pairs,
    saml_identity,
    saml_session_seconds,
    used_assertion,
)
from iam_guard.authn.people.pending_sign_ins import PendingSignIn, PendingSignIns
from iam_guard.authn.people.sessions.federated_sessions import FederatedSignIn
from iam_guard.authn.people.sign_on.company_sign_on import SignOnParts, VerifiedSignOn
from iam_guard.authn.people.sign_on.saml_candidates import SamlCandidate, SamlCandidates, find_candidates
from iam_guard.authn.people.sign_on.saml_requests import SamlSite, provider_of_request
from iam_guard.authn.people.verified_steps import Evidence
from iam_guard.authn.saml.assertion import SamlAssertion, SamlIdentityProvider
from iam_guard.authn.saml.response import parse_response, read_response
from iam_guard.authn.saml.xml_tree import XmlDocument
from iam_guard.errors import AccessDenied, IamGuardError, InvalidIdentityToken
from iam_guard.model.arn import account_of
from iam_guard.model.credential import Session
from iam_guard.model.request import Call
from iam_guard.store.credentials.used_tokens import use_token
from iam_guard.store.database.records import Row
from iam_guard.store.schema import saml_providers, sign_on_providers

MFA_CONTEXTS: Final = frozenset({"https://refeds.org/profile/mfa", "http://schemas.microsoft.com/claims/multipleauthn"})
"""The classes of authentication that state a second factor."""
MAX_VERIFICATIONS: Final = 16
"""How often one response is verified, with different certificates and keys."""
MAX_TRIES: Final = 64
"""How many providers are read for one response."""
MAX_COPIES: Final = 8
"""How often one assertion can wait for its browser: people reload pages, and a client can send it again and again."""
_SESSION_NAME: Final = "https://aws.amazon.com/SAML/Attributes/RoleSessionName"
_NO_ROLE: Final = "expected a role of an account whose provider has signed the response"


@dataclass(frozen=True, slots=True)
class SamlReceipt:
    """What became of a response: it waits for its browser under `token`, or was refused (None) for a `reason`.

    `account` and `provider` (an ARN) are those of the only candidate; None without one, or if there are several.
    """

    token: str | None = field(repr=False)
    reason: str = ""
    account: str | None = None
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class _Verified:
    """An assertion, and what has verified it: the provider as it was, and the sign-on providers, by ARN."""

    assertion: SamlAssertion
    providers: Mapping[str, tuple[StoredSamlProvider, Sequence[Row]]]

    def roles(self) -> dict[str, str]:
        """Return the roles of the assertion that count, each with the ARN of its provider."""
        found: dict[str, str] = {}
        for role, provider in role_pairs(self.assertion):
            if provider in self.providers and account_of(role) == account_of(provider):
                found.setdefault(role, provider)
        return found


class SamlSignOn:
    """Sign-on by SAML in one store; safe to share between threads. Raises `StoreUnavailable`, too."""

    def __init__(self, parts: SignOnParts, pending: PendingSignIns) -> None:
        self.site = SamlSite(parts.settings)
        """This site as identity providers know it."""
        self._store = parts.store
        self._clock = parts.clock
        self._decide = parts.decide
        self._pending = pending

    def receive(self, text: str) -> SamlReceipt:
        """Verify a response, in base64, that an unauthenticated client has sent. Raises `ServerBusy`."""
        provider: str | None = None
        try:
            response = parse_response(text)
            candidates = self._candidates(response)
            provider = candidates.only
            verified = self._verify(response, candidates, self._clock())
            sign_on = verified.providers[next(iter(verified.roles().values()))][1][0]
            self._count_copy(sign_on["id"], verified.assertion)
            return SamlReceipt(self._pending.put("saml", sign_on["id"], text))
        except IamGuardError as error:
            if error.wire_status >= 500:
                raise
            return SamlReceipt(None, error.message, provider and account_of(provider), provider)

    def verify(self, pending: PendingSignIn, call: Call) -> VerifiedSignOn:
        """Verify a response again, as of the time when it was received.

        Raises `InvalidIdentityToken`, `IdpRejectedClaim`, `ExpiredIdentityToken`.
        """
        response = parse_response(pending.text)
        verified = self._verify(response, self._candidates(response), pending.received)
        names = verified.assertion.attributes.get(_SESSION_NAME, ())
        return VerifiedSignOn(
            name=names[0] if len(names) == 1 else verified.assertion.subject,
            roles=tuple(verified.roles()),
            in_response_to=verified.assertion.in_response_to,
            for_role=lambda role, call: self._admitted(verified, role, call),
        )

    # --- who has sent it -----------------------------------------------------------------------------------------

    def _candidates(self, response: XmlDocument) -> SamlCandidates:
        with self._store.read_transaction() as records:
            return find_candidates(records, self._store.partition, response)

    def _verify(self, response: XmlDocument, candidates: SamlCandidates, now: datetime) -> _Verified:
        """Return what the candidates verify. Raises `InvalidIdentityToken` if none does.

        INVARIANT: all read the same assertion. One ciphertext can be made to have two meanings, for two private keys,
        so what one account's provider reads must not count as verified by another's.
        """
        remaining, refusals = deque(candidates.ordered), list[str]()
        providers: dict[str, tuple[StoredSamlProvider, Sequence[Row]]] = {}
        assertion: SamlAssertion | None = None
        for candidate, provider, read in self._readings(response, remaining, now, refusals):
            if assertion not in (None, read):
                raise InvalidIdentityToken("expected an assertion that is the same for all providers")
            assertion, named = read, providers_in(read.attributes.get(ROLE_ATTRIBUTE, ()))
            same = self._with_same_metadata(candidate, [other for other in remaining if other.arn in named])
            providers |= {stored.arn: (provider, stored.sign_ons) for stored in (candidate, *same)}
            others = [other for other in remaining if other.arn in named - providers.keys()]
            remaining.clear()
            remaining.extend(others)
        if assertion is None:
            raise InvalidIdentityToken(refusals[0] if candidates.only else f"{_NO_ROLE}: {refusals[0]}")
        verified = _Verified(assertion, providers)
        if not verified.roles():
            raise InvalidIdentityToken("; another provider: ".join([_NO_ROLE, *refusals[:1]]))
        _check_request(verified)
        return verified

    def _readings(
        self, response: XmlDocument, remaining: deque[SamlCandidate], now: datetime, refusals: list[str]
    ) -> Iterator[tuple[SamlCandidate, StoredSamlProvider, SamlAssertion]]:
        """Take candidates one by one, and iterate over what they read. Adds the reasons of those that read nothing.

        Those with the same certificates and keys read the same, so only the first of them verifies the response.
        """
        known: dict[SamlIdentityProvider, SamlAssertion | None] = {}
        for _ in range(min(MAX_TRIES, len(remaining))):
            if not remaining or len(known) >= MAX_VERIFICATIONS:
                return
            candidate = remaining.popleft()
            try:
                provider = self._find(candidate.arn, now)
                if provider.identity not in known:
                    known[provider.identity] = None
                    known[provider.identity] = read_response(response, provider.identity, self.site.receiver, now)
            except IamGuardError as error:
                if error.wire_status >= 500:
                    raise
                refusals.append(error.message)
                continue
            read = known[provider.identity]
            if read is not None:
                yield candidate, provider, read

    def _with_same_metadata(self, verifier: SamlCandidate, others: Sequence[SamlCandidate]) -> list[SamlCandidate]:
        """Return those that verify exactly what another candidate verifies."""
        alike = {
            other.id: other
            for other in others
            if other.encryption_mode == verifier.encryption_mode and not (other.has_keys or verifier.has_keys)
        }
        with self._store.read_transaction() as records:
            document = records.values_of(saml_providers, "document", id=verifier.id)
            rows = records.all(saml_providers, columns=("id",), id=[*alike], document=document) if alike else []
        return [alike[row["id"]] for row in rows]

    def _find(self, arn: str, now: datetime) -> StoredSamlProvider:
        with self._store.read_transaction() as records:
            found = find_saml_provider_of(records, self._store.partition, self._store.sealer, arn)
        if found.valid_until <= now.timestamp():
            raise InvalidIdentityToken("The metadata of the provider has expired")
        return found

    def _count_copy(self, sign_on_id: str, assertion: SamlAssertion) -> None:
        """Raise `AccessDenied` for an assertion that was received too often for a sign-on provider."""
        now = int(self._clock().timestamp())
        expires = ceil(assertion.valid_until.timestamp())
        with self._store.write_transaction() as records:
            for number in range(MAX_COPIES):
                identity = (sign_on_id, assertion.id, str(number))
                if use_token(records, "saml-copy", *identity, expires=expires, now=now):
                    return
        raise AccessDenied(f"the assertion was received more than {MAX_COPIES} times")

    # --- the session ---------------------------------------------------------------------------------------------

    def _admitted(self, verified: _Verified, role_arn: str, call: Call) -> FederatedSignIn:
        """Return the session of a role that the assertion names, if its trust policy allows it now."""
        now, assertion, arn = self._clock(), verified.assertion, verified.roles().get(role_arn)
        if arn is None:
            raise AccessDenied("The assertion does not name the role with a provider that has signed it.")
        verifier, sign_ons = verified.providers[arn]
        provider = self._find(arn, now)
        if provider.identity != verifier.identity:
            raise AccessDenied("The provider was changed while the person chose a role.")
        identity = saml_identity(assertion, provider, role_arn)
        with self._store.read_transaction() as records:
            role = find_role(records, self._store.partition, role_arn)
        admitted = admit(identity, role_arn, role, lambda principal, question: self._decide(call, principal, question))
        seconds = saml_session_seconds(assertion, admitted, admitted.max_seconds, now)
        used_mfa = all(row["trusts_mfa"] for row in sign_ons) and not MFA_CONTEXTS.isdisjoint(assertion.authn_contexts)
        session = Session(
            access_key_id="",
            secret="",
            principal=session_principal(identity, admitted, self._store.partition, now),
            issued=now,
            expires=now + timedelta(seconds=seconds),
            transitive_tag_keys=identity.transitive_tag_keys,
            source_identity=identity.source_identity,
            mfa_at=now if used_mfa else None,
        )
        return FederatedSignIn(
            session=session,
            method="saml",
            provider=arn,
            evidence=(_provider_evidence(provider), *(_sign_on_evidence(row) for row in sign_ons)),
            issuer=assertion.issuer,
            subject=assertion.subject,
            provider_session=assertion.session_index,
            used=used_assertion(assertion, role_arn),
            used_until=remembered_until(assertion),
        )


def _provider_evidence(provider: StoredSamlProvider) -> Evidence:
    """Return the provider that has signed an assertion, with the metadata that it was verified with."""
    id, document, valid_until, encryption_mode = provider.source[:4]
    columns = (("document", (document,)), ("valid_until", (valid_until,)), ("encryption_mode", (encryption_mode,)))
    return Evidence(saml_providers, (("id", id),), columns)


def _sign_on_evidence(row: Row) -> Evidence:
    return Evidence.of(sign_on_providers, row, "saml_provider_id", "trusts_mfa")


def _check_request(verified: _Verified) -> None:
    """Raise `InvalidIdentityToken` for a response to a request that was sent to another provider."""
    request = verified.assertion.in_response_to
    ids = {row["id"] for _, sign_ons in verified.providers.values() for row in sign_ons}
    if request is not None and provider_of_request(request) not in ids:
        raise InvalidIdentityToken("expected InResponseTo to be a request to a provider that has signed the response")
