"""Files of access matrices: the YAML that describes one, and the CSV with the answers that somebody approved.

The CSV has a line for each answer, in one fixed order, so that a change of access is a change of lines and a review
shows it. A spreadsheet must not take a name for a formula, so such a name stands there as a text, with `'` before it;
what is read is the name itself.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from iam_guard.errors import InvalidInput
from iam_guard.model.decision import Outcome
from iam_guard.testing.matrix import AccessMatrix, Cell, changes
from iam_guard.testing.yaml_nodes import YamlNode, compose

_COLUMNS = ("resource", "action", "principal", "outcome")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with, in full width too, by OWASP's page on CSV injection."""
_KEYS = ("seed", "principals", "actions", "resources", "context")


@dataclass(frozen=True, slots=True)
class MatrixDescription:
    """What a YAML file asks for. `seed` is None where the file names none, `actions` are empty."""

    seed: Path | None
    principals: Mapping[str, str]
    actions: tuple[str, ...]
    resources: Mapping[str, str]
    context: Mapping[str, str | list[str]]


def read_description(path: Path) -> MatrixDescription:
    """Read a description; raise `InvalidInput` with file, line and column for anything else."""
    try:
        root = compose(_text_of(path))
        found = {} if root is None else dict(root.items())
        for key, node in found.items():
            if key not in _KEYS:
                raise _complaint(node, f"unknown key `{key[:80]}`, known are {', '.join(_KEYS)}")
        if root is None or "principals" not in found:
            raise InvalidInput("expected a mapping with `principals` at least", place="1:1")
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
    """Read a mapping of name to text, or a list of texts that are their own names."""
    if node.items():
        return {name: _text(value) for name, value in node.items()}
    names = [_text(each) for each in node.below()]
    if not names:
        raise _complaint(node, "expected a list, or a mapping with names of your own")
    return {name: name for name in names}


def _keys(node: YamlNode) -> Iterator[tuple[str, str | list[str]]]:
    for key, value in node.items():
        yield key, [_text(each) for each in value.below()] if value.text is None else value.text


def _text(node: YamlNode) -> str:
    if not node.text:
        raise _complaint(node, "expected a text")
    return node.text


def _complaint(node: YamlNode, message: str) -> InvalidInput:
    line, column = node.place
    return InvalidInput(message, place=f"{line}:{column}")


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(f"{path}: cannot be read: {reason}") from None


# --- approved ----------------------------------------------------------------------------------------------------


def matrix_csv(matrix: AccessMatrix) -> str:
    """Write the answers as CSV, sorted, each name as a text for spreadsheets too."""
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
    """Return whether a spreadsheet could run it, or whether it is written as such a name is."""
    return text.lstrip("'").startswith(_FORMULAS)


def read_approved(path: Path) -> dict[Cell, Outcome]:
    """Read what `matrix_csv` wrote; raise `InvalidInput` with file and line for anything else."""
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
    """Assert that access is as the CSV at `path` says; fail with what was gained and lost.

    `update` writes the file anew instead: commit it, and the change of access is there to be reviewed.
    """
    __tracebackhide__ = True
    approved = Path(path)
    if update:
        approved.write_text(matrix_csv(matrix), encoding="utf-8")
        return
    if not approved.exists():
        raise AssertionError(f"there is no approved matrix {approved} yet; {_HOW}")
    found = changes(read_approved(approved), matrix.outcomes)
    if found:
        lines = [f"access is not as {approved} says:", *found, f"if this is as it should be, {_HOW}"]
        raise AssertionError("\n".join(lines))


_HOW = "run pytest with --iam-guard-update, or iam-guard matrix with --approve, to write it"
