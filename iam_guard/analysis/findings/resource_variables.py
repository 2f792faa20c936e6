"""Variables in the `Resource` of a resource's own policy: the resource is known, so which values do they have?

An entry such as `document/${aws:username}` may match the resource. The analysis reads it with a `*` in place of its
variables, so that no access is missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from iam_guard.analysis.checks.statement_forms import DocumentForm
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.evaluation.matching.pattern import literal_prefix
from iam_guard.evaluation.matching.referenced_keys import keys_of_resource
from iam_guard.evaluation.matching.variables import replace_variables
from iam_guard.policy.document import Effect, Statement


def with_open_resources(form: DocumentForm, arn: str) -> DocumentForm:
    """Return a policy with a `*` in place of the variables of its Allow statements that the resource's ARN decides."""
    if "${" not in form.document.text:
        return form
    opened = dict(_opened(form, arn))
    if not opened:
        return form
    statements = tuple(opened.get(statement.index, statement) for statement in form.document.statements)
    digest = f"{form.document.digest} open {arn}"
    document = replace(form.document, statements=statements, digest=digest)
    return DocumentForm(CompiledDocument(document))


def _opened(form: DocumentForm, arn: str) -> Iterator[tuple[int, Statement]]:
    version = form.document.version
    for statement in form.document.statements:
        if statement.effect is Effect.ALLOW and statement.resources is not None:
            entries = tuple(
                replace_variables(entry, version, frozenset(keys))
                if (keys := _open_keys(entry, version, arn))
                else entry
                for entry in statement.resources
            )
            if entries != statement.resources:
                yield statement.index, replace(statement, resources=entries)


def _open_keys(entry: str, version: str, arn: str) -> list[str]:
    """Return the keys of variables that may have a part of the ARN as their value, in lower case."""
    if literal_prefix(entry).startswith((f"{arn}/", f"{arn}:")):
        return []
    return [key.lower() for key in keys_of_resource(entry, version)]
