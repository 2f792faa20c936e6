"""Pages in the browser, those that people sign in with; they need the extra `console`."""

from __future__ import annotations

from iam_guard.imports import public_names

_MODULES = {
    "console.sign_in_app": "beside_api sign_in_pages",
}

__all__, __getattr__, __dir__ = public_names(__name__, _MODULES)
