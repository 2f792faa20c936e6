"""Reads a change file: changes of a few policies, to be applied as an overlay of a store (`policy_overlay`).

    version: 1
    policy_changes:
      - replace: arn:aws:iam::111122223333:policy/DocsReader       # a managed policy, an SCP, an RCP, a resource
        document: {file: docs-reader.json}
      - attach: arn:aws:iam::111122223333:policy/DocsReader        # with a `document`: a new policy
        to: arn:aws:iam::111122223333:role/auditor
      - detach: arn:aws:iam::aws:policy/AdministratorAccess
        from: arn:aws:iam::111122223333:user/rita
      - put: Read                                                  # an inline policy; `delete` removes one
        in: arn:aws:iam::111122223333:group/readers
        document: {Version: "2012-10-17", Statement: []}

The key `policy_changes` distinguishes it from a seed file. As for seeds, all errors are reported at once. Everything
that the file refers to must exist in the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from iam_guard.errors import SeedError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.problems import Problems
from iam_guard.policy.yaml_tree import MapNode, Node, read_tree
from iam_guard.store.database.records import Records
from iam_guard.store.database.time_limits import PATIENT_SECONDS, within
from iam_guard.store.identifiers import control_policy_arn, fold, identity_of_arn
from iam_guard.store.policies.policy_changes import InlinePolicy, PolicyAttachment, PolicyChanges, type_of_policy
from iam_guard.store.policies.policy_overlay import (
    OverlaidStore,
    has_inline,
    is_attached,
    row_of_identity,
    row_of_policy,
)
from iam_guard.store.protocol import SourceStore
from iam_guard.store.schema import control_policies, organizations
from iam_guard.store.seed.documents import Documents, Files
from iam_guard.store.seed.fields import Fields, checked_name

_TOP = "policy_changes"
_KINDS = {
    "replace": ("replace", "document"),
    "attach": ("attach", "to", "document"),
    "detach": ("detach", "from"),
    "put": ("put", "in", "document"),
    "delete": ("delete", "in"),
}
"""Kind of change, which is also its required key -> all its keys."""


def is_change_file(path: str) -> bool:
    """Return whether a YAML or JSON file is a change file, not a seed; False for one that cannot be read."""
    problems = Problems(Path(path).name)
    try:
        tree = read_tree(Files(Path(path)).read_seed(), problems)
    except SeedError:
        return False
    return isinstance(tree, MapNode) and tree.get(_TOP) is not None


def load_changes(path: str, *, partition: str = "aws") -> PolicyChanges:
    """Read a change file. Raises `SeedError` with all errors."""
    file = Path(path)
    files, problems = Files(file), Problems(file.name)
    tree = read_tree(files.read_seed(), problems)
    changes = _Reader(Documents(files, problems, partition), PolicyChanges(file.name)).changes(tree)
    problems.raise_any()
    return changes


def open_overlay(inner: SourceStore, path: str) -> OverlaidStore:
    """Return an overlay of a store. Raises `SeedError` if the file is invalid or refers to something missing."""
    changes = load_changes(path, partition=inner.partition)
    problems = Problems(changes.name)
    # at once, because a store in memory has one connection
    with within(PATIENT_SECONDS), inner.at_once(), inner.read_transaction() as records:
        for line, message in _missing(changes, records, inner):
            problems.add(line, message)
    problems.raise_any()
    return OverlaidStore(inner, changes)


class _Reader:
    def __init__(self, documents: Documents, into: PolicyChanges) -> None:
        self._documents = documents
        self._problems = documents.problems
        self._into = into

    def changes(self, node: Node) -> PolicyChanges:
        fields = Fields(node, "a change file", ("version", _TOP), self._problems)
        fields.check_version()
        fields.node(_TOP, required=True)
        items = fields.items(_TOP)
        if not items and fields.has(_TOP):
            fields.problem(_TOP, "expected a change, got none")
        for item in items:
            self._change(item)
        self._check_conflicts()
        return self._into

    def _check_conflicts(self) -> None:
        """Report two changes of the same policy of an identity: their order would be ambiguous."""
        managed = [
            (change.policy, change.identity, change.line) for change in (*self._into.attached, *self._into.detached)
        ]
        inline = [(fold(change.name), change.identity, change.line) for change in self._into.inline]
        seen: set[tuple[str, str]] = set()
        for policy, identity, line in (*managed, *inline):
            if (policy, identity) in seen:
                self._problems.add(line, f"expected one change of `{policy}` of `{identity}`, got another")
            seen.add((policy, identity))

    def _change(self, node: Node) -> None:
        kind = next((key for key in _KINDS if isinstance(node, MapNode) and node.get(key) is not None), None)
        if kind is None:
            expected = ", ".join(f"`{key}`" for key in _KINDS)
            self._problems.add(node.line, f"expected a change with one of the keys {expected}")
            return
        fields = Fields(node, f"a change that has `{kind}`", _KINDS[kind], self._problems)
        match kind:
            case "replace":
                self._replace(fields)
            case "attach":
                self._attach(fields)
            case "detach":
                policy, identity = self._managed(fields, kind), self._identity_arn(fields, "from")
                self._into.detached.append(PolicyAttachment(policy, identity, fields.line))
            case _:
                self._inline(fields, kind)

    def _replace(self, fields: Fields) -> None:
        arn = fields.text("replace", required=True) or ""
        type = type_of_policy(arn)
        if type is None:
            expected = "expected the ARN of a managed policy, an SCP, an RCP or a resource of an application"
            fields.problem("replace", f"{expected}, got `{arn[:200]}`")
            return
        if arn in self._into.replaced:
            fields.problem("replace", f"expected one change of `{arn}`, got another")
        self._read_document(fields, arn, type, self._into.replaced)

    def _attach(self, fields: Fields) -> None:
        arn, identity = self._managed(fields, "attach"), self._identity_arn(fields, "to")
        if fields.has("document"):
            self._read_document(fields, arn, PolicyType.IDENTITY, self._into.new)
        self._into.attached.append(PolicyAttachment(arn, identity, fields.line))

    def _read_document(self, fields: Fields, arn: str, type: PolicyType, into: dict[str, str]) -> None:
        is_managed = type is PolicyType.IDENTITY
        found = self._documents.of_field(fields, "document", type, managed=is_managed, required=True)
        if found is not None:
            into[arn] = found.text
            self._into.lines[arn] = fields.line

    def _inline(self, fields: Fields, kind: str) -> None:
        name = checked_name(fields.text(kind, required=True) or "", "policy", fields.line_of(kind), self._problems)
        identity, text = self._identity_arn(fields, "in"), None
        if kind == "put":
            found = self._documents.of_field(fields, "document", PolicyType.IDENTITY, required=True)
            text = "" if found is None else found.text
        self._into.inline.append(InlinePolicy(name, identity, text, fields.line))

    def _managed(self, fields: Fields, key: str) -> str:
        arn = fields.text(key, required=True) or ""
        if type_of_policy(arn) is not PolicyType.IDENTITY:
            fields.problem(key, f"expected the ARN of a managed policy, got `{arn[:200]}`")
        return arn

    def _identity_arn(self, fields: Fields, key: str) -> str:
        arn = fields.text(key, required=True) or ""
        if identity_of_arn(arn) is None:
            fields.problem(key, f"expected the ARN of a user, group or role, got `{arn[:200]}`")
        return arn


# --- references ------------------------------------------------------------------------------------------------------


def _missing(changes: PolicyChanges, records: Records, store: SourceStore) -> Iterator[tuple[int, str]]:
    """Yield the line and an error for each reference that does not match the store."""
    identities = {arn: row_of_identity(records, store.partition, arn) for arn in changes.identities}
    for arn, line in changes.identities.items():
        if identities[arn] is None:
            yield line, f"there is no `{arn}` in the store"
    for arn in changes.replaced:
        if not _exists(records, store, arn):
            yield changes.lines[arn], f"there is no `{arn}` in the store"
    for arn in changes.new:
        if row_of_policy(records, arn) is not None:
            yield changes.lines[arn], f"`{arn}` exists already: use `replace` for its document"
    for change in (*changes.attached, *changes.detached):
        if change.policy not in changes.new and row_of_policy(records, change.policy) is None:
            yield change.line, f"there is no `{change.policy}` in the store"
    for change in changes.detached:
        if (row := identities[change.identity]) is not None and not is_attached(records, row, change.policy):
            yield change.line, f"`{change.policy}` is not attached to `{change.identity}`"
    for inline in changes.inline:
        row = identities[inline.identity]
        if inline.text is None and row is not None and not has_inline(records, row, inline.name):
            yield inline.line, f"`{inline.identity}` has no inline policy `{inline.name}`"


def _exists(records: Records, store: SourceStore, arn: str) -> bool:
    match type_of_policy(arn):
        case PolicyType.IDENTITY:
            return row_of_policy(records, arn) is not None
        case PolicyType.RESOURCE:
            return store.resource(arn).account is not None
        case _:
            return _is_control_policy(records, store.partition, arn)


def _is_control_policy(records: Records, partition: str, arn: str) -> bool:
    row = records.one(control_policies, id=arn.rpartition("/")[2])
    if row is None:
        return False
    owner = None if row["organization_id"] is None else records.one(organizations, id=row["organization_id"])
    management = None if owner is None else owner["management_account"]
    return control_policy_arn(partition, management, row["organization_id"], row["type"], row["id"]) == arn
