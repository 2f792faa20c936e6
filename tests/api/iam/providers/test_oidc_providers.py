"""OIDC providers (G-77)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.store import quotas
from tests.api.clock import CLOCK
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.identity_parts import unvalidated

URL = "https://id.example.com/tenant"
ARN = f"arn:aws:iam::{ACCOUNT}:oidc-provider/id.example.com/tenant"
PRINT = "ab" * 20
INSTANCE = "arn:aws:sso:::instance/ssoins-1234567890abcdef"


def make(iam: Client, url: str = URL, **parameters: Any) -> dict[str, Any]:
    made: dict[str, Any] = iam.create_open_id_connect_provider(Url=url, **parameters)
    return made


def got(iam: Client) -> dict[str, Any]:
    found: dict[str, Any] = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=ARN)
    del found["ResponseMetadata"]
    return found


def test_oidc_provider_is_created_and_described(iam: Client) -> None:
    """The URL has no scheme, as in the ARN; repeated client ids count once."""
    tags = [{"Key": "a", "Value": "1"}]
    made = make(iam, ClientIDList=["b", "a", "b"], ThumbprintList=[PRINT], Tags=tags)
    assert (made["OpenIDConnectProviderArn"], made["Tags"]) == (ARN, tags)
    found = got(iam)
    assert found.pop("CreateDate").timestamp() == CLOCK.seconds()
    assert found == {
        "Url": "id.example.com/tenant",
        "ClientIDList": ["b", "a"],
        "ThumbprintList": [PRINT],
        "Tags": tags,
    }


def test_oidc_issuer_is_not_contacted(iam: Client) -> None:
    """Without thumbprints the list stays empty; AWS would fetch one."""
    made = make(iam)
    assert "Tags" not in made
    found = got(iam)
    assert (found["ThumbprintList"], found["ClientIDList"], found["Tags"]) == ([], [], [])


def test_oidc_providers_are_listed_by_url(iam: Client) -> None:
    """By URL."""
    for url in ("https://b.example.com", "https://a.example.com"):
        make(iam, url)
    entries = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert [entry["Arn"].rpartition("/")[2] for entry in entries] == ["a.example.com", "b.example.com"]
    assert [entry["IsTrustedIdentityPropagationEnabled"] for entry in entries] == [False, False]


def test_oidc_url_is_unique_in_an_account(iam: Client, other_account: Client) -> None:
    """Letter by letter."""
    make(iam)
    make(other_account)
    make(iam, URL + "/")
    make(iam, URL.replace("tenant", "Tenant"))
    with refusal("EntityAlreadyExists", f"Provider with url {URL} already exists.", 409):
        make(iam)


GOOD = [
    "https://example.com",
    "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE",
    "https://a.b/c/~d;e=f,@g",
    "https://localhost",
]
BAD = [
    "example.com",
    "http://example.com",
    "HTTPS://example.com",
    "https://",
    "https:///path",
    "https://example.com:8443",
    "https://user@example.com",
    "https://example.com?x=1",
    "https://example.com/?x=1",
    "https://example.com/#x",
    "https://example.com/a b",
    "https://example.com/*",
    "https://*.example.com",
    "https://-a.example.com",
    "https://exämple.com",
    "https://example.com/\x7f",
    "https://example.com\n",
    "https://example.com/<x>",
    'https://example.com/"',
    "https://example.com/\\",
    "https://example..com",
    "ftp://https://example.com",
]


@pytest.mark.parametrize("url", GOOD)
def test_valid_oidc_urls_are_accepted(url: str, iam: Client) -> None:
    """`https://`, a host, optionally a path."""
    arn = make(iam, url)["OpenIDConnectProviderArn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:oidc-provider/{url.removeprefix('https://')}"
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)


@pytest.mark.parametrize("url", BAD)
def test_invalid_oidc_urls_are_rejected(url: str, iam: Client) -> None:
    """No port, no query, no other scheme, nothing that is special in an ARN."""
    with refusal("ValidationError", "Invalid Open ID Connect Provider URL", 400):
        make(iam, url)
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []


def test_client_ids_are_added_and_removed(iam: Client) -> None:
    """Neither adding twice nor removing twice is an error."""
    make(iam, ClientIDList=["a"])
    name = {"OpenIDConnectProviderArn": ARN}
    for id in ("b", "a", "B", "b"):
        iam.add_client_id_to_open_id_connect_provider(**name, ClientID=id)
    assert got(iam)["ClientIDList"] == ["a", "b", "B"]
    for id in ("b", "b", "nothing"):
        iam.remove_client_id_from_open_id_connect_provider(**name, ClientID=id)
    assert got(iam)["ClientIDList"] == ["a", "B"]


def test_client_id_quota_is_enforced(iam: Client) -> None:
    """A hundred; AWS's message names the quota; an existing one can be added again."""
    ids = [f"c{number}" for number in range(101)]
    sentence = "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100"
    with refusal("LimitExceeded", sentence, 409):
        make(iam, ClientIDList=ids)
    make(iam, ClientIDList=ids[:100])
    name = {"OpenIDConnectProviderArn": ARN}
    iam.add_client_id_to_open_id_connect_provider(**name, ClientID="c0")
    with refusal("LimitExceeded", sentence, 409):
        iam.add_client_id_to_open_id_connect_provider(**name, ClientID="c100")
    assert got(iam)["ClientIDList"] == ids[:100]


