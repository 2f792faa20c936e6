"""Match `Resource` and `NotResource` with the request's resource (rules M-10 to M-22, G-64, V-4, V-9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from iam_guard.evaluation.matching.pattern import (
    ARN_FIELDS,
    always,
    compile_pattern,
    compile_texts,
    keep_in_fields,
    read_arn,
    read_wildcards,
)
from iam_guard.evaluation.matching.variables import (
    FilledTest,
    Template,
    compile_filled,
    compile_template,
    has_variables,
    join,
    literal_parts,
    read_pieces,
    reads_keys,
)
from iam_guard.model.request import AccessRequest

ResourceMatcher: TypeAlias = Callable[[AccessRequest], bool]

EVERYTHING = "*"
_READ_FIXED = partial(read_arn, final_run_is_free=True)
"""Parses an entry without variables as `read_resource` does."""


def compile_resources(entries: Sequence[str], version: str) -> ResourceMatcher:
    """Compile the entries into one matcher that matches if any of them does; without entries it matches nothing."""
    if EVERYTHING in entries:
        return always  # M-10
    plain = [text for entry in entries if not has_variables(entry, version) for text in _completed(entry)]
    others = [text for entry in entries if has_variables(entry, version) for text in _completed(entry)]
    others.sort(key=_reads_keys)
    is_fixed = compile_texts(plain, _READ_FIXED)
    if not others and not is_fixed(EVERYTHING):
        return lambda request: is_fixed(request.resource)
    is_filled = compile_filled(others, partial(_compile_filled, version=version), literal_parts)

    def matches(request: AccessRequest) -> bool:
        resource = request.resource
        return resource != EVERYTHING and (is_fixed(resource) or is_filled(request, resource))  # M-11

    return matches


def _reads_keys(text: str) -> bool:
    fields = text.split(":", ARN_FIELDS - 1)
    return len(fields) == ARN_FIELDS and reads_keys(fields[-1])  # V-4


def _compile_filled(text: str, version: str) -> FilledTest:
    template = _read(text, version)
    pattern = template.pattern
    if pattern is None:
        return compile_template(template)
    is_match = compile_pattern(pattern)
    return lambda _, resource: is_match(resource)


def read_resource(entry: str, version: str) -> list[Template]:
    """Parse an entry as written, and completed if it has fewer than six fields (rules M-12, G-64).

    An entry with a final `*` is not completed: the `*` matches colons, and so everything that the completion would.
    """
    return [_read(text, version) for text in _completed(entry)]


def _completed(entry: str) -> list[str]:
    missing = ARN_FIELDS - 1 - entry.count(":")
    return [entry, entry + ":*" * missing] if missing > 0 and not entry.endswith("*") else [entry]


def _read(entry: str, version: str) -> Template:
    """Parse an entry; variables are supported in the sixth field, and `${` is literal text before it (rule V-4)."""
    *early, last = entry.split(":", ARN_FIELDS - 1)
    has_sixth = len(early) == ARN_FIELDS - 1
    before, sixth = ("".join(f"{field}:" for field in early), last) if has_sixth else (entry, "")
    kept = keep_in_fields(read_wildcards(before), final_run_is_free=True)
    return join((*kept, *read_pieces(sixth, version)))
