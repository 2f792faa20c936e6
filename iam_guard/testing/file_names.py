"""Recognize policy tests by file name. Imported with the plugin, so it uses only the standard library."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePath

SUFFIXES = (".yaml", ".yml", ".json", ".jsonl")
_NAMES = "test_*.policy", "*.policy-test"
PATTERNS = tuple(name + suffix for name in _NAMES for suffix in SUFFIXES)
"""`test_reader.policy.yaml`, `reader.policy-test.yaml`; also `.yml`, `.json` and `.jsonl`."""


def is_policy_test(path: PurePath, patterns: Iterable[str] = PATTERNS) -> bool:
    """Return whether a file name matches; a pattern with `/` matches the end of the path."""
    return any(fnmatchcase(path.name, pattern) if "/" not in pattern else path.match(pattern) for pattern in patterns)
