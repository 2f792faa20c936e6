"""Find public names that several modules of `iam_guard` define: one name with two meanings, or duplicate code.

Only top-level functions and classes without a leading underscore count. `ALLOWED` lists intended repetitions with their
reasons; an unnecessary entry is reported too. `make check` and `tests/test_structure.py` run it.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

ALLOWED: Mapping[str, str] = {
    "Operation": "an operation of a service model, and the row with its implementation",
    "Service": "a service of the application, and one of our own API; both are services in a policy",
    "command": "every module of a command in `cli` has one; its group finds it by the name of the module",
    "connector": "every kind of sink has one; the table of kinds names the module",
    "instant": "text -> instant in a policy, stored seconds -> instant in an output",
    "parse": "text -> value, of a policy and of an API key; used with the module's name",
    "read": "the function of a document and of the audit trail",
    "upgrade": "Alembic requires it in every migration",
}


def public_names(source: str) -> list[str]:
    """List the public functions and classes at the top level of a module."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    body = ast.parse(source).body
    return [node.name for node in body if isinstance(node, kinds) and not node.name.startswith("_")]


def find(package: Path, allowed: Mapping[str, str]) -> list[str]:
    """Describe each name that several modules of the package define, and each exception that is not needed."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        for name in public_names(path.read_text(encoding="utf-8")):
            places[name].append(path.relative_to(package.parent).as_posix())
    repeated = {name: files for name, files in places.items() if len(files) > 1}
    found = [f"{name}: {', '.join(files)}" for name, files in sorted(repeated.items()) if name not in allowed]
    return found + [f"{name}: allowed, but defined once at most" for name in sorted(allowed) if name not in repeated]


if __name__ == "__main__":
    findings = find(ROOT / "iam_guard", ALLOWED)
    print("\n".join(findings) or "no public name is defined twice")
    sys.exit(1 if findings else 0)
