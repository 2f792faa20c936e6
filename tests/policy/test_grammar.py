from __future__ import annotations

import json
from typing import Any

import pytest

from iam_guard.errors import PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.grammar import (
    DOCUMENT_ELEMENTS,
    EXCLUSIVE_ELEMENTS,
    OPERATORS,
    SET_PREFIXES,
    STATEMENT_ELEMENTS,
    USES,
    WITH_PRINCIPAL,
    WITHOUT_RESOURCE,
    OperatorName,
    Use,
    quoted,
    shown,
    split_operator,
)
from iam_guard.policy.parser import parse
from tests.policy.findings import check
from tests.tables import table

# --- A.3 ---------------------------------------------------------------------------------------------------------

ACCOUNT = {"AWS": "111122223333"}
GOOD = {
    "Version": "2012-10-17",
    "Id": "x",
    "Sid": "S",
    "Effect": "Allow",
    "Principal": ACCOUNT,
    "NotPrincipal": ACCOUNT,
    "Action": "sts:AssumeRole",
    "NotAction": "sts:GetCallerIdentity",
    "Resource": "*",
    "NotResource": "arn:aws:s3:::b",
    "Condition": {"Bool": {"aws:SecureTransport": "true"}},
}
PARTNERS = {one: other for pair in EXCLUSIVE_ELEMENTS for one, other in (pair, pair[::-1])}


def is_good(type: PolicyType, **changes: Any) -> bool:
    """Return whether a valid document of the type, with some elements changed (None: removed), has no error."""
    statement = {"Effect": "Allow", "Action": GOOD["Action"]}
    statement |= {} if type in WITHOUT_RESOURCE else {"Resource": "*"}
    statement |= {"Principal": ACCOUNT} if type in WITH_PRINCIPAL else {}
    statement |= {"Principal": "*", "Effect": "Deny"} if type is PolicyType.RCP else {}
    document: dict[str, Any] = {"Version": "2012-10-17", "Statement": statement}
    for name, value in changes.items():
        part = document if name in DOCUMENT_ELEMENTS else statement
        part |= {name: value}
        if value is None:
            del part[name]
    try:
        return not [finding for finding in check(parse(json.dumps(document), type)) if finding.level == "ERROR"]
    except PolicyError:
        return False


def test_table_covers_every_element_and_type() -> None:
    """G-1, G-20: the table of A.3 is complete."""
    assert USES.keys() == (DOCUMENT_ELEMENTS - {"Statement"}) | STATEMENT_ELEMENTS
    assert all(list(uses) == list(PolicyType) for uses in USES.values())


@table("type", PolicyType)
@table("name", USES)
def test_checks_enforce_the_table(name: str, type: PolicyType) -> None:
    """A.3, G-21 to G-23, G-30 to G-37: `parse` or a check of level ERROR enforces each cell."""
    use = USES[name][type]
    partner = {PARTNERS[name]: None} if name in PARTNERS and PARTNERS[name] in valid_elements(type) else {}
    with_element = {**partner, name: GOOD[name]}
    absent = {**partner, name: None} if name in valid_elements(type) else partner
    assert is_good(type)
    match use:
        case Use.OPTIONAL:
            assert is_good(type, **with_element)
            assert is_good(type, **absent)
        case Use.REQUIRED | Use.EITHER:
            assert is_good(type, **with_element)
            assert not is_good(type, **absent)
        case Use.DENY:
            assert is_good(type, **{**with_element, "Effect": "Deny"})
            assert not is_good(type, **{**with_element, "Effect": "Allow"})
        case Use.ANY_PRINCIPAL:
            assert is_good(type, **{name: "*"})
            assert not is_good(type, **with_element)
            assert not is_good(type, **absent)
        case Use.LATEST:
            assert is_good(type, **with_element)
            assert not is_good(type, **{name: "2008-10-17"})
            assert not is_good(type, **absent)
        case Use.PROHIBITED:
            assert not is_good(type, **with_element)


