"""Match one statement with one request: actions, resources, conditions (M-1); principals are in `principals`.

Interpretations where the rules are open:
- A variable counts only after the fifth colon of a resource as written (V-4), so an earlier `${…}` is literal text.
  The `*` in a literal `${*}` (2008-10-17) is a wildcard (G-5, M-4).
- A short ARN has no sixth field as written: its wildcards match no colon, except a segment-final `*` (M-12). Completed
  by G-64 it is a six-field pattern like any other, with M-12's exception.
"""

from __future__ import annotations

from dataclasses import replace

from .conditions import condition_is_true
from .context import Request
from .language import Statement
from .variables import expand
from .wildcards import Char, matches, pattern, within_colons

FIELDS = 6


def statement_matches(statement: Statement, request: Request) -> bool:
    """Return whether every element except the principal matches (M-1)."""
    return (
        _action_matches(statement, request)
        and _resource_matches(statement, request)
        and all(
            condition_is_true(condition, request, has_variables=statement.has_variables)  # C-1, C-6
            for condition in statement.conditions
        )
    )


def action_matches(entry: str, action: str) -> bool:
    """Compare an action with `*` and `?`, without case and variables (M-3 to M-7)."""
    return matches(pattern(entry.lower()), action.lower())


def _action_matches(statement: Statement, request: Request) -> bool:
    if statement.not_action is not None:
        return not any(action_matches(each, request.action) for each in statement.not_action)  # M-2
    return any(action_matches(each, request.action) for each in statement.action or [])  # M-2, G-27


def _resource_matches(statement: Statement, request: Request) -> bool:
    def is_named(entries: list[str]) -> bool:
        return any(resource_matches(entry, request, has_variables=statement.has_variables) for entry in entries)

    if statement.not_resource is not None:
        return not is_named(statement.not_resource)  # M-2, M-18, V-10
    if statement.resource is not None:
        return is_named(statement.resource)  # M-2, G-27
    return True  # M-26


def resource_matches(entry: str, request: Request, *, has_variables: bool) -> bool:
    """Match one entry of `Resource` or `NotResource` (M-10 to M-17)."""
    if entry == "*":
        return True  # M-10
    if request.resource == "*":
        return False  # M-11
    written = entry.split(":", FIELDS - 1)
    completed = written + ["*"] * (FIELDS - len(written))  # G-64
    return any(_arn_matches(reading, request, has_variables) for reading in (written, completed))  # M-12, G-64


def _arn_matches(written: list[str], request: Request, has_variables: bool) -> bool:
    chars = _arn_pattern(written, request, has_variables)
    return chars is not None and matches(chars, request.resource)  # V-9, V-10


def _arn_pattern(written: list[str], request: Request, has_variables: bool) -> list[Char] | None:
    """Join the fields into one pattern; only a segment-final `*` and the sixth field match colons (M-12)."""
    chars: list[Char] = []
    for position, field in enumerate(written):
        if position > 0:
            chars += pattern(":")
        if position == FIELDS - 1:
            sixth = expand(field, request, has_variables=has_variables)  # V-4
            if sixth is None:
                return None
            chars += sixth
        else:
            chars += _early_field(field)
    return chars


def _early_field(field: str) -> list[Char]:
    chars = within_colons(pattern(field))
    if field.endswith("*"):
        chars[-1] = replace(chars[-1], crosses_colon=True)  # M-12
    return chars
