"""The operation table of IAM Access Analyzer: handler, target and condition keys per operation (K)."""

from __future__ import annotations

from typing import Final

from iam_guard.api.access_analyzer import (
    access_previews,
    analyzed_resources,
    analyzers,
    archive_rules,
    custom_checks,
    finding_lists,
    finding_recommendations,
    finding_statistics,
    policy_generations,
    validation_findings,
)
from iam_guard.api.access_analyzer.analyzer_errors import InvalidMember
from iam_guard.api.access_analyzer.analyzer_rows import (
    ANALYZER_AT_ARN,
    NAMED_RULE,
    RULE_AT_ARN,
    TAGGED_RESOURCE,
    analyzer_tag_keys,
    named_analyzer,
)
from iam_guard.api.access_analyzer.finding_updates import bring_up_to_date, scan_resource
from iam_guard.api.operation import Handler, Operation, Service
from iam_guard.api.paging import PageMembers

NOT_SUPPORTED: Final = {
    "CreateServiceLinkedAnalyzer": "only other services of AWS have analyzers of their own",
    "DeleteServiceLinkedAnalyzer": "only other services of AWS have analyzers of their own",
}
"""Operation -> why it is not supported."""


def _of_findings(handle: Handler, *, reads: bool = True) -> Operation:
    """Return an operation on the findings of an analyzer, which are brought up to date before."""
    return Operation(handle, ANALYZER_AT_ARN, reads=reads, prepare=bring_up_to_date)


def _of_previews(handle: Handler) -> Operation:
    """Return an operation that reads access previews, of which one is completed before."""
    return Operation(handle, ANALYZER_AT_ARN, reads=True, prepare=access_previews.complete_preview)


ACCESS_ANALYZER = Service(
    "access-analyzer",
    {
        # --- analyzers
        "CreateAnalyzer": Operation(analyzers.create_analyzer, named_analyzer, (analyzer_tag_keys,)),
        "DeleteAnalyzer": Operation(analyzers.delete_analyzer, named_analyzer),
        "GetAnalyzer": Operation(analyzers.get_analyzer, named_analyzer, reads=True),
        "ListAnalyzers": Operation(analyzers.list_analyzers, reads=True),
        "ListTagsForResource": Operation(analyzers.list_tags_for_resource, TAGGED_RESOURCE, reads=True),
        "TagResource": Operation(analyzers.tag_resource, TAGGED_RESOURCE, (analyzer_tag_keys,)),
        "UntagResource": Operation(analyzers.untag_resource, TAGGED_RESOURCE, (analyzer_tag_keys,)),
        "UpdateAnalyzer": Operation(analyzers.update_analyzer, named_analyzer),
        # --- archive rules
        "ApplyArchiveRule": Operation(archive_rules.apply_archive_rule, RULE_AT_ARN, prepare=bring_up_to_date),
        "CreateArchiveRule": Operation(archive_rules.create_archive_rule, NAMED_RULE),
        "DeleteArchiveRule": Operation(archive_rules.delete_archive_rule, NAMED_RULE),
        "GetArchiveRule": Operation(archive_rules.get_archive_rule, NAMED_RULE, reads=True),
        "ListArchiveRules": Operation(archive_rules.list_archive_rules, named_analyzer, reads=True),
        "UpdateArchiveRule": Operation(archive_rules.update_archive_rule, NAMED_RULE),
        # --- findings
        "GetAnalyzedResource": _of_findings(analyzed_resources.get_analyzed_resource),
        "GetFinding": _of_findings(finding_lists.get_finding),
        "GetFindingV2": _of_findings(finding_lists.get_finding_v2),
        "GetFindingsStatistics": _of_findings(finding_statistics.get_findings_statistics),
        "ListAnalyzedResources": _of_findings(analyzed_resources.list_analyzed_resources),
        "ListFindings": _of_findings(finding_lists.list_findings),
        "ListFindingsV2": _of_findings(finding_lists.list_findings_v2),
        "StartResourceScan": Operation(
            finding_lists.start_resource_scan, ANALYZER_AT_ARN, reads=True, prepare=scan_resource
        ),
        "UpdateFindings": _of_findings(finding_lists.update_findings, reads=False),
        # --- recommendations
        "GenerateFindingRecommendation": _of_findings(
            finding_recommendations.generate_finding_recommendation, reads=False
        ),
        "GetFindingRecommendation": Operation(
            finding_recommendations.get_finding_recommendation,
            ANALYZER_AT_ARN,
            reads=True,
            prepare=finding_recommendations.complete_recommendation,
        ),
        # --- access previews
        "CreateAccessPreview": Operation(access_previews.create_access_preview, ANALYZER_AT_ARN),
        "GetAccessPreview": _of_previews(access_previews.get_access_preview),
        "ListAccessPreviewFindings": _of_previews(access_previews.list_access_preview_findings),
        "ListAccessPreviews": _of_previews(access_previews.list_access_previews),
        # --- policy generation
        "CancelPolicyGeneration": Operation(policy_generations.cancel_policy_generation),
        "GetGeneratedPolicy": Operation(
            policy_generations.get_generated_policy, reads=True, prepare=policy_generations.complete_generation
        ),
        "ListPolicyGenerations": Operation(policy_generations.list_policy_generations, reads=True),
        "StartPolicyGeneration": Operation(
            policy_generations.start_policy_generation, further=(policy_generations.pass_access_role,)
        ),
        # --- checks of documents
        "CheckAccessNotGranted": Operation(custom_checks.check_granted_access, reads=True),
        "CheckNoNewAccess": Operation(custom_checks.check_new_access, reads=True),
        "CheckNoPublicAccess": Operation(custom_checks.check_public_access, reads=True),
        "ValidatePolicy": Operation(validation_findings.validate_document, reads=True),
    },
    NOT_SUPPORTED,
    PageMembers("maxResults", "nextToken", sizes=range(1, 1000 + 1), invalid=InvalidMember),
)
