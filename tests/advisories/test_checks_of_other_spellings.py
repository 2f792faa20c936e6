"""Advisory: checks that knew one spelling of a value.

`IpAddress` compares addresses, `DateEquals` instants and `StringEqualsIgnoreCase` folded letters, and a value may be
written in several ways: `::1` is `0:0:0:0:0:0:0:1`, and σ has the forms ς and Σ. The checks tried only the spelling of
the policies, and no date before 1970. So a policy that newly allows a value in another spelling passed
`no-new-access`, and a Deny of it counted as dead. The values that a check tries now have every spelling that a
condition of the policies distinguishes.
"""

from __future__ import annotations

from typing import Any

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.checks.dead_statements import check_dead_statements
from iam_guard.analysis.checks.judged_policies import judge
from iam_guard.analysis.checks.policy_checks import check_no_new_access, compiled_policy
from iam_guard.model.decision import PolicyType
from tests.tables import table

KEY = "docs:Value"
FIRST = "0.0.0.0"  # noqa: S104  a value of a policy
CASES: dict[str, tuple[dict[str, list[str]], dict[str, list[str]]]] = {
    "address": ({"StringEquals": ["::1"]}, {"IpAddress": ["::1"]}),
    "address in two spellings": ({"StringEquals": ["::1", "0:0:0:0:0:0:0:1"]}, {"IpAddress": ["::1/128"]}),
    "address in any case": ({"StringEqualsIgnoreCase": ["2001:DB8::A"]}, {"IpAddress": ["2001:db8::a"]}),
    "mapped address": ({"StringEquals": ["::ffff:10.0.0.1"]}, {"IpAddress": ["::ffff:a00:1"]}),
    "address with many neighbours": (
        {"StringEquals": [f"10.0.0.{octet}" for octet in range(20)]},
        {"IpAddress": ["10.0.0.0/27"]},
    ),
    "address with the first as a text": ({"StringEquals": [FIRST]}, {"IpAddress": [f"{FIRST}/31"]}),
    "fraction of a second before 1970": (
        {"DateEquals": ["1969-12-31T23:59:58.000000000Z", "1969-12-31T23:59:59Z"]},
        {"DateGreaterThanEquals": ["1969-12-31T23:59:58Z"], "DateLessThanEquals": ["1969-12-31T23:59:59Z"]},
    ),
    "fraction of nine digits before 1970": (
        {"DateEquals": ["1960-01-01T00:00:00.000000001Z", "1960-01-01T00:00:01Z"]},
        {"DateGreaterThanEquals": ["1960-01-01T00:00:00.000000001Z"], "DateLessThanEquals": ["1960-01-01T00:00:01Z"]},
    ),
    "day": ({"StringEquals": ["2026-01-01"]}, {"DateEquals": ["2026-01-01"]}),
    "time of another zone": ({"StringEqualsIgnoreCase": ["2026-01-01T00:00:00Z"]}, {"DateEquals": ["2026-01-01"]}),
    "epoch seconds": ({"NumericEquals": ["1767225600"]}, {"DateEquals": ["1767225600"]}),
    "date that is no number": ({"NumericGreaterThan": ["0"]}, {"DateGreaterThan": ["1970-01-01T00:00:00Z"]}),
    "epoch seconds among negative numbers": (
        {"NumericEquals": ["-5", "1"]},
        {"DateGreaterThan": ["1960-01-01"], "NumericLessThanEquals": ["1"]},
    ),
    "zero that is no year": (
        {"NumericEquals": ["-0"], "DateLessThan": ["1960-01-01"]},
        {"NumericEquals": ["-0"]},
    ),
    "year that is a number": (
        {"NumericLessThan": ["-2000"]},
        {"DateLessThan": ["-1000-01-01T00:00:00Z"], "NumericLessThan": ["-500"]},
    ),
    "date before 1970": ({"DateEquals": ["1969-12-31T23:59:58Z"]}, {"DateLessThan": ["1969-12-31T23:59:59Z"]}),
    "between dates before 1970": (
        {"DateEquals": ["1960-01-01", "1950-01-01"]},
        {"DateGreaterThanEquals": ["1950-01-01"], "DateLessThanEquals": ["1960-01-01"]},
    ),
    "date before the year 1": ({"DateEquals": ["-0044-03-15"]}, {"DateLessThanEquals": ["-0044-03-15"]}),
    "sigma": ({"StringEquals": ["σ", "Σ"]}, {"StringEqualsIgnoreCase": ["σ"]}),
    "omega": ({"StringEquals": ["ω", "Ω"]}, {"StringEqualsIgnoreCase": ["Ω"]}),
    "theta": ({"StringEquals": ["θ", "Θ", "ϑ"]}, {"StringEqualsIgnoreCase": ["θ"]}),
    "long s": ({"StringEquals": ["s", "S"]}, {"StringEqualsIgnoreCase": ["s"]}),
    "Kelvin": ({"StringEquals": ["k", "K"]}, {"StringEqualsIgnoreCase": ["K"]}),
    "sharp s": ({"StringEquals": ["ß"]}, {"StringEqualsIgnoreCase": ["ß"]}),
    "iota below": ({"StringEquals": ["ᾀ"]}, {"StringEqualsIgnoreCase": ["ᾀ"]}),
    "two letters": (
        {"StringEquals": ["sk", "sK", "s\u212a", "Sk", "SK", "S\u212a", "\u017fk", "\u017fK"]},
        {"StringEqualsIgnoreCase": ["sk"]},
    ),
    "folded, and no boolean": ({"Bool": ["false"]}, {"StringEqualsIgnoreCase": ["false"]}),
    "boolean": ({"StringEquals": ["true", "True", "TRUE"]}, {"Bool": ["true"]}),
    "number": ({"StringEquals": ["1", "1.0", "+1", "01"]}, {"NumericEquals": ["1"]}),
    "zero": ({"StringEquals": ["0", "-0", "+0", "0.0", "-0.0"]}, {"NumericEquals": ["0"]}),
    "bytes beside the empty text": ({"BinaryEquals": [""]}, {"BinaryEquals": ["", "YQ=="]}),
    "bytes": ({"StringEquals": ["YQ=="]}, {"BinaryEquals": ["YQ=="]}),
}


