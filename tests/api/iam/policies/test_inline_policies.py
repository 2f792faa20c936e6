"""Inline policies of users, groups and roles by boto3: G-12, G-13, G-18, G-19, G-70, R-14, K-33."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.handlers import json_decode_policies

from tests.api.conftest import ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.policy_parts import KINDS, allowing, holders, join, of, prepare

DOCUMENT = allowing("docs:Read")


def put(iam: Client, kind: str, name: str = "Reader", document: str = DOCUMENT, holder: str = "holder") -> None:
    getattr(iam, f"put_{kind}_policy")(PolicyName=name, PolicyDocument=document, **of(kind, holder))


def get(iam: Client, kind: str, name: str = "Reader", holder: str = "holder") -> dict[str, Any]:
    answer: dict[str, Any] = getattr(iam, f"get_{kind}_policy")(PolicyName=name, **of(kind, holder))
    return answer


def delete(iam: Client, kind: str, name: str = "Reader", holder: str = "holder") -> None:
    getattr(iam, f"delete_{kind}_policy")(PolicyName=name, **of(kind, holder))


def listed(iam: Client, kind: str, holder: str = "holder", **more: Any) -> list[str]:
    names: list[str] = getattr(iam, f"list_{kind}_policies")(**of(kind, holder), **more)["PolicyNames"]
    return names


@pytest.mark.parametrize("kind", KINDS)
def test_inline_policy_is_put_replaced_and_deleted(iam: Client, server: Running, kind: str) -> None:
    """Its name is unique within its entity, in any letter case."""
    holders(server)
    put(iam, kind)
    put(iam, kind, "Writer")
    member, *_ = of(kind)
    answer = get(iam, kind, "READER", "HOLDER")
    assert (answer[member], answer["PolicyName"]) == ("holder", "Reader")
    assert answer["PolicyDocument"] == json.loads(DOCUMENT)
    put(iam, kind, "reader", allowing("docs:Write"))
    assert listed(iam, kind) == ["reader", "Writer"]
    assert get(iam, kind)["PolicyDocument"]["Statement"][0]["Action"] == "docs:Write"
    assert [listed(iam, other) for other in KINDS if other != kind] == [[], []]
    delete(iam, kind, "READER")
    assert listed(iam, kind) == ["Writer"]
    for operation in (get, delete):
        with refusal("NoSuchEntity", f"The {kind} policy with name Reader cannot be found.", 404):
            operation(iam, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.over_http
def test_inline_document_is_returned_as_written(iam: Client, server: Running, kind: str) -> None:
    """Blanks, line ends, letters up to U+00FF; percent-encoded by RFC 3986."""
    holders(server)
    text = '\r\n{"Statement":\t{"Effect":"Deny","Action":"docs:*","Resource":"arn:aws:docs:::é+%20ÿ"}} \n'
    put(iam, kind, document=text)
    iam.meta.events.unregister("after-call.iam", json_decode_policies)
    encoded = get(iam, kind)["PolicyDocument"]
    assert not {"+", " "} & set(encoded)
    assert unquote(encoded) == text


@pytest.mark.parametrize("kind", KINDS)
def test_inline_policies_of_an_unknown_entity_are_not_found(
    iam: Client, other_account: Client, server: Running, kind: str
) -> None:
    """An entity of another account is unknown too."""
    holders(server)
    put(iam, kind)
    for operation in (put, get, delete, listed):
        with refusal("NoSuchEntity", f"The {kind} with name holder cannot be found.", 404):
            operation(other_account, kind)
    assert get(iam, kind)["PolicyDocument"] == json.loads(DOCUMENT)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("no JSON", "Syntax errors in policy."),
        ('{"Version":"2012-10-17","Statement":[]}', "Syntax errors in policy."),
        (allowing("docs"), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
        (allowing("docs:*", Principal="*"), "Policy document should not specify a principal."),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_invalid_inline_document_keeps_the_old_one(
    iam: Client, server: Running, kind: str, document: str, sentence: str
) -> None:
    """G-13, G-19."""
    holders(server)
    put(iam, kind)
    with refusal("MalformedPolicyDocument", sentence, 400):
        put(iam, kind, document=document)
    with refusal("MalformedPolicyDocument", sentence, 400):
        put(iam, kind, "New", document)
    assert listed(iam, kind) == ["Reader"]
    assert get(iam, kind)["PolicyDocument"] == json.loads(DOCUMENT)


@pytest.mark.parametrize(("kind", "quota"), [("user", 2048), ("group", 5120), ("role", 10240)])
def test_inline_policies_of_an_entity_have_a_total_size(iam: Client, server: Running, kind: str, quota: int) -> None:
    """G-70: without white space; a replaced policy doesn't count."""
    holders(server)
    bare = len(allowing("docs:Read", Resource="arn:aws:docs:::").replace(" ", ""))

    def of_length(characters: int) -> str:
        return allowing("docs:Read", Resource="arn:aws:docs:::" + "x" * (characters - bare))

    sentence = f"Maximum policy size of {quota} bytes exceeded for {kind} holder"
    with refusal("LimitExceeded", sentence, 409):
        put(iam, kind, document=of_length(quota + 1))
    put(iam, kind, "Half", of_length(quota // 2) + "\n" * 20_000)
    with refusal("LimitExceeded", sentence, 409):
        put(iam, kind, "Other", of_length(quota - quota // 2 + 1))
    put(iam, kind, "Other", of_length(quota - quota // 2))
    with refusal("LimitExceeded", sentence, 409):
        put(iam, kind, "Tiny")
    put(iam, kind, "HALF", of_length(quota // 2))
    assert listed(iam, kind) == ["HALF", "Other"]
    assert len(get(iam, kind, "Half")["PolicyDocument"]["Statement"][0]["Resource"]) > quota // 3


@pytest.mark.parametrize("path", ["/aws-service-role/es.amazonaws.com/", "/aws-reserved/sso.amazonaws.com/"])
def test_protected_role_inline_policies_are_unmodifiable(iam: Client, server: Running, path: str) -> None:
    """R-14, P-14; they can be read."""
    prepare(server, roles=[{"name": "holder", "path": path, "inline": {"Reader": json.loads(DOCUMENT)}}])
    sentence = "Cannot perform the operation on the protected role 'holder'"
    for operation in (put, delete):
        with refusal("UnmodifiableEntity", sentence, 400):
            operation(iam, "role")
    assert listed(iam, "role") == ["Reader"]
    assert get(iam, "role")["PolicyDocument"] == json.loads(DOCUMENT)


@pytest.mark.parametrize("kind", KINDS)
def test_inline_policy_names_are_paged(iam: Client, server: Running, kind: str) -> None:
    """Sorted, with writes between pages."""
    declared = {name: json.loads(DOCUMENT) for name in ("a", "B", "c" * 128, "D", "e")}
    prepare(server, **{f"{kind}s": [{"name": "holder", "inline": declared}]})
    list_policies = getattr(iam, f"list_{kind}_policies")
    first = list_policies(MaxItems=3, **of(kind))
    assert first["PolicyNames"] == ["a", "B", "c" * 128]
    delete(iam, kind, "c" * 128)
    put(iam, kind, "Aa")
    second = list_policies(MaxItems=3, Marker=first["Marker"], **of(kind))
    assert second["PolicyNames"] == ["D", "e"]
    assert not second["IsTruncated"]


@pytest.mark.parametrize(("kind", "holder"), [("user", "ada"), ("group", "team")])
def test_inline_policy_takes_effect_at_once(
    iam: Client, server: Running, client_for: Callable[..., Client], kind: str, holder: str
) -> None:
    """Put, replaced, deleted (M)."""
    ada = client_for("ada")
    prepare(server, groups=[{"name": "team"}])
    join(server, "ada", "team")
    for action, is_allowed in (("iam:ListPolicies", True), ("iam:ListUsers", False), ("iam:List*", True), ("", False)):
        if action:
            put(iam, kind, document=allowing(action), holder=holder)
        else:
            delete(iam, kind, holder=holder)
        if is_allowed:
            ada.list_policies()
        else:
            with refusal("AccessDenied", "iam:ListPolicies"):
                ada.list_policies()


@pytest.mark.parametrize("kind", ["user", "role"])
@pytest.mark.parametrize("way", [put, delete])
def test_inline_policy_supplies_the_boundary_key(
    iam: Client, server: Running, client_for: Callable[..., Client], kind: str, way: Callable[..., None]
) -> None:
    """K-33: `iam:PermissionsBoundary` limits the entities by their boundary."""
    boundary = iam.create_policy(PolicyName="Boundary", PolicyDocument=DOCUMENT)["Policy"]["Arn"]
    inline = {"Reader": json.loads(DOCUMENT)} if way is delete else {}
    bounded = [{"name": "bounded", "boundary": "Boundary", "inline": inline}, {"name": "free", "inline": inline}]
    prepare(server, **{f"{kind}s": bounded})
    action = f"iam:{way.__name__.capitalize()}{kind.capitalize()}Policy"
    ada = client_for("ada", allow(action, StringEquals={"iam:PermissionsBoundary": boundary}))
    way(ada, kind, holder="bounded")
    with refusal("AccessDenied", action):
        way(ada, kind, holder="free")
    assert listed(iam, kind, "free") == list(inline)


@pytest.mark.parametrize("kind", KINDS)
def test_inline_operations_are_authorized_on_the_stored_path(
    server: Running, client_for: Callable[..., Client], kind: str
) -> None:
    """P-1: in whatever letter case the name is written."""
    prepare(server, **{f"{kind}s": [{"name": "In", "path": "/team/"}, {"name": "Out"}]})
    actions = [f"iam:{verb}{kind.capitalize()}Policy" for verb in ("Put", "Get", "Delete")]
    resource = f"arn:aws:iam::{ACCOUNT}:{kind}/team/*"
    ada = client_for("ada", allow([*actions, f"iam:List{kind.capitalize()}Policies"], resource))
    for operation in (put, get, listed, delete):
        operation(ada, kind, holder="IN")
        with refusal("AccessDenied", f"{kind}/Out "):
            operation(ada, kind, holder="out")
