"""Patterns of resources from ARN templates."""

from __future__ import annotations

from iam_guard.analysis.activity import ArnTemplates
from iam_guard.model.catalogue import Catalogue
from tests.analysis.activity.records import ACME
from tests.tables import table

docs = Catalogue("docs")
for name, template in [
    ("Get", "document/{document_id}"),
    ("Note", "document/{document_id}/note/{number}"),
    ("Note", "document/{document_id}/comment"),
    ("Share", "arn:{partition}:docs:{region}:{account}:folder/{folder_id}"),
    ("Fixed", "settings"),
    ("Loaded", "load_document()"),
    ("List", "*"),
    ("Cost", "price/$/{id}"),
    ("Foreign", "arn:aws:mail:{region}:{account}:box/{id}"),
]:
    docs.declare(name, template)
TEMPLATES = ArnTemplates([docs])
HEAD = f"arn:aws:docs:us-east-1:{ACME}:"


@table(
    ("action", "arn", "pattern"),
    [
        ("docs:Get", f"{HEAD}document/7", f"{HEAD}document/*"),
        ("DOCS:GET", f"{HEAD}document/7", f"{HEAD}document/*"),
        ("docs:Get", f"{HEAD}document/a/b", f"{HEAD}document/*"),  # a path as parameter
        ("docs:Get", f"{HEAD}document/", None),
        ("docs:Get", f"{HEAD}Document/7", None),
        ("docs:Note", f"{HEAD}document/7/note/2", f"{HEAD}document/*/note/*"),
        ("docs:Note", f"{HEAD}document/7/comment", f"{HEAD}document/*/comment"),
        ("docs:Get", f"{HEAD}document/7/note/2", f"{HEAD}document/*"),  # its own template before others'
        ("docs:Decided", f"{HEAD}document/7/note/2", f"{HEAD}document/*/note/*"),  # none of its own
        ("docs:Share", f"{HEAD}folder/x", f"{HEAD}folder/*"),
        ("docs:Foreign", f"arn:aws:mail:us-east-1:{ACME}:box/1", f"arn:aws:mail:us-east-1:{ACME}:box/*"),
        ("docs:Foreign", f"{HEAD}box/1", None),
        ("docs:Fixed", f"{HEAD}settings", None),
        ("docs:Cost", f"{HEAD}price/$/1", HEAD + "price/${$}/*"),
        ("docs:Get", "arn:aws:docs:::document/7", None),  # may be of any account
        ("docs:Get", "*", None),
        ("docs:Get", "document/7", None),
        ("iam:GetRole", f"arn:aws:iam::{ACME}:role/team/x", f"arn:aws:iam::{ACME}:role/*"),
        ("iam:GetPolicy", "arn:aws:iam::aws:policy/ReadOnlyAccess", None),
        (
            "iam:GetRole",
            f"arn:aws:iam::{ACME}:role/aws-service-role/s/R",
            f"arn:aws:iam::{ACME}:role/aws-service-role/*/*",
        ),
        ("sts:AssumeRole", f"arn:aws:iam::{ACME}:role/x", None),  # of another service than the action's
    ],
)
def test_pattern_of_a_resource(action: str, arn: str, pattern: str | None) -> None:
    assert TEMPLATES.generalize(action, arn) == pattern


def test_declared_actions_are_listed() -> None:
    assert {"docs:Get", "docs:Fixed", "docs:List"} <= TEMPLATES.actions