def allow(conditions: dict[str, list[str]]) -> dict[str, Any]:
    condition = {operator: {KEY: values} for operator, values in conditions.items()}
    return {"Effect": "Allow", "Action": "docs:Get", "Resource": "*", "Condition": condition}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [*statements]}


@table("case", CASES)
def test_other_spelling_is_new_access(case: str) -> None:
    narrow, wide = (policy(allow(conditions)) for conditions in CASES[case])
    result = check_no_new_access(narrow, wide, PolicyType.IDENTITY)
    assert result.verdict is CheckVerdict.FAIL
    assert result.witness is not None
    allows = [judge(compiled_policy(document, PolicyType.IDENTITY))(result.witness) for document in (narrow, wide)]
    assert allows == [False, True]


@table("case", CASES)
def test_deny_of_other_spellings_is_alive(case: str) -> None:
    """Also if a Deny of the spellings that the policy has is left."""
    denies = [{**allow(conditions), "Effect": "Deny"} for conditions in CASES[case]]
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    found = check_dead_statements(policy(everything, *denies), PolicyType.IDENTITY)
    assert 2 not in [part.statement_index for part in found.parts if not part.path]


WITNESSES = {
    "below": ("DateLessThan", "2026-01-01T00:00:00Z", "2025-12-31T23:59:59Z"),
    "at": ("DateLessThanEquals", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    "above": ("DateGreaterThan", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
    "below a day": ("DateLessThan", "2026-01-01", "2025-12-31T23:59:59Z"),
    "below epoch seconds": ("DateLessThan", "1767225600", "1767225599"),
    "below a fraction": ("DateLessThan", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00Z"),
}


@table("case", WITNESSES)
def test_witness_is_a_second_from_the_bound(case: str) -> None:
    operator, bound, value = WITNESSES[case]
    key = "aws:CurrentTime"
    condition = {operator: {key: bound}, "Null": {key: "false"}}
    document = policy({"Effect": "Allow", "Action": "docs:Get", "Resource": "*", "Condition": condition})
    nothing = policy({"Effect": "Deny", "Action": "docs:Get", "Resource": "*"})
    result = check_no_new_access(nothing, document, PolicyType.IDENTITY)
    assert result.witness is not None
    assert dict(result.witness.context) == {"aws:currenttime": value}
