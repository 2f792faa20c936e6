"""Match `Resource` and `NotResource` with the request's resource (rules M-10 to M-22, G-64, V-4, V-9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from iam_guard.evaluation.matching.pattern import (
    ARN_FIELDS,
    Pattern,
    always,
    compile_any,
    keep_in_fields,
    read_wildcards,
)
from iam_guard.evaluation.matching.variables import FilledTest, Template, compile_template, join, read_pieces
from iam_guard.model.request import AccessRequest

ResourceMatcher: TypeAlias = Callable[[AccessRequest], bool]

EVERYTHING = "*"


def compile_resources(entries: Sequence[str], version: str) -> ResourceMatcher:
    """Compile the entries into one matcher that matches if any of them does; without entries it matches nothing."""
    if EVERYTHING in entries:
        return always  # M-10
    fixed: list[Pattern] = []
    filled: list[FilledTest] = []
    for template in (reading for entry in dict.fromkeys(entries) for reading in read_resource(entry, version)):
        pattern = template.pattern
        if pattern is not None:
            fixed.append(pattern)
        else:
            filled.append(compile_template(template))
    is_fixed = compile_any(fixed)
    if not filled and not is_fixed(EVERYTHING):
        return lambda request: is_fixed(request.resource)
    if not filled:
        return lambda request: request.resource != EVERYTHING and is_fixed(request.resource)  # M-11

    def matches(request: AccessRequest) -> bool:
        resource = request.resource
        if resource == EVERYTHING:
            return False  # M-11
        if is_fixed(resource):
            return True
        for test in filled:  # noqa: SIM110  a generator would double the cost
            if test(request, resource):
                return True
        return False

    return matches


def read_resource(entry: str, version: str) -> list[Template]:
    """Parse an entry as written, and completed if it has fewer than six fields (rules M-12, G-64).

    An entry with a final `*` is not completed: the `*` matches colons, and so everything that the completion would.
    """
    missing = ARN_FIELDS - 1 - entry.count(":")
    completed = [entry + ":*" * missing] if missing > 0 and not entry.endswith("*") else []
    return [_read(text, version) for text in (entry, *completed)]


def _read(entry: str, version: str) -> Template:
    """Parse an entry; variables are supported in the sixth field, and `${` is literal text before it (rule V-4)."""
    *early, last = entry.split(":", ARN_FIELDS - 1)
    has_sixth = len(early) == ARN_FIELDS - 1
    before, sixth = ("".join(f"{field}:" for field in early), last) if has_sixth else (entry, "")
    kept = keep_in_fields(read_wildcards(before), final_run_is_free=True)
    return join((*kept, *read_pieces(sixth, version)))