@pytest.mark.parametrize("id", ["a\x7f", "a\nb", "\u2028"])
def test_client_id_must_be_printable(id: str, iam: Client) -> None:
    """Otherwise no response could return it."""
    with refusal("InvalidInput", "must be printable", 400):
        make(iam, ClientIDList=[id])
    make(iam)
    with refusal("InvalidInput", "must be printable", 400):
        iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=ARN, ClientID=id)


def test_thumbprints_are_replaced(iam: Client) -> None:
    """The new list takes the place of the old one."""
    make(iam, ThumbprintList=[PRINT, "CD" * 20])
    new = ["ef" * 20]
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=ARN, ThumbprintList=new)
    assert got(iam)["ThumbprintList"] == new


@pytest.mark.parametrize(
    ("prints", "sentence"),
    [([PRINT] * 6, "Thumbprint list must contain fewer than 5 entries."), (["z" * 40], "Invalid thumbprint")],
)
def test_invalid_thumbprints_are_rejected(prints: list[str], sentence: str, iam: Client) -> None:
    """At most five (AWS's message says fewer), of 40 hexadecimal digits."""
    with refusal("InvalidInput", sentence, 400):
        make(iam, ThumbprintList=prints)
    make(iam, ThumbprintList=[PRINT] * 5)
    with refusal("InvalidInput", sentence, 400):
        iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=ARN, ThumbprintList=prints)
    assert got(iam)["ThumbprintList"] == [PRINT] * 5


def test_too_long_members_are_reported_at_once(server: Running) -> None:
    """As AWS does."""
    sentence = "3 validation errors detected: Value"
    with refusal("ValidationError", sentence, 400):
        make(unvalidated(server), "https://" + "x" * 250, ClientIDList=["x" * 256], ThumbprintList=["x"])


def test_deleting_an_absent_oidc_provider_succeeds(iam: Client) -> None:
    """The operation is idempotent, as AWS documents it."""
    make(iam)
    for _ in range(2):
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=ARN)
    with refusal("NoSuchEntity", f"OpenIDConnect Provider not found for arn {ARN}", 404):
        got(iam)


NOT_HERE = [
    (ARN, "NoSuchEntity"),
    (ARN.replace(ACCOUNT, OTHER_ACCOUNT), "NoSuchEntity"),
    (f"arn:aws:iam::{ACCOUNT}:oidc-provider/*", "NoSuchEntity"),
    (f"arn:aws:iam::{ACCOUNT}:oidc-provider/", "NoSuchEntity"),
    ("x" * 20, "InvalidInput"),
]


