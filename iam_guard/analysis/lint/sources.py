"""Which policies a file holds: it is one, or a seed, or cases, or lines of either; and where in it each part stands.

What a file is, its content says, not its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from iam_guard.analysis.lint.source_trees import FileTree, UnreadablePart, read_json_tree, read_yaml_tree
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Position
from iam_guard.policy.json_text import read_json
from iam_guard.policy.json_tree import JsonText, Value, canonical
from iam_guard.policy.json_tree import Path as Steps
from iam_guard.store.seed.seed_tree import MAX_CHARACTERS

Locate: TypeAlias = Callable[[Steps, bool], "Position | None"]
"""Path in the policy, and whether its name is meant -> place in the file."""


@dataclass(frozen=True, slots=True)
class PolicySource:
    """One policy in a file, as JSON text. `name` is how the file calls it; empty where the file is the policy.

    `shift` is by how many lines and columns a place in the text lies further on in the file; None where the file has
    the policy in another form.
    """

    name: str
    type: PolicyType
    text: str
    locate: Locate = field(repr=False, compare=False)
    shift: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class LintedFile:
    """A file and the policies in it; `unreadable` is what could not be read."""

    name: str
    text: str = field(repr=False)
    policies: tuple[PolicySource, ...] = ()
    unreadable: tuple[UnreadablePart, ...] = ()


def read_sources(path: Path, type: PolicyType | None = None) -> list[LintedFile]:
    """Read a file, and the files of policies that a seed names; raise `InvalidInput` for one that can't be opened.

    `type` is the type of a policy that is a file of its own; without it, its elements tell.
    """
    return sources_of_text(_content(path, MAX_CHARACTERS), str(path), type, beside=path.parent)


def sources_of_text(
    text: str, name: str, type: PolicyType | None = None, *, beside: Path | None = None
) -> list[LintedFile]:
    """Read the text of a file; `beside` is the folder in which it may name others."""
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(f"expected at most {MAX_CHARACTERS} characters", place=name)
    if name.endswith(".jsonl") or _has_lines_of_json(text):
        return [_lines(text, name, type)]
    looks_like_json = text.lstrip()[:1] in ("{", "[") and not name.endswith((".yaml", ".yml"))
    tree = read_json_tree(text) if looks_like_json else read_yaml_tree(text)
    if isinstance(tree, UnreadablePart):
        return [LintedFile(name, text, unreadable=(tree,))]
    if isinstance(tree, list):
        return [LintedFile(name, text, unreadable=tuple(tree))]
    return list(_of_tree(tree, name, text, type, beside))


def _has_lines_of_json(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and all(line.startswith("{") and line.rstrip().endswith("}") for line in lines)


def _lines(text: str, name: str, type: PolicyType | None) -> LintedFile:
    policies: list[PolicySource] = []
    unreadable: list[UnreadablePart] = []
    for number, line in enumerate(text.split("\n")):
        if not line.strip():
            continue
        tree = read_json_tree(line)
        if isinstance(tree, UnreadablePart):
            unreadable.append(tree._replace(position=_shifted(tree.position, number, 0)))
            continue
        policies.extend(_moved(policy, f"line {number + 1}", number) for policy in _policies(tree, type))
    return LintedFile(name, text, tuple(policies), tuple(unreadable))


def _moved(source: PolicySource, where: str, lines: int) -> PolicySource:
    def locate(path: Steps, name: bool) -> Position | None:
        found = source.locate(path, name)
        return None if found is None else _shifted(found, lines, 0)

    shift = None if source.shift is None else (source.shift[0] + lines, source.shift[1])
    return PolicySource(f"{where} {source.name}".rstrip(), source.type, source.text, locate, shift)


# --- a tree --------------------------------------------------------------------------------------------------------

_ANY = "*"
_IDENTITIES = ("groups", "users", "roles")
_IN_SEED: Sequence[tuple[tuple[str, ...], PolicyType]] = (
    (("aws_policies", _ANY, "document"), PolicyType.IDENTITY),
    (("organization", "policies", _ANY, "document"), PolicyType.SCP),
    (("accounts", _ANY, "policies", _ANY, "document"), PolicyType.IDENTITY),
    *((("accounts", _ANY, kind, _ANY, "inline", _ANY), PolicyType.IDENTITY) for kind in _IDENTITIES),
    (("accounts", _ANY, "roles", _ANY, "trust"), PolicyType.TRUST),
    (("accounts", _ANY, "users", _ANY, "api_keys", _ANY, "session_policy"), PolicyType.SESSION),
    (("accounts", _ANY, "roles", _ANY, "api_keys", _ANY, "session_policy"), PolicyType.SESSION),
    (("accounts", _ANY, "certificate_profiles", _ANY, "session_policy"), PolicyType.SESSION),
    (("accounts", _ANY, "resources", _ANY, "policy"), PolicyType.RESOURCE),
)
_IN_CASE: Sequence[tuple[tuple[str, ...], PolicyType]] = (
    (("policies", "identity", _ANY), PolicyType.IDENTITY),
    (("policies", "resource"), PolicyType.RESOURCE),
    (("policies", "permissions_boundary"), PolicyType.BOUNDARY),
    (("policies", "session", _ANY), PolicyType.SESSION),
    (("policies", "scps", _ANY, _ANY), PolicyType.SCP),
    (("policies", "rcps", _ANY, _ANY), PolicyType.RCP),
    (("policies", "vpc_endpoint"), PolicyType.VPC_ENDPOINT),
)
_SEED_KEYS = frozenset({"accounts", "organization", "aws_policies"})
_BY_SEED = {"seed", "cases"}
"""What a file of cases has that a seed decides: they have no policies of their own."""


def _of_tree(
    tree: FileTree, name: str, text: str, type: PolicyType | None, beside: Path | None
) -> Iterator[LintedFile]:
    yield LintedFile(name, text, tuple(_policies(tree, type)))
    root = tree.json.root
    if not isinstance(root, dict) or not _SEED_KEYS & root.keys() or beside is None:
        return
    for path, value, kind in _found(root, (), _IN_SEED):
        if (named := _named_file(value)) is None:
            continue
        try:
            content = _content(beside / named, MAX_CHARACTERS)
        except InvalidInput as error:
            position = tree.json.position(path) or Position(1, 0, 0)
            yield LintedFile(name, text, unreadable=(UnreadablePart(error.message, position),))
            continue
        yield from sources_of_text(content, str(beside / named), kind)


def _policies(tree: FileTree, type: PolicyType | None) -> Iterator[PolicySource]:
    root = tree.json.root
    if isinstance(root, dict) and _SEED_KEYS & root.keys():
        yield from _embedded(tree, (), _IN_SEED)
    elif isinstance(root, dict) and isinstance(root.get("policies"), dict):
        yield from _of_case(tree, ())
    elif isinstance(root, list):
        for index, each in enumerate(root):
            if isinstance(each, dict) and "Statement" in each:
                yield _source(tree, (index,), each, type or guessed_type(each), f"#{index + 1}")
            else:
                yield from _of_case(tree, (index,))
    elif not isinstance(root, dict) or root.keys() != _BY_SEED:
        yield _source(tree, (), root, type or guessed_type(root), "")


def _of_case(tree: FileTree, path: Steps) -> Iterator[PolicySource]:
    """Return the policies of a case, but for one that is there to be refused."""
    case = _at(tree.json.root, path)
    if not isinstance(case, dict) or case.get("expected") != "error":
        yield from _embedded(tree, path, _IN_CASE)


def _embedded(
    tree: FileTree, start: Steps, table: Sequence[tuple[tuple[str, ...], PolicyType]]
) -> Iterator[PolicySource]:
    for path, value, type in _found(_at(tree.json.root, start), start, table):
        if _named_file(value) is None and value is not None:
            yield _source(tree, path, value, type, _name(tree.json.root, path))


def _found(
    root: Value, start: Steps, table: Sequence[tuple[tuple[str, ...], PolicyType]]
) -> Iterator[tuple[Steps, Value, PolicyType]]:
    for pattern, type in table:
        for steps, value, parent in _matching(root, pattern, start, None):
            is_rcp = type is PolicyType.SCP and isinstance(parent, dict) and parent.get("type") == "RCP"
            yield steps, value, PolicyType.RCP if is_rcp else type


def _matching(value: Value, pattern: Sequence[str], path: Steps, parent: Value) -> Iterator[tuple[Steps, Value, Value]]:
    if not pattern:
        yield path, value, parent
        return
    step, rest = pattern[0], pattern[1:]
    match value:
        case list() if step == _ANY:
            for index, each in enumerate(value):
                yield from _matching(each, rest, (*path, index), value)
        case dict() if step == _ANY:
            for key, each in value.items():
                yield from _matching(each, rest, (*path, key), value)
        case dict() if step in value:
            yield from _matching(value[step], rest, (*path, step), value)


def _at(root: Value, path: Steps) -> Value:
    for step in path:
        root = root[step]  # type: ignore[index]  # the path was found in this very tree
    return root


def _name(root: Value, path: Steps) -> str:
    """Call a policy by the way to it, with the names of what it stands in."""
    shown: list[str] = []
    for step in path:
        root = root[step]  # type: ignore[index]  # the path was found in this very tree
        own = next((root[key] for key in ("name", "id", "arn") if isinstance(root, dict) and key in root), None)
        shown.append(own if isinstance(own, str) and isinstance(step, int) else str(step))
    return "/".join(shown)


def _named_file(value: Value) -> str | None:
    name = value.get("file") if isinstance(value, dict) and len(value) == 1 else None
    return name if isinstance(name, str) else None


def _source(tree: FileTree, path: Steps, value: Value, type: PolicyType, name: str) -> PolicySource:
    if not path and not tree.blocks and tree.json.text.lstrip()[:1] == "{":
        return PolicySource(name, type, tree.json.text, _in_tree(tree, ()), (0, 0))
    if isinstance(value, str):
        block = tree.blocks.get(path)
        shift = None if block is None else (block[0] - 1, block[1])
        return PolicySource(name, type, value, _inside_text(tree, path, value), shift)
    return PolicySource(name, type, canonical(value), _in_tree(tree, path))


def _in_tree(tree: FileTree, path: Steps) -> Locate:
    return lambda steps, named: tree.json.position((*path, *steps), name=named)


def _inside_text(tree: FileTree, path: Steps, text: str) -> Locate:
    """Find a place in a policy that stands in the file as text: exactly in a `|` block, else where the text begins."""
    begins, block = tree.json.position(path), tree.blocks.get(path)
    if block is None:
        return lambda steps, named: begins
    first, indent = block
    try:
        inside: JsonText | None = read_json(text)
    except PolicyError:
        inside = None

    def locate(steps: Steps, named: bool) -> Position | None:
        found = None if inside is None else inside.position(steps, name=named)
        return begins if found is None else _shifted(found, first - 1, indent)

    return locate


def _shifted(position: Position, lines: int, columns: int) -> Position:
    return Position(position.line + lines, position.column + columns, position.offset)


def guessed_type(root: Value) -> PolicyType:
    """Tell the type of a policy by its elements: with principals it is of a resource, or a trust policy."""
    statements: Any = root.get("Statement") if isinstance(root, dict) else None
    listed = [each for each in (statements if isinstance(statements, list) else [statements]) if isinstance(each, dict)]
    if not any("Principal" in each or "NotPrincipal" in each for each in listed):
        return PolicyType.IDENTITY
    has_resource = any("Resource" in each or "NotResource" in each for each in listed)
    about_trust = all(_is_about_trust(each) for each in listed)
    return PolicyType.TRUST if about_trust and not has_resource else PolicyType.RESOURCE


def _is_about_trust(statement: Mapping[str, Any]) -> bool:
    actions = statement.get("Action", [])
    return all(str(each).lower().startswith("sts:") for each in (actions if isinstance(actions, list) else [actions]))


def _content(path: Path, limit: int) -> str:
    try:
        if path.stat().st_size > 4 * limit:
            raise InvalidInput(f"expected at most {limit} characters", place=str(path))
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise InvalidInput(f"cannot read the file: {error.strerror}", place=str(path)) from None
    except UnicodeDecodeError:
        raise InvalidInput("cannot read the file: it is not UTF-8", place=str(path)) from None
