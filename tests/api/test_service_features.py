"""The features of IAM that services support, by the definitions of AWS's page of its services."""

from __future__ import annotations

from dataclasses import replace

from iam_guard import Service
from iam_guard.analysis.reference.own_references import own_references
from iam_guard.api.service_features import ServiceFeatures, features_table, service_features
from iam_guard.model.own_services import SERVED
from iam_guard.model.reference import ActionEntry, ActionTarget, ResourceType, ServiceReference
from tests.tables import table

RESOURCE_TAG, REQUEST_TAGS = "aws:ResourceTag/${TagKey}", ("aws:RequestTag/${TagKey}", "aws:TagKeys")
DOCUMENT, FOLDER = ResourceType("document", ("arn:…",), (RESOURCE_TAG,)), ResourceType("folder", ("arn:…",))
GET = ActionEntry("Get", resources=(ActionTarget("document"),))
PUT = ActionEntry("Put", resources=(ActionTarget("document"),), condition_keys=REQUEST_TAGS)
LIST = ActionEntry("List")
LOAD = ActionEntry("Load", open_resources=True)


def features(actions: list[ActionEntry], *types: ResourceType) -> ServiceFeatures:
    return service_features(ServiceReference("docs", tuple(actions), types))


@table(
    ("actions", "types", "expected"),
    [
        ([], [], "No No No No"),
        ([LIST], [], "Yes No No No"),
        ([LOAD], [], "Yes Yes Yes No"),
        ([LIST, GET], [DOCUMENT], "Yes Yes Yes No"),
        ([GET], [DOCUMENT, FOLDER], "Yes Partial Yes No"),
        ([GET, LOAD], [DOCUMENT, FOLDER], "Yes Yes Yes No"),
        ([PUT], [DOCUMENT], "Yes Yes Yes Yes"),
        ([PUT], [replace(DOCUMENT, condition_keys=())], "Yes Yes Yes No"),
        ([replace(PUT, condition_keys=REQUEST_TAGS[:1])], [DOCUMENT], "Yes Yes Yes No"),
        ([PUT, LOAD], [DOCUMENT, FOLDER], "Yes Yes Yes Partial"),
    ],
)
def test_features_follow_from_declarations(
    actions: list[ActionEntry], types: list[ResourceType], expected: str
) -> None:
    """Of actions, resources, policies and tags; the guard supports the others for every service."""
    _, *found = features(actions, *types)
    assert " ".join(found) == f"{expected} Yes Yes"


@table(
    ("name", "expected"),
    [("iam", "Yes Yes Partial Partial Partial No"), ("sts", "Yes Yes No Partial Partial No")],
)
def test_features_of_own_services(name: str, expected: str) -> None:
    """IAM has trust policies only; groups have no tags; H.1: some sessions can't call some operations."""
    [reference] = [found for found in own_references() if found.name == name]
    title, *found = service_features(reference)
    assert title == f"{reference.title} (`{name}`)"
    assert " ".join(found) == expected
    assert len(own_references()) == len(SERVED)


def test_service_of_an_application_has_a_row() -> None:
    docs = Service("docs")
    docs.declare_resource_type("document", "document/{id}", condition_keys=["aws:ResourceTag/team"])
    docs.declare_action("TagDocument", resource_types=["document"], condition_keys=REQUEST_TAGS)
    head, _, row = features_table([docs.reference()]).splitlines()
    assert head.split(" | ")[2:5] == ["Resource-level permissions", "Resource-based policies", "ABAC (tags)"]
    assert row == "| `docs` | Yes | Yes | Yes | Yes | Yes | Yes |"
