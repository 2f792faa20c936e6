"""Variables in the `Resource` of a resource's own policy: the resource is known, so which values do they have?

An entry such as `document/${aws:username}` may match the resource. The analysis reads it with a `*` in place of its
variables, so that no access is missed; the values that match the resource are for the request that confirms it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from iam_guard.analysis.checks.instances import stands_for_itself
from iam_guard.analysis.checks.statement_forms import DocumentForm
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.evaluation.matching.pattern import literal_prefix
from iam_guard.evaluation.matching.referenced_keys import keys_of_resource
from iam_guard.evaluation.matching.variables import replace_variables
from iam_guard.policy.document import Effect, Statement

_VARIABLE_OR_WILDCARD = re.compile(r"\$\{\s*([^,}]+?)\s*(?:,[^}]*)?\}|[*?]")


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


def values_for(form: DocumentForm, arn: str) -> Iterator[Mapping[str, str]]:
    """Yield values of variables with which entries of the policy match the resource, or one below it."""
    written = form.document.statements
    entries = [
        entry for statement in written for entry in (*(statement.resources or ()), *(statement.not_resources or ()))
    ]
    for entry in dict.fromkeys(entries):
        keys = _open_keys(entry, form.document.version, arn)
        pattern = _pattern(entry) if keys else None
        for resource in (arn, f"{arn}/example", f"{arn}:example") if pattern is not None else ():
            found = pattern.fullmatch(resource) if pattern is not None else None
            values = dict(zip(dict.fromkeys(keys), found.groups(), strict=False)) if found is not None else {}
            if values and all(map(stands_for_itself, values.values())):
                yield values


def _pattern(entry: str) -> re.Pattern[str]:
    """Return a pattern with a group for the first variable of each key, and a reference to it for the others."""
    parts: list[str] = []
    seen: dict[str, int] = {}
    position = 0
    for found in _VARIABLE_OR_WILDCARD.finditer(entry):
        parts.append(re.escape(entry[position : found.start()]))
        position = found.end()
        key = (found[1] or "").lower()
        if found[0] in ("*", "?"):
            parts.append(".*" if found[0] == "*" else ".")
        elif found[0] in ("${*}", "${?}", "${$}"):
            parts.append(re.escape(key))
        elif key in seen:
            parts.append(rf"\{seen[key]}")
        else:
            seen[key] = len(seen) + 1
            parts.append("(.+?)")
    return re.compile("".join((*parts, re.escape(entry[position:]))), re.DOTALL)
