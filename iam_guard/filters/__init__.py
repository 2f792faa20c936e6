"""Lists that show only what the caller may see: policies become a condition of the application's own query."""

from __future__ import annotations

from iam_guard.imports import public_names

_MODULES = {
    "filters.database_catalogue": "Mismatch",
    "filters.indexes": "suggest_indexes",
    "filters.mapped_resources": "MappedResources",
    "filters.verification": "verify",
}

__all__, __getattr__, __dir__ = public_names(__name__, _MODULES)
