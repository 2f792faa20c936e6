"""The SAML providers that may have sent a response, in the order in which they are tried.

A response names its issuer only, and any account can register the entity id of any identity provider. So what a
response says without being verified is read as a hint at who can verify it:

1. the provider that the answered request was made for (`InResponseTo`),
2. the providers in the attribute `Role`: only these can give roles,
3. for an encrypted assertion, whose attributes can't be read yet, the providers with a private key.

In each of these parts, the first provider of each account is tried before the second of any, so that no account takes
the turns of others. Nothing else can come of a response, so nothing else is tried, except for one provider if there is
no hint, for the reason in the audit trail. A hint decides nothing: what counts was read from verified bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from iam_guard.authn.federation.saml_identity import ROLE_ATTRIBUTE, providers_in
from iam_guard.authn.people.sign_on.saml_requests import provider_of_request
from iam_guard.authn.saml.response import claimed_issuer, claimed_request, claimed_values, is_encrypted
from iam_guard.authn.saml.xml_tree import XmlDocument
from iam_guard.errors import InvalidIdentityToken
from iam_guard.store.database.records import PRESENT, Records, Row, ValuesOf
from iam_guard.store.identifiers import entity_digest, fold, iam_arn
from iam_guard.store.schema import SHORT_METADATA, saml_private_keys, saml_providers, sign_on_providers

MAX_CANDIDATES: Final = 500
"""Providers of one part of the order."""


@dataclass(frozen=True, slots=True)
class SamlCandidate:
    """A SAML provider, and the sign-on providers that stand for it, the oldest first."""

    id: str
    arn: str
    encryption_mode: str | None
    has_keys: bool
    sign_ons: Sequence[Row]


class SamlCandidates(NamedTuple):
    """The candidates for one response, in their order. `only` is the ARN of the only provider with its entity id."""

    ordered: Sequence[SamlCandidate]
    only: str | None


def find_candidates(records: Records, partition: str, response: XmlDocument) -> SamlCandidates:
    """Return the candidates for a response. Raises `InvalidIdentityToken` without any."""
    issuer = claimed_issuer(response)
    search = _Search(records, partition, entity_digest(issuer))
    first = search.rows(2)
    if not first:
        raise InvalidIdentityToken(f"no account uses an identity provider `{issuer[:200]}` for sign-on")
    parts = [
        search.answering(claimed_request(response)),
        search.named(providers_in(claimed_values(response, ROLE_ATTRIBUTE))),
        search.keyed() if is_encrypted(response) else [],
    ]
    candidates = [*search.candidates(parts)] or [*search.candidates([first[:1]])]
    return SamlCandidates(candidates, search.arn(first[0]) if len(first) == 1 else None)


@dataclass(frozen=True, slots=True)
class _Search:
    """Finds the SAML providers with an entity id that are used for sign-on, and their sign-on providers."""

    records: Records
    partition: str
    digest: str

    def rows(self, limit: int = MAX_CANDIDATES, **where: Any) -> list[Row]:
        """Return rows without their documents, which may be long."""
        return self.records.page(
            saml_providers,
            order=("id",),
            after=None,
            limit=limit,
            columns=("id", "account", "name", "encryption_mode"),
            condition=SHORT_METADATA,
            entity_digest=self.digest,
            **{"id": self._used_for_sign_on(), **where},
        )

    def answering(self, request: str) -> list[Row]:
        """Return the provider that a request was made for."""
        sign_on = self.records.one(sign_on_providers, id=provider_of_request(request)) if request else None
        return [] if sign_on is None else self.rows(id=[sign_on["saml_provider_id"] or ""])

    def named(self, arns: Collection[str]) -> list[Row]:
        """Return the providers with these ARNs."""
        accounts, names = {arn.split(":")[4] for arn in arns}, {fold(arn.rpartition("/")[2]) for arn in arns}
        rows = self.rows(account=accounts, folded=names) if arns else []
        return [row for row in rows if self.arn(row) in arns]

    def keyed(self) -> list[Row]:
        """Return the providers with a private key."""
        return self.rows(
            id=self.records.values_of(saml_private_keys, "provider_id", provider_id=self._used_for_sign_on())
        )

    def candidates(self, parts: Sequence[Sequence[Row]]) -> Iterator[SamlCandidate]:
        """Iterate over the candidates of some parts, each once; within a part, accounts take turns."""
        ids = [*dict.fromkeys(row["id"] for part in parts for row in part)]
        sign_ons: dict[str, list[Row]] = {id: [] for id in ids}
        columns = ("id", "saml_provider_id", "trusts_mfa", "created")
        order = ("created", "id")
        for row in self.records.all(sign_on_providers, order=order, columns=columns, saml_provider_id=ids):
            sign_ons[row["saml_provider_id"]].append(row)
        keys = self.records.all(saml_private_keys, columns=("provider_id",), provider_id=ids)
        keyed = {row["provider_id"] for row in keys}
        ordered = {row["id"]: row for part in parts for row in _in_turns(part, sign_ons)}
        for id, row in ordered.items():
            yield SamlCandidate(id, self.arn(row), row["encryption_mode"], id in keyed, tuple(sign_ons[id]))

    def arn(self, row: Row) -> str:
        return iam_arn(self.partition, row["account"], "saml-provider", "/", row["name"])

    def _used_for_sign_on(self) -> ValuesOf:
        return self.records.values_of(sign_on_providers, "saml_provider_id", saml_provider_id=PRESENT)


def _in_turns(rows: Sequence[Row], sign_ons: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Return the rows, the first of each account before any second; older sign-on providers first."""
    number: Counter[str] = Counter()
    turns: list[tuple[int, Row]] = []
    used = [row for row in rows if sign_ons[row["id"]]]
    for row in sorted(used, key=lambda row: (sign_ons[row["id"]][0]["created"], sign_ons[row["id"]][0]["id"])):
        turns.append((number[row["account"]], row))
        number[row["account"]] += 1
    return [row for _, row in sorted(turns, key=lambda turn: turn[0])]
