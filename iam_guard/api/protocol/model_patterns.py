"""Translation of the regular expressions in AWS's models, which are Java's, to Python.

Three differences matter: Java's `\\w`, `\\d`, `\\s` and `\\b` are ASCII only, `\\p{L}` names a Unicode category, and
the dot excludes more line ends. AWS matches the whole value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain, groupby

_TOKEN = re.compile(r"\\p\{(?P<category>\w)\}|\\.|(?P<open>\[)|(?P<close>\])|(?P<dot>\.)|.", re.DOTALL)
_ASSIGNED = (range(0x32000), range(0xE0000, 0xE1000))  # the planes between and after have no L, M, N, P, S or Z


def matches(pattern: str, value: str) -> bool:
    """Return whether the whole value matches a pattern of a model."""
    return compiled(pattern).fullmatch(value) is not None


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Translate and compile a Java pattern."""
    return re.compile("".join(_translated(pattern)), re.ASCII)


def _translated(pattern: str) -> Iterator[str]:
    is_in_class = False
    for token in _TOKEN.finditer(pattern):
        match token.lastgroup:
            case "category":
                ranges = _categories()[token["category"]]
                yield ranges if is_in_class else f"[{ranges}]"
            case "dot" if not is_in_class:
                yield r"[^\n\r\u0085\u2028\u2029]"
            case kind:
                is_in_class = kind == "open" or (is_in_class and kind != "close")
                yield token[0]


@cache
def _categories() -> Mapping[str, str]:
    """Return the characters of each general category (its first letter), as the inside of a character class."""
    ranges: dict[str, list[str]] = {}
    for letter, run in groupby(chain(*_ASSIGNED), lambda code: unicodedata.category(chr(code))[0]):
        codes = list(run)
        ranges.setdefault(letter, []).append(f"\\U{codes[0]:08x}-\\U{codes[-1]:08x}")
    return {letter: "".join(parts) for letter, parts in ranges.items()}
