"""Every row of the operator table: the values that meet it, and those that do not."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iam_guard.evaluation.matching.condition import compile_condition
from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy import grammar
from iam_guard.policy.document import LATEST, LEGACY, ConditionTest
from tests.tables import table

ALICE = Principal.from_arn("arn:aws:iam::111122223333:user/alice", userid="AIDAALICE", tags={"team": "red"})
NEGATION = {
    "StringEquals": "StringNotEquals",
    "StringEqualsIgnoreCase": "StringNotEqualsIgnoreCase",
    "StringLike": "StringNotLike",
    "NumericEquals": "NumericNotEquals",
    "DateEquals": "DateNotEquals",
    "IpAddress": "NotIpAddress",
    "ArnEquals": "ArnNotEquals",
    "ArnLike": "ArnNotLike",
}


def is_met(operator: str, policy: list[str] | str, value: Any, *, version: str = LATEST, **more: Any) -> bool:
    values = (policy,) if isinstance(policy, str) else tuple(policy)
    condition = compile_condition(ConditionTest(operator, "docs:Key", values), version)
    return condition(AccessRequest(ALICE, "docs:GetPage", "*", {"docs:Key": value, **more}))


def test_table_has_every_operator() -> None:
    """Rules D.2: one row for each base operator of the language except `Null`."""
    assert set(OPERATORS) == grammar.OPERATORS - {"Null"}
    assert {name for name, row in OPERATORS.items() if row.negated} == set(NEGATION.values())


POSITIVE = [
    # operator, policy value(s), request value, expected
    # C-10: exact, no trimming, no wildcards
    ("StringEquals", "eng", "eng", True),
    ("StringEquals", "eng", "Eng", False),
    ("StringEquals", "eng", "eng ", False),
    ("StringEquals", "e*", "eng", False),
    ("StringEquals", "e*", "e*", True),
    ("StringEquals", "e?g", "eng", False),
    ("StringEquals", "", "", True),
    ("StringEquals", "", "eng", False),
    ("StringEquals", "é", "e\u0301", False),
    ("StringEquals", ["ops", "eng"], "eng", True),
    ("StringEquals", ["ops", "eng"], "hr", False),
    # C-44: simple folding
    ("StringEqualsIgnoreCase", "ENG", "eng", True),
    ("StringEqualsIgnoreCase", "eng", "EnG", True),
    ("StringEqualsIgnoreCase", "eng", "en", False),
    ("StringEqualsIgnoreCase", "É", "é", True),
    ("StringEqualsIgnoreCase", "straße", "STRASSE", False),
    ("StringEqualsIgnoreCase", "straße", "STRAẞE", True),
    ("StringEqualsIgnoreCase", "e*", "eng", False),
    # C-11, C-12
    ("StringLike", "e*", "eng", True),
    ("StringLike", "e*", "Eng", False),
    ("StringLike", "e?g", "eng", True),
    ("StringLike", "e?g", "eg", False),
    ("StringLike", "home/*", "home/a/b:c", True),
    ("StringLike", "home/", "home/a", False),
    ("StringLike", "", "", True),
    ("StringLike", "", "eng", False),
    ("StringLike", "*", "", True),
    ("StringLike", ["a*", "*g"], "eng", True),
    ("StringLike", "eng", "e*", False),  # wildcards of the request are characters
    # C-13
    ("NumericEquals", "2", "2.0", True),
    ("NumericEquals", "+2", "2", True),
    ("NumericEquals", "-0", "0", True),
    ("NumericEquals", "2", 2, True),
    ("NumericEquals", "0.1", 0.1, True),
    ("NumericEquals", "2", "3", False),
    ("NumericEquals", "2", "two", False),
    ("NumericEquals", "two", "two", False),
    ("NumericEquals", "2*", "2", False),
    ("NumericEquals", "2", " 2", False),
    ("NumericEquals", "2", "2\n", False),
    ("NumericEquals", "2", "", False),
    ("NumericEquals", "2", "٢", False),
    ("NumericEquals", "1e2", "100", False),
    ("NumericEquals", "NaN", "NaN", False),
    ("NumericEquals", "Infinity", "Infinity", False),
    ("NumericEquals", ["two", "2"], "2", True),
    ("NumericEquals", "123456789012345678901234567890.1", "123456789012345678901234567890.2", False),
    ("NumericLessThan", "10", "9.99", True),
    ("NumericLessThan", "10", "10", False),
    ("NumericLessThan", "9", "10", False),
    ("NumericLessThan", "10", "-10", True),
    ("NumericLessThan", "ten", "9", False),
    ("NumericLessThanEquals", "10", "10.0", True),
    ("NumericLessThanEquals", "10", "10.1", False),
    ("NumericGreaterThan", "10", "11", True),
    ("NumericGreaterThan", "10", "10", False),
    ("NumericGreaterThanEquals", "10", "10", True),
    ("NumericGreaterThanEquals", "10", "9", False),
    # C-14: the loosest of several bounds
    ("NumericLessThan", ["5", "20"], "10", True),
    ("NumericLessThan", ["20", "5", "ten"], "10", True),
    ("NumericGreaterThan", ["50", "5"], "10", True),
    ("NumericLessThanEquals", ["5", "6"], "7", False),
    # C-15: forms may be mixed
    ("DateEquals", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", True),
    ("DateEquals", "2026-01-01T00:00Z", "2026-01-01T00:00:00Z", True),
    ("DateEquals", "2026-01-01", "2026-01-01T00:00:00Z", True),
    ("DateEquals", "2026-01", "2026-01-01T00:00:00Z", True),
    ("DateEquals", "2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00Z", True),
    ("DateEquals", "2025-12-31T22:30:00-01:30", "2026-01-01T00:00:00Z", True),
    ("DateEquals", "2026-01-01T02:00:00+02", "2026-01-01T00:00:00Z", True),
    ("DateEquals", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z", True),
    ("DateEquals", "2026-01-01t00:00:00z", "2026-01-01T00:00:00Z", True),
    ("DateEquals", "2026-01-01T00:00:00.0Z", "2026-01-01T00:00:00Z", True),
    ("DateEquals", "2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.123456789Z", True),
    ("DateEquals", "2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.123456788Z", False),
    ("DateEquals", "1767225600", "2026-01-01T00:00:00Z", True),
    ("DateEquals", "2026-01-01T00:00:00Z", "1767225600", True),
    ("DateEquals", "2026-01-01T00:00:00.5Z", "1767225600.5", True),
    ("DateEquals", "2026-01-01T00:00:00Z", 1767225600, True),
    ("DateEquals", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00", True),
    ("DateEquals", "2024-02-29", "2024-02-29T00:00:00Z", True),
    # C-16: digits are seconds, never a year
    ("DateEquals", "2026", "2026-01-01T00:00:00Z", False),
    ("DateEquals", "2026", "1970-01-01T00:33:46Z", True),
    # C-17 and what is no date
    ("DateEquals", "2026-*", "2026-01-01", False),
    ("DateEquals", "2026-13", "2026-13", False),
    ("DateEquals", "2025-02-29", "2025-02-29", False),
    ("DateEquals", "0000-01-01", "0-1-1", True),
    ("DateLessThan", "-292275054", "2026-01-01", False),
    ("DateGreaterThan", "-292275054", "2026-01-01", True),
    ("DateGreaterThan", "01T", "2026-01-01", True),
    ("DateEquals", "2026-01-01T24:00:00Z", "2026-01-02", False),
    ("DateEquals", "2026-01-01T00:00:60Z", "2026-01-01T00:01:00Z", False),
    ("DateEquals", "2026-01-01T00Z", "2026-01-01", True),
    ("DateEquals", "2026-01-01 00:00:00Z", "2026-01-01", False),
    ("DateEquals", "2026-01-01Z", "2026-01-01", False),
    ("DateEquals", "20260101T000000Z", "2026-01-01", False),
    ("DateEquals", "2026-W01-1", "2025-12-29", False),
    ("DateEquals", "2026-01-01T00:00:00.1234567890Z", "2026-01-01T00:00:00.123456789Z", False),
    ("DateEquals", "1767225600.5", "1767225600.5", False),  # a fraction of epoch seconds is for requests only
    ("DateEquals", "2026-01-01", "soon", False),
    ("DateEquals", "2026-01-01", "", False),
    ("DateLessThan", "2026-01-01", "2025-12-31T23:59:59.999Z", True),
    ("DateLessThan", "2026-01-01", "2026-01-01T00:00:00Z", False),
    ("DateLessThanEquals", "2026-01-01", "2026-01-01T00:00:00Z", True),
    ("DateLessThanEquals", "2026-01-01", "2026-01-01T00:00:00.1Z", False),
    ("DateGreaterThan", "2026-01-01", "2026-01-01T00:00:00.000000001Z", True),
    ("DateGreaterThan", "2026-01-01", "2026-01-01T00:00:00Z", False),
    ("DateGreaterThanEquals", "2026-01-01", "1767225600", True),
    ("DateGreaterThanEquals", "2026-01-01", "1767225599", False),
    ("DateGreaterThan", "soon", "2026-01-01T00:00:00Z", False),
    # C-18
    ("Bool", "true", "true", True),
    ("Bool", "true", True, True),
    ("Bool", "TRUE", "True", True),
    ("Bool", "false", "false", True),
    ("Bool", "true", "false", False),
    ("Bool", "false", "true", False),
    ("Bool", ["true", "false"], "false", True),
    ("Bool", "yes", "yes", False),
    ("Bool", "true", "1", False),
    ("Bool", "true", "", False),
    # C-19
    ("BinaryEquals", "QUI=", b"AB", True),
    ("BinaryEquals", "QUI=", "QUI=", True),
    ("BinaryEquals", "QUI=", "QUJ=", True),  # the bytes count, not the text
    ("BinaryEquals", "QUI=", b"AC", False),
    ("BinaryEquals", "QUI", "QUI", False),
    ("BinaryEquals", "Q*I=", "Q*I=", False),
    ("BinaryEquals", "é", "é", False),
    ("BinaryEquals", "", b"", True),
    # C-20 to C-24
    ("IpAddress", "203.0.113.7", "203.0.113.7", True),
    ("IpAddress", "203.0.113.7", "203.0.113.8", False),
    ("IpAddress", "203.0.113.0/24", "203.0.113.255", True),
    ("IpAddress", "203.0.113.0/24", "203.0.114.0", False),
    ("IpAddress", "203.0.113.77/24", "203.0.113.1", True),
    ("IpAddress", "0.0.0.0/0", "203.0.113.7", True),
    ("IpAddress", "0.0.0.0/0", "2001:db8::1", False),
    ("IpAddress", "::/0", "203.0.113.7", False),
    ("IpAddress", "::/0", "2001:db8::1", True),
    ("IpAddress", "10.0.0.0/8", "10.1.2.3", True),
    ("IpAddress", "2001:DB8::1", "2001:db8:0:0:0:0:0:1", True),
    ("IpAddress", "2001:db8::1", "2001:db8::2", False),
    ("IpAddress", "2001:db8::/32", "2001:db8:ffff::1", True),
    ("IpAddress", "2001:db8::/32", "2001:db9::1", False),
    ("IpAddress", "203.0.113.7", "::ffff:203.0.113.7", False),
    ("IpAddress", "::ffff:203.0.113.7", "::ffff:203.0.113.7", True),
    ("IpAddress", "::/96", "203.0.113.7", False),
    ("IpAddress", ["198.51.100.0/24", "203.0.113.0/25", "203.0.113.128/25"], "203.0.113.200", True),
    ("IpAddress", ["10.0.0.0/8", "203.0.113.0/24"], "10.1.2.3", True),
    ("IpAddress", ["10.0.0.0/8", "203.0.113.0/24"], "203.0.113.7", True),
    ("IpAddress", ["10.0.0.0/8", "203.0.113.0/24"], "192.0.2.1", False),
    ("IpAddress", ["10.0.0.0/8", "2001:db8::/32"], "2001:db9::1", False),
    ("IpAddress", ["nowhere", "203.0.113.7"], "203.0.113.7", True),
    ("IpAddress", "203.0.113.*", "203.0.113.7", False),
    ("IpAddress", "203.0.113.0/33", "203.0.113.0", False),
    ("IpAddress", "203.0.113.0/-1", "203.0.113.0", False),
    ("IpAddress", "203.0.113.0/", "203.0.113.0", False),
    ("IpAddress", "203.0.113.0/255.255.255.0", "203.0.113.0", False),
    ("IpAddress", "203.0.113.07", "203.0.113.7", False),
    ("IpAddress", "203.0.113", "203.0.113.0", False),
    ("IpAddress", "3405803783", "203.0.113.7", False),
    ("IpAddress", "203.0.113.7", " 203.0.113.7", False),
    ("IpAddress", "203.0.113.7", "nowhere", False),
    ("IpAddress", "203.0.113.7", "", False),
    # C-25 to C-27
    ("ArnEquals", "arn:aws:s3:::b", "arn:aws:s3:::b", True),
    ("ArnEquals", "arn:aws:s3:::b", "arn:aws:s3:::B", False),
    ("ArnEquals", "arn:aws:s3:::b*", "arn:aws:s3:::bucket/k:1", True),
    ("ArnLike", "arn:aws:iam::*:role/x", "arn:aws:iam::111122223333:role/x", True),
    ("ArnLike", "arn:aws:iam::*:role/x", "arn:aws:iam::111122223333:role/y", False),
    ("ArnLike", "arn:aws:sns:*:1:t", "arn:aws:sns:eu:west:1:t", False),
    ("ArnLike", "arn:aws:sns:*:t", "arn:aws:sns:eu:1:t", False),
    ("ArnLike", "arn:aws:sns*:eu:1:t", "arn:aws:sns:x:eu:1:t", False),
    ("ArnLike", "arn:aws:s?s:eu-*-1:1:t", "arn:aws:sns:eu-west-1:1:t", True),
    ("ArnLike", "arn:aws:s?s:eu-*-1:1:t", "arn:aws:sns:eu-west-1:1:u", False),
    ("ArnLike", "arn:aws:sns:?:1:t", "arn:aws:sns:::1:t", False),
    ("ArnLike", "arn:*:*:*:*:*", "arn:aws:s3:::b", True),
    ("ArnLike", "arn:*:*:*:*:*", "b", False),
    ("ArnLike", "*", "arn:aws:s3:::b", False),
    ("ArnLike", "arn:aws:s3*", "arn:aws:s3:::b", False),
    ("ArnLike", "*:*:*:*:*:*", "a:b:c:d:e:f:g", True),
    ("ArnLike", "topic", "topic", False),
    ("ArnLike", ["topic", "arn:aws:s3:::b"], "arn:aws:s3:::b", True),
    ("ArnLike", "", "", False),
    # C-28: a String operator on an ARN compares the whole text
    ("StringLike", "arn:aws:iam::*:x", "arn:aws:iam::1:role:x", True),
]


@table(("operator", "policy", "value", "expected"), POSITIVE)
def test_operator_compares_a_value(operator: str, policy: list[str] | str, value: Any, expected: bool) -> None:
    """Rules C-10 to C-28, C-44, as marked in the table."""
    assert is_met(operator, policy, value) is expected


def _readable(operator: str, policy: list[str] | str, value: Any) -> bool:
    """Return whether both sides are valid, so that the negated form is the opposite."""
    values = [policy] if isinstance(policy, str) else policy
    row = OPERATORS[operator]
    if row.wildcards:
        return row.value(str(value)) is not None
    return row.value(str(value)) is not None and all(row.operand(each) is not None for each in values)


@table(("operator", "policy", "value", "expected"), [row for row in POSITIVE if row[0] in NEGATION])
def test_negated_operator_is_the_opposite(operator: str, policy: list[str] | str, value: Any, expected: bool) -> None:
    """Rules C-2, C-13, C-17, C-27, N-10: NOR; always false if one side is invalid."""
    opposite = not expected if _readable(operator, policy, value) else False
    assert is_met(NEGATION[operator], policy, value) is opposite


@table(
    ("operator", "policy", "value", "expected"),
    [
        ("NumericNotEquals", ["1", "two"], "3", False),  # C-13: one unreadable value spoils the list
        ("NumericNotEquals", "1", "three", False),
        ("DateNotEquals", ["2026-01-01", "soon"], "2025-01-01", False),
        ("DateNotEquals", "2026-01-01", "soon", False),
        ("NotIpAddress", ["10.0.0.0/8", "nowhere"], "203.0.113.7", False),  # N-10
        ("NotIpAddress", "nowhere", "203.0.113.7", False),
        ("NotIpAddress", "10.0.0.0/8", "nowhere", False),
        ("NotIpAddress", "10.0.0.0/8", "2001:db8::1", True),  # C-22
        ("ArnNotEquals", "arn:aws:s3:::b", "b", False),  # C-27: the request's value is no ARN
        ("ArnNotLike", "topic", "arn:aws:s3:::b", True),  # C-27: the policy's value is no ARN
        ("ArnNotLike", "*", "arn:aws:s3:::b", True),
        ("ArnNotLike", ["topic", "arn:aws:s3:::b"], "arn:aws:s3:::b", False),  # passed over in a list
        ("ArnNotLike", ["topic", "arn:aws:s3:::c"], "arn:aws:s3:::b", True),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotLike", ["a*", "b*"], "bc", False),
    ],
)
def test_negated_operator_with_invalid_values_and_lists(
    operator: str, policy: list[str] | str, value: str, expected: bool
) -> None:
    """Rules C-2, C-13, C-17, C-22, C-27, N-10."""
    assert is_met(operator, policy, value) is expected


@table(
    ("operator", "policy", "value", "expected"),
    [
        ("StringEquals", "${aws:username}", "alice", True),
        ("StringEquals", "${aws:username}", "bob", False),
        ("StringEquals", ["x", "${aws:username}"], "alice", True),
        ("StringEquals", ["x", "${docs:Absent}"], "x", True),  # V-11
        ("StringEquals", "${docs:Absent}", "", False),  # V-9
        ("StringNotEquals", "${docs:Absent}", "x", True),  # V-9
        ("StringNotEquals", ["x", "${docs:Absent}"], "x", False),
        ("StringNotEquals", ["x", "${aws:username}"], "alice", False),
        ("StringNotEquals", ["x", "${aws:username}"], "bob", True),
        ("StringEqualsIgnoreCase", "${aws:username}", "ALICE", True),
        ("StringEqualsIgnoreCase", ["x", "${aws:username}"], "X", True),
        ("StringNotEqualsIgnoreCase", ["x", "${aws:username}"], "ALICE", False),
        ("StringNotEqualsIgnoreCase", ["x", "${aws:username}"], "X", False),
        ("StringNotEqualsIgnoreCase", ["x", "${docs:Absent}"], "y", True),
        ("StringLike", "${aws:username}/*", "alice/x", True),
        ("StringLike", "${aws:username}/*", "bob/x", False),
        ("StringLike", "${docs:Star}/?", "*/x", True),
        ("StringLike", "${docs:Star}/?", "a/x", False),  # M-22
        ("StringLike", "a${*}", "a*", True),  # V-14
        ("StringLike", "a${*}", "ab", False),
        ("StringNotLike", ["b*", "${aws:username}*"], "alice2", False),
        ("StringEquals", "${*}", "*", True),
        ("StringEquals", "${docs:Star}${?}", "*?", True),
        ("ArnEquals", "${aws:PrincipalArn}", "arn:aws:iam::111122223333:user/alice", True),
        ("ArnEquals", "${aws:PrincipalArn}", "arn:aws:iam::111122223333:user/bob", False),
        ("ArnLike", "arn:aws:iam::*:user/${aws:username}", "arn:aws:iam::1:user/alice", True),
        ("ArnLike", "arn:aws:iam::*:user/${aws:username}", "arn:aws:iam::1:2:user/alice", False),
        ("ArnLike", "arn:aws:s3:::${docs:Star}", "arn:aws:s3:::b", False),  # M-22
        ("ArnNotLike", ["arn:aws:s3:::b", "arn:aws:iam::*:user/${aws:username}"], "arn:aws:iam::1:user/alice", False),
        ("ArnNotLike", ["arn:aws:s3:::b", "${docs:Absent}"], "arn:aws:s3:::c", True),
        ("ArnNotLike", ["arn:aws:s3:::b", "${docs:Absent}"], "c", False),
        ("Bool", "${docs:Flag}", "true", True),  # V-5
        ("Bool", "${docs:Flag}", "false", False),
        ("NumericEquals", "${docs:Count}", "3", False),  # V-5: no variables
        ("NumericNotEquals", "${docs:Count}", "4", False),
        ("DateEquals", "${docs:Date}", "2026-01-01", False),
        ("BinaryEquals", "${docs:Binary}", "QUI=", False),
        ("IpAddress", "${docs:Ip}", "203.0.113.7", False),
        ("NotIpAddress", "${docs:Ip}", "203.0.113.8", False),
    ],
)
def test_variables_in_condition_values(operator: str, policy: list[str] | str, value: str, expected: bool) -> None:
    """Rules V-3, V-5, V-9, V-11, V-14, M-22, as marked in the table."""
    more = {
        "docs:Star": "*",
        "docs:Flag": "true",
        "docs:Count": "3",
        "docs:Date": "2026-01-01",
        "docs:Binary": "QUI=",
        "docs:Ip": "203.0.113.7",
    }
    assert is_met(operator, policy, value, **more) is expected


@table("operator", ["StringEquals", "StringEqualsIgnoreCase", "StringLike"])
def test_old_version_compares_variables_as_text(operator: str) -> None:
    """Rules V-2, G-5."""
    assert is_met(operator, "${aws:username}", "${aws:username}", version=LEGACY)
    assert not is_met(operator, "${aws:username}", "alice", version=LEGACY)


texts = st.one_of(
    st.sampled_from(["", "a", "b", "A", "a*", "?", "${aws:username}", "alice", "1", "1.0", "-3", "true", "False"]),
    st.sampled_from(["2026-01-01", "2026-01-01T00:00:00Z", "1767225600", "QUI=", "203.0.113.7", "203.0.113.0/24"]),
    st.sampled_from(["arn:aws:s3:::b", "arn:aws:s3:::*", "arn:*:s3:::b", "arn:aws:iam::1:user/${aws:username}", "::1"]),
    st.text(max_size=5),
)


@given(operator=st.sampled_from(sorted(NEGATION)), policy=st.lists(texts, min_size=1, max_size=4), value=texts)
def test_positive_and_negated_are_never_both_met(operator: str, policy: list[str], value: str) -> None:
    """Rules C-2, C-13: if neither is met, one side is invalid."""
    positive, negated = is_met(operator, policy, value), is_met(NEGATION[operator], policy, value)
    assert not (positive and negated)
    if not positive and not negated:
        assert not _readable(operator, policy, value)


@given(operator=st.sampled_from(sorted(OPERATORS)), policy=st.lists(texts, min_size=1, max_size=5), value=texts)
def test_order_of_values_is_irrelevant(operator: str, policy: list[str], value: str) -> None:
    """Rules C-1, C-2: OR and NOR have no order, and repeated values do not count."""
    shuffled = random.Random(0).sample(policy, len(policy))
    assert is_met(operator, policy, value) is is_met(operator, [*shuffled, *policy], value)


@given(operator=st.sampled_from(sorted(OPERATORS)), policy=st.lists(st.text(), min_size=1, max_size=3), value=st.text())
def test_comparison_never_raises(operator: str, policy: list[str], value: str) -> None:
    """Rule C-45: for any texts of policy and request, with the same result each time."""
    assert is_met(operator, policy, value) is is_met(operator, policy, value)


@table("operator", sorted(OPERATORS))
def test_long_texts_do_not_raise(operator: str) -> None:
    """Rule C-45: numbers of many digits, long dates and addresses are parsed or invalid."""
    for value in ("9" * 20_000, "1" * 20_000 + ".5", "2026-01-01T" * 500, ":" * 5_000, "1." * 5_000, "A" * 20_001):
        assert is_met(operator, [value], value) in (True, False)
