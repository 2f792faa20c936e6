"""Serialize the condition keys that a decision read as `iamGuard.conditions`, so that the request can be decided again.

An absent key is recorded as missing. A value is recorded if the setting `audit_condition_keys` lists its key; other
keys are recorded without the value, as withheld. Values over the limits are withheld too; further keys are counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from json.encoder import encode_basestring_ascii

from iam_guard.evaluation.matching.condition_keys import spelled
from iam_guard.model.context import Value
from iam_guard.model.request import UNREADABLE, KeysRead

MAX_KEYS = 32
"""Keys in one record; further keys are counted."""
MAX_VALUES = 32
"""Values in one record; a key with more than remain is withheld."""
MAX_VALUE_CHARACTERS = 1024
"""Characters of the values of one key; longer values are withheld."""
MAX_CHARACTERS = 8192
"""Characters of all keys and values, as serialized; further keys are counted."""
MAX_CACHED = 4096
"""Cached key names."""

_WITHHELD = '"withheld":true', 0
_ONLY_BY_NAME = frozenset({"aws:referer"})
"""Keys that no pattern matches: a referring URL may contain a secret."""


class ListedKeys:
    """The keys whose values are recorded: names and patterns with `*`, case-insensitive."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(pattern.lower() for pattern in patterns)
        self._cached: dict[str, tuple[str, bool]] = {}

    def serialize(self, read: KeysRead) -> str:
        """Serialize the keys as object members, each preceded by a comma; return an empty string for no keys."""
        if not read:
            return ""
        pieces: list[str] = []
        values_left, characters_left = MAX_VALUES, MAX_CHARACTERS
        for key, value in tuple(read.items()):  # copy: another thread may repeat the same request
            name, is_listed = self._cached.get(key) or self._cache(key)
            member, count = _WITHHELD
            if value is None:
                member = '"missing":true'
            elif value is not UNREADABLE and is_listed:
                member, count = _member(value)
                if count > values_left:
                    member, count = _WITHHELD
            values_left -= count
            piece = f'{{"key":{name},{member}}}'
            characters_left -= len(piece)
            if characters_left < 0 or len(pieces) == MAX_KEYS:
                break
            pieces.append(piece)
        omitted = len(read) - len(pieces)
        omission = f',"omittedConditions":{omitted}' if omitted else ""
        return f',"conditions":[{",".join(pieces)}]{omission}'

    def _cache(self, key: str) -> tuple[str, bool]:
        if len(self._cached) >= MAX_CACHED:
            self._cached.clear()  # safe from several threads
        matches = key not in _ONLY_BY_NAME and any(fnmatchcase(key, pattern) for pattern in self._patterns)
        entry = self._cached[key] = encode_basestring_ascii(spelled(key)), matches or key in self._patterns
        return entry


def _member(value: Value) -> tuple[str, int]:
    """Serialize a value as a member; return it with the number of values."""
    if isinstance(value, str):
        return (f'"value":{encode_basestring_ascii(value)}', 1) if len(value) <= MAX_VALUE_CHARACTERS else _WITHHELD
    if sum(map(len, value)) > MAX_VALUE_CHARACTERS:
        return _WITHHELD
    return f'"values":[{",".join(map(encode_basestring_ascii, value))}]', len(value)
