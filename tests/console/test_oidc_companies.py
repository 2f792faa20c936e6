"""Sign-on with documents and claims in the shapes of Entra ID, Okta, Google and Keycloak."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.authn.issuer import SigningKey
from tests.authn.people.oidc_provider import OidcProvider, serving_provider
from tests.console.oidc_site import ACCOUNT, WRITER, OidcSite
from tests.tables import table

TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
ENTRA = f"https://login.microsoftonline.com/{TENANT}/v2.0"
METHODS = "token_endpoint_auth_methods_supported"
ANNOUNCED = "authorization_response_iss_parameter_supported"


@dataclass(frozen=True)
class CompanyProvider:
    """The provider of a company: its issuer, what is special in its documents, and a rule for roles."""

    issuer: str
    document: dict[str, Any]
    claims: dict[str, Any]
    rule: str
    second_factor: bool = False
    sid: str | None = None
    key: dict[str, Any] = field(default_factory=dict)
    """Members of the keys in its key set."""


COMPANIES = {
    "Entra ID": CompanyProvider(
        ENTRA,
        {
            METHODS: ["client_secret_post", "private_key_jwt", "client_secret_basic", "self_signed_tls_client_auth"],
            ANNOUNCED: None,
            "subject_types_supported": ["pairwise"],
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
            "http_logout_supported": True,
            "frontchannel_logout_supported": True,
        },
        {
            "sub": "JRNZvgtSAh4Cz6UVBMRYmL0HJCkMdP0ApxJzG3j7Wqc",
            "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
            "tid": TENANT,
            "name": "Ann Example",
            "preferred_username": "ann@corp.example",
            "roles": ["Documents.Write"],
            "rh": "0.AXQA",
            "uti": "fqiBqXLPj0eQa82S-IYFAA",
            "ver": "2.0",
            "at_hash": None,
            "nbf": 0,
        },
        f"roles=Documents.Write {WRITER}",
        key={"use": "sig", "x5t": "kid", "x5c": ["MIIC"], "issuer": ENTRA},
    ),
    "Okta": CompanyProvider(
        "https://acme.okta.com",
        {METHODS: ["client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"]},
        {
            "sub": "00uid4BxXw6I6TV4m0g3",
            "ver": 1,
            "jti": "ID.4eAWJOCMB3SX8XewDfVR",
            "idp": "00o1rhn8rF2GfD1Rs0h7",
            "amr": ["mfa", "otp", "pwd"],
            "groups": ["Everyone", "aws-writers"],
            "preferred_username": "ann@corp.example",
        },
        f"groups=aws-writers {WRITER}",
        second_factor=True,
        sid="idxYzVm3LkQ",
    ),
    "Google": CompanyProvider(
        "https://accounts.google.com",
        {METHODS: ["client_secret_post", "client_secret_basic"], "end_session_endpoint": None},
        {
            "azp": "iam-guard-app",
            "sub": "10769150350006150715113082367",
            "hd": "corp.example",
            "email": "ann@corp.example",
            "email_verified": True,
        },
        f"hd=corp.example {WRITER}",
    ),
    "Keycloak": CompanyProvider(
        "https://sso.corp.example/realms/staff",
        {METHODS: ["private_key_jwt", "client_secret_basic", "client_secret_post", "tls_client_auth"]},
        {
            "sub": "6a0a1c5c-95b4-4d0a-8f2c-1f6b8a4b1c11",
            "typ": "ID",
            "azp": "iam-guard-app",
            "acr": "1",
            "session_state": "e3b4",
            "email_verified": False,
            "realm_access": {"roles": ["offline_access", "writer"]},
        },
        f"realm_access/roles=writer {WRITER}",
        sid="e3b4",
    ),
}


@table("company", list(COMPANIES.values()), ids=list(COMPANIES))
def test_person_of_a_company_signs_in(tmp_path_factory: pytest.TempPathFactory, company: CompanyProvider) -> None:
    """To the role that a claim of this provider gives, with its second factor; the provider can end the session."""
    made = OidcProvider(company.issuer)
    made.keys = [SigningKey("RS256")]
    made.keys[0].jwk = lambda **_: {**SigningKey.jwk(made.keys[0]), **company.key}  # type: ignore[method-assign]
    made.document, made.claims, made.sid = company.document, company.claims, company.sid
    if ANNOUNCED in company.document:
        made.back = lambda params: {name: value for name, value in params.items() if name != "iss"}
    with serving_provider(made) as provider:
        site = OidcSite(
            tmp_path_factory.mktemp("site"), provider, options={"roles": [company.rule], "trusts_mfa": True}
        )
        assert site.sign_on().status_code == 303
        shown = site.caller()
        assert shown.startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/writer/{company.claims['sub']} ")
        assert shown.endswith("true" if company.second_factor else "None")
        token = provider.logout_token(sub=company.claims["sub"])
        assert site.browser.post("/signin/oidc/logout", data={"logout_token": token}).status_code == 200
        assert "assumed-role" not in site.caller()
        site.guard.close()


@table(
    "issuer", ["https://login.microsoftonline.com/common/v2.0", "https://login.microsoftonline.com/organizations/v2.0"]
)
def test_issuer_of_all_tenants_is_refused(tmp_path_factory: pytest.TempPathFactory, issuer: str) -> None:
    """Entra's document for all tenants names `{tenantid}`: people of any tenant could sign in."""
    with serving_provider(OidcProvider(issuer)) as provider:
        provider.document = {"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}
        site = OidcSite(Path(tmp_path_factory.mktemp("site")), provider)
        assert site.start().status_code == 400
        assert site.reasons() == ["expected the registered URL as the issuer in the discovery document"]
        site.guard.close()
