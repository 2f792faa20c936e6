"""What a plain scalar of YAML is in JSON: one rule for all who read policies in YAML, or digests would differ.

A plain text is null, a boolean or a number where JSON knows it as one (`~` and an empty one are null besides), and a
text everywhere else: an account id keeps its zeros, `no` is not false, `2012-10-17` is no date. What stands in quotes
is a text.
"""

from __future__ import annotations

import json
import re

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {"true": "true", "True": "true", "TRUE": "true", "false": "false", "False": "false", "FALSE": "false"}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


def is_null(text: str, *, is_plain: bool) -> bool:
    """Return whether a scalar stands for nothing."""
    return is_plain and text in _NULLS


def scalar_as_json(text: str, *, is_plain: bool) -> str:
    """Write a scalar as JSON."""
    if is_null(text, is_plain=is_plain):
        return "null"
    if is_plain and text in _BOOLEANS:
        return _BOOLEANS[text]
    return text if is_plain and _NUMBER.fullmatch(text) else text_as_json(text)


def text_as_json(text: str) -> str:
    """Write a text as JSON, its letters as they are."""
    return json.dumps(text, ensure_ascii=False)
