"""Cases are validated, and each is decided or refused with our own errors (rules N)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.errors import IamGuardError, InvalidInput
from iam_guard.testing.cases import decide_case, read_case
from tests.tables import table

ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:*", "Resource": "*"}]}
CASE: dict[str, Any] = {
    "id": "c1",
    "request": {
        "principal": {"arn": "arn:aws:iam::111122223333:user/ada", "account": "111122223333", "type": "User"},
        "action": "docs:GetDocument",
        "resource": "arn:aws:docs:us-east-1:111122223333:document/7",
        "context": {"docs:Shape": "round"},
    },
    "policies": {"identity": [ALLOW]},
}


def with_value(path: str, value: object) -> dict[str, Any]:
    """Return the case above with one value changed."""
    changed = copy.deepcopy(CASE)
    *ways, last = path.split("/")
    place = changed
    for way in ways:
        place = place[way]
    place[last] = value
    return changed


def test_case_is_decided() -> None:
    """N-1 to N-4."""
    assert decide_case(read_case(CASE)).outcome == "Allowed"


@table("key", ["rule", "expected", "why"])
def test_informational_members_are_ignored(key: str) -> None:
    assert decide_case(read_case({**CASE, key: "Allowed"})).allowed


@table(
    ("path", "value", "place"),
    [
        ("id", None, "/id"),
        ("id", 7, "/id"),
        ("request", [], "/request"),
        ("polices", {}, "/"),
        ("request/ressource", "*", "/request"),
        ("request/principal", None, "/request/principal"),
        ("request/principal", "arn:aws:iam::111122223333:user/ada", "/request/principal"),
        ("request/principal/type", "user", "/request/principal/type"),
        ("request/principal/arn", None, "/request/principal/arn"),
        ("request/principal/account", 111122223333, "/request/principal/account"),
        ("request/action", ["docs:GetDocument"], "/request/action"),
        ("request/resource", None, "/request/resource"),
        ("request/resource_account", 1, "/request/resource_account"),
        ("request/context", [], "/request/context"),
        ("request/context", False, "/request/context"),
        ("request/context", "x", "/request/context"),
        ("request/principal/boundary", "true", "/request/principal/boundary"),
        ("request/principal/boundary", 1, "/request/principal/boundary"),
        ("policies", [ALLOW], "/policies"),
        ("policies", [], "/policies"),
        ("policies/identities", [], "/policies"),
        ("policies/identity", ALLOW, "/policies/identity"),
        ("policies/session", ALLOW, "/policies/session"),
        ("policies/scps", [ALLOW], "/policies/scps"),
        ("policies/rcps", {"a": 1}, "/policies/rcps"),
        ("expected", 5, "/expected"),
    ],
)
def test_error_names_place(path: str, value: object, place: str) -> None:
    """A typing mistake in a case must not drop a policy."""
    with pytest.raises(InvalidInput) as refused:
        decide_case(read_case(with_value(path, value)))
    assert refused.value.place == place


@table("key", ["identity", "resource", "permissions_boundary", "session", "scps", "rcps"])
@table("document", [5, "text", [], {"Statement": 5}, {"statement": []}, None])
def test_invalid_document_is_refused(key: str, document: object) -> None:
    """N-9: in any place; None is no policy unless a list is expected."""
    wrapped = [[document]] if key in ("scps", "rcps") else [document] if key in ("identity", "session") else document
    case = read_case(with_value(f"policies/{key}", wrapped))
    if wrapped is None:
        assert decide_case(case).allowed
        return
    with pytest.raises(IamGuardError):
        decide_case(case)


def test_account_as_number_suggests_quotes() -> None:
    """YAML reads `111122223333` as a number, and `012345678901` as a string; `true` is no number."""
    for value, words in (
        (111122223333, "got the number `111122223333`: put it in quotes"),
        (True, "expected a string"),
    ):
        with pytest.raises(InvalidInput) as refused:
            read_case(with_value("request/resource_account", value))
        assert str(refused.value).endswith(f"{words} (at /request/resource_account)")


def test_case_without_policies_is_denied() -> None:
    """E-1."""
    assert decide_case(read_case(with_value("policies", None))).outcome == "ImplicitlyDenied"


def test_role_is_derived_from_session_arn() -> None:
    """P-2: without `role_arn` the role is at the root path."""
    session = {
        "arn": "arn:aws:sts::111122223333:assumed-role/Editor/ada",
        "account": "111122223333",
        "type": "AssumedRole",
    }
    case = read_case(with_value("request/principal", session))
    assert case.request.principal.role_arn == "arn:aws:iam::111122223333:role/Editor"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("*") | st.just(ALLOW),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
places = [
    "id", "request", "policies", "expected", "request/principal", "request/principal/arn", "request/principal/account",
    "request/principal/type", "request/principal/role_arn", "request/principal/boundary", "request/action",
    "request/resource", "request/resource_account", "request/context", "request/context/docs:Shape",
    "policies/identity", "policies/resource", "policies/permissions_boundary", "policies/session", "policies/scps",
    "policies/rcps", "policies/vpc_endpoint",
]  # fmt: skip


@given(st.sampled_from(places), anything)
def test_only_our_errors_are_raised(path: str, value: object) -> None:
    """A stream of cases continues after each of them."""
    try:
        decide_case(read_case(with_value(path, value)))
    except IamGuardError:
        return
