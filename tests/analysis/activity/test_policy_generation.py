"""The generated policy: actions and resources, number of documents, and notes."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard.analysis.activity import ArnTemplates, Generalization, aggregate_activity, generate_policy
from iam_guard.analysis.activity.policy_generation import GeneratedPolicy
from iam_guard.errors import InvalidInput
from iam_guard.model.catalogue import Catalogue
from tests.analysis.activity.records import (
    ACME,
    GLOBEX,
    RESOURCE,
    RITA,
    ROLE,
    decided,
    document,
    own,
    refused,
    session,
    user,
)
from tests.tables import table

docs = Catalogue("docs")
for name, template in {"Get": "document/{id}", "Put": "document/{id}", "List": "*"}.items():
    docs.declare(name, template)
TEMPLATES = ArnTemplates([docs])
EXACT = Generalization(is_off=True)


def generated_policy(
    *records: dict[str, Any], options: Generalization | None = None, who: str = RITA
) -> GeneratedPolicy:
    return generate_policy(aggregate_activity(records, who), TEMPLATES, options)


def statements(generated: GeneratedPolicy) -> list[dict[str, Any]]:
    return [statement for each in generated.documents for statement in each.to_dict()["Statement"]]


def notes(generated: GeneratedPolicy, about: str) -> list[str]:
    return [note.text for note in generated.notes if note.about == about]


def test_actions_with_same_resources_share_statement() -> None:
    """A template covers the resources that match it; actions are never wildcards."""
    records = [decided(resource=document(1)), decided("docs:Put", document(2)), decided("docs:List", "*")]
    generated = generated_policy(*records, decided("mail:Send", f"arn:aws:mail::{ACME}:box/1"))
    assert statements(generated) == [
        {"Sid": "Docs1", "Effect": "Allow", "Action": ["docs:Get", "docs:Put"], "Resource": document("*")},
        {
            "Sid": "Docs2",
            "Effect": "Allow",
            "Action": "docs:List",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceAccount": ACME}},
        },
        {"Sid": "Mail1", "Effect": "Allow", "Action": "mail:Send", "Resource": f"arn:aws:mail::{ACME}:box/1"},
    ]
    assert notes(generated, "exact") == [
        "no template is registered for the resources, so they are named individually: mail:Send"
    ]
    assert notes(generated, "everything") == [
        "requested on `*`, so allowed on every resource of the account: docs:List"
    ]


@table(
    ("options", "resources"),
    [
        (Generalization(), [document("*")]),
        (Generalization(above=1), [document("*")]),
        (Generalization(above=2), [document(1), document(2)]),
        (EXACT, [document(1), document(2)]),
    ],
)
def test_generalising_options(options: Generalization, resources: list[str]) -> None:
    [statement] = statements(
        generated_policy(decided(resource=document(1)), decided(resource=document(2)), options=options)
    )
    found = statement["Resource"]
    assert ([found] if isinstance(found, str) else found) == resources


def test_template_does_not_cover_denied_resources() -> None:
    """A resource denied only sometimes doesn't prevent the template."""
    generated = generated_policy(
        decided(resource=document(1)),
        decided(resource=document(2), outcome="ImplicitlyDenied"),
        decided("docs:Put", document(1)),
        decided("docs:Put", document(1), outcome="ImplicitlyDenied"),
    )
    assert {statement["Action"]: statement["Resource"] for statement in statements(generated)} == {
        "docs:Get": document(1),
        "docs:Put": document("*"),
    }
    assert notes(generated, "exact")[0].endswith("named individually: docs:Get")


def test_only_identity_policy_grants_are_included() -> None:
    """Denied requests, those without a policy and those of the resource's policy are only reported."""
    generated = generated_policy(
        decided("docs:A", outcome="ExplicitlyDenied"),
        decided("docs:B", reasons=[RESOURCE]),
        decided("docs:C", reasons=[{"policyType": "identity-based policy", "note": "no permission is needed"}]),
        decided("docs:D", reasons=[RESOURCE, {"policyType": "identity-based policy", "effect": "Allow"}]),
    )
    assert [statement["Action"] for statement in statements(generated)] == ["docs:D"]
    assert [notes(generated, about) for about in ("denied", "resource policy", "no policy")] == [
        ["attempted and denied, so not included: docs:A"],
        ["allowed by the policy of the resource alone, so not included: docs:B"],
        ["allowed without any policy, so not included: docs:C"],
    ]


def test_empty_activity_needs_no_policy() -> None:
    generated = generated_policy()
    assert generated.documents == ()
    assert notes(generated, "nothing")


def test_resources_of_other_accounts_are_exact() -> None:
    generated = generated_policy(decided(resource=document(1, GLOBEX)), decided(resource=document(2)))
    [statement] = statements(generated)
    assert statement["Resource"] == [document("*"), document(1, GLOBEX)]
    [note] = notes(generated, "other account")
    assert note.endswith(document(1, GLOBEX))


def test_wildcard_characters_of_resource_are_escaped() -> None:
    """M-21: a `*` in a path is a character, and stays one in the policy."""
    [statement] = statements(generated_policy(decided(resource=document("*?${aws:username}")), options=EXACT))
    assert statement["Resource"] == document("${*}${?}${$}{aws:username}")


def test_write_actions_of_iam_are_exact_by_default() -> None:
    """A wildcard for `iam:PassRole` could lead to every role; read actions are generalized."""
    records = [decided(f"iam:{name}", f"arn:aws:iam::{ACME}:role/a") for name in ("PassRole", "GetRole")]
    generated = generated_policy(*records)
    assert {each["Action"]: each["Resource"] for each in statements(generated)} == {
        "iam:GetRole": f"arn:aws:iam::{ACME}:role/*",
        "iam:PassRole": f"arn:aws:iam::{ACME}:role/a",
    }
    assert any("iam:PassRole" in note and "iam:PassedToService" in note for note in notes(generated, "caveat"))
    [statement] = statements(generated_policy(*records, options=Generalization(own=True)))
    assert statement["Resource"] == f"arn:aws:iam::{ACME}:role/*"


