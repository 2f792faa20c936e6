"""ValidatePolicy: the findings of the linter about one policy text, in the members of AWS's operation (rule AA-20).

`iam-guard lint` and the API's ValidatePolicy report the same faults: `examination` finds them for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from iam_guard.analysis.lint.examination import Examiner
from iam_guard.analysis.lint.fixes import Fix, Fixer
from iam_guard.analysis.lint.lint_codes import HINTS, help_page, level_of_code
from iam_guard.analysis.lint.locations import Span, json_tree_of, location, location_of_error, span_as_dict
from iam_guard.analysis.reference.own_references import with_own_references
from iam_guard.analysis.reference.reference_index import ReferenceIndex
from iam_guard.errors import InvalidInput, did_you_mean
from iam_guard.model.decision import PolicyType
from iam_guard.model.reference import ServiceReference
from iam_guard.policy.json_tree import JsonText

POLICY_TYPES: Mapping[str, PolicyType] = MappingProxyType(
    {
        "IDENTITY_POLICY": PolicyType.IDENTITY,
        "RESOURCE_POLICY": PolicyType.RESOURCE,
        "SERVICE_CONTROL_POLICY": PolicyType.SCP,
        "RESOURCE_CONTROL_POLICY": PolicyType.RCP,
    }
)
"""AWS's names of the policy types."""
TRUST_POLICY = "AWS::IAM::AssumeRolePolicyDocument"
"""The resource type of a role's trust policy."""


def validate_policy(
    text: str,
    policy_type: str,
    resource_type: str | None = None,
    references: Sequence[ServiceReference] | ReferenceIndex = (),
    *,
    partition: str = "aws",
    with_fixes: bool = False,
) -> list[dict[str, Any]]:
    """Return the findings about a policy, in the order of the text, in the members of AWS's ValidatePolicyFinding.

    `references` extend those of IAM and STS; with any given, all services are known. Pass a `ReferenceIndex` to build
    it once for many policies. `with_fixes` adds `suggestedFix` to findings that have a verified fix: its description,
    whether it keeps access, and its edits, each with the span that a text replaces. Any text has a result. Raises
    `InvalidInput` for an unknown policy type, and for a resource type of a policy that is not resource-based.
    """
    type = _type(policy_type, resource_type)
    index = references if isinstance(references, ReferenceIndex) else reference_index(references)
    examiner = Examiner(index, partition)
    fixer = Fixer(examiner, text, type, resource_type) if with_fixes else None
    found = examiner.examine(text, type, resource_type) if fixer is None else fixer.found
    tree = json_tree_of(text)
    findings = []
    for fault in found.faults:
        finding: dict[str, Any] = {
            "findingType": level_of_code(fault.code),
            "issueCode": fault.code,
            "findingDetails": f"{fault.message}; {HINTS[fault.code]}",
            "learnMoreLink": help_page(fault.code),
            "locations": [location(tree, fault) if tree is not None else location_of_error(text, found.error)],
        }
        fix = None if fixer is None else fixer.fix(fault)
        if fix is not None and tree is not None:
            finding["suggestedFix"] = _suggested(tree, fix)
        findings.append(finding)
    return sorted(findings, key=_place)


def _suggested(tree: JsonText, fix: Fix) -> dict[str, Any]:
    edits = [
        {"span": span_as_dict(Span(tree.position_at(edit.start), tree.position_at(edit.end))), "text": edit.text}
        for edit in fix.edits
    ]
    return {"description": fix.description, "keepsAccess": fix.keeps_access, "edits": edits}


def reference_index(references: Sequence[ServiceReference] = ()) -> ReferenceIndex:
    """Return the index of references, with those of IAM and STS. Without any given, other services may exist."""
    return ReferenceIndex(with_own_references(references), is_all=bool(references))


def _type(policy_type: str, resource_type: str | None) -> PolicyType:
    type = POLICY_TYPES.get(policy_type)
    if type is None:
        hint = did_you_mean(policy_type, POLICY_TYPES)
        raise InvalidInput(f"expected the type of a policy, got `{policy_type[:200]}`{hint}")
    if resource_type is not None and type is not PolicyType.RESOURCE:
        raise InvalidInput(f"expected no resource type with `{policy_type}`, got `{resource_type[:200]}`")
    return PolicyType.TRUST if resource_type == TRUST_POLICY else type


def _place(finding: dict[str, Any]) -> tuple[int, str]:
    return finding["locations"][0]["span"]["start"]["offset"], finding["issueCode"]
