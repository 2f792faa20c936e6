"""Count the statements of the examples that lists can be filtered by: those of pages and of example services.

Examples have no models, so each service gets one: a column for each condition key, of the type that its operators
compare.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import JSON, Boolean, Column, DateTime, Integer, MetaData, String, Table

from iam_guard import Service
from iam_guard.analysis.lint.sources import sources_of_text
from iam_guard.errors import IamGuardError
from iam_guard.filters.dialects import DIALECTS
from iam_guard.filters.filterability import untranslated
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.model.decision import PolicyType
from iam_guard.model.own_services import RESERVED
from iam_guard.policy.document import Document, Statement
from iam_guard.policy.grammar import split_operator
from iam_guard.policy.parser import parse
from tools.blocks import files_of, program_of

ROOT = Path(__file__).resolve().parents[2]
SEEDS: Final = [*(ROOT / "examples").rglob("iam.yaml"), *(ROOT / "integrations").glob("*/example/iam.yaml")]
PAGES: Final = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
TYPES: Final = {"Numeric": Integer, "Date": DateTime, "Bool": Boolean}


def documents() -> Iterator[Document]:
    """Yield the policies of all examples that are policies."""
    texts = [(path.name, path.read_text(encoding="utf-8")) for path in SEEDS]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        texts += [(name, body) for name, body in files_of(text).items() if name.endswith((".yaml", ".json"))]
        texts += [("policy.json", policy) for policy in policies_in(program_of(text))]
    for name, text in texts:
        for file in sources_of_text(text, name):
            for policy in file.policies:
                try:
                    yield parse(policy.text, policy.type)
                except IamGuardError:
                    continue  # an example of a mistake


def policies_in(program: str) -> Iterator[str]:
    """Yield the policies that a program has as literals; names in them are some text."""
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Dict) and any(
            isinstance(key, ast.Constant) and key.value == "Effect" for key in node.keys
        ):
            literal = _Literal().visit(node)
            yield json.dumps({"Version": "2012-10-17", "Statement": [ast.literal_eval(literal)]})


class _Literal(ast.NodeTransformer):
    """Replaces what is computed by an ARN."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, (ast.Dict, ast.List, ast.Constant, ast.expr_context)):
            return super().generic_visit(node)
        return ast.Constant("arn:aws:docs:us-east-1:111122223333:document/1")


def own_services(statement: Statement) -> set[str]:
    actions = statement.actions or statement.not_actions or ()
    return {action.partition(":")[0].lower() for action in actions if ":" in action} - RESERVED


def mappings(found: list[Document]) -> Mapping[str, ResourceMapping]:
    """Return a resource type for each service of these policies."""
    columns: dict[str, dict[str, Any]] = {}
    for document in found:
        for statement in document.statements:
            for service in own_services(statement):
                keys = columns.setdefault(service, {})
                for test in statement.conditions:
                    if test.key.lower().startswith(f"{service}:"):
                        base = split_operator(test.operator).base
                        type = next((type for name, type in TYPES.items() if base.startswith(name)), String)
                        keys.setdefault(test.key.lower(), type)
    return {service: mapping_of(service, keys) for service, keys in columns.items()}


def mapping_of(service: str, keys: Mapping[str, Any]) -> ResourceMapping:
    own = [Column("id", String, primary_key=True), Column("tags", JSON)]
    model = Table("rows", MetaData(), *own, *(Column(key, type) for key, type in keys.items()))
    return Service(service).resource_type(
        "row",
        "row/{id}",
        model=model,
        account="111122223333",
        tags=model.c.tags,
        keys={key: model.c[key] for key in keys},
    )


def test_examples_can_be_filtered() -> None:
    """At least 95 of 100 statements about resources of applications, on every database."""
    found = list(
        {document.digest: document for document in documents() if document.type is not PolicyType.TRUST}.values()
    )
    types = mappings(found)
    results = [
        not any(True for dialect in DIALECTS for _ in untranslated(document, statement, types[service], dialect))
        for document in found
        for statement in document.statements
        for service in own_services(statement)
    ]
    assert len(results) >= 40
    assert sum(results) >= 0.95 * len(results)