def test_resource_without_account_is_exact() -> None:
    generated = generated_policy(decided(resource="arn:aws:docs:::document/1"))
    assert [statement["Resource"] for statement in statements(generated)] == ["arn:aws:docs:::document/1"]


def test_star_of_other_account_is_limited_to_it() -> None:
    record = decided("docs:List", "*") | {"recipientAccountId": GLOBEX}
    [statement] = statements(generated_policy(record))
    assert statement["Condition"] == {"StringEquals": {"aws:ResourceAccount": GLOBEX}}


def test_unnameable_resource_is_left_out() -> None:
    """An ARN with too few fields, or longer than a policy may be."""
    arns = ["arn:aws:docs", document("x" * 7000), document(1)]
    generated = generated_policy(*(decided(resource=arn) for arn in arns), options=EXACT)
    assert [statement["Resource"] for statement in statements(generated)] == [document(1)]
    [note] = notes(generated, "left out")
    assert note.count("docs:Get on `arn:aws:docs") == 2


def test_documents_are_split_at_quota() -> None:
    """Each within 6,144 characters, each resource in one of them, unique Sids."""
    records = [decided(action, document(number)) for number in range(300) for action in ("docs:Get", "docs:Put")]
    generated = generated_policy(
        *records, *(decided(f"docs:{'A' * 100}{number}", "*") for number in range(90)), options=EXACT
    )
    assert len(generated.documents) > 5
    found = [statement for statement in statements(generated) if statement["Resource"] != "*"]
    assert {arn for each in found for arn in each["Resource"]} == {document(number) for number in range(300)}
    assert all(each["Action"] == ["docs:Get", "docs:Put"] for each in found)
    sids = [statement["Sid"] for statement in statements(generated)]
    assert len(set(sids)) == len(sids)
    assert notes(generated, "quota")


def test_conditions_and_sessions_are_reported() -> None:
    """The trail has the keys that decided, not the allowed values, which a person must add."""
    conditions = [{"key": "aws:SourceIp", "value": "203.0.113.7"}]
    record = decided(who=session(), conditions=conditions, policySet={"sessionPolicies": 1})
    generated = generated_policy(record, who=ROLE)
    assert notes(generated, "condition") == [
        "depends on condition keys, which the policy does not limit: docs:Get by `aws:SourceIp`"
    ]
    assert notes(generated, "session policy") == ["requested in sessions with session policies: docs:Get"]


def test_gaps_are_reported_first() -> None:
    generated = generated_policy(
        own("audit_gap", reason="DiskFull", lost=3),
        own("audit_novelty"),
        decided(redacted=["/userIdentity/arn"]),
        decided("docs:*"),
        decided(who=user(id="AIDAEXAMPLERITA000009")),
        decided(),
    )
    assert [note.about for note in generated.notes][:5] == ["gap", "gap", "gap", "gap", "identity"]
    assert "AIDAEXAMPLERITA000009" in notes(generated, "identity")[0]


def test_over_limit_only_templates_are_included() -> None:
    records = [decided(resource=document(number)) for number in range(9)]
    activity = aggregate_activity(records, RITA, templates=TEMPLATES, max_resources=3)
    generated = generate_policy(activity, TEMPLATES)
    assert statements(generated)[0]["Resource"] == document("*")
    assert not notes(generated, "left out")
    assert notes(generate_policy(activity, TEMPLATES, EXACT), "left out")
    refused = [*records, decided(resource=document("no"), outcome="ImplicitlyDenied")]
    activity = aggregate_activity(refused, RITA, templates=TEMPLATES, max_resources=3)
    assert notes(generate_policy(activity, TEMPLATES), "left out")


def test_long_notes_are_cut() -> None:
    [note] = notes(
        generated_policy(*(decided(f"docs:A{number}", outcome="ImplicitlyDenied") for number in range(30))), "denied"
    )
    assert note.endswith("and 10 more")


@table("name", [f"arn:aws:iam::{ACME}:root", "mailer.example.com"])
def test_principal_without_policies_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="expected a user or a role"):
        generated_policy(who=name)


def test_rejected_requests_are_not_included() -> None:
    """They had no effect, and their accounts are not allowed."""
    users = [f"arn:aws:iam::{ACME}:user/{name}" for name in ("ann", "bob")]
    records = [decided("iam:GetUser", each, event=each) for each in users]
    records += [decided("iam:ListUsers", "*", event="x"), decided("iam:ListUsers", "*", event="y")]
    records[-1]["recipientAccountId"] = GLOBEX
    generated = generated_policy(*records, refused(users[1]), refused("y"), options=EXACT)
    [get, everything] = statements(generated)
    assert (get["Action"], get["Resource"]) == ("iam:GetUser", users[0])
    assert everything["Condition"] == {"StringEquals": {"aws:ResourceAccount": ACME}}
    assert notes(generated, "refused") == [
        "allowed, but rejected without an audit record, so not included: iam:GetUser, iam:ListUsers"
    ]


def test_denied_requests_allow_no_account() -> None:
    elsewhere = decided("docs:List", "*", outcome="ImplicitlyDenied") | {"recipientAccountId": GLOBEX}
    [statement] = statements(generated_policy(decided("docs:List", "*"), elsewhere))
    assert statement["Condition"] == {"StringEquals": {"aws:ResourceAccount": ACME}}
