"""Forms and query strings: `name=value` pairs, and the query protocol's dotted names.

Names are split into a tree (`Tags.member.1.Key` -> Tags, member, 1, Key) before any shape is applied, so the result is
never larger than the input: a list index of a thousand million is one key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

from iam_guard.api.protocol.protocol_errors import MalformedBody, MalformedQuery
from iam_guard.api.protocol.scalars import ScalarRow, scalar_of
from iam_guard.api.protocol.service_model import Shape
from iam_guard.api.protocol.traversal import Place, malformed
from iam_guard.authn.signatures.percent_decoding import strictly_unescaped

MAX_FIELDS = 10_000
MAX_PARTS = 64
_INDEX = re.compile(r"[1-9][0-9]{0,5}")
_UTF_8 = "percent-encoded UTF-8"

FormTree: TypeAlias = str | dict[str, "FormTree"]


def read_pairs(text: bytes) -> Iterator[tuple[str, str]]:
    """Parse a form or a query string. Raises `MalformedQuery`."""
    fields = text.split(b"&", MAX_FIELDS)
    if len(fields) > MAX_FIELDS:
        raise MalformedQuery(f"expected at most {MAX_FIELDS} parameters")
    for pair in filter(None, fields):
        name, _, value = pair.partition(b"=")
        yield percent_decoded(name.replace(b"+", b" ")), percent_decoded(value.replace(b"+", b" "))


def read_fields(*texts: bytes) -> dict[str, str]:
    """Parse forms and query strings together. Raises `MalformedQuery`, also for a repeated name."""
    fields: dict[str, str] = {}
    for name, value in (pair for text in texts for pair in read_pairs(text)):
        if name in fields:
            raise MalformedQuery(f"expected each parameter once, got `{name[:64]}` twice")
        fields[name] = value
    return fields


def percent_decoded(text: bytes) -> str:
    """Decode percent-encoded UTF-8, in which `+` is a plus sign. Raises `MalformedQuery`."""
    decoded = strictly_unescaped(text)
    if decoded is None:
        raise MalformedQuery(f"expected {_UTF_8}, got a `%` without two hexadecimal digits")
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        raise MalformedQuery(f"expected {_UTF_8}") from None


def tree_of(fields: Mapping[str, str], names: Collection[str]) -> dict[str, FormTree]:
    """Split the names of the fields that start with one of `names`. Raises `MalformedBody`."""
    tree: dict[str, FormTree] = {}
    for name, value in fields.items():
        parts = name.split(".", MAX_PARTS)
        if parts[0] not in names:
            continue
        if len(parts) > MAX_PARTS:
            raise MalformedBody(f"nested deeper than {MAX_PARTS} levels")
        _insert(tree, parts, value)
    return tree


def _insert(tree: dict[str, FormTree], parts: Sequence[str], value: str) -> None:
    for part in parts[:-1]:
        branch = tree.setdefault(part, {})
        if isinstance(branch, str):
            raise malformed("a value or its parts, not both,", tuple(parts))
        tree = branch
    if parts[-1] in tree:
        raise malformed("a value or its parts, not both,", tuple(parts))
    tree[parts[-1]] = value


class FormGrammar:
    """Lists are numbered from 1 below `member`, maps below `entry`; an empty list or map is an empty value."""

    def name(self, shape: Shape, member: str) -> str:
        return shape.name_in_query(member)

    def members(self, shape: Shape, node: FormTree, place: Place) -> Mapping[str, FormTree]:
        if isinstance(node, str):
            raise malformed("a structure", place)
        return node

    def elements(self, shape: Shape, node: FormTree, place: Place) -> Sequence[FormTree]:
        return _numbered_nodes(node, None if shape.flattened else shape.element.wire_name or "member", place)

    def entries(self, shape: Shape, node: FormTree, place: Place) -> Sequence[tuple[str, FormTree]]:
        names = (shape.key.wire_name or "key", shape.value.wire_name or "value")
        entries = _numbered_nodes(node, None if shape.flattened else "entry", place)
        pairs = [_pair(entry, names, place) for entry in entries]
        if len({key for key, _ in pairs}) < len(pairs):
            raise malformed("each key once", place)
        return pairs

    def scalar(self, shape: Shape) -> ScalarRow:
        return scalar_of("text", shape, "iso8601")


def _numbered_nodes(node: FormTree, name: str | None, place: Place) -> Sequence[FormTree]:
    if node == "":
        return ()
    if name is not None:
        if isinstance(node, str) or node.keys() != {name}:
            raise malformed(f"a list under `{name}`", place)
        node = node[name]
    if isinstance(node, str) or not all(map(_INDEX.fullmatch, node)):
        raise malformed("a list numbered from 1", place)
    indices = sorted(node, key=int)
    if int(indices[-1]) != len(indices):
        raise malformed("a list without gaps", place)
    return [node[index] for index in indices]


def _pair(entry: FormTree, names: tuple[str, str], place: Place) -> tuple[str, FormTree]:
    if isinstance(entry, str) or entry.keys() != set(names):
        raise malformed(f"entries with `{names[0]}` and `{names[1]}`", place)
    key = entry[names[0]]
    if not isinstance(key, str):
        raise malformed("a string as key", place)
    return key, entry[names[1]]
