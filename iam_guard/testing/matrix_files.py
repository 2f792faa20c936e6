"""Files of access matrices: the YAML description, and the CSV with approved outcomes.

The CSV has one line per outcome, sorted, so that a change of access is a change of lines in a review. A name that a
spreadsheet would run as a formula is escaped with a leading `'`, which is removed when reading.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from iam_guard.errors import InvalidInput, did_you_mean
from iam_guard.model.decision import Outcome
from iam_guard.testing.matrix import AccessMatrix, Cell, changes
from iam_guard.testing.yaml_nodes import YamlNode, compose

_COLUMNS = ("resource", "action", "principal", "outcome")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The first characters of a formula, in full width too, according to OWASP's page on CSV injection."""
_KEYS = ("seed", "principals", "actions", "resources", "context")


@dataclass(frozen=True, slots=True)
class MatrixDescription:
    """The content of a YAML description. `seed` is None and `actions` empty if the file has none."""

    seed: Path | None
    principals: Mapping[str, str]
    actions: tuple[str, ...]
    resources: Mapping[str, str]
    context: Mapping[str, str | list[str]]


def read_description(path: Path) -> MatrixDescription:
    """Read a description. Raises `InvalidInput` with file, line and column if it is invalid."""
    try:
        root = compose(_text_of(path))
        found = {} if root is None else dict(root.items())
        for key, node in found.items():
            if key not in _KEYS:
                hint = did_you_mean(key, _KEYS) or f", expected one of {', '.join(_KEYS)}"
                raise _error(node, f"unknown key `{key[:80]}`{hint}")
        if root is None or "principals" not in found:
            raise InvalidInput("expected a mapping with `principals`", place="1:1")
        seed = found.get("seed")
        return MatrixDescription(
            seed=None if seed is None else path.parent / _text(seed),
            principals=_named(found["principals"]),
            actions=tuple(_named(found["actions"])) if "actions" in found else (),
            resources=_named(found["resources"]) if "resources" in found else {"*": "*"},
            context=dict(_keys(found["context"])) if "context" in found else {},
        )
    except InvalidInput as error:
        raise InvalidInput(error.message, place=f"{path}:{error.place or '1:1'}") from None


def _named(node: YamlNode) -> dict[str, str]:
    """Read a mapping of names to strings, or a list of strings that are their own names."""
    if node.items():
        return {name: _text(value) for name, value in node.items()}
    names = [_text(item) for item in node.children()]
    if not names:
        raise _error(node, "expected a list, or a mapping of names")
    return {name: name for name in names}


def _keys(node: YamlNode) -> Iterator[tuple[str, str | list[str]]]:
    for key, value in node.items():
        yield key, [_text(item) for item in value.children()] if value.text is None else value.text


def _text(node: YamlNode) -> str:
    if not node.text:
        raise _error(node, "expected a string")
    return node.text


def _error(node: YamlNode, message: str) -> InvalidInput:
    line, column = node.place
    return InvalidInput(message, place=f"{line}:{column}")


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(f"{path}: cannot be read: {reason}") from None


# --- approved outcomes -------------------------------------------------------------------------------------------


def matrix_csv(matrix: AccessMatrix) -> str:
    """Serialize the outcomes as CSV, sorted, with names escaped for spreadsheets."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for access, outcome in sorted(matrix):
        names = (access.resource, access.action, access.principal)
        writer.writerow((*map(_as_text, names), outcome.value))
    return written.getvalue()


def _as_text(name: str) -> str:
    return f"'{name}" if _is_formula(name) else name


def _name_of(text: str) -> str:
    return text[1:] if text.startswith("'") and _is_formula(text) else text


def _is_formula(text: str) -> bool:
    """Return whether a spreadsheet could run the text, or it is an escaped name."""
    return text.lstrip("'").startswith(_FORMULAS)


def read_approved(path: Path) -> dict[Cell, Outcome]:
    """Read the CSV of `matrix_csv`. Raises `InvalidInput` with file and line if it is invalid."""
    rows = list(csv.reader(io.StringIO(_text_of(path))))
    if not rows or tuple(rows[0]) != _COLUMNS:
        raise InvalidInput(f"expected the columns {', '.join(_COLUMNS)}", place=f"{path}:1")
    found: dict[Cell, Outcome] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(_COLUMNS) or row[3] not in list(Outcome):
            raise InvalidInput("expected resource, action, principal and an outcome", place=f"{path}:{number}")
        found[Cell(*map(_name_of, row[:3]))] = Outcome(row[3])
    return found


def assert_matrix(matrix: AccessMatrix, path: str | Path, *, update: bool = False) -> None:
    """Assert that access equals the approved CSV at `path`; fail with the access gained and lost.

    `update` writes the file instead: commit it to have the change of access reviewed.
    """
    __tracebackhide__ = True
    approved = Path(path)
    if update:
        approved.write_text(matrix_csv(matrix), encoding="utf-8")
        return
    if not approved.exists():
        raise AssertionError(f"expected an approved matrix in {approved}, found none; {_HOW}")
    found = changes(read_approved(approved), matrix.outcomes)
    if found:
        lines = [f"access differs from {approved}:", *found, f"if the change is intended, {_HOW}"]
        raise AssertionError("\n".join(lines))


_HOW = "run pytest with --iam-guard-update, or iam-guard matrix with --approve, to write it"
