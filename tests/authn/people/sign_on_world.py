"""A store with an account that has identity providers, for tests of company sign-on."""

from __future__ import annotations

from iam_guard.store.schema import accounts, oidc_providers, saml_providers
from iam_guard.store.sql_store import SqlStore

ACME, GLOBEX = "111122223333", "444455556666"
ISSUER = "https://id.acme.example/realms/staff"
OIDC = f"arn:aws:iam::{ACME}:oidc-provider/id.acme.example/realms/staff"
SAML = f"arn:aws:iam::{ACME}:saml-provider/AcmeIdP"
READER, WRITER = (f"arn:aws:iam::{ACME}:role/{name}" for name in ("reader", "team/writer"))
CLIENT, SECRET = "console", "s3cr3t-of-the-client"


def add_identity_providers(store: SqlStore) -> None:
    """Store the accounts `acme` and `globex`, if they are not there, the first with one OIDC and one SAML provider."""
    with store.write_transaction() as records:
        for id, alias in ((ACME, "acme"), (GLOBEX, "globex")):
            if records.one(accounts, id=id) is None:
                records.insert(accounts, id=id, name=alias, alias=alias, created=0)
        row = {"account": ACME, "tags": {}, "created": 0, "context_provider": None, "identity_center": None}
        url = ISSUER.removeprefix("https://")
        records.insert(oidc_providers, id="OIDCP1", url=url, client_ids=[CLIENT, "other"], thumbprints=[], **row)
        names = {"name": "AcmeIdP", "folded": "acmeidp"}
        records.insert(
            saml_providers, id="SAMLSP1", **names, document="", valid_until=None, encryption_mode=None, **row
        )
