"""The operation table of IAM Access Analyzer: handler, target and condition keys per operation (K)."""

from __future__ import annotations

from typing import Final

from iam_guard.api.access_analyzer import custom_checks
from iam_guard.api.operation import Operation, Service

_NOT_SERVED: Final = """
    ApplyArchiveRule CancelPolicyGeneration CreateAccessPreview CreateAnalyzer CreateArchiveRule
    CreateServiceLinkedAnalyzer DeleteAnalyzer DeleteArchiveRule DeleteServiceLinkedAnalyzer
    GenerateFindingRecommendation GetAccessPreview GetAnalyzedResource GetAnalyzer GetArchiveRule
    GetFinding GetFindingRecommendation GetFindingV2 GetFindingsStatistics GetGeneratedPolicy
    ListAccessPreviewFindings ListAccessPreviews ListAnalyzedResources ListAnalyzers ListArchiveRules
    ListFindings ListFindingsV2 ListPolicyGenerations ListTagsForResource StartPolicyGeneration
    StartResourceScan TagResource UntagResource UpdateAnalyzer UpdateArchiveRule UpdateFindings
    ValidatePolicy
""".split()

ACCESS_ANALYZER = Service(
    "access-analyzer",
    {
        # --- checks of documents
        "CheckAccessNotGranted": Operation(custom_checks.check_granted_access, reads=True),
        "CheckNoNewAccess": Operation(custom_checks.check_new_access, reads=True),
        "CheckNoPublicAccess": Operation(custom_checks.check_public_access, reads=True),
    },
    dict.fromkeys(_NOT_SERVED, "this version has no analyzers"),
)