@pytest.mark.parametrize(("arn", "code"), NOT_HERE)
def test_missing_oidc_provider_is_not_found(arn: str, code: str, iam: Client, other_account: Client) -> None:
    """By no operation, nor one of another account."""
    make(other_account)
    make(iam, "https://x.example.com")
    name = {"OpenIDConnectProviderArn": arn}
    uses: list[Callable[[], Any]] = [
        lambda: iam.get_open_id_connect_provider(**name),
        lambda: iam.update_open_id_connect_provider(**name, RemoveContextProvider=True),
        lambda: iam.update_open_id_connect_provider_thumbprint(**name, ThumbprintList=[PRINT]),
        lambda: iam.add_client_id_to_open_id_connect_provider(**name, ClientID="a"),
        lambda: iam.remove_client_id_from_open_id_connect_provider(**name, ClientID="a"),
    ]
    if not arn.startswith(f"arn:aws:iam::{ACCOUNT}:oidc-provider/"):
        uses.append(lambda: iam.delete_open_id_connect_provider(**name))
    for use in uses:
        with refusal(code, arn):
            use()
    assert len(other_account.list_open_id_connect_providers()["OpenIDConnectProviderList"]) == 1


def test_oidc_provider_quota_is_enforced(iam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """G-77: 100 in an account."""
    assert quotas.QUOTAS["OIDC providers per account"] == 100
    monkeypatch.setitem(quotas.QUOTAS, "OIDC providers per account", 1)
    make(iam)
    with refusal("LimitExceeded", "Cannot exceed quota for OpenIdConnectProvidersPerAccount: 1", 409):
        make(iam, "https://second.example.com")


def test_context_provider_and_instance_change_separately(iam: Client) -> None:
    """The instance must be removed first."""
    context = {"SubjectSourceKey": "sub"}
    make(iam)
    name = {"OpenIDConnectProviderArn": ARN}
    with refusal("InvalidInput", "requires ContextProvider"):
        iam.update_open_id_connect_provider(**name, IdentityCenterInstanceArn=INSTANCE)
    iam.update_open_id_connect_provider(**name, ContextProvider=context)
    iam.update_open_id_connect_provider(**name, IdentityCenterInstanceArn=INSTANCE)
    found = got(iam)
    assert (found["ContextProvider"], found["IdentityCenterInstanceArn"]) == (context, INSTANCE)
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"][0]["IsTrustedIdentityPropagationEnabled"]
    for parameters in (
        {"ContextProvider": context, "IdentityCenterInstanceArn": INSTANCE},
        {"ContextProvider": context, "RemoveContextProvider": True},
        {"RemoveContextProvider": True},
    ):
        with refusal("InvalidInput", status=400):
            iam.update_open_id_connect_provider(**name, **parameters)
    assert got(iam) == found
    iam.update_open_id_connect_provider(**name, RemoveIdentityCenterInstance=True)
    iam.update_open_id_connect_provider(**name, RemoveContextProvider=True, RemoveIdentityCenterInstance=False)
    assert {"ContextProvider", "IdentityCenterInstanceArn"}.isdisjoint(got(iam))


def test_oidc_operations_are_authorized_on_the_arn(client_for: Callable[..., Client]) -> None:
    """Also for a new provider; the issuer is a condition key."""
    member = client_for(
        "member",
        allow("iam:*OpenIDConnectProvider*", ARN, StringEqualsIfExists={"iam:RequestIdentityProviderIssuers": URL}),
    )
    make(member)
    member.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=ARN, ClientID="a")
    with refusal("AccessDenied", "on resource: arn:aws:iam::111122223333:oidc-provider/evil.example.com"):
        make(member, "https://evil.example.com")
    with refusal("AccessDenied"):
        make(member, "odd url, decided about all the same")
