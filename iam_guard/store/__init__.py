"""The store of accounts, principals, credentials and policies (rules J, M). Modules import it through `protocol`."""

from __future__ import annotations

from iam_guard.imports import public_names

_MODULES = {
    "store.opening": "create_store open_candidate_store open_store",
    "store.seed": "apply_seed load_seed load_seed_text",
}

__all__, __getattr__, __dir__ = public_names(__name__, _MODULES)
