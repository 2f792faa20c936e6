"""Reads a mapping of the seed strictly: only known keys, with values of the expected form.

A problem does not stop the reading: it is recorded, a placeholder is returned, and the whole seed is rejected in the
end. An empty value is a problem too: `boundary:` without a value must not mean that there is no boundary. The keys are
defined in `seed_reader`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from iam_guard.errors import did_you_mean
from iam_guard.model.arn import is_account_id
from iam_guard.policy.problems import Problems
from iam_guard.policy.yaml_tree import ListNode, MapNode, Node, Scalar
from iam_guard.store.identifiers import NAME, NAME_LENGTHS, PATH, PATH_LENGTH, fold, is_tag_text
from iam_guard.store.quotas import QUOTAS, TAG_KEY_LENGTH, TAG_VALUE_LENGTH
from iam_guard.store.seed.seed_values import Ref

T = TypeVar("T")


class SeedProblems(Problems):
    """Collects the problems of a seed, which `quotas` limit."""

    def __init__(self, name: str, quotas: Mapping[str, int], places: Mapping[int, str] | None = None) -> None:
        super().__init__(name, places)
        self.quotas = quotas


class Fields:
    """The values of one mapping. `what` describes it in messages, such as `a user`; `keys` are the allowed keys."""

    def __init__(self, node: Node, what: str, keys: Collection[str], problems: Problems) -> None:
        self.line = node.line
        self.what = what
        self._problems = problems
        self._quotas = problems.quotas if isinstance(problems, SeedProblems) else QUOTAS
        self._values: dict[str, Node] = {}
        if not isinstance(node, MapNode):
            problems.add(node.line, f"expected a mapping that describes {what}, got {described(node)}")
            return
        for key, value in node.pairs:
            if key.text not in keys:
                problems.add(key.line, _unknown(key.text, keys))
            else:
                self._values[key.text] = value

    def problem(self, key: str, message: str) -> None:
        self._problems.add(self.line_of(key), message)

    def check_unique(self, key: str, what: str, name: str, *, folded: bool = True, within: str = "") -> None:
        """Record a problem if the name was declared before; names are compared case-insensitively (G-78)."""
        self._problems.declare(self.line_of(key), what, name, (within, fold(name) if folded else name))

    def check_quota(self, key: str, quota: str, count: int) -> None:
        if count > self._quotas[quota]:
            self.problem(key, f"expected at most {self._quotas[quota]} {quota}, got {count}")

    def check_version(self) -> None:
        if self.text("version", required=True) not in (None, "1"):
            self.problem("version", "expected version 1")

    def line_of(self, key: str) -> int:
        return self._values[key].line if key in self._values else self.line

    def has(self, key: str) -> bool:
        return key in self._values

    def node(self, key: str, *, required: bool = False) -> Node | None:
        node = self._values.get(key)
        if node is None and required:
            self._problems.add(self.line, f"expected the key `{key}` in {self.what}")
        return node

    def text(self, key: str, *, required: bool = False) -> str | None:
        """Return the text of a scalar, as written."""
        node = self.node(key, required=required)
        text = None if node is None else node_text(node, f"`{key}`", self._problems)
        if text is not None and "\0" in text:
            self.problem(key, f"expected text without NUL characters for `{key}`")
        return text

    def matching(self, key: str, pattern: re.Pattern[str], expected: str, *, required: bool = False) -> str | None:
        text = self.text(key, required=required)
        if text is not None and not pattern.fullmatch(text):
            self.problem(key, f"expected {expected}, got `{text[:200]}`")
        return text

    def choice(self, key: str, options: Collection[str], default: str) -> str:
        text = self.text(key)
        if text is not None and text not in options:
            self.problem(key, f"expected {' or '.join(f'`{option}`' for option in options)}, got `{text[:200]}`")
        return default if text is None else text

    def boolean(self, key: str) -> bool | None:
        """Return a boolean; None without the key."""
        text = self.choice(key, ("true", "false"), "")
        return text == "true" if text else None

    def integer(self, key: str, allowed: range, default: int) -> int:
        text = self.text(key)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) not in allowed:
            self.problem(key, f"expected a whole number from {allowed[0]} to {allowed[-1]}, got `{text[:200]}`")
            return default
        return int(text)

    def instant(self, key: str) -> int | None:
        """Return an ISO 8601 time with an offset as seconds since 1970."""
        text = self.text(key)
        if text is None:
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.problem(key, f"expected a time such as `2030-01-31T00:00:00Z`, got `{text[:200]}`")
            return None
        return int(moment.astimezone(UTC).timestamp())

    def name(self, kind: str) -> str:
        """Return the required `name` of a user, role, group or policy (G-78)."""
        name = self.text("name", required=True)
        return "" if name is None else checked_name(name, kind, self.line_of("name"), self._problems)

    def path(self) -> str:
        path = self.text("path")
        if path is None:
            return "/"
        if not PATH.fullmatch(path) or len(path) > PATH_LENGTH:
            self.problem("path", f"expected a path that begins and ends with `/`, got `{path[:200]}`")
        return path

    def account_id(self, key: str, *, required: bool = True) -> str:
        node = self.node(key, required=required)
        return "" if node is None else checked_account_id(node, self._problems)

    def items(self, key: str) -> tuple[Node, ...]:
        node = self.node(key)
        if node is None:
            return ()
        if not isinstance(node, ListNode):
            self.problem(key, f"expected a list of {key.replace('_', ' ')}, got {described(node)}")
            return ()
        return node.items

    def each(self, key: str, read: Callable[[Node], T], quota: str | None = None) -> tuple[T, ...]:
        values = tuple(read(node) for node in self.items(key))
        if quota is not None:
            self.check_quota(key, quota, len(values))
        return values

    def pairs(self, key: str) -> Iterator[tuple[Scalar, Node]]:
        node = self.node(key)
        if isinstance(node, MapNode):
            yield from node.pairs
        elif node is not None:
            self.problem(key, f"expected a mapping, got {described(node)}")

    def refs(self, key: str, quota: str | None = None) -> tuple[Ref, ...]:
        """Return a list of names or ARNs without duplicates."""
        refs = self.each(key, lambda node: self._ref(node, key))
        seen: set[str] = set()
        for ref in refs:
            if ref.text in seen:
                self._problems.add(ref.line, f"duplicate item `{ref.text}`")
            seen.add(ref.text)
        if quota is not None:
            self.check_quota(key, quota, len(refs))
        return refs

    def ref(self, key: str) -> Ref | None:
        node = self.node(key)
        return None if node is None else self._ref(node, key)

    def _ref(self, node: Node, key: str) -> Ref:
        return Ref(node_text(node, f"each of `{key}`", self._problems) or "", node.line)

    def tags(self) -> Mapping[str, str]:
        """Return `tags` (G-79, S-20)."""
        tags: dict[str, str] = {}
        folded: set[str] = set()
        for key, node in self.pairs("tags"):
            value = node_text(node, f"the tag `{key.text[:200]}`", self._problems)
            error = tag_error(key.text, value or "")
            if error is None and key.text.lower() in folded:
                error = f"two tag keys differ by letter case only: `{key.text}`"
            if error is not None:
                self._problems.add(key.line, error)
            folded.add(key.text.lower())
            tags[key.text] = value or ""
        if len(tags) > QUOTAS["tags per entity"]:
            self.problem("tags", f"expected at most {QUOTAS['tags per entity']} tags, got {len(tags)}")
        return tags


def node_text(node: Node, what: str, problems: Problems) -> str | None:
    """Return the text of a node that must be a non-null scalar; None after recording a problem."""
    if isinstance(node, Scalar) and not node.is_null:
        return node.text
    problems.add(node.line, f"expected text for {what}, got {described(node)}")
    return None


def checked_name(name: str, kind: str, line: int, problems: Problems) -> str:
    if not NAME.fullmatch(name) or len(name) > NAME_LENGTHS[kind]:
        expected = f"a {kind} name of at most {NAME_LENGTHS[kind]} letters, digits and `_+=,.@-`"
        problems.add(line, f"expected {expected}, got `{name[:200]}`")
    return name


def checked_account_id(node: Node, problems: Problems) -> str:
    text = node_text(node, "an account id", problems) or ""
    unquoted = isinstance(node, Scalar) and node.plain
    if unquoted and text.startswith("0"):
        message = f"quote the account id `{text[:200]}`: unquoted, a number that begins with 0 is another number"
        problems.add(node.line, message)
    elif not is_account_id(text):
        hint = ", quoted if it begins with 0" if unquoted and text.isdecimal() and len(text) < 12 else ""
        problems.add(node.line, f"expected an account id of 12 digits{hint}, got `{text[:200]}`")
    return text


def described(node: Node) -> str:
    match node:
        case MapNode():
            return "a mapping"
        case ListNode():
            return "a list"
        case Scalar() if node.is_null:
            return "nothing"
        case _:
            return "text"


def _unknown(key: str, keys: Collection[str]) -> str:
    hint = did_you_mean(key, keys) or f", known are {', '.join(f'`{name}`' for name in keys)}"
    return f"unknown key `{key[:200]}`{hint}"


def tag_error(key: str, value: str) -> str | None:
    """Return what is wrong with a tag; None for a valid one."""
    if not key or len(key) > TAG_KEY_LENGTH or not is_tag_text(key):
        return f"expected a tag key of 1 to {TAG_KEY_LENGTH} letters, digits, spaces and `_.:/=+-@`, got `{key[:200]}`"
    if key.lower().startswith("aws:"):
        return f"tag keys that begin with `aws:` are reserved, got `{key}`"
    if len(value) > TAG_VALUE_LENGTH or not is_tag_text(value):
        expected = f"a tag value of at most {TAG_VALUE_LENGTH} letters, digits, spaces and `_.:/=+-@`"
        return f"expected {expected}, got `{value[:300]}`"
    return None
