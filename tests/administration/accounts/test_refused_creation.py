"""Accounts that are not created: nothing of them is stored, and nothing outside of them is touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from iam_guard import Guard, open_guard
from iam_guard.errors import EntityAlreadyExists, IamGuardError, InvalidInput, LimitExceeded, SeedError
from iam_guard.store.schema import accounts, deleted_accounts, identities, service_credentials
from tests.administration.accounts.account_parts import (
    ALL,
    ID,
    KEY_ID,
    KEY_SECRET,
    OTHER,
    PASSWORD,
    PLAN,
    SEED,
    rows,
    trust,
)
from tests.tables import table

TENANT = "222233334444"
THIRD = "333344445555"
USER = "expected the name of a user in the seed"


def user(**members: Any) -> dict[str, Any]:
    return {"users": [{"name": "eve", **members}]}


def role(document: dict[str, Any]) -> dict[str, Any]:
    return {"roles": [{"name": "Reader", "trust": document}]}


@pytest.fixture(scope="module")
def opened() -> Iterator[Guard]:
    """A store with three accounts, and the id of a deleted one."""
    guard = open_guard("sqlite://", password_memory=64, epoch_poll=3600.0)
    resource = {"arn": PLAN, "policy": {"Statement": [{**ALL["Statement"][0], "Principal": {"AWS": ID}}]}}
    keys = [{"id": "AKIATENANT", "secret": "tenant-secret"}]
    seed = {**SEED, "alias": "acme-corp", "resources": [resource], "root": {"access_keys": keys}}
    guard.accounts.create("Acme", id=ID, email="root@acme.example", seed=seed)
    with guard.store.write_transaction() as records:
        records.insert(deleted_accounts, id=OTHER, deleted=1)
        records.insert(accounts, id=THIRD, name="Third", folded="third", email="root@third.example", created=1)
    yield guard
    guard.close()


@table(
    "name, options, error, message",
    [
        ("acme", {}, EntityAlreadyExists, "another account has the name `acme` (at name)"),
        ("ACME", {}, EntityAlreadyExists, "another account has the name `ACME` (at name)"),
        ("", {}, InvalidInput, "expected a name of 1 to 50 printable characters, got `` (at name)"),
        (" ", {}, InvalidInput, "expected a name of 1 to 50"),
        ("Acme ", {}, InvalidInput, "expected a name of 1 to 50"),
        ("a" * 51, {}, InvalidInput, "expected a name of 1 to 50"),
        ("a\nb", {}, InvalidInput, "expected a name of 1 to 50"),
        ("a\u202eb", {}, InvalidInput, "expected a name of 1 to 50"),
        ("a\ud800", {}, InvalidInput, "expected a name of 1 to 50"),
        ("\uff21cme", {}, EntityAlreadyExists, "another account has the name"),
        ("２２２２３３３３４４４４", {}, InvalidInput, "expected a name that is not an account id"),
        (None, {}, InvalidInput, "expected a name of 1 to 50"),
        (ID, {}, InvalidInput, "expected a name that is not an account id"),
        ("b", {"email": "Root@ACME.example"}, EntityAlreadyExists, "another account has this e-mail address"),
        ("b", {"email": "Root@Third.example"}, EntityAlreadyExists, "another account has this e-mail address"),
        ("b", {"email": "root@localhost"}, InvalidInput, "expected an e-mail address of 6 to 64 ASCII characters"),
        ("b", {"email": "r\u00f6ot@acme.example"}, InvalidInput, "expected an e-mail address of 6 to 64"),
        ("b", {"email": "a" * 55 + "@b.example"}, InvalidInput, "expected an e-mail address of 6 to 64"),
        ("b", {"email": 5}, InvalidInput, "expected an e-mail address, got int"),
        ("b", {"id": ID}, EntityAlreadyExists, f"the account {ID} already exists (at id)"),
        ("b", {"id": OTHER}, EntityAlreadyExists, f"the account {OTHER} was deleted, and its id can't be used again"),
        ("b", {"id": "12345"}, InvalidInput, "expected an account id of 12 digits, got `12345`"),
        ("b", {"id": 222233334444}, InvalidInput, "expected an account id of 12 digits"),
        ("b", {"id": "２２２２３３３３４４４４"}, InvalidInput, "expected an account id of 12 digits"),
        ("b", {"password": PASSWORD}, InvalidInput, "expected the e-mail address with which the root user signs in"),
        ("b", {"email": "b@b.example", "password": 5}, InvalidInput, "expected a password as text, got int"),
        ("b", {"seed": user(), "passwords": {"eve": None}}, InvalidInput, "(at passwords/eve)"),
        ("b", {"email": "b@b.example", "password": "short"}, InvalidInput, "Password should have a minimum length"),
        ("b", {"seed": SEED, "passwords": {"bob": PASSWORD}}, InvalidInput, USER),
        (
            "b",
            {"seed": user(), "passwords": {"Eve": PASSWORD}},
            InvalidInput,
            USER,
        ),
        ("b", {"passwords": {"eve": PASSWORD}}, InvalidInput, USER),
        ("b", {"seed": user(), "passwords": {"eve": "x" * 129}}, InvalidInput, "expected a password of at most 128"),
        ("b", {"seed": user(), "passwords": {"eve": "short"}}, InvalidInput, "(at passwords/eve)"),
        ("Long tenant name", {"email": "b@b.example", "password": "long tenant name"}, InvalidInput, "Password"),
    ],
)
def test_account_is_refused(opened: Guard, name: Any, options: Any, error: type[IamGuardError], message: str) -> None:
    """With the place, without a trace in the store."""
    before = rows(opened)
    with pytest.raises(error) as caught:
        opened.accounts.create(name, **options)
    assert message in str(caught.value)
    assert rows(opened) == before


@table(
    "seed, message",
    [
        (5, "expected a mapping of an account's members, or its text in YAML or JSON, got int"),
        ([], "got list"),
        (b"{}", "got bytes"),
        ({"users": [object()]}, "got values that JSON does not have"),
        ({"users": "\ud800"}, "expected text without halves of surrogate pairs"),
        ("users: \ud800", "expected text without halves of surrogate pairs"),
        ("", "seed:1: expected a YAML document"),
        ("users: [", "not readable as YAML"),
        ("a: !!python/object:os.system {}", "expected no YAML tag"),
        ({"users": [{"name": "eve"}, {"name": "a b"}]}, "seed/users/1/name: expected a user name"),
        ("users:\n- name: eve\n- name: a b\n", "seed:3: expected a user name"),
        ({"a/b~": 1}, "seed/a~1b~0: unknown key `a/b~`"),
        ({"id": TENANT}, "seed/id: unknown key `id`"),
        ({"name": "other"}, "unknown key `name`"),
        ({"root": {"email": "root@b.example"}}, "unknown key `email`"),
        ({"state": "closed"}, "unknown key `state`"),
        ({"accounts": [{"id": ID}]}, "unknown key `accounts`"),
        ({"organization": {}}, "unknown key `organization`"),
        ({"aws_policies": []}, "unknown key `aws_policies`"),
        (user(access_keys=[{"id": "AKIAEVE", "secret": {"env": "HOME"}}]), "has no environment variables"),
        ({"policies": [{"name": "P", "document": {"file": "/etc/passwd"}}]}, "can't refer to files"),
    ],
)
def test_seed_is_refused_as_unreadable(opened: Guard, seed: Any, message: str) -> None:
    """Neither files nor environment variables are read, and nothing but members of the account is declared."""
    before = rows(opened)
    with pytest.raises((SeedError, InvalidInput)) as caught:
        opened.accounts.create("b", id=TENANT, seed=seed)
    assert message in "\n".join([str(caught.value), *getattr(caught.value, "problems", ())])
    assert rows(opened) == before


@table(
    "seed, message",
    [
        ({"resources": [{"arn": PLAN}]}, f"expected a resource of account {TENANT}, got one of {ID}"),
        ({"resources": [{"arn": "arn:aws:s3:::bucket"}]}, f"expected a resource of account {TENANT}, got one without"),
        ({"resources": [{"arn": f"arn:aws:iam::{TENANT}:user/x"}]}, "expected a resource of the application"),
        ({"resources": [{"arn": "*"}]}, "got one without an account"),
        ({"alias": "acme-corp"}, "the alias `acme-corp` belongs to account"),
        ({"alias": ID}, "expected an alias that is not an account id"),
        (user(api_keys=[{"id": KEY_ID, "secret": KEY_SECRET}]), f"the API key `{KEY_ID}` belongs to another"),
        (
            user(api_keys=[{"id": "ACCA1", "secret": KEY_SECRET}]),
            "the API key `ACCA1` is a service-specific credential",
        ),
        (user(access_keys=[{"id": "AKIATENANT", "secret": "x"}]), "the access key `AKIATENANT` belongs to another"),
        ({"root": {"access_keys": [{"id": "AKIATENANT", "secret": "x"}]}}, "belongs to another principal"),
        (user(access_keys=[{"id": "ASIATENANT", "secret": "x"}]), "does not begin with ASIA"),
        (user(attached=[f"arn:aws:iam::{ID}:policy/EditDocs"]), "no managed policy"),
        (user(attached=["EditDocs"]), "no managed policy `EditDocs`"),
        (user(boundary=f"arn:aws:iam::{ID}:policy/EditDocs"), "no managed policy"),
        (user(groups=["admins"]), "no group `admins`"),
        (user(groups=[f"arn:aws:iam::{ID}:group/admins"]), "no group"),
        (role(trust(f"arn:aws:iam::{ID}:user/missing")), "Invalid principal in policy"),
        (role(trust(f"arn:aws:iam::{TENANT}:user/missing")), "Invalid principal in policy"),
        ({"sign_on_providers": [{"name": "s", "saml": "corp"}]}, "no SAML provider `corp`"),
        ({"trust_anchors": []}, "seed/trust_anchors: expected no `trust_anchors` in the seed of a new account"),
        ({"certificate_profiles": []}, "seed/certificate_profiles: expected no"),
    ],
)
def test_seed_cannot_reach_other_accounts(opened: Guard, seed: Any, message: str) -> None:
    """Everything that it names is its own, or of AWS; after an error of a late step, earlier ones are undone."""
    if "ACCA1" in message:
        add_service_credential(opened)
    before = rows(opened)
    with pytest.raises(SeedError) as caught:
        opened.accounts.create("b", id=TENANT, seed=seed)
    assert message in "\n".join(caught.value.problems)
    assert caught.value.place is not None
    assert caught.value.place.startswith("seed")
    assert rows(opened) == before


def add_service_credential(guard: Guard) -> None:
    with guard.store.write_transaction() as records:
        if not records.count(service_credentials):
            [ada] = records.all(identities, kind="user", account=ID)
            records.insert(
                service_credentials,
                id="ACCA1",
                account=ID,
                user_id=ada["id"],
                service="docs",
                digest="0" * 64,
                status="Active",
                created=1,
            )


def test_errors_never_contain_secrets(opened: Guard) -> None:
    """Neither of the call nor of the seed, also in their causes."""
    secrets = "a-secret-in-the-seed", "Sh0rt-secret"
    seed = user(access_keys=[{"id": "AKIATENANT", "secret": secrets[0]}])
    for options in ({"seed": seed}, {"seed": user(), "passwords": {"eve": secrets[1]}}):
        with pytest.raises(IamGuardError) as caught:
            opened.accounts.create("b", **options)
        shown = f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"
        assert not any(secret in shown for secret in secrets)


def test_quotas_of_the_store_limit_accounts_and_their_members() -> None:
    """`quotas` of the settings: of the store, and of the seed."""
    guard = open_guard("sqlite://", quotas=("accounts per store=1", "users per account=1"))
    two = {"users": [{"name": "ada"}, {"name": "eve"}]}
    with pytest.raises(SeedError, match="expected at most 1 users per account, got 2"):
        guard.accounts.create("acme", seed=two)
    guard.accounts.create("acme", seed={"users": two["users"][:1]})
    with pytest.raises(LimitExceeded, match="Cannot exceed quota for AccountsPerStore: 1"):
        guard.accounts.create("globex")
    assert [account.name for account in guard.accounts.list()] == ["acme"]
    guard.close()
