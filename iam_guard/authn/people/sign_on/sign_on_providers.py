"""The sign-on providers of accounts: identity providers whose people sign in with a browser, and how.

A sign-on provider stands for an OIDC or SAML provider of the account's IAM, and is deleted with it. For OIDC it has the
client that the account registered there, and rules that choose roles by claims (`federation.role_rules`); a SAML
response names the roles itself. In both cases the role's trust policy decides. Changes are audited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

from iam_guard.authn.federation.role_rules import sign_on_rule
from iam_guard.authn.people.pending_sign_ins import SignOnKind
from iam_guard.authn.people.person import account_named
from iam_guard.errors import EntityAlreadyExists, InvalidInput, LimitExceeded, NoSuchEntity
from iam_guard.model.context import Given
from iam_guard.model.result import CallResult, ChangeRecorder
from iam_guard.store.accounts.account_state_rows import require_kept
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import ARN_BYTES, fold
from iam_guard.store.people.sign_on_settings import (
    ID_PREFIX,
    MAX_PROVIDERS,
    checked_client_id,
    checked_label,
    checked_rules,
    checked_scopes,
    checked_secret,
    sign_on_secret_context,
)
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import accounts, oidc_providers, saml_providers, sign_on_providers

_LIBRARIES: Final = ("authlib", "joserfc", "httpcore2", "signxml", "lxml")
MAX_ROLES: Final = 100
"""Roles that a person can choose from."""
CALLBACK_PATH: Final = "/signin/oidc/callback"
"""Where all OIDC providers sent browsers back to; now the start of each one's own path."""


@dataclass(frozen=True, slots=True)
class SignOnProvider:
    """How people of one identity provider sign in to an account.

    `provider` is the ARN of the identity provider, `issuer` the URL of an OIDC provider and empty for SAML. A client
    without `client_secret` is public. With `trusts_mfa`, a statement of the provider about a second factor counts. One
    with `has_common_redirect` was added before each had a redirect address of its own.
    """

    id: str
    account: str
    name: str
    kind: SignOnKind
    provider: str
    issuer: str
    client_id: str | None
    client_secret: str | None = field(repr=False)
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    trusts_mfa: bool
    has_common_redirect: bool = False


def redirect_uri(site_url: str, provider: SignOnProvider) -> str:
    """Return the address of this site that an OIDC provider sends browsers back to, and knows.

    An answer at the address of another provider is refused, so that no provider is given the code of another one.
    """
    return site_url + CALLBACK_PATH + ("" if provider.has_common_redirect else f"/{provider.id}")


def possible_roles(provider: SignOnProvider, claims: Mapping[str, Given]) -> list[str]:
    """Return the ARNs of the roles that the rules of an OIDC provider choose for these claims, each once.

    Only roles of the provider's account: a claim may name any.
    """
    start = ":".join([*provider.provider.split(":")[:5], "role/"])
    chosen = (role for text in provider.roles for role in sign_on_rule(text).roles(claims))
    own = (role for role in chosen if role.startswith(start) and start != role and len(role) <= ARN_BYTES)
    return [*dict.fromkeys(role for role in own if role.isascii() and role.isprintable())][:MAX_ROLES]


@cache
def has_sign_on_libraries() -> bool:
    """Return whether the extra `sign-on` is installed."""
    return all(find_spec(library) is not None for library in _LIBRARIES)


