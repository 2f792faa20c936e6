"""All managed policies of AWS in moto's edition: each is parsed, rendered, checked, compiled and evaluated.

The last test compares the counts with `docs/explanation/real-policies.md`.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

from iam_guard.errors import LimitExceeded, PolicyError
from iam_guard.evaluation.authorizer import Authorizer, compile_policies
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import ConditionTest, Document, Effect, Statement
from iam_guard.policy.grammar import OPERATORS, split_operator
from iam_guard.policy.parser import parse
from iam_guard.policy.quota import MANAGED, RAW_LIMIT
from iam_guard.policy.renderer import render
from iam_guard.policy.saving import validate_for_write
from tests.policy.findings import check

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "real-policies.md"

EXPLAINED = {
    ("AmazonTimestreamInfluxDBServiceRolePolicy", "VARIABLE_UNSUPPORTED_IN_ELEMENT", "/Statement/8/Resource"): (
        "a variable in the account field means nothing (V-4): AWS's own mistake"
    ),
}
"""The findings of level ERROR, all of them, and why AWS's own policies have them."""

TOO_LONG = {"AWSSupportServiceRolePolicy"}  # G-74 limits what customers send, not what AWS keeps


@cache
def policies() -> dict[str, dict[str, Any]]:
    """Return all documents by name, decoded."""
    return {name: each["Document"] for name, each in json.loads(aws_managed_policies_data).items()}


@cache
def read() -> dict[str, Document]:
    """Parse all documents from text."""
    return {name: parse(json.dumps(document, indent=2)) for name, document in policies().items()}


def statements() -> Iterator[Statement]:
    for document in read().values():
        yield from document.statements


# --- reading, checking, writing ----------------------------------------------------------------------------------


def test_managed_policies_are_accepted() -> None:
    """G-10 to G-67: `parse` accepts every managed policy."""
    assert len(policies()) > 1500
    assert read().keys() == policies().keys()
    assert sum(1 for _ in statements()) == sum(len(_listed(policy["Statement"])) for policy in policies().values())


def test_managed_policies_have_one_known_error_finding() -> None:
    """AA-21: only one statement of all policies has a finding of level ERROR."""
    found = {
        (name, finding.code, finding.place)
        for name, document in read().items()
        for finding in check(document)
        if finding.level == "ERROR"
    }
    assert found == EXPLAINED.keys()


def test_managed_policies_survive_parse_and_render() -> None:
    """G-7, G-14: rendering returns the source JSON in normal form, and parsing it again returns an equal policy."""
    changed = []
    for name, document in read().items():
        rendered = render(document)
        again = parse(rendered)
        if rendered != _normal(policies()[name]) or _meaning(again) != _meaning(document):
            changed.append(name)
    assert changed == []


def test_managed_policies_pass_a_write_except_for_size() -> None:
    """G-13, G-70, G-74: a write refuses a copy of a managed policy for its size only."""
    refused = {}
    for name, document in policies().items():
        text = json.dumps(document)
        try:
            validate_for_write(text, PolicyType.IDENTITY, managed=True)
        except LimitExceeded:
            assert MANAGED.size(text) > 6144
        except PolicyError as error:
            refused[name] = error.message
    assert refused.keys() == TOO_LONG, refused
    assert all(f"at most {RAW_LIMIT} characters" in message for message in refused.values())


def _normal(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document in the normal form of `render`: statements in a list, one-element lists as scalars (G-15)."""
    return {**document, "Statement": [_scalars(each) for each in _listed(document["Statement"])]}


def _scalars(value: Any) -> Any:
    match value:
        case dict():
            return {key: _scalars(each) for key, each in value.items()}
        case [only]:
            return _scalars(only)
        case bool():
            return json.dumps(value)
        case _:
            return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _meaning(document: Document) -> list[Statement]:
    return [replace(statement, position=None) for statement in document.statements]


# --- deciding ----------------------------------------------------------------------------------------------------

ACCOUNT = "111122223333"
ME = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada")
SOMETHING = "x"  # the replacement of a wildcard or a variable
_VARIABLE = re.compile(r"\$\{([^*?$}][^}]*)\}")
_TO_FILL = re.compile(rf"{_VARIABLE.pattern}|\$\{{([*?$])\}}|[*?]")
_UNLISTED_ACTION = "docs:Unlisted"
_UNLISTED_RESOURCE = f"arn:aws:docs:us-east-1:{ACCOUNT}:unlisted"


class MatchingContext:
    """The request context in which a statement applies; None is a key that must be absent."""

    def __init__(self) -> None:
        self.values: dict[str, str | tuple[str, ...] | None] = {}

    def fill(self, text: str) -> str:
        """Replace every wildcard and every variable; the variables' keys get the same value."""
        for key in _VARIABLE.findall(text):
            self.values.setdefault(key.lower(), SOMETHING)
        return _TO_FILL.sub(lambda found: found[2] or SOMETHING, text)  # M-20: `${*}` is the letter

    def meet(self, test: ConditionTest) -> None:
        """Set the simplest value that meets the condition, unless the key has one."""
        name = split_operator(test.operator)
        value: str | tuple[str, ...] | None
        if name.base == "Null":
            value = None if test.values == ("true",) else SOMETHING
        elif "Not" in name.base:
            value = (SOMETHING,) if name.prefix == "ForAnyValue" else None
        else:
            filled = self.fill(test.values[0])
            value = (filled,) if name.prefix else filled
        self.values.setdefault(test.key.lower(), value)


def request_for(statement: Statement) -> AccessRequest:
    """Create the simplest request that a statement applies to."""
    matching = MatchingContext()
    action = matching.fill(statement.actions[0]) if statement.actions else _UNLISTED_ACTION
    action = action if ":" in action else _UNLISTED_ACTION
    resource = matching.fill(statement.resources[0]) if statement.resources else _UNLISTED_RESOURCE
    resource = _UNLISTED_RESOURCE if resource == SOMETHING else resource
    resource += f":{SOMETHING}" * (5 - resource.count(":"))  # G-64
    for test in sorted(statement.conditions, key=lambda test: ("Not" in test.operator, test.operator == "Null")):
        matching.meet(test)
    context = {key: value for key, value in matching.values.items() if value is not None}
    return AccessRequest(ME, action, resource, context, ACCOUNT)


def authorizer(name: str) -> Authorizer:
    """Compile a policy for a caller whose account every resource delegates to (E-41)."""
    any_own_principal = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "*", "Resource": "*"}
    return compile_policies(
        identity=[policies()[name]], resource={"Version": "2012-10-17", "Statement": any_own_principal}
    )


