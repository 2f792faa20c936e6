"""A short policy costs a bounded number of requests and comparisons, and what is then not confirmed is reported."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard.analysis.checks.limits import MAX_REQUESTS
from iam_guard.analysis.findings import external_access, external_space
from iam_guard.analysis.findings.external_access import external_findings
from tests.analysis.findings.test_external_access import ACCOUNT_ZONE, allow, shared

PARTNERS = [f"{number:012}" for number in range(444400000000, 444400000272)]
VALUES = [f"v{number}" for number in range(7)]
NEVER = {
    "NumericLessThan": {"docs:n": "5"},
    "StringLike": {"docs:n": "x?z*"},
    "StringEquals": {"docs:m": VALUES, "docs:o": VALUES},
}
"""Conditions that no request meets, and whose values must be tried to see it."""
VARIABLES = {"StringEquals": {"docs:a": "${docs:b}", "docs:b": "${docs:c}x"}, "StringLike": {"docs:c": "${docs:a}?"}}
LIMIT = "no request was found that confirms it within the limit of 20,000 requests"


def test_requests_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy of 4.8 KB tried 139,264 requests. Access that is certain is confirmed first."""
    tried = 0
    original = external_access.decide  # type: ignore[attr-defined]

    def decide(*arguments: Any) -> Any:
        nonlocal tried
        tried += 1
        return original(*arguments)

    monkeypatch.setattr(external_access, "decide", decide)
    certain = allow({"AWS": PARTNERS[-1]}, action="docs:List")
    found = external_findings(shared(allow({"AWS": PARTNERS}, condition=NEVER), certain), ACCOUNT_ZONE)
    assert 0 < tried <= MAX_REQUESTS
    assert {(finding.principal["AWS"], *finding.actions) for finding in found if finding.error is None} == {
        (PARTNERS[-1], "docs:List")
    }
    unconfirmed = {finding.principal["AWS"]: finding.error for finding in found if finding.error is not None}
    assert unconfirmed.keys() == {*PARTNERS}
    assert unconfirmed[PARTNERS[-1]] == LIMIT


def test_values_of_variables_are_shared_by_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each grant built spaces of its own: 8,640 for this policy, twice."""
    built = 0
    original = external_space.ExternalSpace.__init__

    def build(self: Any, *arguments: Any) -> None:
        nonlocal built
        built += 1
        original(self, *arguments)

    monkeypatch.setattr(external_space.ExternalSpace, "__init__", build)
    found = external_findings(shared(allow({"AWS": PARTNERS}, condition=VARIABLES)), ACCOUNT_ZONE)
    assert 0 < built <= 97
    assert {finding.principal["AWS"] for finding in found} == {*PARTNERS}
    assert {finding.error for finding in found} == {LIMIT}
