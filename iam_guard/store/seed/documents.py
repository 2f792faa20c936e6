"""Reads the policy documents of a seed: in YAML, as JSON text, or in separate files.

A YAML document is converted to JSON text here, and that text is stored. Only JSON's scalars are converted (`true`,
`false`, plain decimal numbers); everything else is a string as written, so that `Version: 2012-10-17` is not a date and
`no` is not false. A problem in a document is reported with the line of the seed, or of the separate file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from iam_guard.errors import LimitExceeded, PolicyError, SeedError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document
from iam_guard.policy.problems import Problems
from iam_guard.policy.saving import validate_for_write
from iam_guard.policy.yaml_tree import ListNode, MapNode, Node, Scalar, node_as_json
from iam_guard.store.seed.fields import Fields, described, node_text

MAX_FILE_BYTES = 4 * 131_072  # G-74, in UTF-8


class Files:
    """Reads a seed file and the files that it refers to, relative to its directory.

    `seen` has the SHA-256 of each file's content, None for a file that could not be read.
    """

    def __init__(self, seed: Path | None) -> None:
        self.seen: dict[Path, bytes | None] = {}
        self._seed = seed

    def read_seed(self) -> str:
        """Return the text of the seed. Raises `SeedError` if it can't be read."""
        path = self._seed or Path()
        try:
            return self.content(path).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise SeedError(f"{path.name}: cannot be read: {reason}", place=path.name) from None

    def read(self, name: str) -> str:
        """Return the text of a file that the seed refers to. Raises `OSError` or `ValueError`."""
        if self._seed is None:
            raise ValueError("a seed given as text can't refer to files")
        content = self.content(self._seed.parent / name)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"expected at most {MAX_FILE_BYTES} bytes")
        return content.decode("utf-8-sig")

    def content(self, path: Path) -> bytes:
        """Read a file, and keep the digest of its content. Raises `OSError` or `ValueError`."""
        self.seen[path] = None
        content = path.read_bytes()
        self.seen[path] = hashlib.sha256(content).digest()
        return content


class Documents:
    """Reads the documents of one seed. `partition` is the partition of this store's ARNs."""

    def __init__(self, files: Files, problems: Problems, partition: str) -> None:
        self.problems = problems
        self._files = files
        self._partition = partition
        self._valid: dict[tuple[str, PolicyType, bool], Document] = {}

    def of_field(
        self, fields: Fields, key: str, type: PolicyType, *, managed: bool = False, required: bool = False
    ) -> Document | None:
        """Return the validated document of a field; None if there is none, or after recording a problem."""
        node = fields.node(key, required=required)
        return None if node is None else self.read(node, type, managed=managed)

    def read(self, node: Node, type: PolicyType, *, managed: bool = False) -> Document | None:
        """Return the validated document; None after recording a problem."""
        try:
            match node:
                case MapNode(pairs=((key, value),)) if key.text == "file":
                    return self._from_file(value, type, managed)
                case MapNode():
                    return self._from_yaml(node, type, managed)
                case Scalar() if not node.is_null:
                    return self._validated(node.text, type, managed)
        except (PolicyError, LimitExceeded) as error:
            self.problems.add(_line(node, error), error.message)
            return None
        message = f"expected a policy document as a mapping, JSON text or `file: …`, got {described(node)}"
        self.problems.add(node.line, message)
        return None

    def text(self, node: Node, what: str) -> str | None:
        """Return the text of something other than a policy, inline or from a file; None after recording a problem."""
        if isinstance(node, Scalar) and not node.is_null:
            return node.text
        match node:
            case MapNode(pairs=((key, value),)) if key.text == "file":
                named = self._file(value)
                return None if named is None else named[1]
        self.problems.add(node.line, f"expected {what}, or `file: …`, got {described(node)}")
        return None

    def _file(self, node: Node) -> tuple[str, str] | None:
        """Return the name and the text of a file; None after recording a problem."""
        name = node_text(node, "`file`", self.problems)
        try:
            return None if name is None else (name, self._files.read(name))
        except UnicodeDecodeError:
            reason = "it is not UTF-8"
        except (OSError, ValueError) as error:
            reason = str(error.strerror if isinstance(error, OSError) else error)
        self.problems.add(node.line, f"cannot read the file `{name}`: {reason}")
        return None

    def _from_yaml(self, node: Node, type: PolicyType, managed: bool) -> Document:
        """Return the document as indented JSON; without white space if that would exceed a quota that counts it."""
        try:
            return self._validated(node_as_json(node, indented=True), type, managed)
        except LimitExceeded:
            return self._validated(node_as_json(node), type, managed)

    def _from_file(self, node: Node, type: PolicyType, managed: bool) -> Document | None:
        named = self._file(node)
        if named is None:
            return None
        name, text = named
        try:
            return self._validated(text, type, managed)
        except (PolicyError, LimitExceeded) as error:
            self.problems.add(node.line, error.message, inside=f"{name}:{getattr(error, 'line', None) or 1}")
        return None

    def _validated(self, text: str, type: PolicyType, managed: bool) -> Document:
        """Return the validated document; a text that is repeated in the seed is validated once."""
        key = (text, type, managed)
        document = self._valid.get(key)
        if document is None:
            document = self._valid[key] = validate_for_write(text, type, managed=managed, partition=self._partition)
        return document


def _line(node: Node, error: PolicyError | LimitExceeded) -> int:
    """Return the line of the seed that is closest to the error in a document."""
    if isinstance(node, Scalar):
        inside = getattr(error, "line", None)
        return node.line + inside if node.literal and inside else node.line
    line = node.line
    for step in (error.place or "").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        parent = node
        match parent:
            case MapNode() if (pair := parent.pair(name)) is not None:
                line, node = pair[0].line, pair[1]
            case ListNode(items=items) if name.isdecimal() and int(name) < len(items):
                node = items[int(name)]
                line = node.line
            case _:
                return line
    return line
