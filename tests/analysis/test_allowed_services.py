"""Services that policies allow access to (R-34; `iam_guard/analysis/allowed_services.py`)."""

from __future__ import annotations

from typing import Any

from iam_guard.analysis.allowed_services import SERVICE_NAMES, known_services, reached_services, service_name
from iam_guard.policy.parser import parse
from tests.tables import table

KNOWN = frozenset({"iam", "docs"})


def allow(**elements: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Resource": "*", **elements}


def deny(**elements: Any) -> dict[str, Any]:
    elements = elements if "NotResource" in elements else {"Resource": "*", **elements}
    return {"Effect": "Deny", **elements}


TEST = {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
OWN = "arn:aws:docs:us-east-1:111122223333:own/*"


@table(
    ("statements", "expected"),
    [
        ([allow(Action="docs:Get*")], {"docs"}),
        ([allow(Action="Docs:GetDocument", **TEST)], {"docs"}),
        ([allow(Action=["docs:Get*", "wiki:*"])], {"docs", "wiki"}),
        ([allow(Action="docs:*", Resource=OWN)], {"docs"}),
        ([allow(Action="*")], {"docs", "iam"}),
        ([allow(Action=["*", "wiki:Read"])], {"docs", "iam", "wiki"}),
        ([allow(NotAction="iam:*")], {"docs"}),
        ([allow(NotAction="iam:Get*")], {"docs", "iam"}),
        ([allow(NotAction="*")], set()),
        ([deny(Action="docs:Get*")], set()),
        ([allow(Action="docs:*"), deny(Action="docs:*")], set()),
        ([allow(Action="docs:*"), deny(Action="*")], set()),
        ([allow(Action="docs:*"), deny(Action="DOCS:*")], set()),
        ([allow(Action="docs:*"), deny(Action="docs:Delete*")], {"docs"}),
        ([allow(Action="docs:*"), deny(Action="docs:*", **TEST)], {"docs"}),
        ([allow(Action="docs:*"), deny(Action="docs:*", Resource=OWN)], {"docs"}),
        ([allow(Action="docs:*"), deny(Action="docs:*", NotResource=OWN)], {"docs"}),
        ([allow(Action=["docs:*", "iam:*"]), deny(NotAction="docs:Get*")], {"docs"}),
        ([allow(Action=["docs:*", "iam:*"]), deny(NotAction="*")], {"docs", "iam"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_service_is_reachable_by_allowed_action(statements: list[dict[str, Any]], expected: set[str]) -> None:
    """Unless all its actions are denied everywhere without a condition."""
    document = parse({"Version": "2012-10-17", "Statement": statements})
    assert reached_services([document], KNOWN) == expected


def test_documents_are_evaluated_together() -> None:
    """A Deny in one document applies to an Allow in another."""
    documents = [
        parse({"Version": "2012-10-17", "Statement": [allow(Action="*")]}),
        parse({"Version": "2012-10-17", "Statement": [deny(Action="iam:*")]}),
    ]
    assert reached_services(documents, KNOWN) == {"docs"}
    assert reached_services([], KNOWN) == set()


def test_service_names() -> None:
    """Our own services have AWS's names; others their namespace."""
    assert service_name("iam") == "AWS Identity and Access Management"
    assert service_name("docs") == "docs"
    assert known_services(["docs"]) == {*SERVICE_NAMES, "docs"}
