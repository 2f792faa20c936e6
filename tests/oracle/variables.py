"""Policy variables: `${key}`, `${key, 'default'}`, `${*}`, `${?}`, `${$}` (V-1 to V-16).

Interpretations where the rules are open: invalid variables such as `${}` or `${a b}` are literal (V-15), but their
wildcards remain wildcards; wildcards in a default text are literal, as in any value (M-22).
"""

from __future__ import annotations

import re

from .context import Request
from .wildcards import Char, literal, pattern

VARIABLE = re.compile(r"\$\{(?:([*?$])|([^\s{}',]+)(?:, '([^']*)')?)\}")


def expand(text: str, request: Request, *, has_variables: bool) -> list[Char] | None:
    """Replace the variables once (V-12); `None` if one of them has no value (V-9)."""
    if not has_variables:
        return pattern(text)  # G-5
    expanded: list[Char] = []
    rest = 0
    for found in VARIABLE.finditer(text):
        expanded += pattern(text[rest : found.start()])
        value = _value(found, request)
        if value is None:
            return None  # V-9
        expanded += literal(value)  # M-20, M-22
        rest = found.end()
    return expanded + pattern(text[rest:])


def _value(found: re.Match[str], request: Request) -> str | None:
    special, key, default = found.groups()
    if special is not None:
        return str(special)  # M-20, V-14
    return request.variable(key, default)
