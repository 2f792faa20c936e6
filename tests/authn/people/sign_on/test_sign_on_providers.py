"""What an account configures for the sign-in with its identity providers: checked, sealed, audited, its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from iam_guard import Guard
from iam_guard.authn.people.sign_on.sign_on_providers import MAX_ROLES, SignOnProvider, possible_roles
from iam_guard.errors import (
    EntityAlreadyExists,
    IamGuardError,
    InvalidInput,
    LimitExceeded,
    NoSuchEntity,
    StoreUnavailable,
)
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.people.sign_on_settings import MAX_PROVIDERS
from iam_guard.store.schema import oidc_providers, sign_on_providers
from tests.authn.people.sign_on_world import (
    ACME,
    CLIENT,
    GLOBEX,
    ISSUER,
    OIDC,
    READER,
    SAML,
    SECRET,
    WRITER,
    add_identity_providers,
)
from tests.tables import table

TERMS: dict[str, Any] = {"client_id": CLIENT, "client_secret": SECRET, "roles": [READER]}


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    store = create_store(f"sqlite:///{tmp_path}/iam.db", Settings())
    add_identity_providers(store)
    with closing(guard_with_store(store, Settings(audit=f"{tmp_path}/audit.jsonl"))) as made:
        yield made


def test_provider_is_found_by_its_owners_names(guard: Guard) -> None:
    providers = guard.people.sign_on_providers
    saml = providers.add(ACME, "Acme SAML", SAML, trusts_mfa=True)
    oidc = providers.add(ACME, "acme OIDC", OIDC, scopes=("openid", "groups", "openid"), **TERMS)
    assert (oidc.kind, oidc.issuer, oidc.provider) == ("oidc", ISSUER, OIDC)
    assert (oidc.client_id, oidc.client_secret, oidc.scopes) == (CLIENT, SECRET, ("openid", "groups"))
    assert (oidc.roles, oidc.trusts_mfa) == ((READER,), False)
    assert (saml.kind, saml.issuer, saml.provider, saml.trusts_mfa) == ("saml", "", SAML, True)
    assert (saml.client_id, saml.client_secret, saml.scopes, saml.roles) == (None, None, (), ())
    for found in (providers.list(ACME), providers.of_account("acme"), providers.of_account(f"{ACME}")):
        assert list(found) == [oidc, saml]
    assert [providers.get(oidc.id), providers.get(saml.id), providers.get("so-none")] == [oidc, saml, None]
    assert list(providers.of_provider(OIDC)) == [oidc]
    assert list(providers.of_provider(SAML)) == [saml]
    for arn in (OIDC.replace(ACME, GLOBEX), SAML.lower(), "", "arn", f"{SAML}x"):
        assert list(providers.of_provider(arn)) == []
    assert list(providers.list(GLOBEX)) == []


def test_secret_is_sealed_for_its_provider(guard: Guard) -> None:
    """It is in no repr, and the sealed value of one provider does not open in the row of another."""
    providers = guard.people.sign_on_providers
    one, other = (providers.add(ACME, name, OIDC, **TERMS) for name in ("one", "other"))
    assert SECRET not in repr(one)
    with guard.store.write_transaction() as records:
        sealed = records.one(sign_on_providers, id=one.id)["sealed_secret"]
        assert SECRET.encode() not in sealed
        records.update(sign_on_providers, {"sealed_secret": sealed}, id=other.id)
    with pytest.raises(StoreUnavailable):
        providers.get(other.id)
    public = providers.add(ACME, "public", OIDC, client_id=CLIENT, roles=[READER])
    assert public.client_secret is None


def test_provider_is_deleted_with_its_identity_provider(guard: Guard) -> None:
    providers = guard.people.sign_on_providers
    oidc, saml = providers.add(ACME, "oidc", OIDC, **TERMS), providers.add(ACME, "saml", SAML)
    with guard.store.write_transaction() as records:
        records.delete(oidc_providers, account=ACME)
    assert providers.get(oidc.id) is None
    assert list(providers.list(ACME)) == [saml]


def test_changes_are_recorded_without_the_secret(guard: Guard, tmp_path: Path) -> None:
    providers = guard.people.sign_on_providers
    providers.add(ACME, "Acme", OIDC, **TERMS)
    providers.remove(ACME, "ACME")
    assert list(providers.list(ACME)) == []
    guard.close()
    text = (tmp_path / "audit.jsonl").read_text(encoding="utf-8")
    events = [json.loads(line) for line in text.splitlines()]
    client = {"accountId": ACME, "name": "Acme", "clientId": CLIENT}
    assert [(event["eventName"], event["requestParameters"]) for event in events] == [
        ("AddSignOnProvider", {**client, "trustsMfa": False, "roles": [READER]}),
        ("RemoveSignOnProvider", client),
    ]
    assert [event["recipientAccountId"] for event in events] == [ACME, ACME]
    assert SECRET not in text


def test_account_has_limited_providers(guard: Guard) -> None:
    providers = guard.people.sign_on_providers
    for number in range(MAX_PROVIDERS):
        providers.add(ACME, f"provider {number}", SAML)
    with pytest.raises(LimitExceeded):
        providers.add(ACME, "one more", SAML)
    providers.remove(ACME, "provider 0")
    with pytest.raises(EntityAlreadyExists):
        providers.add(ACME, "Provider 1", SAML)
    providers.add(ACME, "one more", SAML)


@table(
    ("error", "account", "arn", "changes"),
    [
        (NoSuchEntity, GLOBEX, OIDC, {}),  # of another account
        (NoSuchEntity, GLOBEX, SAML, {}),
        (NoSuchEntity, "999999999999", OIDC, {}),
        (NoSuchEntity, ACME, f"{OIDC}/other", {}),
        (NoSuchEntity, ACME, SAML.replace("AcmeIdP", "acmeidp"), {}),
        (NoSuchEntity, ACME, READER, {}),
        (NoSuchEntity, ACME, "", {}),
        (InvalidInput, ACME, OIDC, {"name": ""}),
        (InvalidInput, ACME, OIDC, {"name": " Acme"}),
        (InvalidInput, ACME, OIDC, {"name": "A\ncme"}),
        (InvalidInput, ACME, OIDC, {"name": "a" * 65}),
        (InvalidInput, ACME, OIDC, {"client_id": None}),
        (InvalidInput, ACME, OIDC, {"client_id": "unregistered"}),
        (InvalidInput, ACME, OIDC, {"client_secret": ""}),
        (InvalidInput, ACME, OIDC, {"client_secret": "a" * 1025}),
        (InvalidInput, ACME, OIDC, {"client_secret": "a\nb"}),
        (InvalidInput, ACME, OIDC, {"scopes": ["profile"]}),
        (InvalidInput, ACME, OIDC, {"scopes": ["openid", "a b"]}),
        (InvalidInput, ACME, OIDC, {"scopes": ["openid", ""]}),
        (InvalidInput, ACME, OIDC, {"scopes": ["openid", *(f"s{number}" for number in range(20))]}),
        (InvalidInput, ACME, OIDC, {"roles": []}),
        (InvalidInput, ACME, OIDC, {"roles": [READER] * 101}),
        (InvalidInput, ACME, OIDC, {"roles": [READER.replace(ACME, GLOBEX)]}),
        (InvalidInput, ACME, OIDC, {"roles": [f"groups=dev {READER.replace(ACME, GLOBEX)}"]}),
        (InvalidInput, ACME, OIDC, {"roles": ["groups=dev"]}),
        (InvalidInput, ACME, OIDC, {"roles": [f"groups= {READER}"]}),
        (InvalidInput, ACME, OIDC, {"roles": [f"=dev {READER}"]}),
        (InvalidInput, ACME, OIDC, {"roles": [f"groups {READER}"]}),
        (InvalidInput, ACME, OIDC, {"roles": [f"groups=dev arn:aws:iam::{ACME}:user/ada"]}),
        (InvalidInput, ACME, OIDC, {"roles": [f"arn:aws:iam::{ACME}:user/ada"]}),
        (InvalidInput, ACME, OIDC, {"roles": [f"groups=d\tev {READER}"]}),
        (InvalidInput, ACME, OIDC, {"roles": [""]}),
        (InvalidInput, ACME, OIDC, {"roles": ["c" * 2561]}),
        (InvalidInput, ACME, SAML, {"client_secret": None, "roles": []}),
        (InvalidInput, ACME, SAML, {"client_id": None, "client_secret": None}),
    ],
)
def test_invalid_provider_is_refused(
    guard: Guard, error: type[IamGuardError], account: str, arn: str, changes: dict[str, Any]
) -> None:
    """Nothing is stored, and no error quotes the secret."""
    values = {"name": "Acme", **TERMS, **changes}
    with pytest.raises(error) as raised:
        guard.people.sign_on_providers.add(account, values.pop("name"), arn, **values)
    assert SECRET not in str(raised.value)
    with guard.store.read_transaction() as records:
        assert records.count(sign_on_providers) == 0


def test_unknown_account_takes_the_same_statements(guard: Guard) -> None:
    executed: list[str] = []
    engine = guard.store.behind.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda *args: executed.append(args[2]))
    statements = []
    for named in (ACME, "999999999999", "acme", "unknown", "", "x" * 10_000, "\x00"):
        executed.clear()
        assert list(guard.people.sign_on_providers.of_account(named)) == []
        statements.append(list(executed))
    assert statements[0] == statements[1]
    assert all(found == statements[2] for found in statements[3:])
    assert len({len(found) for found in statements}) == 1


def provider_with(*roles: str) -> SignOnProvider:
    terms = {"client_id": CLIENT, "client_secret": None, "scopes": ("openid",), "trusts_mfa": False}
    return SignOnProvider("so-1", ACME, "Acme", "oidc", OIDC, ISSUER, roles=roles, **terms)  # type: ignore[arg-type]


@table(
    ("rules", "claims", "expected"),
    [
        ([READER], {}, [READER]),
        ([READER, READER, WRITER], {}, [READER, WRITER]),
        ([f"groups=dev {READER}"], {"groups": ("ops", "dev")}, [READER]),
        ([f"groups=dev {READER}"], {"groups": "dev"}, [READER]),
        ([f"groups=dev {READER}"], {"groups": ("Dev", "develop")}, []),
        ([f"groups=Platform Admins {READER}"], {"groups": ("Platform Admins",)}, [READER]),
        ([f"groups=a=b {READER}"], {"groups": ("a=b",)}, [READER]),
        ([f"groups=d* {READER}", f"groups=dev {WRITER}"], {"groups": ("dev",)}, [READER, WRITER]),
        ([f"groups=dev {READER}"], {}, []),
        ([f"groups=dev {READER}"], {"groups": ()}, []),
        ([f"admin=True {READER}"], {"admin": True}, []),
        (["roles"], {"roles": (WRITER, READER, WRITER)}, [WRITER, READER]),
        (["roles"], {"roles": READER}, [READER]),
        (["roles"], {"roles": (READER.replace(ACME, GLOBEX), READER.replace("aws", "aws-cn"))}, []),
        (["roles"], {"roles": (f"arn:aws:iam::{ACME}:user/ada", "reader", "", "*", f"arn:aws:iam::{ACME}:role/")}, []),
        (["roles"], {"roles": (f"{READER}\n", f"{READER}é", READER + "x" * 2048, 7)}, []),
        (["roles", READER], {"roles": ("x",)}, [READER]),
        (["https://acme.example/roles"], {"https://acme.example/roles": (READER,)}, [READER]),
        (["not = a rule"], {"not": READER}, []),
        ([], {"roles": READER}, []),
    ],
)
def test_rules_choose_roles_of_the_account(rules: list[str], claims: dict[str, Any], expected: list[str]) -> None:
    assert possible_roles(provider_with(*rules), claims) == expected


def test_choice_of_roles_is_limited() -> None:
    claims = {"roles": tuple(f"{READER}{number}" for number in range(MAX_ROLES + 1))}
    assert len(possible_roles(provider_with("roles"), claims)) == MAX_ROLES
