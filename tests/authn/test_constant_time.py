from __future__ import annotations

import ast
from pathlib import Path

import iam_guard.authn
from iam_guard.authn.constant_time import same
from tests.tables import table


@table(
    ("actual", "expected", "is_same"),
    [
        ("abc", "abc", True),
        (b"abc", "abc", True),
        ("é", "é", True),
        ("", "", True),
        ("abc", "abd", False),
        ("abc", "abcd", False),
        ("é", "e", False),
        ("\udcff", "a", False),
    ],
)
def test_comparison_accepts_any_text_and_bytes(actual: str | bytes, expected: str, is_same: bool) -> None:
    """Received values never make the comparison fail."""
    assert same(actual, expected) is is_same


def test_secrets_are_compared_in_one_module() -> None:
    """All credentials are verified with `same`."""
    root = Path(iam_guard.authn.__file__).parent
    users = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute | ast.Name)
        and getattr(node, "attr", getattr(node, "id", "")) == "compare_digest"
    }
    assert users == {"constant_time.py"}
