"""Authentication: `credential_verifier` verifies credentials without store or clock."""

from __future__ import annotations

from iam_guard.imports import public_names

_MODULES = {
    "authn.api_key": "format_api_key generate_api_key",
}

__all__, __getattr__, __dir__ = public_names(__name__, _MODULES)
