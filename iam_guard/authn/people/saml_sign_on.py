"""Sign in with a SAML response that a browser brings: who may have sent it, what it says, and the session.

A response names its issuer only, and several accounts can have the same identity provider. So all providers with this
entity id, of accounts that use them for sign-on, are candidates; the response is verified once for all that have the
same metadata. The assertion then names roles, each with its provider: those count whose provider is in the account of
the role, and is one that has verified the response. So another account's provider with the same entity id gives roles
of that account at most. It can't get in the way of others either, although the number of verifications is limited: the
first provider of each account is tried before the second of any.

A request that begins here has the id of its sign-on provider in its own id: a response to it counts only if that
provider has verified it. The page decides whether this browser has sent the request (`console/continue_pages`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from iam_guard.authn.federation.role_session import admit, find_role, session_principal
from iam_guard.authn.federation.saml_identity import (
    StoredSamlProvider,
    find_saml_provider_of,
    remembered_until,
    role_pairs,
    saml_identity,
    saml_session_seconds,
    used_assertion,
)
from iam_guard.authn.people.company_sign_on import SignOnParts, VerifiedSignOn
from iam_guard.authn.people.federated_sessions import FederatedSignIn
from iam_guard.authn.people.pending_sign_ins import PendingSignIn, PendingSignIns
from iam_guard.authn.people.saml_requests import SamlSite, provider_of_request
from iam_guard.authn.saml.assertion import SamlAssertion
from iam_guard.authn.saml.response import claimed_issuer, read_response
from iam_guard.errors import AccessDenied, IamGuardError, InvalidIdentityToken
from iam_guard.model.arn import account_of
from iam_guard.model.credential import Session
from iam_guard.model.request import Call
from iam_guard.store.identifiers import entity_digest, iam_arn
from iam_guard.store.records import Records, Row
from iam_guard.store.schema import SHORT_METADATA, saml_private_keys, saml_providers, sign_on_providers
from iam_guard.store.used_tokens import use_token

MFA_CONTEXTS: Final = frozenset({"https://refeds.org/profile/mfa", "http://schemas.microsoft.com/claims/multipleauthn"})
"""The classes of authentication that state a second factor."""
MAX_CANDIDATES: Final = 500
MAX_VERIFICATIONS: Final = 16
"""How often one response is verified, with different metadata."""
MAX_COPIES: Final = 8
"""How often one assertion can wait for its browser: people reload pages, and a client can send it again and again."""
_SESSION_NAME: Final = "https://aws.amazon.com/SAML/Attributes/RoleSessionName"


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
class _Candidates:
    """Providers with the same metadata: ARNs, each with its sign-on providers."""

    sign_ons: Mapping[str, list[Row]]

    @property
    def first(self) -> str:
        """The ARN of the one that verifies for all."""
        return next(iter(self.sign_ons))


@dataclass(frozen=True, slots=True)
class _Verified:
    """An assertion, and what has verified it: the provider as it was, and the sign-on providers, by ARN."""

    assertion: SamlAssertion
    providers: Mapping[str, tuple[StoredSamlProvider, list[Row]]]

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
            candidates = self._candidates(text)
            arns = [arn for found in candidates for arn in found.sign_ons]
            provider = arns[0] if len(arns) == 1 else None
            verified = self._verify(text, candidates, self._clock())
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
        verified = self._verify(pending.text, self._candidates(pending.text), pending.received)
        names = verified.assertion.attributes.get(_SESSION_NAME, ())
        return VerifiedSignOn(
            name=names[0] if len(names) == 1 else verified.assertion.subject,
            roles=tuple(verified.roles()),
            in_response_to=verified.assertion.in_response_to,
            for_role=lambda role, call: self._admitted(verified, role, call),
        )

    # --- who may have sent it ------------------------------------------------------------------------------------

    def _candidates(self, text: str) -> list[_Candidates]:
        """Return the providers with the entity id that a response names, the first of each account before the second.

        Raises `InvalidIdentityToken` without one.
        """
        issuer = claimed_issuer(text)
        with self._store.read_transaction() as records:
            named = records.all(saml_providers, columns=("id", "account"), entity_digest=entity_digest(issuer))
            sign_ons = _sign_ons_of(records, [row["id"] for row in named])
            ids = _in_turns([row for row in named if row["id"] in sign_ons], sign_ons)[:MAX_CANDIDATES]
            found = records.page(
                saml_providers, order=("id",), after=None, limit=MAX_CANDIDATES, condition=SHORT_METADATA, id=ids
            )
            keys = records.all(saml_private_keys, columns=("provider_id",), provider_id=ids)
        rows = {row["id"]: row for row in found}
        keyed = {row["provider_id"] for row in keys}
        groups: dict[tuple[str, ...], dict[str, list[Row]]] = {}
        for row in (rows[id] for id in ids if id in rows):
            own_keys = row["id"] if row["id"] in keyed else ""
            arn = iam_arn(self._store.partition, row["account"], "saml-provider", "/", row["name"])
            group = groups.setdefault((row["document"], row["encryption_mode"] or "", own_keys), {})
            group[arn] = sign_ons[row["id"]]
        if not groups:
            raise InvalidIdentityToken(f"no account uses an identity provider `{issuer[:200]}` for sign-on")
        return [_Candidates(group) for group in groups.values()]

    def _verify(self, text: str, candidates: list[_Candidates], now: datetime) -> _Verified:
        """Return what the candidates verify. Raises the error of the first one if none does.

        INVARIANT: all read the same assertion. One ciphertext can be made to have two meanings, for two private keys,
        so what one account's provider reads must not count as verified by another's.
        """
        providers: dict[str, tuple[StoredSamlProvider, list[Row]]] = {}
        assertion: SamlAssertion | None = None
        refusal: IamGuardError | None = None
        for group in candidates[:MAX_VERIFICATIONS]:
            try:
                first = self._find(group.first, now)
                read = read_response(text, first.identity, self.site.receiver, now)
            except IamGuardError as error:
                if error.wire_status >= 500:
                    raise
                refusal = refusal or error
                continue
            if assertion not in (None, read):
                raise InvalidIdentityToken("expected an assertion that is the same for all providers")
            assertion = read
            providers |= {arn: (first, sign_ons) for arn, sign_ons in group.sign_ons.items()}
        if assertion is None:
            raise refusal or InvalidIdentityToken("no provider can verify the response")
        verified = _Verified(assertion, providers)
        if not verified.roles():
            reason = "expected a role of an account whose provider has signed the response"
            raise InvalidIdentityToken(reason if refusal is None else f"{reason}; another provider: {refusal.message}")
        _check_request(verified)
        return verified

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
            issuer=assertion.issuer,
            subject=assertion.subject,
            provider_session=assertion.session_index,
            used=used_assertion(assertion, role_arn),
            used_until=remembered_until(assertion),
        )


def _sign_ons_of(records: Records, ids: list[str]) -> dict[str, list[Row]]:
    """Return the sign-on providers of SAML providers, by id."""
    columns = ("id", "saml_provider_id", "trusts_mfa", "created")
    rows = records.all(sign_on_providers, order=("created", "id"), columns=columns, saml_provider_id=ids) if ids else []
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["saml_provider_id"], []).append(row)
    return found


def _in_turns(rows: list[Row], sign_ons: Mapping[str, list[Row]]) -> list[str]:
    """Return the ids of SAML providers, the first of each account before any second; older sign-on providers first."""
    number: Counter[str] = Counter()
    turns: list[tuple[int, Row]] = []
    for row in sorted(rows, key=lambda row: (sign_ons[row["id"]][0]["created"], sign_ons[row["id"]][0]["id"])):
        turns.append((number[row["account"]], row))
        number[row["account"]] += 1
    return [row["id"] for _, row in sorted(turns, key=lambda turn: turn[0])]


def _check_request(verified: _Verified) -> None:
    """Raise `InvalidIdentityToken` for a response to a request that was sent to another provider."""
    request = verified.assertion.in_response_to
    ids = {row["id"] for _, sign_ons in verified.providers.values() for row in sign_ons}
    if request is not None and provider_of_request(request) not in ids:
        raise InvalidIdentityToken("expected InResponseTo to be a request to a provider that has signed the response")
