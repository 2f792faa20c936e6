"""What policies allow: questions, proofs, findings, linting, replays and generated policies."""

from __future__ import annotations

from iam_guard.imports import public_names

_MODULES = {
    "analysis.access.what_can": "what_can",
    "analysis.access.who_can": "who_can",
    "analysis.activity": "ArnTemplates aggregate_activity generate_policy",
    "analysis.checks.dead_statements": "check_dead_statements",
    "analysis.checks.policy_checks": "check_no_new_access",
    "analysis.escalation.escalation_search": "escalation_paths",
    "analysis.findings.external_access": "external_findings",
    "analysis.findings.internal_access": "InternalAccess",
    "analysis.findings.shared_resources": "read_shared_resources read_zones",
    "analysis.lint.linter": "Linter",
    "analysis.lint.policy_validation": "validate_policy",
    "analysis.lint.sources": "read_sources",
    "analysis.replay": "Replayer compare_decisions",
}

__all__, __getattr__, __dir__ = public_names(__name__, _MODULES)
