"""AWS's error messages (rules X-1 to X-9)."""

from __future__ import annotations

from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType, Reason
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from tests.tables import table

A = "111122223333"
USER = Principal.from_arn(f"arn:aws:iam::{A}:user/ada")
SESSION = Principal.from_arn(f"arn:aws:sts::{A}:assumed-role/r/s", role_arn=f"arn:aws:iam::{A}:role/path/r")
DOCUMENT = f"arn:aws:docs:us-east-1:{A}:document/7"
ON = f" on resource: {DOCUMENT}"


def refused(
    outcome: Outcome,
    policy_type: PolicyType,
    *,
    principal: Principal = USER,
    resource: str = DOCUMENT,
    arn: str | None = None,
    action: str = "docs:GetDocument",
) -> str:
    reference = PolicyRef("P", policy_type, arn)
    explicit = outcome is Outcome.EXPLICITLY_DENIED
    reason = Reason(policy_type, "Deny", reference) if explicit else Reason(policy_type)
    return Decision(outcome, AccessRequest(principal, action, resource), (reason,)).message()


@table("outcome", Outcome)
def test_decision_is_true_if_allowed(outcome: Outcome) -> None:
    """For `if decision:`."""
    assert bool(Decision(outcome, AccessRequest(USER, "docs:GetDocument", DOCUMENT), ())) is (outcome == "Allowed")


@table(
    ("policy_type", "clause"),
    [
        (PolicyType.IDENTITY, "because no identity-based policy allows the docs:GetDocument action"),
        (PolicyType.RESOURCE, "because no resource-based policy allows the docs:GetDocument action"),
        (PolicyType.BOUNDARY, "because no permissions boundary allows the docs:GetDocument action"),
        (PolicyType.SESSION, "because no session policy allows the docs:GetDocument action"),
        (PolicyType.SCP, "because no service control policy allows the docs:GetDocument action"),
        (PolicyType.RCP, "because no resource control policy allows the docs:GetDocument action"),
        (PolicyType.VPC_ENDPOINT, "because no VPC endpoint policy allows the docs:GetDocument action"),
        (PolicyType.TRUST, "because no role trust policy allows the docs:GetDocument action"),
    ],
)
def test_implicit_denial_names_policy_type(policy_type: PolicyType, clause: str) -> None:
    """X-2, X-3."""
    message = refused(Outcome.IMPLICITLY_DENIED, policy_type)
    assert message == f"User: {USER.arn} is not authorized to perform: docs:GetDocument{ON} {clause}"


@table(
    ("policy_type", "clause"),
    [
        (PolicyType.IDENTITY, "with an explicit deny in an identity-based policy"),
        (PolicyType.RESOURCE, "with an explicit deny in a resource-based policy"),
        (PolicyType.BOUNDARY, "with an explicit deny in a permissions boundary"),
        (PolicyType.SESSION, "with an explicit deny in a session policy"),
        (PolicyType.SCP, "with an explicit deny in a service control policy"),
        (PolicyType.RCP, "with an explicit deny in a resource control policy"),
        (PolicyType.VPC_ENDPOINT, "with an explicit deny in a VPC endpoint policy"),
        (PolicyType.TRUST, "with an explicit deny in the role trust policy"),
    ],
)
def test_explicit_denial_names_policy_type(policy_type: PolicyType, clause: str) -> None:
    """X-2, X-3."""
    message = refused(Outcome.EXPLICITLY_DENIED, policy_type)
    assert message == f"User: {USER.arn} is not authorized to perform: docs:GetDocument{ON} {clause}"


@table(
    ("policy_type", "names"),
    [
        (PolicyType.SCP, True),
        (PolicyType.RCP, True),
        (PolicyType.BOUNDARY, True),
        (PolicyType.SESSION, True),
        (PolicyType.IDENTITY, True),
        (PolicyType.RESOURCE, False),
        (PolicyType.TRUST, False),
        (PolicyType.VPC_ENDPOINT, False),
    ],
)
def test_denying_policy_is_named_by_arn(policy_type: PolicyType, names: bool) -> None:
    """X-5: for these types, if the policy has an ARN."""
    arn = f"arn:aws:iam::{A}:policy/P"
    assert refused(Outcome.EXPLICITLY_DENIED, policy_type, arn=arn).endswith(f": {arn}") is names


def test_role_session_is_named_by_session_arn() -> None:
    """X-1."""
    message = refused(Outcome.IMPLICITLY_DENIED, PolicyType.IDENTITY, principal=SESSION)
    assert message.startswith(f"User: arn:aws:sts::{A}:assumed-role/r/s is not authorized")


def test_action_without_resource_names_no_resource() -> None:
    """X-9."""
    assert "on resource" not in refused(Outcome.IMPLICITLY_DENIED, PolicyType.IDENTITY, resource="*")


@table("principal", [Principal.from_arn("arn:aws:iam::444455556666:user/gus"), Principal.anonymous()])
def test_callers_of_other_accounts_get_no_reason(principal: Principal) -> None:
    """X-7: the clause is for callers of the same account."""
    message = refused(Outcome.EXPLICITLY_DENIED, PolicyType.RESOURCE, principal=principal)
    assert message == f"User: {principal.arn} is not authorized to perform: docs:GetDocument{ON}"
