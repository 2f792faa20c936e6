"""Find the policies in a file, a policy itself, a seed, cases, or JSON lines of these, with their positions.

The kind of file is detected by its content, not by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from iam_guard.analysis.lint.locations import span_of
from iam_guard.analysis.lint.source_trees import FileTree, UnreadablePart, read_json_tree, read_yaml_tree
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Position
from iam_guard.policy.json_text import read_json
from iam_guard.policy.json_tree import JsonText, Value, canonical, line_starts
from iam_guard.policy.json_tree import Path as Steps
from iam_guard.policy.yaml_tree import MAX_CHARACTERS

Locate: TypeAlias = Callable[[Steps, bool], "Position | None"]
"""Path in the policy, and whether it means the name of the member -> position in the file."""


@dataclass(frozen=True, slots=True)
class PolicySource:
    """One policy in a file, as JSON text. `name` is its name in the file; empty if the file is the policy.

    `shift` is the line and column offset of the text in the file; None if the file has the policy in another form.
    `written` is where a file of JSON has the policy, from its first offset to after its last; None in other files.
    """

    name: str
    type: PolicyType
    text: str
    locate: Locate = field(repr=False, compare=False)
    shift: tuple[int, int] | None = None
    written: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class LintedFile:
    """A file and the policies in it; `unreadable` are its syntax errors, `type` is that of a single policy if set."""

    name: str
    text: str = field(repr=False)
    policies: tuple[PolicySource, ...] = ()
    unreadable: tuple[UnreadablePart, ...] = ()
    type: PolicyType | None = None


def read_sources(path: Path, type: PolicyType | None = None) -> list[LintedFile]:
    """Read a file, and the policy files that a seed refers to. Raises `InvalidInput` for an unreadable file.

    `type` is the type of a policy that is the whole file; by default its elements determine it.
    """
    return sources_of_text(_content(path), str(path), type, folder=path.parent)


def sources_of_text(
    text: str, name: str, type: PolicyType | None = None, *, folder: Path | None = None
) -> list[LintedFile]:
    """Parse the text of a file; `folder` resolves the files that it refers to."""
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(f"expected at most {MAX_CHARACTERS} characters", place=name)
    if name.endswith(".jsonl") or _has_lines_of_json(text):
        return [_lines(text, name, type)]
    looks_like_json = text.lstrip()[:1] in ("{", "[") and not name.endswith((".yaml", ".yml"))
    tree = read_json_tree(text) if looks_like_json else read_yaml_tree(text)
    if isinstance(tree, list):
        return [LintedFile(name, text, unreadable=tuple(tree), type=type)]
    return list(_of_tree(tree, name, text, type, folder))


def _has_lines_of_json(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and all(line.startswith("{") and line.rstrip().endswith("}") for line in lines)


def _lines(text: str, name: str, type: PolicyType | None) -> LintedFile:
    policies: list[PolicySource] = []
    unreadable: list[UnreadablePart] = []
    starts = line_starts(text)
    for number, line in enumerate(text.split("\n")):
        if not line.strip():
            continue
        tree = read_json_tree(line)
        if isinstance(tree, list):
            unreadable.extend(part._replace(position=_shifted(part.position, number, 0)) for part in tree)
            continue
        policies.extend(_of_line(policy, number, starts[number]) for policy in _policies(tree, type))
    return LintedFile(name, text, tuple(policies), tuple(unreadable), type)


def _of_line(source: PolicySource, lines: int, start: int) -> PolicySource:
    def locate(path: Steps, name: bool) -> Position | None:
        found = source.locate(path, name)
        return None if found is None else _shifted(found, lines, 0)

    shift = None if source.shift is None else (source.shift[0] + lines, source.shift[1])
    written = None if source.written is None else (source.written[0] + start, source.written[1] + start)
    name = f"line {lines + 1} {source.name}".rstrip()
    return replace(source, name=name, locate=locate, shift=shift, written=written)


# --- a tree --------------------------------------------------------------------------------------------------------

_ANY = "*"
_IDENTITIES = ("groups", "users", "roles")
_SEED_POLICIES: Sequence[tuple[tuple[str, ...], PolicyType]] = (
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
_CASE_POLICIES: Sequence[tuple[tuple[str, ...], PolicyType]] = (
    (("policies", "identity", _ANY), PolicyType.IDENTITY),
    (("policies", "resource"), PolicyType.RESOURCE),
    (("policies", "permissions_boundary"), PolicyType.BOUNDARY),
    (("policies", "session", _ANY), PolicyType.SESSION),
    (("policies", "scps", _ANY, _ANY), PolicyType.SCP),
    (("policies", "rcps", _ANY, _ANY), PolicyType.RCP),
    (("policies", "vpc_endpoint"), PolicyType.VPC_ENDPOINT),
)
_SEED_KEYS = frozenset({"accounts", "organization", "aws_policies"})
SEEDED_CASES = {"seed", "cases"}
"""Members of a case file that uses a seed: it has no policies of its own."""


def _of_tree(
    tree: FileTree, name: str, text: str, type: PolicyType | None, folder: Path | None
) -> Iterator[LintedFile]:
    yield LintedFile(name, text, tuple(_policies(tree, type)), type=type)
    root = tree.json.root
    if not isinstance(root, dict) or not _SEED_KEYS & root.keys() or folder is None:
        return
    for path, value, kind in _found(root, (), _SEED_POLICIES):
        if (named := _named_file(value)) is None:
            continue
        try:
            content = _content(folder / named)
        except InvalidInput as error:
            position = tree.json.position(path) or Position(1, 0, 0)
            yield LintedFile(name, text, unreadable=(UnreadablePart(error.message, position),))
            continue
        yield from sources_of_text(content, str(folder / named), kind)


def _policies(tree: FileTree, type: PolicyType | None) -> Iterator[PolicySource]:
    root = tree.json.root
    if isinstance(root, dict) and _SEED_KEYS & root.keys():
        yield from _embedded(tree, root, (), _SEED_POLICIES)
    elif isinstance(root, dict) and isinstance(root.get("policies"), dict):
        yield from _of_case(tree, root, ())
    elif isinstance(root, list):
        for index, entry in enumerate(root):
            if isinstance(entry, dict) and "Statement" in entry:
                yield _source(tree, (index,), entry, type or guess_type(entry), f"#{index + 1}")
            else:
                yield from _of_case(tree, entry, (index,))
    elif not isinstance(root, dict) or root.keys() != SEEDED_CASES:
        yield _source(tree, (), root, type or guess_type(root), "")


def _of_case(tree: FileTree, case: Value, path: Steps) -> Iterator[PolicySource]:
    """Return the policies of a case, unless it expects an error."""
    if not isinstance(case, dict) or case.get("expected") != "error":
        yield from _embedded(tree, case, path, _CASE_POLICIES)


def _embedded(
    tree: FileTree, root: Value, start: Steps, table: Sequence[tuple[tuple[str, ...], PolicyType]]
) -> Iterator[PolicySource]:
    for path, value, type in _found(root, start, table):
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
            for index, item in enumerate(value):
                yield from _matching(item, rest, (*path, index), value)
        case dict() if step == _ANY:
            for key, member in value.items():
                yield from _matching(member, rest, (*path, key), value)
        case dict() if step in value:
            yield from _matching(value[step], rest, (*path, step), value)


def _name(root: Value, path: Steps) -> str:
    """Return the name of a policy: its path, with the names of its parents."""
    shown: list[str] = []
    for step in path:
        root = root[step]  # type: ignore[index]  # the path was found in this tree
        own = next((root[key] for key in ("name", "id", "arn") if isinstance(root, dict) and key in root), None)
        shown.append(own if isinstance(own, str) and isinstance(step, int) else str(step))
    return "/".join(shown)


def _named_file(value: Value) -> str | None:
    name = value.get("file") if isinstance(value, dict) and len(value) == 1 else None
    return name if isinstance(name, str) else None


def _source(tree: FileTree, path: Steps, value: Value, type: PolicyType, name: str) -> PolicySource:
    if not path and not tree.blocks and tree.json.text.lstrip()[:1] == "{":
        return PolicySource(name, type, tree.json.text, _in_tree(tree, ()), (0, 0), _written(tree, ()))
    if isinstance(value, str):
        block = tree.blocks.get(path)
        shift = None if block is None else (block[0] - 1, block[1])
        return PolicySource(name, type, value, _inside_text(tree, path, value), shift)
    return PolicySource(name, type, canonical(value), _in_tree(tree, path), written=_written(tree, path))


def _written(tree: FileTree, path: Steps) -> tuple[int, int] | None:
    span = span_of(tree.json, path) if tree.is_json else None
    return None if span is None else (span.start.offset, span.end.offset)


def _in_tree(tree: FileTree, path: Steps) -> Locate:
    return lambda steps, named: tree.json.position((*path, *steps), name=named)


def _inside_text(tree: FileTree, path: Steps, text: str) -> Locate:
    """Return the locator of a policy in a text: exact in a `|` block, else the start of the text."""
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


def guess_type(root: Value) -> PolicyType:
    """Return the type of a policy by its elements: with principals it is a resource or trust policy."""
    statements = _listed(root.get("Statement") if isinstance(root, dict) else None)
    listed = [statement for statement in statements if isinstance(statement, dict)]
    if not any("Principal" in statement or "NotPrincipal" in statement for statement in listed):
        return PolicyType.IDENTITY
    has_resource = any("Resource" in statement or "NotResource" in statement for statement in listed)
    actions = [action for statement in listed for action in _listed(statement.get("Action", []))]
    is_about_trust = all(str(action).lower().startswith("sts:") for action in actions)
    return PolicyType.TRUST if is_about_trust and not has_resource else PolicyType.RESOURCE


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _content(path: Path) -> str:
    try:
        if path.stat().st_size > 4 * MAX_CHARACTERS:
            raise InvalidInput(f"expected at most {MAX_CHARACTERS} characters", place=str(path))
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise InvalidInput(f"cannot read the file: {error.strerror}", place=str(path)) from None
    except UnicodeDecodeError:
        raise InvalidInput("cannot read the file: it is not UTF-8", place=str(path)) from None
