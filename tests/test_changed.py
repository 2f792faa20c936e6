"""Which tests `--changed` selects."""

from __future__ import annotations

from pathlib import Path

from tests.changed import ALWAYS, ROOT, affected_tests
from tests.tables import table

EVERY_TEST = {path.relative_to(ROOT) for path in ROOT.glob("tests/**/test_*.py")}


@table(
    ("changed", "selected", "left_out"),
    [
        ("iam_guard/authn/signatures/sigv4.py", "authn/signatures/test_sigv4.py", "audit/verify/test_merkle.py"),
        (
            "iam_guard/evaluation/matching/pattern.py",
            "evaluation/matching/test_pattern.py",
            "authn/test_caller_cache.py",
        ),
        ("tests/audit/conftest.py", "audit/verify/test_merkle.py", "authn/signatures/test_sigv4.py"),
        ("tests/integrations/contract.py", "integrations/test_flask.py", "authn/signatures/test_sigv4.py"),
        (
            "tests/authn/signatures/test_sigv4.py",
            "authn/signatures/test_sigv4.py",
            "authn/signatures/test_canonical.py",
        ),
        (
            "integrations/flask/iam_guard_flask/__init__.py",
            "integrations/test_flask.py",
            "authn/signatures/test_sigv4.py",
        ),
        ("docs/index.md", "docs/test_examples.py", "authn/signatures/test_sigv4.py"),
    ],
)
def test_change_selects_the_tests_that_it_affects(changed: str, selected: str, left_out: str) -> None:
    """Those that import it, and those of its folder; not all."""
    assert all((ROOT / path).exists() for path in (changed, f"tests/{selected}", f"tests/{left_out}"))
    found = affected_tests([Path(changed)])
    assert Path("tests") / selected in found
    assert Path("tests") / left_out not in found
    assert set(ALWAYS) <= found


def test_changed_settings_of_the_project_select_all() -> None:
    """A new version of a dependency may affect any test."""
    assert affected_tests([Path("constraints.txt")]) == EVERY_TEST


def test_no_change_selects_the_structure_only() -> None:
    """Which is quick, and reads all files."""
    assert affected_tests([]) == set(ALWAYS)
