"""Rows of a table of users, checked for `user_import`.

A row has the keys of a user in a seed, and describes a user completely: without `groups`, it is in no group. The errors
never quote keys and digests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from iam_guard.authn.people.passwords.passwords import imported_digest_problem
from iam_guard.errors import ConfigurationError, did_you_mean
from iam_guard.policy.problems import Problems
from iam_guard.store.identifiers import API_KEY_ID, PATH, PATH_LENGTH, fold
from iam_guard.store.seed.fields import checked_name, tag_error

_KEYS: Final = ("name", "path", "tags", "groups", "attached", "boundary", "api_key", "password_digest")
_HEX_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MAX_REFERENCE: Final = 2048


@dataclass(frozen=True, slots=True)
class ExistingKey:
    """An API key that its owner has already: its id, and the SHA-256 of its secret."""

    id: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class UserRow:
    """A valid row. `needs_key` is whether it gets a new API key; `groups` and `attached` have no repeats."""

    line: int
    name: str
    path: str = "/"
    tags: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    boundary: str | None = None
    needs_key: bool = False
    key: ExistingKey | None = None
    password_digest: str | None = field(default=None, repr=False)

    @property
    def folded(self) -> str:
        return fold(self.name)


class UserRowReader:
    """Reads the rows of one file; remembers names and ids of keys, which must be unique in it."""

    def __init__(self, quotas: Mapping[str, int], *, makes_keys: bool) -> None:
        self._quotas = quotas
        self._makes_keys = makes_keys
        self._lines: dict[str, int] = {}
        self._key_ids: dict[str, int] = {}

    def read(self, line: int, row: object, problems: Problems) -> UserRow | None:
        """Return the user that a row describes; None after recording problems."""
        if not isinstance(row, Mapping):
            problems.add(line, "expected an object that describes a user")
            return None
        found = Problems("")
        for key in row:
            if key not in _KEYS:
                hint = did_you_mean(str(key), _KEYS) or f", known are {', '.join(f'`{name}`' for name in _KEYS)}"
                found.add(line, f"unknown key `{str(key)[:200]}`{hint}")
        values = {key: value for key, value in row.items() if value is not None}
        user = UserRow(
            line,
            self._name(line, values.get("name"), found),
            _path(line, values.get("path", "/"), found),
            self._tags(line, values.get("tags", {}), found),
            self._names(line, values.get("groups", ()), "groups", "groups per user", found),
            self._names(line, values.get("attached", ()), "attached", "policies attached to a user", found, fold=str),
            _text(line, values.get("boundary"), "boundary", found) or None,
            values.get("api_key") is True,
            self._key(line, values.get("api_key"), found),
            _password(line, values.get("password_digest"), found),
        )
        if not (invalid := found.in_order()):
            return user
        for _, message in invalid:
            problems.add(line, message)
        return None

    def _name(self, line: int, value: object, problems: Problems) -> str:
        name = _text(line, value, "name", problems)
        if not name:
            return name
        checked_name(name, "user", line, problems)
        before = self._lines.setdefault(fold(name), line)
        if before != line:
            problems.add(line, f"the name `{name[:200]}` is also that of line {before}; letter case does not matter")
        return name

    def _tags(self, line: int, value: object, problems: Problems) -> dict[str, str]:
        if not isinstance(value, Mapping):
            problems.add(line, "expected an object for `tags`")
            return {}
        if len(value) > self._quotas["tags per entity"]:
            problems.add(line, f"expected at most {self._quotas['tags per entity']} tags, got {len(value)}")
            return {}
        folded: set[str] = set()
        for key, text in value.items():
            error = (
                tag_error(key, text) if isinstance(key, str) and isinstance(text, str) else "expected text in `tags`"
            )
            if error is None and key.lower() in folded:
                error = f"two tag keys differ by letter case only: `{key}`"
            if error is not None:
                problems.add(line, error)
            folded.add(str(key).lower())
        return dict(value)

    def _names(
        self,
        line: int,
        value: object,
        key: str,
        quota: str,
        problems: Problems,
        fold: Callable[[str], str] = fold,
    ) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
            problems.add(line, f"expected a list of texts for `{key}`")
            return ()
        names = {fold(name): name for name in value}
        if len(names) > self._quotas[quota]:
            problems.add(line, f"expected at most {self._quotas[quota]} {quota}, got {len(names)}")
            return ()
        for name in names.values():
            if key == "groups":
                checked_name(name, "group", line, problems)
            else:
                _text(line, name, key, problems)
        return tuple(names.values())

    def _key(self, line: int, value: object, problems: Problems) -> ExistingKey | None:
        if value is None or value is False:
            return None
        if value is True:
            if not self._makes_keys:
                raise ConfigurationError("expected a file for new API keys, got none", place="api_keys")
            return None
        if not isinstance(value, Mapping) or value.keys() != {"id", "digest"}:
            problems.add(line, "expected `true` for `api_key`, or an object with `id` and `digest`")
            return None
        id, digest = value["id"], value["digest"]
        if not isinstance(id, str) or not API_KEY_ID.fullmatch(id):
            problems.add(line, "expected an API key id of 4 to 32 letters and digits in `api_key`")
        elif not isinstance(digest, str) or not _HEX_DIGEST.fullmatch(digest):
            problems.add(line, "expected the SHA-256 of the secret as 64 hexadecimal digits in `api_key`")
        elif self._key_ids.setdefault(id, line) != line:
            problems.add(line, f"the API key `{id}` is also that of line {self._key_ids[id]}")
        else:
            return ExistingKey(id, bytes.fromhex(digest))
        return None


def _text(line: int, value: object, key: str, problems: Problems) -> str:
    """Return a text; an empty one after recording a problem."""
    if value is None:
        if key == "name":
            problems.add(line, "expected the key `name`")
    elif not isinstance(value, str):
        problems.add(line, f"expected text for `{key}`")
    elif "\0" in value or not 0 < len(value) <= _MAX_REFERENCE:
        problems.add(line, f"expected text of 1 to {_MAX_REFERENCE} characters without NUL for `{key}`")
    else:
        return value
    return ""


def _path(line: int, value: object, problems: Problems) -> str:
    path = value if isinstance(value, str) else ""
    if not PATH.fullmatch(path) or len(path) > PATH_LENGTH:
        problems.add(line, f"expected a path that begins and ends with `/`, got `{path[:200]}`")
    return path


def _password(line: int, value: object, problems: Problems) -> str | None:
    if value is None:
        return None
    problem = imported_digest_problem(value) if isinstance(value, str) else "expected text"
    if problem is not None:
        problems.add(line, f"`password_digest`: {problem}")
    return str(value)