class SignOnProviders:
    """The sign-on providers of a store. Safe to share between threads; `clock` is timezone-aware."""

    def __init__(self, store: RecordStore, change_recorder: ChangeRecorder, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._change_recorder = change_recorder
        self._clock = clock

    def add(
        self,
        account: str,
        name: str,
        provider_arn: str,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        scopes: Sequence[str] = ("openid",),
        roles: Sequence[str] = (),
        trusts_mfa: bool = False,
    ) -> SignOnProvider:
        """Add an identity provider of an account to its sign-in; `name` is what people read on the button.

        All of the options but `trusts_mfa` are of OIDC only. `roles` are rules: `CLAIM=PATTERN ROLE_ARN`, `ROLE_ARN`
        for all people, or `CLAIM`, whose values are ARNs. Raises `NoSuchEntity`, `EntityAlreadyExists`,
        `LimitExceeded`, `InvalidInput`, `StoreIsReadOnly`.
        """
        folded = fold(checked_label(name))
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            require_kept(records, account)
            owner = _identity_provider(records, self._store.partition, account, provider_arn)
            if records.one(sign_on_providers, account=account, folded=folded) is not None:
                raise EntityAlreadyExists(f"the account {account} has a sign-on provider `{name}` already")
            if records.count(sign_on_providers, account=account) >= MAX_PROVIDERS:
                raise LimitExceeded(f"expected at most {MAX_PROVIDERS} sign-on providers in the account {account}")
            id = self._store.ids(ID_PREFIX, f"{account}/sign-on-provider/{folded}")
            terms: dict[str, Any] = {"client_id": None, "sealed_secret": None, "scopes": [], "roles": []}
            if "client_ids" in owner:
                secret = checked_secret(client_secret)
                sealed = secret and self._store.sealer.seal(secret.encode(), sign_on_secret_context(id))
                terms = {
                    "client_id": checked_client_id(client_id, owner["client_ids"]),
                    "sealed_secret": sealed,
                    "scopes": checked_scopes(scopes),
                    "roles": checked_rules(roles, account),
                }
            elif client_id is not None or client_secret is not None or roles or tuple(scopes) != ("openid",):
                raise InvalidInput("expected no client, scopes and roles: a SAML response names the roles")
            column = "oidc_provider_id" if "client_ids" in owner else "saml_provider_id"
            records.insert(
                sign_on_providers,
                id=id,
                account=account,
                name=name,
                folded=folded,
                **{"oidc_provider_id": None, "saml_provider_id": None, column: owner["id"]},
                **terms,
                trusts_mfa=trusts_mfa,
                has_common_redirect=None,
                created=int(self._clock().timestamp()),
            )
            [added] = self._load(records, id=id)
        self._record("AddSignOnProvider", records, added, {"trustsMfa": trusts_mfa, "roles": list(added.roles)})
        return added

    def list(self, account: str) -> Sequence[SignOnProvider]:
        """Return the sign-on providers of an account, by name. Raises `NoSuchEntity`."""
        with self._store.read_transaction() as records:
            if records.one(accounts, id=account) is None:
                raise NoSuchEntity(f"the account {account[:64]} does not exist")
            return self._load(records, account=account)

    def get(self, id: str) -> SignOnProvider | None:
        """Return the sign-on provider with this id; None if it does not exist."""
        with self._store.read_transaction() as records:
            return next(iter(self._load(records, id=id)), None)

    def of_account(self, named: str) -> Sequence[SignOnProvider]:
        """Return the sign-on providers of an account that is named by its id or alias; none for an unknown one.

        An unknown account takes the same statements as one without sign-on providers.
        """
        with self._store.read_transaction() as records:
            row = account_named(records, named)
            return self._load(records, account="" if row is None else row["id"])

    def of_provider(self, provider_arn: str) -> Sequence[SignOnProvider]:
        """Return the sign-on providers that stand for an identity provider."""
        with self._store.read_transaction() as records:
            account = (provider_arn.split(":", 5)[4:5] or [""])[0]
            try:
                owner = _identity_provider(records, self._store.partition, account, provider_arn)
            except NoSuchEntity:
                return []
            column = "oidc_provider_id" if "client_ids" in owner else "saml_provider_id"
            return self._load(records, **{column: owner["id"]})

    def use_own_redirect(self, account: str, name: str) -> SignOnProvider:
        """Use the redirect address of a sign-on provider, which is registered at the identity provider by now.

        Raises `NoSuchEntity`, `StoreIsReadOnly`.
        """
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            found = self._find(records, account, name)
            if found.has_common_redirect:
                records.update(sign_on_providers, {"has_common_redirect": None}, id=found.id)
        self._record("UseOwnRedirect", records, found, {})
        return replace(found, has_common_redirect=False)

    def remove(self, account: str, name: str) -> None:
        """Remove a sign-on provider; sessions that began with it go on. Raises `NoSuchEntity`, `StoreIsReadOnly`."""
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            found = self._find(records, account, name)
            records.delete(sign_on_providers, id=found.id)
        self._record("RemoveSignOnProvider", records, found, {})

    def _find(self, records: Records, account: str, name: str) -> SignOnProvider:
        """Return the sign-on provider of an account with this name. Raises `NoSuchEntity`."""
        found = self._load(records, account=account, folded=fold(name))
        if not found:
            raise NoSuchEntity(f"the account {account[:64]} has no sign-on provider `{name[:64]}`")
        return found[0]

    def _load(self, records: Records, **where: Any) -> Sequence[SignOnProvider]:
        """Return the sign-on providers of these rows, by name, without those whose provider is deleted meanwhile."""
        rows = records.all(sign_on_providers, order=("folded",), **where)
        names = _provider_names(records, rows)
        named = ((row, names.get(row["oidc_provider_id"] or row["saml_provider_id"])) for row in rows)
        return [self._of_row(row, name) for row, name in named if name is not None]

    def _of_row(self, row: Row, name: str) -> SignOnProvider:
        is_oidc = row["oidc_provider_id"] is not None
        secret = row["sealed_secret"]
        if secret is not None:
            secret = self._store.sealer.open(secret, sign_on_secret_context(row["id"])).decode()
        kind = "oidc-provider" if is_oidc else "saml-provider"
        return SignOnProvider(
            id=row["id"],
            account=row["account"],
            name=row["name"],
            kind="oidc" if is_oidc else "saml",
            provider=f"arn:{self._store.partition}:iam::{row['account']}:{kind}/{name}",
            issuer=f"https://{name}" if is_oidc else "",
            client_id=row["client_id"],
            client_secret=secret,
            scopes=tuple(row["scopes"]),
            roles=tuple(row["roles"]),
            trusts_mfa=row["trusts_mfa"],
            has_common_redirect=bool(row["has_common_redirect"]),
        )

    def _record(self, name: str, records: Records, provider: SignOnProvider, parameters: dict[str, Any]) -> None:
        client = {} if provider.client_id is None else {"clientId": provider.client_id}
        self._change_recorder.record(
            CallResult(
                action=f"iam-guard:{name}",
                resource=provider.provider,
                owner=provider.account,
                parameters={"accountId": provider.account, "name": provider.name, **client, **parameters},
                changed=records.changed,
                epoch=records.epoch,
            )
        )


_IDENTITY_PROVIDERS = ((oidc_providers, "oidc_provider_id", "url"), (saml_providers, "saml_provider_id", "name"))


def _provider_names(records: Records, rows: Iterable[Row]) -> dict[str, str]:
    """Return the names of the identity providers of these rows, as in their ARNs, by id."""
    names: dict[str, str] = {}
    for table, column, name in _IDENTITY_PROVIDERS:
        ids = [row[column] for row in rows if row[column] is not None]
        found = records.all(table, columns=("id", name), id=ids) if ids else []
        names |= {row["id"]: row[name] for row in found}
    return names


def _identity_provider(records: Records, partition: str, account: str, arn: str) -> Row:
    """Return the row of an account's OIDC or SAML provider with this ARN. Raises `NoSuchEntity`."""
    kind, _, name = arn.removeprefix(f"arn:{partition}:iam::{account}:").partition("/")
    row = None
    if kind == "oidc-provider":
        row = records.one(oidc_providers, account=account, url=name)
    elif kind == "saml-provider":
        row = records.one(saml_providers, account=account, folded=fold(name))
        row = row if row is not None and row["name"] == name else None
    if row is None:
        raise NoSuchEntity(f"the account {account[:64]} has no OIDC or SAML provider `{arn[:200]}`")
    return row
