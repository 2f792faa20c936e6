"""References as files and pages: AWS's form both ways, the pages byte for byte, those of IAM and STS."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from iam_guard.analysis.reference.json_form import read_references, reference_json
from iam_guard.analysis.reference.own_references import own_references
from iam_guard.analysis.reference.pages import html_page, markdown
from iam_guard.api.access_analyzer.operation_table import ACCESS_ANALYZER
from iam_guard.api.iam.operations import IAM
from iam_guard.api.own.operation_table import IAM_GUARD
from iam_guard.api.signin.tool_operations import SIGNIN
from iam_guard.api.sts.operations import STS
from iam_guard.errors import InvalidInput
from iam_guard.model.reference import AccessLevel, ServiceReference
from iam_guard.web.service import Service
from tests.tables import table

GOLDEN = Path(__file__).parent / "golden"


def declared() -> ServiceReference:
    """Return a reference with every feature, and markup in its texts."""
    docs = Service("docs", title="Documents <of> acme & co")
    docs.declare_resource_type("document", "document/{document_id}", condition_keys=["aws:ResourceTag/team"])
    docs.declare_condition_key("docs:Kind", description="The kind | of a *document*")
    docs.declare_condition_key("docs:Readers", "ARN", multivalued=True)
    docs.requires("GetDocument", resource="document/{id}", context={"docs:Kind": "x"})
    docs.requires("ListDocuments")
    docs.requires("FindDocument", resource=lambda: None, context=dict)
    docs.declare_action(
        *("ShareDocument",),
        description="Lets <others> read `it`",
        resource_types=["document"],
        condition_keys=["docs:Readers"],
        depends_on=["docs:GetDocument", "iam:GetUser"],
    )
    docs.requires("TagDocument", resource="document/{id}", context={"aws:TagKeys": []})
    return docs.reference()


@table(
    ("name", "text"),
    [
        ("docs.json", reference_json([declared()])),
        ("docs.md", markdown([declared()])),
        ("docs.html", html_page([declared()])),
    ],
)
def test_formats_equal_golden_files(name: str, text: str) -> None:
    """The output is deterministic; after an intended change, write the files anew."""
    assert (GOLDEN / name).read_text(encoding="utf-8") == text


def test_json_round_trip() -> None:
    assert read_references(reference_json([declared()])) == (declared(),)
    both = [declared(), *own_references()]
    assert read_references(reference_json(both)) == tuple(both)


def test_html_cells_have_headings() -> None:
    """For screen readers: a row is named by its first cell, a column by its title."""
    page = html_page([declared()])
    assert page.count('<tr><th scope="row">') == page.count("<tr>") - page.count("<thead><tr>")
    assert page.count("<th>") == 0


def test_html_is_self_contained() -> None:
    """No script, no address, and every tag is closed."""
    open_tags: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in ("script", "link", "img")
            assert all(not (value or "").startswith(("http", "//")) for _, value in attrs)
            if tag not in ("meta", "br"):
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Checker().feed(html_page([declared()]))
    assert open_tags == []


AWS_FILE = """{"Name": "s3", "Actions": [
  {"Name": "GetObject", "ActionConditionKeys": ["s3:TlsVersion"], "Resources": [{"Name": "object"}],
   "Annotations": {"Properties": {"IsList": false, "IsPermissionManagement": false, "IsWrite": false}},
   "SupportedBy": {"IAM Action Last Accessed": true}},
  {"Name": "CreateJob", "Annotations": {"Properties": {"IsPermissionManagement": true, "IsWrite": true}}},
  {"Name": "ListAllMyBuckets"}],
 "ConditionKeys": [{"Name": "s3:TlsVersion", "Types": ["Numeric"]}, {"Name": "s3:New", "Types": ["Complex"]},
  {"Name": "aws:TagKeys", "Types": ["ArrayOfString"]}],
 "Resources": [{"Name": "object", "ARNFormats": ["arn:${Partition}:s3:::${BucketName}/${ObjectName}"]}],
 "Operations": [{"Name": "GetObject"}], "Version": "v1.4"}"""


def test_aws_file_is_read() -> None:
    """Additional members are ignored; an unknown type counts as none."""
    [s3] = read_references(AWS_FILE)
    assert [(action.name, action.level) for action in s3.actions] == [
        ("CreateJob", AccessLevel.PERMISSIONS_MANAGEMENT),
        ("GetObject", AccessLevel.READ),
        ("ListAllMyBuckets", None),
    ]
    types = {key.name: (key.type, key.multivalued) for key in s3.condition_keys}
    assert types == {"aws:TagKeys": ("String", True), "s3:New": (None, False), "s3:TlsVersion": ("Numeric", False)}
    assert s3.keys_of(s3.actions[1]) == {"s3:TlsVersion"}


@table(
    "text",
    [
        *("", "[", "7", '"text"', "{}", '{"Name": ""}', '{"Name": 7}', '{"Name": "s3", "Actions": {}}'),
        *('{"Name": "s3", "Actions": [7]}', '{"Name": "s3", "Resources": [{"Name": "x", "ARNFormats": [7]}]}'),
        *('{"Name": "s3", "Actions": [{"Name": "x", "Annotations": 7}]}', "[" * 100_000),
    ],
)
def test_invalid_reference_is_refused(text: str) -> None:
    """With our own error."""
    with pytest.raises(InvalidInput):
        read_references(text)


# --- our own -----------------------------------------------------------------------------------------------------


def test_every_operation_is_an_action() -> None:
    """The references of our own services match the tables of operations."""
    iam, sts, signin, access_analyzer, ours = own_references()
    assert {action.name for action in iam.actions} >= set(IAM.operations)
    assert {action.name for action in sts.actions} >= set(STS.operations) | set(STS.not_supported)
    signed = {*SIGNIN.operations, *SIGNIN.not_supported} - {"CreateOAuth2TokenWithTokenExchange"}  # unsigned
    assert {action.name for action in signin.actions} >= {name.removesuffix("WithIAM") for name in signed}
    assert {action.name for action in access_analyzer.actions} == {
        *ACCESS_ANALYZER.operations,
        *ACCESS_ANALYZER.not_supported,
    }
    of_aws = {name for name, operation in IAM_GUARD.operations.items() if operation.permissions is not None}
    of_authzen = {"EvaluateAccess", "SearchActions", "SearchResources", "SearchSubjects"}
    assert {action.name for action in ours.actions} == ({*IAM_GUARD.operations} - of_aws) | of_authzen


def test_permissions_without_operation_are_included() -> None:
    """R-15, S-20: permissions that policies must name besides operations."""
    iam, sts, *_ = own_references()
    assert "PassRole" in {action.name for action in iam.actions}
    assert {"TagSession", "SetSourceIdentity"} <= {action.name for action in sts.actions}


def test_every_action_is_described() -> None:
    """With a level and a description; with declared resource types."""
    for reference in own_references():
        types = {resource_type.name for resource_type in reference.resource_types}
        for action in reference.actions:
            assert action.level is not None
            assert action.description
            assert {resource.name for resource in action.resources} <= types
