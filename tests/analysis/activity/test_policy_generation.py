"""The generated policy: which actions and resources, in how many documents, and what is said with it."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard.analysis.activity import ArnTemplates, Generalising, aggregate_activity, generate_policy
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

docs = Catalogue("docs")
for name, template in {"Get": "document/{id}", "Put": "document/{id}", "List": "*"}.items():
    docs.declare(name, template)
TEMPLATES = ArnTemplates([docs])
EXACT = Generalising(is_off=True)


def made(*records: dict[str, Any], way: Generalising | None = None, who: str = RITA) -> GeneratedPolicy:
    return generate_policy(aggregate_activity(records, who), TEMPLATES, way)


def statements(generated: GeneratedPolicy) -> list[dict[str, Any]]:
    return [statement for each in generated.documents for statement in each.to_dict()["Statement"]]


def told(generated: GeneratedPolicy, about: str) -> list[str]:
    return [note.text for note in generated.notes if note.about == about]


def test_actions_with_the_same_resources_stand_together() -> None:
    """A template stands for the resources that fit it; no wildcard ever stands for actions."""
    records = [decided(resource=document(1)), decided("docs:Put", document(2)), decided("docs:List", "*")]
    generated = made(*records, decided("mail:Send", f"arn:aws:mail::{ACME}:box/1"))
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
    assert told(generated, "exact") == [
        "no template is registered for resources, which are named one by one: mail:Send"
    ]
    assert told(generated, "everything") == ["asked about `*`, so allowed on every resource of the account: docs:List"]


@pytest.mark.parametrize(
    ("way", "resources"),
    [
        (Generalising(), [document("*")]),
        (Generalising(above=1), [document("*")]),
        (Generalising(above=2), [document(1), document(2)]),
        (EXACT, [document(1), document(2)]),
    ],
)
def test_how_far_resources_are_generalised(way: Generalising, resources: list[str]) -> None:
    [statement] = statements(made(decided(resource=document(1)), decided(resource=document(2)), way=way))
    found = statement["Resource"]
    assert ([found] if isinstance(found, str) else found) == resources


def test_template_does_not_cover_what_was_denied() -> None:
    """What was denied on one document is not allowed on all of them; one that was denied at times only is no reason."""
    generated = made(
        decided(resource=document(1)),
        decided(resource=document(2), outcome="ImplicitlyDenied"),
        decided("docs:Put", document(1)),
        decided("docs:Put", document(1), outcome="ImplicitlyDenied"),
    )
    assert {statement["Action"]: statement["Resource"] for statement in statements(generated)} == {
        "docs:Get": document(1),
        "docs:Put": document("*"),
    }
    assert told(generated, "exact")[0].endswith("named one by one: docs:Get")


def test_only_what_an_identity_policy_allowed_is_in_it() -> None:
    """What was denied, needed no policy, or was the resource's own doing is told, and left out."""
    generated = made(
        decided("docs:A", outcome="ExplicitlyDenied"),
        decided("docs:B", reasons=[RESOURCE]),
        decided("docs:C", reasons=[{"policyType": "identity-based policy", "note": "no permission is needed"}]),
        decided("docs:D", reasons=[RESOURCE, {"policyType": "identity-based policy", "effect": "Allow"}]),
    )
    assert [statement["Action"] for statement in statements(generated)] == ["docs:D"]
    assert [told(generated, about) for about in ("denied", "resource policy", "no policy")] == [
        ["attempted and denied, so not in here for that: docs:A"],
        ["allowed by the policy of the resource alone, so not in here for that: docs:B"],
        ["allowed without any policy, so not in here for that: docs:C"],
    ]


def test_nothing_done_needs_no_policy() -> None:
    generated = made()
    assert generated.documents == ()
    assert told(generated, "nothing")


def test_resources_of_other_accounts_are_named_one_by_one() -> None:
    generated = made(decided(resource=document(1, GLOBEX)), decided(resource=document(2)))
    [statement] = statements(generated)
    assert statement["Resource"] == [document("*"), document(1, GLOBEX)]
    [note] = told(generated, "other account")
    assert note.endswith(document(1, GLOBEX))


def test_characters_of_a_resource_are_no_wildcards() -> None:
    """M-21: a `*` in a path is a character, and stays one in the policy."""
    [statement] = statements(made(decided(resource=document("*?${aws:username}")), way=EXACT))
    assert statement["Resource"] == document("${*}${?}${$}{aws:username}")


def test_what_changes_our_own_services_is_not_widened_unasked() -> None:
    """A wildcard for `iam:PassRole` would be a way to every role; what only reads is generalised."""
    records = [decided(f"iam:{name}", f"arn:aws:iam::{ACME}:role/a") for name in ("PassRole", "GetRole")]
    generated = made(*records)
    assert {each["Action"]: each["Resource"] for each in statements(generated)} == {
        "iam:GetRole": f"arn:aws:iam::{ACME}:role/*",
        "iam:PassRole": f"arn:aws:iam::{ACME}:role/a",
    }
    assert any("iam:PassRole" in note and "iam:PassedToService" in note for note in told(generated, "caveat"))
    [statement] = statements(made(*records, way=Generalising(own=True)))
    assert statement["Resource"] == f"arn:aws:iam::{ACME}:role/*"


