"""A guard whose one user may access all documents but some denied ones, for tests of alternative spellings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from iam_guard import Guard, open_guard
from iam_guard.authn.api_key import format_api_key

_SECRET = "ritasecret0123456789abcdefghijklmnopqrst"
KEY = {"authorization": f"Bearer {format_api_key('RITA', _SECRET)}"}
"""The request headers of the user."""


def open_guard_denying(folder: Path, *documents: str) -> Guard:
    """Open a guard with a user whose identity-based policy denies the named documents."""
    denied = [f"arn:aws:docs:*:*:document/{document}" for document in documents]
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": "docs:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "docs:*", "Resource": denied},
    ]
    user = {
        "name": "rita",
        "inline": {"P": {"Version": "2012-10-17", "Statement": statements}},
        "api_keys": [{"id": "RITA", "secret": _SECRET}],
    }
    (folder / "iam.json").write_text(
        json.dumps({"version": 1, "accounts": [{"id": "111122223333", "name": "acme", "users": [user]}]})
    )
    return open_guard(folder / "iam.json")
