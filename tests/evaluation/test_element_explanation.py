"""The elements of an explained statement: which are shown, how each entry is judged, what doubt looks like."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard import AccessRequest, Principal
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.element_explanation import explain_elements
from iam_guard.evaluation.explanation import Element, Wanted

A = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{A}:user/ada", userid="AIDAADA")
DOCUMENT = f"arn:aws:docs:us-east-1:{A}:document/7"
KIND = "docs:Kind"


def elements(
    statement: dict[str, Any], *, type: str = "resource", bounded: bool = False, breaking: str | None = None
) -> list[Element]:
    """Explain one statement; `breaking` names the part of it that fails when it is asked."""
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    given: dict[str, Any] = {type: [document] if type == "identity" else document}
    policies = bundle(**given)
    (policy,) = getattr(policies, type)
    (compiled,) = policy.content.statements
    request = AccessRequest(ADA, "docs:GetDocument", DOCUMENT, {KIND: "memo"})
    with pytest.MonkeyPatch.context() as patch:  # what is compiled is shared by everybody
        if breaking is not None:
            patch.setitem(vars(compiled), breaking, failing)
        return list(explain_elements(policy, compiled, request, bounded=bounded))


def failing(*_: object) -> Any:
    raise RuntimeError("a fault in the evaluator, with a caller's value in it")


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ({"Principal": "*", "Action": "docs:*"}, ["Principal", "Action"]),
        ({"Principal": "*", "NotAction": "iam:*"}, ["Principal", "NotAction"]),
        ({"Principal": "*", "Action": "docs:*", "Resource": "*"}, ["Principal", "Action", "Resource"]),
        ({"Principal": "*", "Action": "docs:*", "Resource": "arn:aws:docs:::x"}, ["Principal", "Action", "Resource"]),
        (
            {"Principal": "*", "Action": "docs:*", "NotResource": "arn:aws:docs:::x"},
            ["Principal", "Action", "NotResource"],
        ),
        ({"Principal": "*", "Action": "docs:*", "NotResource": "*"}, ["Principal", "Action", "NotResource"]),
        ({"Effect": "Deny", "NotPrincipal": {"AWS": A}, "Action": "docs:*"}, ["NotPrincipal", "Action"]),
        (
            {"Principal": "*", "Action": "*", "Condition": {"StringLike": {KIND: "m*", "docs:Other": "x"}}},
            ["Principal", "Action", "Condition", "Condition"],
        ),
    ],
)
def test_elements_are_shown_as_written(statement: dict[str, Any], shown: list[str]) -> None:
    """M-1: matched or not, each element that is there and no other; one that is absent is left out (M-26)."""
    assert [element.name for element in elements(statement)] == shown


def test_an_identity_based_statement_has_no_principal() -> None:
    """G-31: its caller is whom it is attached to."""
    found = elements({"Action": "docs:*", "Resource": "*"}, type="identity")
    assert [each.name for each in found] == ["Action", "Resource"]


@pytest.mark.parametrize(
    ("breaking", "statement", "name"),
    [
        ("kinship", {"Principal": "*", "Action": "a:B"}, "Principal"),
        ("kinship", {"Effect": "Deny", "NotPrincipal": {"AWS": A}, "Action": "a:B"}, "NotPrincipal"),
        ("matches_action", {"Principal": "*", "Action": "a:B"}, "Action"),
        ("matches_action", {"Principal": "*", "NotAction": "a:B"}, "NotAction"),
        ("matches_resource", {"Principal": "*", "Action": "a:B", "Resource": "*"}, "Resource"),
        ("matches_resource", {"Principal": "*", "Action": "a:B", "NotResource": "*"}, "NotResource"),
    ],
)
def test_an_element_in_doubt_says_which_it_is(breaking: str, statement: dict[str, Any], name: str) -> None:
    """C-45: it does not match, and only the kind of the fault is told; the others are explained all the same."""
    found = elements(statement, breaking=breaking)
    doubtful = Element(name, False, note="it could not be evaluated: RuntimeError", error="RuntimeError")
    assert [each for each in found if each.error is not None] == [doubtful]
    assert len(found) > 1


def test_a_condition_in_doubt_says_which_it_is() -> None:
    """C-45: by operator and key, as written."""
    statement = {"Effect": "Allow", "Action": "a:B", "Resource": "*", "Condition": {"StringEquals": {KIND: "memo"}}}
    (policy,) = bundle(identity=[{"Version": "2012-10-17", "Statement": statement}]).identity
    (compiled,) = policy.content.statements
    request = AccessRequest(ADA, "a:B", "*", {KIND: failing})
    found = explain_elements(policy, compiled, request, bounded=False)[-1]
    note = "it could not be evaluated: RuntimeError"
    assert found == Element("Condition", False, operator="StringEquals", key=KIND, note=note, error="RuntimeError")


@pytest.mark.parametrize(
    ("statement", "judged"),
    [
        ({"Resource": [DOCUMENT, "arn:aws:docs:*:*:folder/*"]}, [True, False]),
        ({"Resource": [f"arn:aws:docs:*:{A}:document/*", "*"]}, [True, True]),
        ({"Resource": ["arn:aws:docs:*:*:${aws:username}", "arn:aws:docs:*:*:${docs:None}*"]}, [False, False]),
        ({"Resource": ["arn:aws:docs:*:*:${docs:Path, 'document'}/7"]}, [True]),
        ({"NotResource": [DOCUMENT, "arn:aws:docs:*:*:folder/*"]}, [False, True]),
        ({"NotResource": ["arn:aws:docs:*:*:folder/*"]}, [True]),
    ],
)
def test_each_resource_is_judged_alone(statement: dict[str, Any], judged: list[bool]) -> None:
    """M-2, V-9: would the element match if this were its only entry?"""
    found = elements({"Action": "docs:*", **statement}, type="identity")[-1]
    assert [each.matched for each in found.wanted] == judged


def test_each_action_is_judged_alone() -> None:
    """M-2, M-3: in any letter case."""
    for name, judged in [("Action", [True, False]), ("NotAction", [False, True])]:
        found = elements({name: ["DOCS:get*", "docs:Put*"], "Resource": "*"}, type="identity")[0]
        assert [each.matched for each in found.wanted] == judged


# --- who ---------------------------------------------------------------------------------------------------------


BOB = f"arn:aws:iam::{A}:user/bob"


@pytest.mark.parametrize(
    ("names", "bounded", "matched", "judged", "note", "change"),
    [
        (
            [ADA.arn, A, BOB],
            False,
            False,
            [(ADA.arn, True), (A, True), (BOB, False)],
            "the caller is exempt: it is listed, with all that it belongs to",
            "the caller would have to be one that is not exempt",
        ),
        (
            [ADA.arn],
            False,
            True,
            [(ADA.arn, True)],
            "the caller is not exempt: itself and all that it belongs to would have to be listed",
            None,
        ),
        (
            [ADA.arn, A],
            True,
            True,
            [(ADA.arn, True), (A, True)],
            "a caller with a permissions boundary is never exempt",
            None,
        ),
    ],
)
def test_not_principal_says_who_is_exempt_and_who_could_be(
    names: list[str], bounded: bool, matched: bool, judged: list[tuple[str, bool]], note: str, change: str | None
) -> None:
    """E-70 to E-74: each entry alone, the caller's names, and what would have to change."""
    statement = {"Effect": "Deny", "NotPrincipal": {"AWS": names}, "Action": "docs:*"}
    found = elements(statement, bounded=bounded)[0]
    assert (found.name, found.matched, found.note, found.change) == ("NotPrincipal", matched, note, change)
    assert [(each.written, each.matched) for each in found.wanted] == judged
    assert found.seen == (ADA.arn, "AIDAADA", A)


def test_a_principal_of_another_kind_shows_its_kind() -> None:
    """G-40: `AWS` goes without saying."""
    named = {"Service": "s3.amazonaws.com", "AWS": A, "Federated": "idp.example"}
    found = elements({"Principal": named, "Action": "docs:*"})[0]
    written = {each.written: each.matched for each in found.wanted}
    assert written == {"Service: s3.amazonaws.com": False, A: True, "Federated: idp.example": False}


def test_a_principal_element_that_names_nobody_would_have_to_name_the_caller() -> None:
    """G-31."""
    found = elements({"Principal": {}, "Action": "docs:*"})[0]
    assert (found.matched, found.note) == (False, "it names nobody")
    assert found.change == "the statement would have to name the caller"


def test_an_element_that_matches_says_no_more_than_it_must() -> None:
    """What is wanted and what the request has; nothing to note, nothing to change."""
    found = elements({"Action": "docs:*", "Resource": "arn:aws:docs:*"}, type="identity")
    assert found == [
        Element("Action", True, (Wanted("docs:*", True),), ("docs:GetDocument",)),
        Element("Resource", True, (Wanted("arn:aws:docs:*", True),), (DOCUMENT,)),
    ]
