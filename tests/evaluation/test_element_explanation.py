"""The elements of an explained statement: which are shown, the result of each entry, and errors."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard import AccessRequest, Principal
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.element_explanation import explain_elements
from iam_guard.evaluation.explanation import Element, ExplainedEntry
from iam_guard.evaluation.matching.statement import CompiledStatement
from tests.tables import table

A = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{A}:user/ada", userid="AIDAADA")
DOCUMENT = f"arn:aws:docs:us-east-1:{A}:document/7"
KIND = "docs:Kind"


def elements(
    statement: dict[str, Any], *, type: str = "resource", bounded: bool = False, breaking: str | None = None
) -> list[Element]:
    """Explain one statement; `breaking` is the matcher that raises."""
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}
    documents: dict[str, Any] = {type: [document] if type == "identity" else document}
    policies = bundle(**documents)
    (policy,) = getattr(policies, type)
    (compiled,) = policy.content.statements
    request = AccessRequest(ADA, "docs:GetDocument", DOCUMENT, {KIND: "memo"})
    with pytest.MonkeyPatch.context() as patch:  # compiled statements are shared
        if breaking is not None:
            patch.setitem(vars(compiled), breaking, failing)
        return list(explain_elements(policy, compiled, request, bounded=bounded))


def failing(*_: object) -> Any:
    raise RuntimeError("a fault in the evaluator, with a caller's value in it")


@table(
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
    """M-1: each present element, matched or not; an absent one is omitted (M-26)."""
    assert [element.name for element in elements(statement)] == shown


def test_identity_based_statement_has_no_principal() -> None:
    """G-31: its caller is the one it is attached to."""
    found = elements({"Action": "docs:*", "Resource": "*"}, type="identity")
    assert [each.name for each in found] == ["Action", "Resource"]


@table(
    ("breaking", "statement", "name"),
    [
        (CompiledStatement.principal_match.__name__, {"Principal": "*", "Action": "a:B"}, "Principal"),
        (
            CompiledStatement.principal_match.__name__,
            {"Effect": "Deny", "NotPrincipal": {"AWS": A}, "Action": "a:B"},
            "NotPrincipal",
        ),
        ("matches_action", {"Principal": "*", "Action": "a:B"}, "Action"),
        ("matches_action", {"Principal": "*", "NotAction": "a:B"}, "NotAction"),
        ("matches_resource", {"Principal": "*", "Action": "a:B", "Resource": "*"}, "Resource"),
        ("matches_resource", {"Principal": "*", "Action": "a:B", "NotResource": "*"}, "NotResource"),
    ],
)
def test_element_with_an_error_reports_its_class(breaking: str, statement: dict[str, Any], name: str) -> None:
    """C-45: it does not match, only the class of the error is reported, and other elements are explained."""
    found = elements(statement, breaking=breaking)
    failed = Element(name, False, note="it could not be evaluated: RuntimeError", error="RuntimeError")
    assert [each for each in found if each.error is not None] == [failed]
    assert len(found) > 1


def test_condition_with_an_error_reports_operator_and_key() -> None:
    """C-45: by operator and key, as written."""
    statement = {"Effect": "Allow", "Action": "a:B", "Resource": "*", "Condition": {"StringEquals": {KIND: "memo"}}}
    (policy,) = bundle(identity=[{"Version": "2012-10-17", "Statement": statement}]).identity
    (compiled,) = policy.content.statements
    request = AccessRequest(ADA, "a:B", "*", {KIND: failing})
    found = explain_elements(policy, compiled, request, bounded=False)[-1]
    note = "it could not be evaluated: RuntimeError"
    assert found == Element("Condition", False, operator="StringEquals", key=KIND, note=note, error="RuntimeError")


@table(
    ("statement", "results"),
    [
        ({"Resource": [DOCUMENT, "arn:aws:docs:*:*:folder/*"]}, [True, False]),
        ({"Resource": [f"arn:aws:docs:*:{A}:document/*", "*"]}, [True, True]),
        ({"Resource": ["arn:aws:docs:*:*:${aws:username}", "arn:aws:docs:*:*:${docs:None}*"]}, [False, False]),
        ({"Resource": ["arn:aws:docs:*:*:${docs:Path, 'document'}/7"]}, [True]),
        ({"NotResource": [DOCUMENT, "arn:aws:docs:*:*:folder/*"]}, [False, True]),
        ({"NotResource": ["arn:aws:docs:*:*:folder/*"]}, [True]),
    ],
)
def test_each_resource_entry_has_its_own_result(statement: dict[str, Any], results: list[bool]) -> None:
    """M-2, V-9: would the element match if this were its only entry?"""
    found = elements({"Action": "docs:*", **statement}, type="identity")[-1]
    assert [each.matched for each in found.wanted] == results


def test_each_action_entry_has_its_own_result() -> None:
    """M-2, M-3: in any letter case."""
    for name, results in [("Action", [True, False]), ("NotAction", [False, True])]:
        found = elements({name: ["DOCS:get*", "docs:Put*"], "Resource": "*"}, type="identity")[0]
        assert [each.matched for each in found.wanted] == results


# --- who ---------------------------------------------------------------------------------------------------------


BOB = f"arn:aws:iam::{A}:user/bob"


@table(
    ("names", "bounded", "matched", "results", "note", "change"),
    [
        (
            [ADA.arn, A, BOB],
            False,
            False,
            [(ADA.arn, True), (A, True), (BOB, False)],
            "the caller is exempt: it is listed, and so is everything that it belongs to",
            "the caller would have to be one that is not exempt",
        ),
        (
            [ADA.arn],
            False,
            True,
            [(ADA.arn, True)],
            "the caller is not exempt: the list would need the caller and everything that it belongs to",
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
def test_not_principal_explains_exemptions(
    names: list[str], bounded: bool, matched: bool, results: list[tuple[str, bool]], note: str, change: str | None
) -> None:
    """E-70 to E-74: each entry, the caller's names, and the required change."""
    statement = {"Effect": "Deny", "NotPrincipal": {"AWS": names}, "Action": "docs:*"}
    found = elements(statement, bounded=bounded)[0]
    assert (found.name, found.matched, found.note, found.change) == ("NotPrincipal", matched, note, change)
    assert [(each.written, each.matched) for each in found.wanted] == results
    assert found.seen == (ADA.arn, "AIDAADA", A)


def test_principal_of_another_kind_shows_its_kind() -> None:
    """G-40: `AWS` is omitted."""
    named = {"Service": "s3.amazonaws.com", "AWS": A, "Federated": "idp.example"}
    found = elements({"Principal": named, "Action": "docs:*"})[0]
    written = {each.written: each.matched for each in found.wanted}
    assert written == {"Service: s3.amazonaws.com": False, A: True, "Federated: idp.example": False}


def test_empty_principal_would_have_to_name_the_caller() -> None:
    """G-31."""
    found = elements({"Principal": {}, "Action": "docs:*"})[0]
    assert (found.matched, found.note) == (False, "it names no principal")
    assert found.change == "the statement would have to name the caller"


def test_matching_element_has_no_note_or_change() -> None:
    """Only the entries and the request's value."""
    found = elements({"Action": "docs:*", "Resource": "arn:aws:docs:*"}, type="identity")
    assert found == [
        Element("Action", True, (ExplainedEntry("docs:*", True),), ("docs:GetDocument",)),
        Element("Resource", True, (ExplainedEntry("arn:aws:docs:*", True),), (DOCUMENT,)),
    ]
