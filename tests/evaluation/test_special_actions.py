"""The resources whose own policy must allow, by action and ARN."""

from __future__ import annotations

from iam_guard.evaluation.special_actions import WITH_RULES, Mandatory, mandatory, resource_policy_type
from iam_guard.model.decision import PolicyType
from tests.tables import table

ROLE, KEY = "arn:aws:iam::111122223333:role/", "arn:aws:kms:us-east-1:111122223333:key/"


@table(
    ("action", "resource", "why"),
    [
        ("sts:assumerole", f"{ROLE}Reader", Mandatory.TRUST),
        ("sts:assumerolewithsaml", f"{ROLE}team/Reader", Mandatory.TRUST),
        ("sts:tagsession", f"{ROLE}Reader", Mandatory.TRUST),
        ("sts:assumerole", f"{ROLE}with:colons:in:it", Mandatory.TRUST),
        ("sts:assumerole", "arn:aws:iam::111122223333:user/ada", None),
        ("sts:assumerole", "arn:aws:docs::111122223333:role/Reader", None),
        ("sts:assumerole", "*", None),
        ("iam:getrole", f"{ROLE}Reader", None),
        ("kms:decrypt", f"{KEY}1", Mandatory.KEY),
        ("kms:decrypt", f"{KEY}with:colons:in:it", Mandatory.KEY),
        ("kms:decrypt", "arn:aws:kms:us-east-1:111122223333:alias/a", None),
        ("docs:decrypt", f"{KEY}1", None),
        ("kms:decrypt", f"{ROLE}Reader", None),
    ],
)
def test_keys_and_roles_need_their_own_policy(action: str, resource: str, why: Mandatory | None) -> None:
    """E-42, X-3: the sixth field can contain colons; an application can declare other actions so."""
    assert mandatory(action, resource, declared=False) is why
    assert mandatory(action, resource, declared=True) is (why or Mandatory.DECLARED)
    assert why is None or action.startswith(WITH_RULES)  # others are not asked about
    is_trust = why is Mandatory.TRUST
    assert resource_policy_type(action, resource) is (PolicyType.TRUST if is_trust else PolicyType.RESOURCE)