def test_managed_statements_decide_their_own_request() -> None:
    """M-1, E-2: for the request that a statement describes, an Allow allows and a Deny denies."""
    silent = set()
    for name, document in read().items():
        decide = authorizer(name).decide
        for statement in document.statements:
            decision = decide(request_for(statement))
            if decision.outcome is not Outcome.EXPLICITLY_DENIED and (
                statement.effect is Effect.DENY or not decision.allowed
            ):
                silent.add((name, statement.index))
    assert silent == {("AmazonTimestreamInfluxDBServiceRolePolicy", 8)}  # explained above


def test_managed_statements_evaluate_without_errors(caplog: pytest.LogCaptureFixture) -> None:
    """C-45: no element raises, with or without its condition keys."""
    for name, document in read().items():
        decide = authorizer(name).decide
        for statement in document.statements:
            request = request_for(statement)
            assert decide(request).error is None
            assert decide(replace(request, context={})).error is None
    assert [record for record in caplog.records if record.name.startswith("iam_guard")] == []


# --- what that covers --------------------------------------------------------------------------------------------


def coverage() -> str:
    """Count the elements of the policies, as the two tables of the page."""
    operators = Counter(test.operator for statement in statements() for test in statement.conditions)
    unused = sorted(OPERATORS - {split_operator(name).base for name in operators})
    return (
        "| What | How many | Different |\n|---|---:|---:|\n"
        + "".join(f"| {what} | {number:,} | {different} |\n" for what, number, different in _counted())
        + "\n| Operator | Conditions |\n|---|---:|\n"
        + "".join(f"| `{name}` | {number:,} |\n" for name, number in sorted(operators.items()))
        + f"\nNo AWS managed policy uses these operators: {', '.join(f'`{name}`' for name in unused)}.\n"
    )


def _counted() -> Iterator[tuple[str, int, str]]:
    every = list(statements())
    actions = [text.lower() for each in every for text in (each.actions or each.not_actions or ())]
    resources = [text for each in every for text in (each.resources or each.not_resources or ())]
    tests = [test for each in every for test in each.conditions]
    variables = [name for text in _texts(every) for name in _VARIABLE.findall(text)]
    yield "Policies", len(policies()), ""
    yield "Statements", len(every), ""
    yield "… that deny", sum(each.effect is Effect.DENY for each in every), ""
    yield "… with `NotAction`", sum(each.not_actions is not None for each in every), ""
    yield "… with `NotResource`", sum(each.not_resources is not None for each in every), ""
    yield "… with conditions", sum(bool(each.conditions) for each in every), ""
    yield "Actions", len(actions), _different(actions)
    yield "… with wildcards", sum(map(_has_wildcard, actions)), _different(filter(_has_wildcard, actions))
    yield "Resources", len(resources), _different(resources)
    yield "… with wildcards", sum(map(_has_wildcard, resources)), _different(filter(_has_wildcard, resources))
    yield "Conditions", len(tests), ""
    yield "… by operator", len(tests), _different(test.operator for test in tests)
    yield "… by key", len(tests), _different(test.key.lower() for test in tests)
    yield "… by value", sum(len(test.values) for test in tests), _different(v for test in tests for v in test.values)
    yield "Variables", len(variables), _different(map(str.lower, variables))


def _texts(every: Iterable[Statement]) -> Iterator[str]:
    for statement in every:
        yield from statement.resources or statement.not_resources or ()
        for test in statement.conditions:
            yield from test.values


def _different(texts: Iterable[str]) -> str:
    return f"{len(set(texts)):,}"


def _has_wildcard(text: str) -> bool:
    return "*" in text or "?" in text


def test_counts_of_the_page_match_the_policies() -> None:
    """The numbers of the page are those of the installed moto."""
    page = PAGE.read_text(encoding="utf-8")
    assert f"moto {importlib.metadata.version('moto')}" in page
    assert coverage() in page, coverage()
    assert all(f"`{name}`" in page for name, _, _ in EXPLAINED)
    assert all(f"`{name}`" in page for name in TOO_LONG)
