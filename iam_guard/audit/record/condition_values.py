"""Which condition keys a decision read, as `iamGuard.conditions` tells them: enough to decide the same request again.

A key that was absent is told as missing. A value is told where the setting `audit_condition_keys` lists its key; of
others stands there that they were read, and no more. What is too long or too many is told of the same way, or counted.
The members are written here once, and read back where a record is wanted as values.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from json.encoder import encode_basestring_ascii

from iam_guard.evaluation.matching.condition_keys import spelled
from iam_guard.model.context import Value
from iam_guard.model.request import UNREADABLE, KeysRead

MAX_KEYS = 32
"""Keys of one record; those beyond are counted."""
MAX_VALUES = 32
"""Values of one record; a key with more than are left is withheld."""
MAX_LENGTH = 1024
"""Letters of the values of one key; longer ones are withheld."""
MAX_LETTERS = 8192
"""Letters of all keys and values, as written; what does not fit is counted."""
MAX_KEPT = 4096
"""Keys whose names are kept written."""

_WITHHELD = '"withheld":true', 0
_ONLY_BY_NAME = frozenset({"aws:referer"})
"""Keys that no pattern reaches: a page's address may carry what opens it."""


class ListedKeys:
    """The keys whose values a record tells: names and patterns with `*`, in any letter case."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(pattern.lower() for pattern in patterns)
        self._known: dict[str, tuple[str, bool]] = {}

    def written(self, read: KeysRead) -> str:
        """Write what was read as members of an object, with a comma before each; empty where nothing was read."""
        if not read:
            return ""
        pieces: list[str] = []
        values, letters = MAX_VALUES, MAX_LETTERS
        for key, value in tuple(read.items()):  # at once: another thread may put the same question again
            name, is_listed = self._known.get(key) or self._learn(key)
            told, count = _WITHHELD
            if value is None:
                told = '"missing":true'
            elif value is not UNREADABLE and is_listed:
                told, count = _told(value)
                if count > values:
                    told, count = _WITHHELD
            values -= count
            piece = f'{{"key":{name},{told}}}'
            letters -= len(piece)
            if letters < 0 or len(pieces) == MAX_KEYS:
                break
            pieces.append(piece)
        omitted = len(read) - len(pieces)
        counted = f',"omittedConditions":{omitted}' if omitted else ""
        return f',"conditions":[{",".join(pieces)}]{counted}'

    def _learn(self, key: str) -> tuple[str, bool]:
        if len(self._known) >= MAX_KEPT:
            self._known.clear()  # the simplest that several threads may do at once
        by_pattern = key not in _ONLY_BY_NAME and any(fnmatchcase(key, pattern) for pattern in self._patterns)
        found = self._known[key] = encode_basestring_ascii(spelled(key)), by_pattern or key in self._patterns
        return found


def _told(value: Value) -> tuple[str, int]:
    """Write a value as a member, and count the values in it."""
    if isinstance(value, str):
        return (f'"value":{encode_basestring_ascii(value)}', 1) if len(value) <= MAX_LENGTH else _WITHHELD
    if sum(map(len, value)) > MAX_LENGTH:
        return _WITHHELD
    return f'"values":[{",".join(map(encode_basestring_ascii, value))}]', len(value)
