"""An application's declarations, and the reference made from them."""

from __future__ import annotations

import pytest

from iam_guard.errors import ConfigurationError
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.reference import AccessLevel, ActionEntry, ActionTarget, ServiceReference, level_of
from iam_guard.web.service import Service, requires
from tests.tables import table

DOCUMENT = "arn:${Partition}:docs:${Region}:${Account}:document/${DocumentId}"


@pytest.fixture
def docs() -> Service:
    return Service("docs", title="Documents")


def action(reference: ServiceReference, name: str) -> ActionEntry:
    return next(each for each in reference.actions if each.name == name)


def test_decorators_declare_actions(docs: Service) -> None:
    """Action, resource type, condition keys, description and access level."""

    @docs.requires(
        "GetDocument", resource="document/{document_id}", context={"docs:Kind": "x", "aws:RequestTag/team": "y"}
    )
    def get_document(document_id: str) -> None:
        """Read a document.

        And nothing else.
        """

    reference = docs.reference()
    assert (reference.name, reference.title) == ("docs", "Documents")
    assert reference.actions == (
        ActionEntry(
            "GetDocument",
            "Read a document.",
            AccessLevel.READ,
            (ActionTarget("document", required=True),),
            ("aws:RequestTag/${TagKey}", "docs:Kind"),
        ),
    )
    assert [(resource_type.name, resource_type.arn_formats) for resource_type in reference.resource_types] == [
        ("document", (DOCUMENT,))
    ]
    assert [(key.name, key.type) for key in reference.condition_keys] == [
        ("aws:RequestTag/${TagKey}", "String"),
        ("docs:Kind", None),
    ]


def test_loader_makes_resources_and_keys_open(docs: Service) -> None:
    """They are known per request only, and can be declared by name."""
    docs.requires("GetDocument", resource=lambda document_id: f"arn:aws:docs:::document/{document_id}")
    docs.requires("TagDocument", resource="*", context=lambda: {"docs:Kind": "x"})
    reference = docs.reference()
    assert action(reference, "GetDocument").open_resources
    assert action(reference, "TagDocument").open_keys
    docs.declare_resource_type("document", "document/{id}", description="A text")
    docs.declare_action("GetDocument", resource_types=["document"], condition_keys=["docs:Kind"])
    documented = action(docs.reference(), "GetDocument")
    assert not documented.open_resources
    assert [resource.name for resource in documented.resources] == ["document"]


def test_action_without_resource_has_wildcard_only(docs: Service) -> None:
    """An action that is decided about in a handler only is open."""
    docs.requires("ListDocuments")
    docs.catalogue.declare("MoveDocument")
    assert action(docs.reference(), "ListDocuments").resources == ()
    assert not action(docs.reference(), "ListDocuments").open_resources
    assert action(docs.reference(), "MoveDocument").open_resources


@pytest.mark.parametrize(
    ("template", "type", "arn"),
    [
        ("document/{document_id}", "document", DOCUMENT),
        (
            "document/{id}/page/{number}",
            "page",
            "arn:${Partition}:docs:${Region}:${Account}:document/${Id}/page/${Number}",
        ),
        ("{bucket_id}", "bucket", "arn:${Partition}:docs:${Region}:${Account}:${BucketId}"),
        ("arn:aws:docs::{account_id}:shelf/{name}", "shelf", "arn:aws:docs::${Account}:shelf/${Name}"),
        ("{x}:{y}", "y", "arn:${Partition}:docs:${Region}:${Account}:${X}:${Y}"),
    ],
)
def test_template_names_its_resource_type(docs: Service, template: str, type: str, arn: str) -> None:
    """By its last plain word, or its last parameter."""
    docs.requires("GetDocument", resource=template)
    [found] = docs.reference().resource_types
    assert (found.name, found.arn_formats) == (type, (arn,))