def test_resource_without_an_account_is_not_widened() -> None:
    generated = made(decided(resource="arn:aws:docs:::document/1"))
    assert [statement["Resource"] for statement in statements(generated)] == ["arn:aws:docs:::document/1"]


def test_everything_of_another_account_stays_with_that_account() -> None:
    record = decided("docs:List", "*") | {"recipientAccountId": GLOBEX}
    [statement] = statements(made(record))
    assert statement["Condition"] == {"StringEquals": {"aws:ResourceAccount": GLOBEX}}


def test_what_no_policy_can_name_is_left_out_and_told() -> None:
    """An ARN of few fields, or one longer than a policy may be."""
    asked = ["arn:aws:docs", document("x" * 7000), document(1)]
    generated = made(*(decided(resource=arn) for arn in asked), way=EXACT)
    assert [statement["Resource"] for statement in statements(generated)] == [document(1)]
    [note] = told(generated, "left out")
    assert note.count("docs:Get on `arn:aws:docs") == 2


def test_documents_are_cut_at_the_quota() -> None:
    """Each within 6,144 characters, all resources in one of them, every Sid once."""
    records = [decided(action, document(number)) for number in range(300) for action in ("docs:Get", "docs:Put")]
    generated = made(*records, *(decided(f"docs:{'A' * 100}{number}", "*") for number in range(90)), way=EXACT)
    assert len(generated.documents) > 5
    found = [statement for statement in statements(generated) if statement["Resource"] != "*"]
    assert {arn for each in found for arn in each["Resource"]} == {document(number) for number in range(300)}
    assert all(each["Action"] == ["docs:Get", "docs:Put"] for each in found)
    sids = [statement["Sid"] for statement in statements(generated)]
    assert len(set(sids)) == len(sids)
    assert told(generated, "quota")


def test_conditions_and_sessions_are_told() -> None:
    """The trail tells which keys decided, not which values were allowed: that is for a person to add."""
    conditions = [{"key": "aws:SourceIp", "value": "203.0.113.7"}]
    record = decided(who=session(), conditions=conditions, policySet={"sessionPolicies": 1})
    generated = made(record, who=ROLE)
    assert told(generated, "condition") == [
        "decided by condition keys, which the policy does not limit: docs:Get by `aws:SourceIp`"
    ]
    assert told(generated, "session policy") == ["done in sessions that had policies of their own: docs:Get"]


def test_what_the_trail_lacks_is_told_first() -> None:
    generated = made(
        own("audit_gap", reason="DiskFull", lost=3),
        own("audit_novelty"),
        decided(redacted=["/userIdentity/arn"]),
        decided("docs:*"),
        decided(who=user(id="AIDAEXAMPLERITA000009")),
        decided(),
    )
    assert [note.about for note in generated.notes][:5] == ["gap", "gap", "gap", "gap", "identity"]
    assert "AIDAEXAMPLERITA000009" in told(generated, "identity")[0]


def test_beyond_the_room_only_templates_can_stand_for_what_was_done() -> None:
    records = [decided(resource=document(number)) for number in range(9)]
    activity = aggregate_activity(records, RITA, templates=TEMPLATES, most_resources=3)
    generated = generate_policy(activity, TEMPLATES)
    assert statements(generated)[0]["Resource"] == document("*")
    assert not told(generated, "left out")
    assert told(generate_policy(activity, TEMPLATES, EXACT), "left out")
    refused = [*records, decided(resource=document("no"), outcome="ImplicitlyDenied")]
    activity = aggregate_activity(refused, RITA, templates=TEMPLATES, most_resources=3)
    assert told(generate_policy(activity, TEMPLATES), "left out")


def test_long_lists_are_cut_in_notes() -> None:
    [note] = told(made(*(decided(f"docs:A{number}", outcome="ImplicitlyDenied") for number in range(30))), "denied")
    assert note.endswith("and 10 more")


@pytest.mark.parametrize("name", [f"arn:aws:iam::{ACME}:root", "mailer.example.com"])
def test_who_has_no_policies_gets_none(name: str) -> None:
    with pytest.raises(InvalidInput, match="expected a user or a role"):
        made(who=name)


def test_what_was_refused_for_want_of_its_record_is_not_in_it() -> None:
    """Nothing was done; and no account is let in by it."""
    users = [f"arn:aws:iam::{ACME}:user/{name}" for name in ("ann", "bob")]
    records = [decided("iam:GetUser", each, event=each) for each in users]
    records += [decided("iam:ListUsers", "*", event="x"), decided("iam:ListUsers", "*", event="y")]
    records[-1]["recipientAccountId"] = GLOBEX
    generated = made(*records, refused(users[1]), refused("y"), way=EXACT)
    [get, everything] = statements(generated)
    assert (get["Action"], get["Resource"]) == ("iam:GetUser", users[0])
    assert everything["Condition"] == {"StringEquals": {"aws:ResourceAccount": ACME}}
    assert told(generated, "refused") == [
        "allowed, but refused for want of its audit record, so not in here for that: iam:GetUser, iam:ListUsers"
    ]


def test_what_was_denied_elsewhere_lets_no_account_in() -> None:
    elsewhere = decided("docs:List", "*", outcome="ImplicitlyDenied") | {"recipientAccountId": GLOBEX}
    [statement] = statements(made(decided("docs:List", "*"), elsewhere))
    assert statement["Condition"] == {"StringEquals": {"aws:ResourceAccount": ACME}}
