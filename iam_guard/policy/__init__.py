"""Policy documents: written in Python, parsed, and validated as they are when they are saved."""

from __future__ import annotations

from iam_guard.imports import public_names

_MODULES = {
    "model.decision": "PolicyType",
    "policy.builder": "PolicyDocument allow deny literal policy",
    "policy.parser": "parse",
    "policy.saving": "validate_for_write",
}

__all__, __getattr__, __dir__ = public_names(__name__, _MODULES)
