"""Refusing a known key takes as many hashes and store queries as refusing an unknown one: neither time nor load tells.

The counts are of whole refusals, by functions of the interpreter, so that they hold for any code in between.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event

from iam_guard import Guard, GuardMiddleware, open_guard
from iam_guard.authn.api_key import format_api_key
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import CredentialError
from tests.laws.fast_path.application import asgi_app, call_asgi, docs
from tests.laws.fast_path.wires import Caller, Wire, signed
from tests.tables import table

SECRET, OTHER = "secret-0123456789abcdefghijklmnopqrstuvw", "other-0123456789abcdefghijklmnopqrstuvwx"
API_SECRET, OTHER_API_SECRET = "Secret" * 6, "Others" * 6
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEED = f"""
version: 1
accounts:
  - id: "111122223333"
    users:
      - name: ann
        access_keys:
          - {{id: AKIAKNOWN0000000001, secret: {SECRET}}}
          - {{id: AKIAINACTIVE0000001, secret: {SECRET}, status: Inactive}}
        api_keys:
          - {{id: known, secret: {API_SECRET}}}
      - name: bob
        api_keys:
          - {{id: expired, secret: {API_SECRET}, expires: 2026-01-01T00:00:00Z}}
"""
HASHES = {"_hashlib", "_sha2", "_hmac"}


PLAIN = Wire("direct", "GET", b"/documents/1", b"", ((b"host", b"docs.example"),))


def with_signature(id: str, secret: str) -> Wire:
    return signed(PLAIN, Caller("", id, secret), NOW, region="us-east-1", service="docs", covered=())


def with_api_key(id: str, secret: str) -> Wire:
    return replace(PLAIN, headers=(*PLAIN.headers, (b"x-api-key", format_api_key(id, secret).encode())))


Send = Callable[[Guard, Wire], object]


def directly(guard: Guard, wire: Wire) -> str:
    request = HttpRequest(wire.method, wire.path, wire.query, wire.headers)
    try:
        guard.authenticate(request, payload_hash=lambda: EMPTY)
    except CredentialError:
        return "refused"
    return "accepted"


def through_asgi(guard: Guard, wire: Wire) -> str:
    """Send a request through the middleware; what a thread does for it, at first, is not counted."""
    status, *_ = asyncio.run(call_asgi(GuardMiddleware(asgi_app, guard=guard, check_routes=False), wire))
    return {401: "refused", 403: "accepted"}[status]


@contextmanager
def counted(guard: Guard) -> Iterator[Counter[str]]:
    """Count the calls of hash functions and comparisons, and the queries of the store."""
    found: Counter[str] = Counter()
    engine: Any = guard.store.behind.engine  # type: ignore[attr-defined]

    def call(frame: object, kind: str, function: Any) -> None:
        owner = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__module__
        if kind == "c_call" and owner in HASHES:
            found[f"{owner}.{function.__name__}"] += 1

    def execute(*_: object) -> None:
        found["query"] += 1

    event.listen(engine, "before_cursor_execute", execute)
    sys.setprofile(call)
    try:
        yield found
    finally:
        sys.setprofile(None)
        event.remove(engine, "before_cursor_execute", execute)


def refusal(guard: Guard, send: Send, wire: Wire) -> Counter[str]:
    """Return what the refusal of a request takes."""
    with counted(guard) as found:
        assert send(guard, wire) == "refused"
    return found


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
REFUSED = {
    "a wrong signature": (with_signature("AKIAKNOWN0000000001", OTHER), with_signature("AKIAUNKNOWN00000001", OTHER)),
    "an inactive key": (with_signature("AKIAINACTIVE0000001", SECRET), with_signature("AKIAUNKNOWN00000001", OTHER)),
    "a wrong API key": (with_api_key("known", OTHER_API_SECRET), with_api_key("unknown", OTHER_API_SECRET)),
    "a wrong API key that expired": (with_api_key("expired", OTHER_API_SECRET), with_api_key("gone", API_SECRET)),
}


@table("send", [directly, through_asgi])
@table(("known", "unknown"), REFUSED.values(), ids=list(REFUSED))
def test_refusal_costs_the_same_for_an_unknown_key(tmp_path: Path, known: Wire, unknown: Wire, send: Send) -> None:
    """At the first request, at later ones, and once the known key was accepted."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    with closing(open_guard(seed, services=[docs], epoch_poll=3600.0)) as guard:
        guard.clock = lambda: NOW
        refusal(guard, send, with_signature("AKIAFIRST0000000001", OTHER))
        refusal(guard, send, with_api_key("first", OTHER_API_SECRET))
        _compare(guard, send, known, unknown)
        for accepted in (with_signature("AKIAKNOWN0000000001", SECRET), with_api_key("known", API_SECRET)):
            assert [send(guard, accepted) for _ in range(3)] == ["accepted"] * 3
        _compare(guard, send, known, unknown)


def _compare(guard: Guard, send: Send, known: Wire, unknown: Wire) -> None:
    for _ in range(3):
        of_known, of_unknown = refusal(guard, send, known), refusal(guard, send, unknown)
        assert of_known == of_unknown
    assert of_known.total() > 2
