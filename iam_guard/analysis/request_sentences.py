"""A request as a sentence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def request_sentence(request: Mapping[str, Any], keys: Collection[str] | None = None) -> str:
    """Describe the members of a request; `keys`, in lower case, are the condition keys to name, None for all."""
    principal, context = request["principal"], request["context"]
    caller = "an anonymous caller" if principal["type"] == "Anonymous" else principal["arn"]
    values = [
        f"{key} = {', '.join(value) if isinstance(value, list) else value}"
        for key, value in context.items()
        if keys is None or key.lower() in keys
    ]
    condition = f" with {' and '.join(values)}" if values else ""
    return f"{caller} could call {request['action']} on {request['resource']}{condition}"
