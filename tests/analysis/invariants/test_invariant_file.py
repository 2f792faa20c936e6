"""Files of invariants: what they say, and the place of what is wrong in them."""

from __future__ import annotations

import json

import pytest

from iam_guard.analysis.invariants.invariant_file import Invariant, read_invariants
from iam_guard.errors import InvalidInput
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")


def read(text: str) -> Invariant:
    [invariant] = read_invariants(text, "rules.yaml")
    return invariant


def concerned(invariant: Invariant, action: str, resource: str, **context: str) -> bool:
    keys = {key.replace("_", ":"): value for key, value in context.items()}
    request = AccessRequest(ADA, action, resource, keys, "111122223333")
    return any(query.concerns(request) for query in invariant.queries)


def test_sentence_names_all_parts() -> None:
    text = """
invariants:
  - name: legal
    only: [role/admin, "111122223333"]
    may: ["docs:Delete*", docs:Purge]
    on: document/legal/*
    when: {Bool: {docs:Final: true}}
"""
    invariant = read(text)
    assert (invariant.line, invariant.column, invariant.root_users) == (3, 5, False)
    expected = "no principal but role/admin and 111122223333 may docs:Delete* or docs:Purge on document/legal/*"
    assert invariant.sentence == expected + ' when {"Bool": {"docs:Final": true}}'


@table(
    ("who", "sentence"),
    [
        ("only: []", "no principal may docs:*"),
        ('never: "*"', "no principal may docs:*"),
        ("never: [user/a, group/b]", "none of user/a and group/b may docs:*"),
    ],
)
def test_sentence_names_the_principals(who: str, sentence: str) -> None:
    assert read(f"invariants: [{{name: one, {who}, may: 'docs:*'}}]").sentence == sentence


ARN = "arn:aws:docs:eu-west-1:111122223333:"


@table(
    ("on", "resource", "is_concerned"),
    [
        ("", "*", True),
        ("on: '*',", "*", True),
        ("on: document/legal/*,", f"{ARN}document/legal/1", True),
        ("on: document/legal/*,", "arn:aws:docs:::document/legal/1", True),
        ("on: document/legal/*,", f"{ARN}document/plans/1", False),
        ("on: document/legal/*,", "*", False),
        ("on: document/legal/*,", f"{ARN}document/legal/x:document/plans/y", False),
        ("on: document/legal/*,", f"{ARN}x:document/legal/1", False),
        ("on: 'secret:*',", f"{ARN}secret:a", True),
        ("on: 'secret:*',", f"{ARN}secret:a:b", False),
        ("on: ['secret:*', document/*],", f"{ARN}document/1", True),
        ("on: ['arn:aws:docs:*:*:document/legal/*'],", f"{ARN}document/legal/x:y", True),
        ("on: ['arn:aws-cn:docs:*:*:document/*'],", f"{ARN}document/1", False),
    ],
)
def test_resources_are_whole_arns_or_their_last_field(on: str, resource: str, is_concerned: bool) -> None:
    """Without an ARN, resources with more colons do not count."""
    invariant = read(f"invariants: [{{name: one, only: [], {on} may: 'docs:Delete*'}}]")
    assert concerned(invariant, "docs:DeleteDocument", resource) is is_concerned
    assert not concerned(invariant, "docs:Get", resource)


def test_conditions_select_requests() -> None:
    text = "invariants: [{name: one, only: [], may: 'docs:*', %s: {Bool: {docs:Final: true}}}]"
    when, unless = read(text % "when"), read(text % "unless")
    for value, is_met in (("true", True), ("false", False)):
        assert concerned(when, "docs:Get", "*", docs_Final=value) is is_met
        assert concerned(unless, "docs:Get", "*", docs_Final=value) is not is_met
    assert concerned(unless, "docs:Get", "*")


ONE = "invariants:\n  - name: one\n    only: []\n"


@table(
    ("text", "place", "message"),
    [
        ("", "1:1", "expected a YAML document"),
        ("[", "2:1", "not readable as YAML"),
        ("rules: []", "1:1", "expected one of invariants, got `rules`"),
        ("invariants: []", "1:13", "expected a list of invariants"),
        ("invariants: [1]", "1:14", "expected a mapping with the keys `name`"),
        ("invariants:\n  - {name: a, name: b}", "2:1", "duplicate key `name`"),
        ("invariants:\n  - {name: a, may: 'docs:*'}", "2:5", "expected either `only` or `never`"),
        ("invariants:\n  - {name: a, only: [], never: '*', may: 'docs:*'}", "2:5", "expected either `only` or `never`"),
        ("invariants:\n  - {only: [], may: 'docs:*'}", "2:5", "expected the key `name`"),
        (ONE, "2:5", "expected the key `may`"),
        (ONE + "    may: []", "4:10", "expected at least one entry"),
        (ONE + "    may: docs", "4:10", "expected `*` or `prefix:name` as action"),
        (ONE + "    may: ['docs:Get', '*:Get']", "4:23", "`*:Get`"),
        (ONE + "    may: 'docs:\U000ffffe*'", "4:10", "characters that policies must not have"),
        (
            ONE + "    may: docs:Get\n    when: {StringLike: {a:b: '\U000ffffe'}}",
            "5:11",
            "characters that policies must",
        ),
        (ONE + "    mayy: docs:Get", "4:5", "did you mean `may`?"),
        (ONE + "    may: docs:Get\n    on: 'arn:aws:d*:::x'", "5:9", "expected the service"),
        (ONE + "    may: '*'\n    on: document/1", "5:9", "expected a whole ARN"),
        (ONE + "    may: docs:Get\n    when: {Boool: {a:b: true}}", "5:11", "Boool"),
        (ONE + "    may: docs:Get\n    unless: true", "5:13", "expected a condition such as"),
        (ONE + "    may: docs:Get\n    root_users: maybe", "5:17", "expected `true` or `false`, got `maybe`"),
        (
            "invariants:\n  - {name: a, only: [admin], may: 'docs:*'}",
            "2:22",
            "expected a principal such as `role/admin`",
        ),
        ("invariants:\n  - {name: a, never: [], may: 'docs:*'}", "2:22", "expected at least one entry"),
        (
            "invariants:\n  - {name: a, only: [], may: 'a:*'}\n  - {name: a, only: [], may: 'a:*'}",
            "3:5",
            "unique names",
        ),
    ],
)
def test_errors_have_line_and_column(text: str, place: str, message: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read_invariants(text, "rules.yaml")
    assert f"at rules.yaml:{place}" in str(error.value), error.value
    assert message in str(error.value)


def test_actions_must_exist_if_all_are_known() -> None:
    actions = ["docs:GetDocument", "docs:DeleteDocument"]
    text = "invariants: [{name: a, only: [], may: '%s'}]"
    read_invariants(text % "docs:delete*", "rules.yaml", actions)
    for action in ("docs:DeleteDocumnt", "s3:*"):
        with pytest.raises(InvalidInput, match="no action is"):
            read_invariants(text % action, "rules.yaml", actions)


def test_json_is_read_like_yaml() -> None:
    content = {"invariants": [{"name": "a", "only": [], "may": ["docs:*"], "root_users": True}]}
    assert read(json.dumps(content)).root_users
