"""Convert YAML scalars to JSON, the same way for every reader of policies in YAML, so that digests agree.

A plain scalar is null, a boolean or a number if JSON has it as one (`~` and an empty one are null too), and otherwise a
string: an account id keeps its zeros, `no` is not false, `2012-10-17` is not a date. A quoted scalar is a string.
"""

from __future__ import annotations

import json
import re

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {"true": "true", "True": "true", "TRUE": "true", "false": "false", "False": "false", "FALSE": "false"}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


def is_null(text: str, *, is_plain: bool) -> bool:
    """Return whether a scalar is null."""
    return is_plain and text in _NULLS


def scalar_as_json(text: str, *, is_plain: bool) -> str:
    """Return a scalar as JSON."""
    if is_null(text, is_plain=is_plain):
        return "null"
    if is_plain and text in _BOOLEANS:
        return _BOOLEANS[text]
    return text if is_plain and _NUMBER.fullmatch(text) else text_as_json(text)


def text_as_json(text: str) -> str:
    """Return a string as JSON, non-ASCII characters unescaped."""
    return json.dumps(text, ensure_ascii=False)