def valid_elements(type: PolicyType) -> set[str]:
    """Return the elements of the valid document of `is_good`."""
    principal = {"Principal"} if type in WITH_PRINCIPAL else set()
    resource = set() if type in WITHOUT_RESOURCE else {"Resource"}
    return {"Version", "Effect", "Action"} | principal | resource


# --- D -----------------------------------------------------------------------------------------------------------


@table(
    ("name", "expected"),
    [
        ("StringEquals", OperatorName("StringEquals")),
        ("StringNotEqualsIgnoreCaseIfExists", OperatorName("StringNotEqualsIgnoreCase", None, True)),
        ("ForAllValues:ArnLike", OperatorName("ArnLike", "ForAllValues")),
        ("ForAnyValue:NotIpAddressIfExists", OperatorName("NotIpAddress", "ForAnyValue", True)),
        ("Null", OperatorName("Null")),
        ("ForAnyValue:Null", OperatorName("Null", "ForAnyValue")),
    ],
)
def test_operator_name_is_split_and_joined(name: str, expected: OperatorName) -> None:
    """C-30, C-34, C-35: base, set prefix and suffix; and back."""
    assert split_operator(name) == expected
    assert str(expected) == name


def test_each_operator_but_null_has_six_forms() -> None:
    """C-30, C-35."""
    assert len(OPERATORS) == 27
    for base in OPERATORS - {"Null"}:
        for prefix in ("", *(f"{each}:" for each in SET_PREFIXES)):
            assert split_operator(prefix + base).base == base
            assert split_operator(prefix + base + "IfExists").if_exists


@table(
    "name",
    [
        *("", "stringEquals", "STRINGEQUALS", "StringEquals ", "ForAllValues:", "forallvalues:StringEquals"),
        *("IfExists", "StringEqualsIfexists", "StringEqualsIfExistsIfExists", "IfExistsStringEquals"),
        *("ForAllValues:ForAnyValue:StringEquals", "ForAllValues: StringEquals"),
        *("BoolEquals", "StringLikeIgnoreCase", "DateNotLessThan"),
    ],
)
def test_unknown_operator_is_refused(name: str) -> None:
    """G-66, C-12: names are case-sensitive."""
    with pytest.raises(PolicyError) as refused:
        split_operator(name)
    assert refused.value.finding == "INVALID_CONDITION_OPERATOR"
    assert f"`{name}`" in refused.value.message


@table(
    ("name", "suggestion"),
    [
        ("StringEqual", ", did you mean `StringEquals`?"),
        ("stringlike", ", did you mean `StringLike`?"),
        ("forallvalues:StringEquals", ", did you mean `ForAllValues:StringEquals`?"),
        ("IpAdress", ", did you mean `IpAddress`?"),
        ("Whatever", ""),
        ("StringEquals" * 1000, ""),
    ],
)
def test_misspelled_operator_error_suggests_the_nearest_one(name: str, suggestion: str) -> None:
    """Only for a typo; letter case counts."""
    with pytest.raises(PolicyError) as refused:
        split_operator(name)
    assert refused.value.message.partition("`")[2].partition("`")[2] == suggestion


@table("name", ["NullIfExists", "ForAllValues:NullIfExists", "ForAnyValue:NullIfExists"])
def test_null_takes_no_if_exists(name: str) -> None:
    """C-30."""
    with pytest.raises(PolicyError) as refused:
        split_operator(name)
    assert refused.value.finding == "NULL_WITH_IF_EXISTS"


def test_quoted_text_is_short_and_has_no_control_characters() -> None:
    """Messages contain no line break and nothing that a terminal or XML interprets."""
    assert quoted("a\nb\x1b[31m\u202e") == r"`a\u000ab\u001b[31m\u202e`"
    assert quoted("x" * 500) == "`" + "x" * 100 + "…`"
    assert shown("x" * 500) == "x" * 500
