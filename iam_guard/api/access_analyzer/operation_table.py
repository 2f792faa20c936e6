"""The operation table of IAM Access Analyzer: handler, target and condition keys per operation (K)."""

from __future__ import annotations

from typing import Final

from iam_guard.api.access_analyzer import analyzers, archive_rules, custom_checks
from iam_guard.api.access_analyzer.analyzer_rows import (
    NAMED_ANALYZER,
    NAMED_RULE,
    RULE_AT_ARN,
    TAGGED_RESOURCE,
    analyzer_tag_keys,
)
from iam_guard.api.operation import Operation, Service

_NOT_SERVED: Final = """
    CancelPolicyGeneration CreateAccessPreview CreateServiceLinkedAnalyzer DeleteServiceLinkedAnalyzer
    GenerateFindingRecommendation GetAccessPreview GetAnalyzedResource GetFinding GetFindingRecommendation
    GetFindingV2 GetFindingsStatistics GetGeneratedPolicy ListAccessPreviewFindings ListAccessPreviews
    ListAnalyzedResources ListFindings ListFindingsV2 ListPolicyGenerations StartPolicyGeneration StartResourceScan
    UpdateFindings ValidatePolicy
""".split()

ACCESS_ANALYZER = Service(
    "access-analyzer",
    {
        # --- analyzers
        "CreateAnalyzer": Operation(analyzers.create_analyzer, NAMED_ANALYZER, (analyzer_tag_keys,)),
        "DeleteAnalyzer": Operation(analyzers.delete_analyzer, NAMED_ANALYZER),
        "GetAnalyzer": Operation(analyzers.get_analyzer, NAMED_ANALYZER, reads=True),
        "ListAnalyzers": Operation(analyzers.list_analyzers, reads=True),
        "ListTagsForResource": Operation(analyzers.list_tags_for_resource, TAGGED_RESOURCE, reads=True),
        "TagResource": Operation(analyzers.tag_resource, TAGGED_RESOURCE, (analyzer_tag_keys,)),
        "UntagResource": Operation(analyzers.untag_resource, TAGGED_RESOURCE, (analyzer_tag_keys,)),
        "UpdateAnalyzer": Operation(analyzers.update_analyzer, NAMED_ANALYZER),
        # --- archive rules
        "ApplyArchiveRule": Operation(archive_rules.apply_archive_rule, RULE_AT_ARN),
        "CreateArchiveRule": Operation(archive_rules.create_archive_rule, NAMED_RULE),
        "DeleteArchiveRule": Operation(archive_rules.delete_archive_rule, NAMED_RULE),
        "GetArchiveRule": Operation(archive_rules.get_archive_rule, NAMED_RULE, reads=True),
        "ListArchiveRules": Operation(archive_rules.list_archive_rules, NAMED_ANALYZER, reads=True),
        "UpdateArchiveRule": Operation(archive_rules.update_archive_rule, NAMED_RULE),
        # --- checks of documents
        "CheckAccessNotGranted": Operation(custom_checks.check_granted_access, reads=True),
        "CheckNoNewAccess": Operation(custom_checks.check_new_access, reads=True),
        "CheckNoPublicAccess": Operation(custom_checks.check_public_access, reads=True),
    },
    dict.fromkeys(_NOT_SERVED, "this version has no analyzers"),
)
