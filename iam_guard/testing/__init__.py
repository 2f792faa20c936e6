"""Tests of policies and of guarded applications, for users: names only, each imported when it is first asked for.

pytest is not needed for any of them, and what brings it in is `plugin` alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iam_guard.testing.assertions import assert_allowed as assert_allowed
    from iam_guard.testing.assertions import assert_denied as assert_denied
    from iam_guard.testing.callers import as_principal as as_principal
    from iam_guard.testing.callers import signed_in as signed_in
    from iam_guard.testing.matrix import access_matrix as access_matrix
    from iam_guard.testing.matrix_files import assert_matrix as assert_matrix

_WHERE = {
    "access_matrix": "matrix",
    "as_principal": "callers",
    "assert_allowed": "assertions",
    "assert_denied": "assertions",
    "assert_matrix": "matrix_files",
    "signed_in": "callers",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module `iam_guard.testing` has no attribute `{name}`")
    found = getattr(import_module(f"iam_guard.testing.{where}"), name)
    globals()[name] = found
    return found
