"""Where clients write free text, and the operations that return it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

from hypothesis import strategies as st

from tests.api.conftest import Client
from tests.api.every_operation import ARN
from tests.api.sample_server import GIVEN_POLICY

Given = Mapping[str, Any]


class Texts(NamedTuple):
    """Texts for a place: an accepted one, and random candidates."""

    usual: str
    others: st.SearchStrategy[str]


_LETTERS = st.text("abzABZ019_+=,.@-", min_size=1, max_size=64)
NAMES = Texts("a+b=c,d.e@f_-", _LETTERS)
PATHS = Texts(
    "/a/<b>&'c'/",
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60).map(lambda text: f"/{text}/"),
)
POLICY_PATHS = Texts(
    "/a/b.c/", st.lists(_LETTERS, max_size=4).map(lambda parts: "".join(f"/{part}" for part in parts) + "/")
)
TAGS = Texts(
    "a:b/日本 é", st.text(st.characters(categories=["L", "N", "Z"], include_characters="_.:/=+-@"), max_size=128)
)
LATIN = Texts(
    "<a>&amp;\r\n\té'\"",
    st.text(st.characters(max_codepoint=0xFF, exclude_categories=["Cc"]) | st.sampled_from("\t\n\r"), max_size=200),
)
ANY = Texts("<a>&amp;é日'\"", st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
WORDS = Texts("acme-7", st.text("abz019-", min_size=3, max_size=63))
PROPERTIES = Texts("given/other", _LETTERS.map("given/{}".format))
URLS = Texts("https://idp.example/a", st.text("abz019.-~/_%:", max_size=30).map("https://idp.example/{}".format))


class RoundTrip(NamedTuple):
    """A place for a text: candidates, how to write it, and how to read it back."""

    name: str
    texts: Texts
    write: Callable[[Client, Given, str], object]
    read: Callable[[Client, Given, str], Iterable[object]]
    """Returns values that must each be the text."""


def document(text: str) -> str:
    """Return a policy with a text in every possible place."""
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"aws:userid": text}}}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


def trust(text: str) -> str:
    """Return a trust policy with a text in every possible place."""
    condition = {"StringEquals": {"sts:ExternalId": text}}
    statement = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": {**statement, "Condition": condition}})


def in_document(read: Mapping[str, Any]) -> object:
    """Return the text of a document that boto3 parsed."""
    (value,) = read["Statement"]["Condition"]["StringEquals"].values()
    return value


def metadata(given: Given, text: str) -> str:
    """Return SAML metadata with a text in it."""
    whole: str = given["SAMLMetadataDocument"]
    return whole.replace('entityID="https://idp.example"', f'entityID="https://idp.example" ID={quoteattr(text)}')


def found(answer: Iterable[Mapping[str, Any]], member: str, text: str) -> object:
    """Return the list entry that contains the text; None if there is none."""
    return next((each[member] for each in answer if each[member] == text), None)


# --- tags --------------------------------------------------------------------------------------------------------

TAGGED: Mapping[str, str] = {
    "user": "UserName",
    "role": "RoleName",
    "policy": "PolicyArn",
    "instance_profile": "InstanceProfileName",
    "mfa_device": "SerialNumber",
    "open_id_connect_provider": "OpenIDConnectProviderArn",
    "saml_provider": "SAMLProviderArn",
    "server_certificate": "ServerCertificateName",
}
"""What has tags, in the words of the methods that tag it -> the member that names it."""


def _tags(noun: str, part: str, tag: Callable[[str], dict[str, str]]) -> RoundTrip:
    member = TAGGED[noun]

    def write(client: Client, given: Given, text: str) -> object:
        return getattr(client, f"tag_{noun}")(**{member: given.get(member, "given")}, Tags=[tag(text)])

    def read(client: Client, given: Given, text: str) -> Iterable[object]:
        listed = getattr(client, f"list_{noun}_tags")(**{member: given.get(member, "given")})["Tags"]
        yield text if tag(text) in listed else listed

    return RoundTrip(f"{part} of a tag of {noun}", TAGS, write, read)


OF_TAGS = [
    row
    for noun in TAGGED
    for row in (
        _tags(noun, "key", lambda text: {"Key": text, "Value": "blue"}),
        _tags(noun, "value", lambda text: {"Key": "color", "Value": text}),
    )
]

# --- names and paths ---------------------------------------------------------------------------------------------

MADE: Mapping[str, tuple[str, str, dict[str, str]]] = {
    "user": ("User", "users", {}),
    "group": ("Group", "groups", {}),
    "role": ("Role", "roles", {"AssumeRolePolicyDocument": trust("x")}),
    "policy": ("Policy", "policies", {"PolicyDocument": document("x")}),
    "instance_profile": ("InstanceProfile", "instance_profiles", {}),
}
"""What has a name and a path, in the words of its methods -> its word in members, its lists, what else it needs."""


def _made(noun: str, part: str) -> RoundTrip:
    word, plural, needs = MADE[noun]
    kind = noun.replace("_", "-")

    def write(client: Client, given: Given, text: str) -> object:
        named = {f"{word}Name": text} if part == "name" else {f"{word}Name": "new", "Path": text}
        return getattr(client, f"create_{noun}")(**named, **needs)

    def read(client: Client, given: Given, text: str) -> Iterable[object]:
        path, name = ("/", text) if part == "name" else (text, "new")
        named = {f"{word}Name": name} if noun != "policy" else {"PolicyArn": f"{ARN}policy{path}{name}"}
        got = getattr(client, f"get_{noun}")(**named)[word]
        member = f"{word}Name" if part == "name" else "Path"
        lists = getattr(client, f"list_{plural}")
        listed = lists(PathPrefix=path)[f"{word[:-1]}ies" if noun == "policy" else f"{word}s"]
        yield from (got[member], found(listed, member, text))
        yield text if got["Arn"] == f"{ARN}{kind}{path}{name}" else got["Arn"]

    texts = NAMES if part == "name" else POLICY_PATHS if noun == "policy" else PATHS
    return RoundTrip(f"{part} of {noun}", texts, write, read)


OF_NAMES = [_made(noun, part) for noun in MADE for part in ("name", "path")]

# --- other texts -------------------------------------------------------------------------------------------------


def _inline(client: Client, name: str) -> Mapping[str, Any]:
    policy: Mapping[str, Any] = client.get_user_policy(UserName="given", PolicyName=name)
    return policy


OTHERS = [
    RoundTrip(
        "description of a role",
        LATIN,
        lambda client, given, text: client.update_role(RoleName="given", Description=text),
        lambda client, given, text: [
            client.get_role(RoleName="given")["Role"].get("Description", ""),
            *(list_role.get("Description", "") for list_role in client.list_roles(PathPrefix="/team/")["Roles"]),
        ],
    ),
    RoundTrip(
        "description of a policy",
        LATIN,
        lambda client, given, text: client.create_policy(
            PolicyName="new", Path="/new/", PolicyDocument=document("x"), Description=text
        ),
        lambda client, given, text: [
            client.get_policy(PolicyArn=f"{ARN}policy/new/new")["Policy"].get("Description", "")
        ],
    ),
    RoundTrip(
        "document of a policy",
        ANY,
        lambda client, given, text: client.create_policy_version(
            PolicyArn=GIVEN_POLICY, PolicyDocument=document(text), SetAsDefault=True
        ),
        lambda client, given, text: [
            in_document(client.get_policy_version(PolicyArn=GIVEN_POLICY, VersionId="v3")["PolicyVersion"]["Document"])
        ],
    ),
    RoundTrip(
        "document of an inline policy",
        ANY,
        lambda client, given, text: client.put_user_policy(
            UserName="given", PolicyName="new", PolicyDocument=document(text)
        ),
        lambda client, given, text: [in_document(_inline(client, "new")["PolicyDocument"])],
    ),
    RoundTrip(
        "name of an inline policy",
        NAMES,
        lambda client, given, text: client.put_user_policy(
            UserName="given", PolicyName=text, PolicyDocument=document("x")
        ),
        lambda client, given, text: [
            _inline(client, text)["PolicyName"],
            next(
                (
                    list_user_policy
                    for list_user_policy in client.list_user_policies(UserName="given")["PolicyNames"]
                    if list_user_policy == text
                ),
                None,
            ),
        ],
    ),
    RoundTrip(
        "trust policy of a role",
        ANY,
        lambda client, given, text: client.update_assume_role_policy(RoleName="given", PolicyDocument=trust(text)),
        lambda client, given, text: [
            in_document(client.get_role(RoleName="given")["Role"]["AssumeRolePolicyDocument"])
        ],
    ),
    RoundTrip(
        "client id of an OIDC provider",
        ANY,
        lambda client, given, text: client.add_client_id_to_open_id_connect_provider(
            OpenIDConnectProviderArn=given["OpenIDConnectProviderArn"], ClientID=text
        ),
        lambda client, given, text: [
            next(each for each in _oidc(client, given["OpenIDConnectProviderArn"])["ClientIDList"] if each == text)
        ],
    ),
    RoundTrip(
        "URL of an OIDC provider",
        URLS,
        lambda client, given, text: client.create_open_id_connect_provider(Url=text),
        lambda client, given, text: [
            f"https://{_oidc(client, f'{ARN}oidc-provider/{text[8:]}')['Url']}",
            *(
                f"https://{list_open_id_connect_provider['Arn'].partition('oidc-provider/')[2]}"
                for list_open_id_connect_provider in client.list_open_id_connect_providers()[
                    "OpenIDConnectProviderList"
                ]
                if list_open_id_connect_provider["Arn"] != given["OpenIDConnectProviderArn"]
            ),
        ],
    ),
    RoundTrip(
        "name of a SAML provider",
        NAMES,
        lambda client, given, text: client.create_saml_provider(
            Name=text, SAMLMetadataDocument=given["SAMLMetadataDocument"]
        ),
        lambda client, given, text: [
            list_saml_provider["Arn"].partition("saml-provider/")[2]
            for list_saml_provider in client.list_saml_providers()["SAMLProviderList"]
            if list_saml_provider["Arn"] != given["SAMLProviderArn"]
        ],
    ),
    RoundTrip(
        "metadata of a SAML provider",
        ANY,
        lambda client, given, text: client.update_saml_provider(
            SAMLProviderArn=given["SAMLProviderArn"], SAMLMetadataDocument=metadata(given, text)
        ),
        lambda client, given, text: [
            text
            if client.get_saml_provider(SAMLProviderArn=given["SAMLProviderArn"])["SAMLMetadataDocument"]
            == metadata(given, text)
            else None
        ],
    ),
    RoundTrip(
        "name of an MFA device",
        NAMES,
        lambda client, given, text: client.create_virtual_mfa_device(VirtualMFADeviceName=text),
        lambda client, given, text: [
            list_virtual_mfa_device["SerialNumber"].partition(":mfa/")[2]
            for list_virtual_mfa_device in client.list_virtual_mfa_devices()["VirtualMFADevices"]
            if list_virtual_mfa_device["SerialNumber"] != given["SerialNumber"]
        ],
    ),
    RoundTrip(
        "name of a server certificate",
        NAMES,
        lambda client, given, text: client.update_server_certificate(
            ServerCertificateName="given", NewServerCertificateName=text
        ),
        lambda client, given, text: [
            *(certificate["ServerCertificateName"] for certificate in _certificates(client)),
            *(certificate["Arn"].partition("/team/")[2] for certificate in _certificates(client)),
        ],
    ),
    RoundTrip(
        "alias of an account",
        WORDS,
        lambda client, given, text: client.create_account_alias(AccountAlias=text),
        lambda client, given, text: client.list_account_aliases()["AccountAliases"],
    ),
    RoundTrip(
        "key of a property",
        PROPERTIES,
        lambda client, given, text: client.put_account_properties(Properties={text: "true"}),
        lambda client, given, text: client.get_account_properties()["Properties"],
    ),
    RoundTrip(
        "value of a property",
        ANY,
        lambda client, given, text: client.put_account_properties(Properties={"given/given": text}),
        lambda client, given, text: client.get_account_properties()["Properties"].values(),
    ),
]


def _oidc(client: Client, arn: str) -> Mapping[str, Any]:
    provider: Mapping[str, Any] = client.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    return provider


def _certificates(client: Client) -> list[Mapping[str, Any]]:
    listed: list[Mapping[str, Any]] = client.list_server_certificates()["ServerCertificateMetadataList"]
    return listed


ROUND_TRIPS = [*OF_TAGS, *OF_NAMES, *OTHERS]
