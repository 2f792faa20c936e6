"""A WSGI application with a guard that is open, and has cached answers, before the server forks (`--preload`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from iam_guard import Principal, open_guard

# Nearly every request queries the store, so that its connections are used.
guard = open_guard(os.environ["STORE"], cache_size=1, epoch_poll=0.05, store_timeout=10.0)


def may(user: str, document: str) -> str:
    """Return whether a user may get a document, or the error of the decision."""
    principal = Principal.from_arn(f"arn:aws:iam::111122223333:user/u{user}")
    decision = guard.decide(principal, "docs:Get", f"arn:aws:docs:us-east-1:111122223333:document/{document}")
    return decision.error or str(decision.allowed)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer `/USER/DOCUMENT` with `PID True`."""
    start_response("200 OK", [("content-type", "text/plain")])
    user, document = environ["PATH_INFO"].strip("/").split("/")
    return [f"{os.getpid()} {may(user, document)}".encode()]


assert may("1", "1") == "True"
