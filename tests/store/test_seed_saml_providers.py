"""The SAML providers of a seed: name, metadata, tags."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from iam_guard.errors import SeedError
from iam_guard.model.saml_metadata import METADATA_VALIDITY
from iam_guard.store import schema
from iam_guard.store.database.engine import reading
from iam_guard.store.database.records import Row
from iam_guard.store.identifiers import entity_digest
from iam_guard.store.seed import apply_seed, load_seed
from iam_guard.store.sql_store import SqlStore
from tests.authn.saml.identity_provider import IdentityProvider
from tests.authn.saml.xml_signer import key_pair
from tests.store.test_seed_apply import ACME, GLOBEX, acme, apply
from tests.tables import table

IDP = IdentityProvider()
METADATA = IDP.metadata()
NEW = IdentityProvider(key=key_pair("rsa", "new")).metadata()
UNTIL = METADATA.replace("entityID=", 'validUntil="2030-01-31T00:00:00Z" entityID=')
ARN = f"arn:aws:iam::{ACME}:saml-provider/company"


def provider(document: str = METADATA, name: str = "company", more: str = "") -> str:
    return f"name: acme, saml_providers: [{{name: {json.dumps(name)}, metadata: {json.dumps(document)}{more}}}]"


def row(store: SqlStore) -> Row:
    """Return the only provider."""
    with reading(store.engine) as connection:
        return connection.execute(select(schema.saml_providers)).mappings().one()


def test_saml_providers_are_created_changed_and_pruned(empty: SqlStore) -> None:
    """P-1, G-77: attributes that a seed can't define stay."""
    assert f"created SAML provider {ARN}" in apply(empty, acme(provider())).lines
    created = row(empty)
    assert (created["account"], created["name"], created["document"]) == (ACME, "company", METADATA)
    assert created["entity_digest"] == entity_digest(IDP.entity_id)
    assert created["valid_until"] == created["created"] + METADATA_VALIDITY
    assert not apply(empty, acme(provider()))
    with empty.write_transaction() as records:
        records.update(schema.saml_providers, {"encryption_mode": "Required"}, id=created["id"])
    changed = apply(empty, acme(provider(UNTIL, more=", tags: {team: blue}")))
    assert changed.lines == (f"updated SAML provider {ARN}: metadata, tags",)
    after = row(empty)
    assert (after["id"], after["encryption_mode"], after["tags"]) == (created["id"], "Required", {"team": "blue"})
    assert after["valid_until"] == 1_896_048_000
    assert not apply(empty, acme(provider(UNTIL, more=", tags: {team: blue}")))
    assert not apply(empty, acme("name: acme"))
    assert apply(empty, acme("name: acme"), prune=True).lines == (f"deleted SAML provider {ARN}",)


def test_two_accounts_can_register_one_identity_provider(empty: SqlStore) -> None:
    """Each for its own roles; the same content has the same id in every store."""
    others = provider().replace("name: acme", "name: globex")
    apply(empty, acme(provider()), f'id: "{GLOBEX}", {others}')
    with reading(empty.engine) as connection:
        found = connection.execute(select(schema.saml_providers.c.account)).scalars().all()
    assert sorted(found) == [ACME, GLOBEX]


def test_metadata_is_read_from_a_file(empty: SqlStore, tmp_path: Path) -> None:
    """Relative to the seed."""
    (tmp_path / "metadata.xml").write_text(NEW)
    account = {"id": ACME, "saml_providers": [{"name": "company", "metadata": {"file": "metadata.xml"}}]}
    (tmp_path / "iam.yaml").write_text(json.dumps({"version": 1, "accounts": [account]}))
    assert apply_seed(empty, load_seed(tmp_path / "iam.yaml"))
    assert row(empty)["document"] == NEW


INVALID = {
    "no name": (f"saml_providers: [{{metadata: {json.dumps(METADATA)}}}]", "expected the key `name`"),
    "no metadata": ("saml_providers: [{name: company}]", "expected the key `metadata`"),
    "a name with a slash": (provider(name="a/b"), "expected a name of letters"),
    "a long name": (provider(name="n" * 129), "expected a name of letters"),
    "two of one name": (f"{provider()[:-1]}, {provider(name='Company').partition('[')[2]}", "declared twice"),
    "no XML": (provider("none"), "Could not parse metadata"),
    "no signing certificate": (provider(METADATA.replace('"signing"', '"encryption"')), "Could not parse metadata"),
    "a document type": (provider(f"<!DOCTYPE x>{METADATA}"), "a document type is not allowed"),
    "a mapping": ("saml_providers: [{name: company, metadata: {a: b}}]", "expected a metadata document in XML"),
    "a missing file": ("saml_providers: [{name: company, metadata: {file: x.xml}}]", "cannot read the file"),
    "a private key": (provider(more=", private_keys: [x]"), "unknown key `private_keys`"),
}


@table("text, words", INVALID.values(), list(INVALID))
def test_invalid_saml_provider_is_refused(empty: SqlStore, text: str, words: str) -> None:
    with pytest.raises(SeedError, match=words):
        apply(empty, acme(text))


def test_sign_on_provider_names_a_provider_of_the_same_seed(empty: SqlStore) -> None:
    """Both are created at once."""
    text = f"{provider()}, sign_on_providers: [{{name: Company, saml: company}}]"
    assert any(line.startswith("created sign-on provider Company") for line in apply(empty, acme(text)).lines)
    assert not apply(empty, acme(text))
