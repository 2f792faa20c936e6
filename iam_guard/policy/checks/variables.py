"""Checks of policy variables: their syntax, and where they are supported (rules V-1 to V-5).

None of this is an error in an evaluation, where an invalid variable is literal text (V-15).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from iam_guard.policy.document import LATEST
from iam_guard.policy.fault import Fault, Reading, actions, conditions, place, principals, resources
from iam_guard.policy.grammar import quoted
from iam_guard.policy.json_tree import Path

_OPENING = re.compile(r"\$\{((?:'[^']*+'|[^{}])*+)(\}?)")
"""A default may contain braces."""
_GOOD = re.compile(r"[*?$]|[^\s'\",]+(?:, '[^']*+')?")
_WITH_VARIABLES = ("String", "Arn")  # V-3


def syntax(reading: Reading) -> Iterator[Fault]:
    """Report malformed variables (V-1)."""
    if reading.document.version != LATEST:
        return
    for text, path in _texts(reading):
        for opening in _OPENING.finditer(text):
            code = _syntax_fault(opening[1], closed=bool(opening[2]))
            if code:
                message = f"expected a variable `${{key}}` or `${{key, 'default'}}` in {quoted(text)}"
                yield Fault(code, message, path, part=opening.span())


def _syntax_fault(inside: str, *, closed: bool) -> str | None:
    if not closed:
        return "MISSING_BRACE_IN_VARIABLE"
    if not inside.strip():
        return "EMPTY_VARIABLE"
    if _GOOD.fullmatch(inside):
        return None
    key, comma, default = inside.partition(",")
    if " " in key or not comma:
        return "UNSUPPORTED_SPACE_IN_VARIABLE" if " " in key else "MISSING_QUOTE_IN_VARIABLE"
    quotes = len(default.strip()) > 1 and default.strip()[0] == default.strip()[-1] == "'"
    return "UNSUPPORTED_SPACE_IN_VARIABLE" if quotes else "MISSING_QUOTE_IN_VARIABLE"


def unsupported_version(reading: Reading) -> Iterator[Fault]:
    """Report variables in a `Version` without variables (V-2)."""
    if reading.document.version == LATEST:
        return
    for text, path in _texts(reading):
        if _OPENING.search(text):
            message = f"variables require the `Version` `{LATEST}`; {quoted(text)} is compared literally"
            yield Fault("VARIABLE_UNSUPPORTED_IN_VERSION", message, path)


def unsupported_element(reading: Reading) -> Iterator[Fault]:
    """Report variables in an element that does not support them (V-3)."""
    for text, path, name in _other_texts(reading):
        if _OPENING.search(text):
            message = f"variables are not supported in {quoted(text)}"
            yield Fault("VARIABLE_UNSUPPORTED_IN_ELEMENT", message, path, name=name)


def unsupported_field(reading: Reading) -> Iterator[Fault]:
    """Report variables in the first five fields of an ARN (V-4)."""
    for entry in resources(reading.document):
        if _OPENING.search(":".join(entry.value.split(":", 5)[:5])):
            message = f"variables are supported in the sixth field of an ARN only, got {quoted(entry.value)}"
            yield Fault("VARIABLE_UNSUPPORTED_IN_ELEMENT", message, entry.path)


def unsupported_operator(reading: Reading) -> Iterator[Fault]:
    """Report variables under an operator that does not support them (V-5)."""
    for tested in conditions(reading.document):
        if tested.operator.base.removeprefix("Not").startswith(_WITH_VARIABLES):
            continue
        for value, path in tested.values():
            if _OPENING.search(value):
                message = f"`{tested.test.operator}` does not support variables, got {quoted(value)}"
                yield Fault("INVALID_VARIABLE_FOR_OPERATOR", message, path)


def _texts(reading: Reading) -> Iterator[tuple[str, Path]]:
    """Yield the texts that may contain variables, with their paths."""
    for entry in resources(reading.document):
        yield entry.value, entry.path
    for tested in conditions(reading.document):
        yield from tested.values()


def _other_texts(reading: Reading) -> Iterator[tuple[str, Path, bool]]:
    for entry in chain(actions(reading.document), principals(reading.document)):
        yield entry.value, entry.path, False
    for statement in reading.document.statements:
        yield statement.sid or "", place(statement, "Sid"), False
    for tested in conditions(reading.document):
        yield tested.test.key, tested.path, True
