"""The cache of compiled documents: shared for equal content, separate for different content."""

from __future__ import annotations

import json
import marshal
from types import MappingProxyType
from typing import Any

import pytest

from iam_guard import AccessRequest, Principal, compile_policies
from iam_guard.errors import PolicyError
from iam_guard.evaluation import compiler as compiling
from iam_guard.evaluation.compiler import PolicySource, compile_policy
from iam_guard.model.decision import PolicyRef, PolicyType
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")


def document(action: str, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": [action, "docs:Get"], "Resource": "*", **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def compiled(source: PolicySource, name: str = "one", type: PolicyType = PolicyType.IDENTITY) -> Any:
    policy = compile_policy(source, PolicyRef(name, type))
    assert policy.ref == PolicyRef(name, type)
    return policy.content


@table("form", [json.dumps, dict], ids=["text", "decoded"])
def test_equal_documents_are_compiled_once(form: Any) -> None:
    """T-9: under any name, and for equal values of any origin."""
    source_document = document("docs:Once")
    assert compiled(form(source_document), "one") is compiled(form(json.loads(json.dumps(source_document))), "another")


def test_equal_parts_need_not_be_identical() -> None:
    """A tree that shares its parts has the same content as one that repeats them."""
    names = ["docs:Shared1", "docs:Shared2"]
    statement = {"Effect": "Allow", "Action": names, "Resource": "*"}
    sharing = {"Version": "2012-10-17", "Statement": [statement, statement]}
    assert compiled(sharing) is compiled(json.loads(json.dumps(sharing)))


def test_different_documents_are_compiled_separately() -> None:
    """Another type has other rules, only text has positions, and `true` is not `1`."""
    source_document = document("docs:Apart")
    flag = {"Condition": {"Bool": {"docs:Flag": True}}}
    one = {"Condition": {"Bool": {"docs:Flag": 1}}}
    forms = [
        compiled(source_document),
        compiled(source_document, type=PolicyType.SESSION),
        compiled(json.dumps(source_document)),
        compiled(document("docs:Other")),
        compiled(document("docs:Apart", **flag)),
        compiled(document("docs:Apart", **one)),
    ]
    assert len({id(form) for form in forms}) == len(forms)


def test_source_that_is_not_cached_is_compiled() -> None:
    """Another mapping type, and text as bytes: parsed, named and evaluated like others."""
    source_document = document("docs:NoImage")
    for source in (MappingProxyType(source_document), json.dumps(source_document).encode()):
        decision = compile_policies(identity=[source]).decide(AccessRequest(ADA, "docs:NoImage", "*"))
        assert decision.allowed
        assert decision.reasons[0].policy == PolicyRef("identity-based policy #1", PolicyType.IDENTITY)
    shared = MappingProxyType(document("docs:NoImage", Principal="*"))
    assert compile_policies(resource=shared).decide(AccessRequest(ADA, "docs:NoImage", "*")).allowed
    for refused in ({"Statement": 5}, shared):
        with pytest.raises(PolicyError):
            compile_policies(identity=[MappingProxyType(refused)])


def test_bytes_are_never_taken_for_a_cache_key() -> None:
    """N-9: bytes that are not JSON text are refused, even after an equal cache key."""
    source_document = document("docs:Image")
    compiled(source_document)
    for version in range(5):
        with pytest.raises(PolicyError):
            compiled(marshal.dumps(source_document, version))


@pytest.mark.parametrize(("most", "is_remembered"), [(10, True), (9, False)])
def test_very_large_tree_is_not_cached(most: int, is_remembered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may contain itself; it is parsed, and refused or compiled, each time."""
    monkeypatch.setattr(compiling, "_MAX_VALUES", most)
    ten_values = document("docs:Many", Sid=f"Many{most}")
    assert (compiled(ten_values) is compiled(ten_values)) is is_remembered


def test_tree_that_contains_itself_is_refused() -> None:
    """N-9."""
    endless: dict[str, Any] = document("docs:Endless")
    endless["Statement"].append(endless["Statement"])
    with pytest.raises(PolicyError):
        compiled(endless)
