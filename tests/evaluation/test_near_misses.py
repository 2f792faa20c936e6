"""The nearest misses: the outcome after a change of each element, and its text."""

from __future__ import annotations

import json
from typing import Any

from iam_guard import AccessRequest, Outcome, Principal
from iam_guard.evaluation.bundle import bundle
from iam_guard.evaluation.explainer import explain
from iam_guard.evaluation.explanation import NearMiss
from tests.tables import table

A = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{A}:user/ada")
DOCUMENT = f"arn:aws:docs:us-east-1:{A}:document/7"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def nearest(**policies: Any) -> tuple[NearMiss, ...]:
    return explain(AccessRequest(ADA, "docs:GetDocument", DOCUMENT), bundle(**policies)).nearest


@table(
    ("statement", "element", "change"),
    [
        ({"Action": "docs:Put*", "Resource": "*"}, "Action", "the action would have to match `docs:Put*`"),
        ({"NotAction": "docs:*", "Resource": "*"}, "NotAction", "the action would have to be other than `docs:*`"),
        (
            {"Action": "docs:*", "Resource": "arn:aws:docs:::x"},
            "Resource",
            "the resource would have to match `arn:aws:docs:::x`",
        ),
        (
            {"Action": "docs:*", "NotResource": "arn:aws:docs:*"},
            "NotResource",
            "the resource would have to be other than `arn:aws:docs:*`",
        ),
        (
            {"Action": "docs:*", "Resource": "*", "Condition": {"Bool": {"docs:Open": "true"}}},
            "Condition",
            "the request would need `docs:Open` = `true`",
        ),
    ],
)
def test_miss_of_each_element_has_its_outcome(statement: dict[str, Any], element: str, change: str) -> None:
    """M-1, M-2: for a needed Allow, and for a Deny."""
    (allow,) = nearest(identity=[policy({"Effect": "Allow", **statement})])
    assert (allow.element, allow.change, allow.outcome) == (element, change, Outcome.ALLOWED)
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    (deny,) = nearest(identity=[policy(everything, {"Effect": "Deny", **statement})])
    assert (deny.element, deny.change, deny.outcome) == (element, change, Outcome.EXPLICITLY_DENIED)


def test_miss_of_the_principal_has_its_outcome() -> None:
    """E-20, E-70: another caller would be allowed, a caller that is not exempt would be denied."""
    (allow,) = nearest(resource=policy({"Effect": "Allow", "Principal": {"AWS": "444455556666"}, "Action": "*"}))
    assert (allow.element, allow.outcome) == ("Principal", Outcome.ALLOWED)
    everything = {"Effect": "Allow", "Principal": "*", "Action": "*"}
    exempt = {"Effect": "Deny", "NotPrincipal": {"AWS": [ADA.arn, A]}, "Action": "*"}
    (deny,) = nearest(resource=policy(everything, exempt))
    assert (deny.element, deny.outcome) == ("NotPrincipal", Outcome.EXPLICITLY_DENIED)


def test_miss_identifies_its_statement() -> None:
    """By policy, index, Sid and line; a Deny that applies would have to be removed."""
    text = json.dumps(
        policy(
            {"Effect": "Allow", "Action": "iam:*", "Resource": "*"},
            {"Sid": "No", "Effect": "Deny", "Action": "docs:*", "Resource": "*"},
        ),
        indent=1,
    )
    (miss,) = (each for each in nearest(identity=[text]) if each.effect == "Deny")
    assert (miss.policy, miss.statement, miss.sid) == ("identity-based policy #1", 1, "No")
    assert miss.line == text[: text.index('"No"')].count("\n")
    assert miss.element is None
    assert miss.change == "this Deny would have to be removed or narrowed"


def allow(sid: str, **statement: Any) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": "docs:*", "Resource": "*", **statement}


CONDITION = {"Bool": {"docs:Open": "true"}}


def test_misses_that_change_the_outcome_are_first() -> None:
    """E-30.1: a direct grant is sufficient; an identity-based Allow would leave the boundary missing."""
    direct = {"Sid": "Direct", "Effect": "Allow", "Principal": {"AWS": ADA.arn}, "Action": "docs:Put*"}
    found = nearest(
        identity=[policy(allow("Own", Condition=CONDITION))],
        permissions_boundary=policy(allow("Limit", Action="iam:*", Condition=CONDITION)),
        resource=policy(direct),
    )
    assert [(each.sid, each.outcome) for each in found] == [
        ("Direct", Outcome.ALLOWED),
        ("Own", Outcome.IMPLICITLY_DENIED),
    ]


def test_applying_denies_come_before_missing_allows() -> None:
    """E-2: with two of them no single change helps; the Deny to remove is first."""
    deny = {"Sid": "No", "Effect": "Deny", "Action": "docs:*", "Resource": "*"}
    found = nearest(
        scps=[[policy(allow("Full"), deny)]], identity=[policy(allow("Near", Resource="arn:aws:docs:::x"), deny)]
    )
    assert {each.outcome for each in found} == {Outcome.EXPLICITLY_DENIED}
    assert [each.sid for each in found] == ["No", "No", "Near"]


def test_number_of_candidates_is_limited() -> None:
    """Each candidate costs a decision, and the author of a policy must not control the total."""
    many = [allow(f"A{number}", Action=f"docs:Put{number}") for number in range(500)]
    assert "Last" not in [each.sid for each in nearest(identity=[policy(*many, allow("Last", Condition=CONDITION))])]
    assert "Last" in [each.sid for each in nearest(identity=[policy(*many[1:], allow("Last", Condition=CONDITION))])]


def test_removed_deny_leaves_all_other_policies() -> None:
    """The policy after it allows; only a service or resource control policy has a level."""
    allow = {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}
    first, *_ = nearest(identity=[policy({**allow, "Effect": "Deny"}), policy(allow), policy()])
    assert (first.outcome, first.element, first.level) == (Outcome.ALLOWED, None, None)
    [missing, *_] = nearest(identity=[policy(allow)], scps=[[policy(allow)], [policy({**allow, "Action": "x:*"})]])
    assert (missing.outcome, missing.level) == (Outcome.ALLOWED, 2)
