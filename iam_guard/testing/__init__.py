"""Test support for policies and guarded applications. Names are imported on first use.

None of them needs pytest; only `plugin` imports it.
"""

from __future__ import annotations

from iam_guard.imports import public_names

_MODULES = {
    "testing.assertions": "assert_allowed assert_denied",
    "testing.callers": "as_principal signed_in",
    "testing.matrix": "access_matrix",
    "testing.matrix_files": "assert_matrix",
    "testing.proofs": "assert_invariants assert_no_new_access",
}

__all__, __getattr__, __dir__ = public_names(__name__, _MODULES)
