"""The sign-on providers of a seed: created, changed and pruned, with a secret that is sealed."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from iam_guard.errors import SeedError
from iam_guard.store import schema
from iam_guard.store.database.engine import reading, writing
from iam_guard.store.people.sign_on_settings import sign_on_secret_context
from iam_guard.store.seed import Changes, apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.tables import table

ACME, GLOBEX = "111122223333", "444455556666"
ROLE = f"arn:aws:iam::{ACME}:role/reader"
PROVIDERS = "oidc_providers: [{url: 'https://id.example.com/a', client_ids: [app, web]}]"
OIDC = (
    "name: Acme, oidc: 'https://id.example.com/a', client_id: app, client_secret: {env: SECRET}, scopes: [groups], "
    f"roles: ['groups=Platform Admins {ROLE}', '{ROLE}'], trust_mfa: true"
)
SECRET = "s3cr3t-of-the-client"


def apply(store: SqlStore, *declared: str, prune: bool = False, secret: str = SECRET) -> Changes:
    inside = f"sign_on_providers: [{', '.join('{' + provider + '}' for provider in declared)}]"
    text = f"{{version: 1, accounts: [{{id: '{ACME}', name: acme, {PROVIDERS}, {inside}}}]}}"
    return apply_seed(store, load_seed_text(text, environment={"SECRET": secret}), prune=prune)


def stored(store: SqlStore) -> dict[str, dict[str, object]]:
    """Return the rows by name, with their secrets."""
    with reading(store.engine) as connection:
        rows = connection.execute(select(schema.sign_on_providers)).mappings().all()
    found = {}
    for row in rows:
        sealed = row["sealed_secret"]
        secret = None if sealed is None else store.sealer.open(sealed, sign_on_secret_context(row["id"])).decode()
        found[row["name"]] = {**row, "secret": secret}
    return found


def add_saml_provider(store: SqlStore) -> None:
    with store.write_transaction() as records:
        row = {"account": ACME, "tags": {}, "created": 0, "context_provider": None, "identity_center": None}
        names = {"id": "SAMLSP1", "name": "AcmeIdP", "folded": "acmeidp", "document": ""}
        records.insert(schema.saml_providers, **names, valid_until=None, encryption_mode=None, **row)


def test_oidc_provider_is_applied(empty: SqlStore) -> None:
    """The secret comes from the environment, and is sealed."""
    assert f"created sign-on provider Acme of account {ACME}" in apply(empty, OIDC).lines
    [row] = stored(empty).values()
    assert (row["client_id"], row["secret"], row["scopes"]) == ("app", SECRET, ["openid", "groups"])
    assert (row["roles"], row["trusts_mfa"]) == ([f"groups=Platform Admins {ROLE}", ROLE], True)
    assert not apply(empty, OIDC)
    assert stored(empty) == {"Acme": row}


def test_saml_provider_is_applied(empty: SqlStore) -> None:
    apply(empty)
    add_saml_provider(empty)
    apply(empty, "name: Acme, saml: AcmeIdP")
    [row] = stored(empty).values()
    assert (row["saml_provider_id"], row["oidc_provider_id"]) == ("SAMLSP1", None)
    assert (row["client_id"], row["secret"], row["scopes"], row["roles"]) == (None, None, [], [])
    assert row["trusts_mfa"] is False


def test_common_redirect_is_kept_for_the_same_client(empty: SqlStore) -> None:
    """A sign-on provider of an earlier store; one with another client is set up anew."""
    apply(empty, OIDC)
    with writing(empty.engine) as connection:
        connection.execute(update(schema.sign_on_providers).values(has_common_redirect=True))
    assert not apply(empty, OIDC)
    apply(empty, OIDC.replace("scopes: [groups]", "scopes: [profile]"), secret="another")
    assert [row["has_common_redirect"] for row in stored(empty).values()] == [True]
    changes = apply(empty, OIDC.replace("client_id: app", "client_id: web"))
    assert changes.lines[-1].endswith(": client id, client secret, scopes, redirect address")
    assert [row["has_common_redirect"] for row in stored(empty).values()] == [None]


@table(
    ("change", "parts"),
    [
        (("client_id: app", "client_id: web"), "client id"),
        (("scopes: [groups]", "scopes: [profile]"), "scopes"),
        (("trust_mfa: true", "trust_mfa: false"), "trust in MFA"),
        (("client_secret: {env: SECRET}, ", ""), "client secret"),
        (("client_secret: {env: SECRET}", "client_secret: other"), "client secret"),
    ],
)
def test_change_keeps_the_id(empty: SqlStore, change: tuple[str, str], parts: str) -> None:
    apply(empty, OIDC)
    before = stored(empty)["Acme"]["id"]
    assert apply(empty, OIDC.replace(*change)).lines == (f"updated sign-on provider Acme of account {ACME}: {parts}",)
    assert stored(empty)["Acme"]["id"] == before


def test_undeclared_provider_stays_until_pruned(empty: SqlStore) -> None:
    apply(empty, OIDC)
    assert not apply(empty)
    assert list(stored(empty)) == ["Acme"]
    assert apply(empty, prune=True).lines == (f"deleted sign-on provider Acme of account {ACME}",)
    assert stored(empty) == {}


def test_secret_of_a_removed_key_is_sealed_again(empty: SqlStore) -> None:
    apply(empty, OIDC)
    with writing(empty.engine) as connection:
        connection.execute(update(schema.sign_on_providers).values(sealed_secret=b"of another key"))
    assert apply(empty, OIDC).lines == (f"updated sign-on provider Acme of account {ACME}: client secret",)
    assert stored(empty)["Acme"]["secret"] == SECRET


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("saml: AcmeIdP", "expected the key `name`"),
        ("name: Acme", "expected either `oidc` or `saml`"),
        (OIDC + ", saml: AcmeIdP", "expected either `oidc` or `saml`"),
        ("name: Acme, saml: none", f"no SAML provider `none` in account {ACME}"),
        (OIDC.replace("com/a", "com/b"), f"no OIDC provider `id.example.com/b` in account {ACME}"),
        (OIDC.replace("app", "unregistered"), "expected a client id that the identity provider has"),
        (OIDC.replace("client_id: app, ", ""), "expected a client id that the identity provider has"),
        (OIDC.replace(ACME, GLOBEX), f"expected a role of the account {ACME}"),
        (OIDC.partition(", roles")[0], "expected 1 to 100 rules"),
        (OIDC.replace("[groups]", "['a b']"), "expected at most 20 scopes"),
        (OIDC.replace("env: SECRET", "env: NONE"), "the environment variable `NONE` is not set"),
        (OIDC.replace("{env: SECRET}", "''"), "expected a secret of at least 1"),
        ("name: Acme, saml: AcmeIdP, scopes: [openid]", "expected this key with `oidc` only"),
        ("name: ' Acme', saml: AcmeIdP", "expected a name of 1 to 64"),
        (OIDC + ", thumbprints: []", "unknown key"),
        (OIDC + "}, {" + OIDC.replace("Acme", "acme"), "declared twice"),
        ("}, {".join(OIDC.replace("Acme", f"Acme {number}") for number in range(21)), "at most 20 sign-on providers"),
    ],
)
def test_invalid_provider_is_refused(empty: SqlStore, provider: str, words: str) -> None:
    with pytest.raises(SeedError, match=words) as raised:
        apply(empty, provider)
    assert SECRET not in str(raised.value)
    assert stored(empty) == {}