def test_declared_type_matches_its_template(docs: Service) -> None:
    """Whatever the names of its parameters."""
    docs.declare_resource_type("file", "document/{name}", condition_keys=["aws:ResourceTag/team"])
    docs.requires("GetDocument", resource="document/{document_id}")
    [found] = docs.reference().resource_types
    assert (found.name, found.condition_keys) == ("file", ("aws:ResourceTag/${TagKey}",))
    with pytest.raises(ConfigurationError, match="`file` has the template"):
        docs.declare_resource_type("other", "document/{x}")
    docs.declare_resource_type("file", "scan/{name}")
    assert len(docs.reference().resource_types[0].arn_formats) == 2


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda docs: docs.declare_action("Get", level="Reading"), "access level"),
        (lambda docs: docs.declare_action("Get*"), "without wildcards"),
        (lambda docs: docs.declare_action("docs:GetNote"), "without wildcards or prefix"),
        (lambda docs: docs.declare_action("Get", depends_on=["Put"]), "docs:GetDocument"),
        (lambda docs: docs.declare_action("Get", condition_keys=["kind"]), "condition keys"),
        (lambda docs: docs.declare_action("Get", condition_keys="docs:Kind"), "list of condition keys"),
        (lambda docs: docs.declare_condition_key("aws:SourceIp"), "of the service"),
        (lambda docs: docs.declare_condition_key("docs:Kind", "Text"), "expected a type"),
        (lambda docs: docs.declare_resource_type("a b", "x/{y}"), "resource type"),
        (lambda docs: docs.declare_resource_type("document", "x/{y"), "expected a resource such as"),
    ],
)
def test_invalid_declaration_is_refused(docs: Service, declare: object, message: str) -> None:
    """The application does not start."""
    with pytest.raises(ConfigurationError, match=message):
        declare(docs)  # type: ignore[operator]


def test_contradicting_declaration_is_refused(docs: Service) -> None:
    """An equal one is accepted."""
    docs.declare_action("Get", level="Read", description="Read it")
    docs.declare_action("Get", level=AccessLevel.READ, description="Read it")
    with pytest.raises(ConfigurationError, match="access level was declared before as `Read`"):
        docs.declare_action("Get", level="Write")
    with pytest.raises(ConfigurationError, match="description was declared before"):
        docs.declare_action("Get", description="Show it")
    docs.declare_condition_key("docs:Age", "Numeric")
    docs.declare_condition_key("docs:Age", "Numeric")
    with pytest.raises(ConfigurationError, match="declared differently before"):
        docs.declare_condition_key("docs:Age", "Date")


def test_undeclared_reference_is_refused(docs: Service) -> None:
    """Declarations may come in any order, since modules are imported in any."""
    docs.declare_action("Get", resource_types=["document"], depends_on=["docs:Look", "iam:PassRole"])
    with pytest.raises(ConfigurationError, match="resource type `document` is not declared"):
        docs.reference()
    docs.declare_resource_type("document", "document/{id}")
    with pytest.raises(ConfigurationError, match="`docs:Look` that it depends on is not declared"):
        docs.reference()
    docs.declare_action("Look")
    assert action(docs.reference(), "Get").dependent_actions == ("docs:Look", "iam:PassRole")


def test_catalogues_of_one_service_are_merged(docs: Service) -> None:
    """`requires` with a full action name has its own catalogue."""
    docs.requires("GetDocument", resource="document/{id}")
    docs.declare_condition_key("docs:Kind", "Numeric")
    other = Service("docs")
    other.requires("GetDocument", resource="folder/{id}")
    other.declare_resource_type("shelf", "shelf/{id}")
    joined = Catalogue("docs")
    joined.add(docs.catalogue)
    joined.add(other.catalogue)
    reference = joined.reference()
    assert [resource_type.name for resource_type in reference.resource_types] == ["document", "folder", "shelf"]
    assert [resource.name for resource in action(reference, "GetDocument").resources] == ["document", "folder"]
    assert reference.title == "Documents"
    assert requires("docs:GetDocument", resource="document/{id}") is not None


@table(
    ("name", "level"),
    [
        ("ListDocuments", "List"),
        ("GetDocument", "Read"),
        ("BatchGetDocuments", "Read"),
        ("TagDocument", "Tagging"),
        ("UntagDocument", "Tagging"),
        ("PutDocumentPolicy", "Permissions management"),
        ("ShareDocument", "Permissions management"),
        ("GetDocumentPolicy", "Read"),
        ("CreateDocument", "Write"),
        ("Getaway", "Write"),
        ("do", "Write"),
    ],
)
def test_verb_implies_access_level(name: str, level: str) -> None:
    """Write by default."""
    assert level_of(name) == level
