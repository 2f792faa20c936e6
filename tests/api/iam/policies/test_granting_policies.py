"""ListPoliciesGrantingServiceAccess by boto3."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.conftest import ACCOUNT, Client, Running, refusal
from tests.api.iam.policy_parts import TRUST, join, prepare
from tests.api.iam.simulation_parts import document, saying

POLICY = f"arn:aws:iam::{ACCOUNT}:policy/docs"


def statements(*many: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(document(*many)))


@pytest.fixture
def people(server: Running) -> Running:
    """ada, her team and a role; the role's boundary is not attached."""
    prepare(
        server,
        policies=[
            {"name": name, "path": "/docs/", "document": statements(saying("Allow", "s3:*"))}
            for name in ("Own", "Both")
        ],
        users=[
            {
                "name": "ada",
                "inline": {"Mail": statements(saying("Allow", "ses:Send*"), saying("Deny", "s3:*"))},
                "attached": ["Own", "Both"],
            }
        ],
        groups=[{"name": "team", "inline": {"Team": statements(saying("Allow", "S3:List*"))}, "attached": ["Both"]}],
        roles=[
            {
                "name": "worker",
                "trust": TRUST,
                "inline": {"Work": statements(saying("Allow", "sqs:*"))},
                "boundary": "Own",
            }
        ],
    )
    join(server, "ada", "team")
    return server


def granting(iam: Client, source: str, *services: str) -> dict[str, list[dict[str, str]]]:
    answer = iam.list_policies_granting_service_access(
        Arn=f"arn:aws:iam::{ACCOUNT}:{source}", ServiceNamespaces=list(services)
    )
    assert answer["IsTruncated"] is False
    return {each["ServiceNamespace"]: each["Policies"] for each in answer["PoliciesGrantingServiceAccess"]}


def managed(name: str) -> dict[str, str]:
    return {"PolicyName": name, "PolicyType": "MANAGED", "PolicyArn": f"{POLICY}/{name}"}


def within(name: str, kind: str, holder: str) -> dict[str, str]:
    return {"PolicyName": name, "PolicyType": "INLINE", "EntityType": kind, "EntityName": holder}


@pytest.mark.parametrize(
    ("source", "service", "expected"),
    [
        ("user/ada", "s3", [managed("Both"), managed("Own"), within("Team", "GROUP", "team")]),
        ("user/ada", "ses", [within("Mail", "USER", "ada")]),
        ("user/ada", "sqs", []),
        ("group/team", "s3", [managed("Both"), within("Team", "GROUP", "team")]),
        ("group/team", "ses", []),
        ("role/worker", "sqs", [within("Work", "ROLE", "worker")]),
        ("role/worker", "s3", []),
    ],
)
def test_granting_policies_name_their_attachments(
    iam: Client, people: Running, source: str, service: str, expected: list[dict[str, str]]
) -> None:
    """API reference: own and group policies, each once; no boundary; each policy by itself."""
    assert granting(iam, source, service) == {service: expected}


def test_granting_services_keep_the_requested_order(iam: Client, people: Running) -> None:
    """Each once."""
    assert list(granting(iam, "user/ada", "sqs", "s3", "iam", "s3")) == ["sqs", "s3", "iam"]


@pytest.mark.parametrize(
    ("many", "grants"),
    [
        ([saying("Allow", "*")], True),
        ([saying("Allow", "s3:Get?bject")], True),
        ([saying("Allow", "s3express:*")], False),
        ([saying("Deny", "s3:*")], False),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], True),
        ([{"Effect": "Allow", "NotAction": ["s3:*", "iam:*"], "Resource": "*"}], False),
        ([{"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"}], True),
        ([{"Effect": "Allow", "NotAction": "*", "Resource": "*"}], False),
        ([saying("Allow", "s3:*", Condition={"Bool": {"aws:SecureTransport": "true"}})], True),
        ([saying("Allow", "*"), saying("Deny", "s3:*")], False),
        ([saying("Allow", "*"), saying("Deny", "s3:Put*")], True),
        ([saying("Allow", "*"), saying("Deny", "s3:*", "arn:aws:s3:::secret/*")], True),
    ],
)
def test_granting_policy_allows_an_action(
    iam: Client, server: Running, many: list[dict[str, Any]], grants: bool
) -> None:
    """R-34: an Allow that can match an action of the service, unless the policy denies all of it."""
    prepare(server, users=[{"name": "eve", "inline": {"One": statements(*many)}}])
    assert granting(iam, "user/eve", "s3") == {"s3": [within("One", "USER", "eve")] if grants else []}


def test_granting_services_are_paged(iam: Client, people: Running) -> None:
    """A hundred at a time; there is no parameter for it."""
    namespaces = [f"service-{number}" for number in range(150)]
    arn = f"arn:aws:iam::{ACCOUNT}:user/ada"
    first = iam.list_policies_granting_service_access(Arn=arn, ServiceNamespaces=namespaces)
    second = iam.list_policies_granting_service_access(Arn=arn, ServiceNamespaces=namespaces, Marker=first["Marker"])
    assert (first["IsTruncated"], second["IsTruncated"]) == (True, False)
    shown = [each["ServiceNamespace"] for page in (first, second) for each in page["PoliciesGrantingServiceAccess"]]
    assert shown == namespaces
    with refusal("ValidationError", "Invalid Marker."):
        iam.list_policies_granting_service_access(Arn=arn, ServiceNamespaces=namespaces, Marker="none of ours")
