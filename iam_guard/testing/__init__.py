"""Test support for policies and guarded applications. Names are imported on first use.

None of them needs pytest; only `plugin` imports it.
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
    from iam_guard.testing.proofs import assert_invariants as assert_invariants
    from iam_guard.testing.proofs import assert_no_new_access as assert_no_new_access

_MODULES = {
    "access_matrix": "matrix",
    "as_principal": "callers",
    "assert_allowed": "assertions",
    "assert_denied": "assertions",
    "assert_invariants": "proofs",
    "assert_matrix": "matrix_files",
    "assert_no_new_access": "proofs",
    "signed_in": "callers",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module `iam_guard.testing` has no attribute `{name}`")
    value = getattr(import_module(f"iam_guard.testing.{module}"), name)
    globals()[name] = value
    return value
