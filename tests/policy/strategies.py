"""Hypothesis strategies for policy documents as decoded JSON: every type, scalar and list forms (rule G-14).

`documents(type)` draws documents that `parse` accepts; `json_values()` draws any JSON value.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from iam_guard.model.decision import PolicyType
from iam_guard.policy.grammar import (
    OPERATORS,
    RESOURCE_IS_OPTIONAL,
    SET_PREFIXES,
    WITH_ID,
    WITH_PRINCIPAL,
    WITH_SHORT_ARNS,
    WITHOUT_RESOURCE,
)

WORDS = st.sampled_from(["Get", "Put", "*", "?", "List*", "a/b", "ä", "${aws:username}", "it's", '"', "\\", "\u2028"])
NAMES = st.lists(WORDS, max_size=4).map("".join)
PREFIXES = st.sampled_from(["s3", "iam", "docs", "execute-api", "a.b"])
ACTIONS = st.just("*") | st.builds(lambda prefix, name: f"{prefix}:{name.replace(':', '')}", PREFIXES, NAMES)
ARNS = st.builds(lambda service, rest: f"arn:aws:{service}:*:111122223333:{rest}", PREFIXES, NAMES)
SHORT_ARNS = st.sampled_from(["arn:aws:sqs", "arn:aws:ec2:*:instance/*", "arn:aws"])
KEYS = st.sampled_from(["aws:SourceIp", "aws:PrincipalTag/Team", "docs:Owner", "accounts.google.com:aud", "s3:prefix"])
ACCOUNTS = st.sampled_from(["*", "111122223333", "arn:aws:iam::111122223333:role/ops", "AIDAEXAMPLE"])
NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = NAMES | NUMBERS | st.booleans()


def scalar_or_list(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw one item or a list of them."""
    return items | st.lists(items, max_size=3)


def operators() -> st.SearchStrategy[str]:
    """Draw an operator name in any of its valid forms."""
    plain = st.sampled_from(sorted(OPERATORS))
    suffixed = st.sampled_from(sorted(OPERATORS - {"Null"})).map(lambda base: base + "IfExists")
    prefixes = st.sampled_from(["", *(f"{each}:" for each in SET_PREFIXES)])
    return st.builds(lambda prefix, rest: prefix + rest, prefixes, plain | suffixed)


def conditions() -> st.SearchStrategy[dict[str, Any]]:
    """Draw a `Condition` element."""
    block = st.dictionaries(KEYS, scalar_or_list(SCALARS), max_size=2)
    return st.dictionaries(operators(), block, max_size=2)


def principals() -> st.SearchStrategy[Any]:
    """Draw a `Principal` element."""
    services = scalar_or_list(st.sampled_from(["events.amazonaws.com", "tickets.internal"]))
    kinds = st.fixed_dictionaries({}, optional={"AWS": scalar_or_list(ACCOUNTS), "Service": services})
    return st.just("*") | kinds


@st.composite
def statements(draw: st.DrawFn, type: PolicyType) -> dict[str, Any]:
    """Draw a statement that a policy of the type accepts."""
    effect = draw(st.sampled_from(["Allow", "Deny"]))
    statement: dict[str, Any] = {"Effect": effect}
    if draw(st.booleans()):
        statement["Sid"] = draw(NAMES)
    if type in WITH_PRINCIPAL and draw(st.booleans()):
        may_negate = effect == "Deny" and type is not PolicyType.TRUST
        statement[draw(st.sampled_from(["Principal", "NotPrincipal"] if may_negate else ["Principal"]))] = draw(
            principals()
        )
    statement[draw(st.sampled_from(["Action", "NotAction"]))] = draw(scalar_or_list(ACTIONS))
    if type not in WITHOUT_RESOURCE and (type not in RESOURCE_IS_OPTIONAL or draw(st.booleans())):
        resources = st.just("*") | ARNS | SHORT_ARNS if type in WITH_SHORT_ARNS else st.just("*") | ARNS
        statement[draw(st.sampled_from(["Resource", "NotResource"]))] = draw(scalar_or_list(resources))
    if draw(st.booleans()):
        statement["Condition"] = draw(conditions())
    return statement


@st.composite
def documents(draw: st.DrawFn, type: PolicyType = PolicyType.IDENTITY) -> dict[str, Any]:
    """Draw a document that `parse` accepts for the type."""
    document: dict[str, Any] = {}
    if draw(st.booleans()):
        document["Version"] = draw(st.sampled_from(["2012-10-17", "2008-10-17"]))
    if type in WITH_ID and draw(st.booleans()):
        document["Id"] = draw(NAMES)
    document["Statement"] = draw(scalar_or_list(statements(type)))
    return document


def json_values() -> st.SearchStrategy[Any]:
    """Draw any JSON value of moderate depth."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    return st.recursive(
        st.none() | st.booleans() | NUMBERS | text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=12,
    )
