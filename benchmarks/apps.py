"""The application of the benchmarks that serve requests, with and without a guard, and the headers of its callers.

The endpoint answers two letters, so that the cost of the guard dominates. The caller has the 75 statements of `few`;
the statement that allows the request has two conditions, a tag of the document and the caller's address.
"""

from __future__ import annotations

import atexit
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from benchmarks.world import ACCOUNT, ARN, CLASS, NETWORK, documents, few
from iam_guard import GuardMiddleware, Resource, Service, open_guard
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from iam_guard.authn.api_key import format_api_key
from iam_guard.guard.guard import Guard

CLIENT, CLIENTS = "127.0.0.1", "127.0.0.0/8"
PATH = "/documents/40/draft"
ACCESS_KEY = ("AKIABENCHADA00000001", "ada-bench-secret-0123456789abcdefghijklm")
API_KEY = ("ADABENCH", "adabenchsecret0123456789abcdefghijklmnop")

docs = Service("docs")


def find_document(folder: str, name: str) -> Resource:
    """Return the document with its owner and tags."""
    return Resource(f"{ARN}:document/{folder}/{name}", ACCOUNT, {"class": CLASS})


async def get_document(request: Request) -> Response:
    """Answer without doing anything."""
    return PlainTextResponse("ok")


def bare() -> Starlette:
    """Return the application without a guard."""
    return Starlette(routes=[Route("/documents/{folder}/{name}", get_document)])


def guarded() -> Starlette:
    """Return the application with its own guard."""
    guard = make_guard()
    atexit.register(guard.close)
    return behind(guard)


def guarded_with_trail() -> Starlette:
    """Return the application with its own guard and an audit trail."""
    guard = guard_with_trail()
    atexit.register(guard.close)
    return behind(guard)


def behind(guard: Guard, action: str = "Get40", resource: Callable[..., Resource] | str = find_document) -> Starlette:
    """Return the application with a guard; `resource` is a loader or a template."""
    endpoint: Callable[..., Any] = docs.requires(action, resource=resource)(get_document)
    return Starlette(
        routes=[Route("/documents/{folder}/{name}", endpoint)],
        middleware=[Middleware(GuardMiddleware, guard=guard)],
    )


def make_guard(content: Mapping[str, Any] | None = None, **settings: Any) -> Guard:
    """Open a guard on a store in memory that has the content of a seed, by default the caller."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = Path(folder.name, "iam.json")
    path.write_text(json.dumps(content or seed()), encoding="utf-8")
    return open_guard(os.fspath(path), services=[docs], **settings)


def guard_with_trail(content: Mapping[str, Any] | None = None, **settings: Any) -> Guard:
    """Open a guard with a trail in a folder; its queue is large enough for a round of a benchmark."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    key_file = Path(folder.name, "audit-key")
    create_signing_key_file(key_file)
    trail = Path(folder.name, "trail")
    audit = {"audit": f"{trail}/", "audit_key_file": os.fspath(key_file), "audit_queue_size": 1_000_000}
    return make_guard(content, **audit, **settings)


def seed() -> dict[str, Any]:
    """Return the content of the store: the caller, and policies with the 75 statements."""
    text = json.dumps(list(documents(few(), 15))).replace(NETWORK, CLIENTS)
    policies = [{"name": f"Policy{number}", "document": each} for number, each in enumerate(json.loads(text))]
    ada = {
        "name": "ada",
        "attached": [policy["name"] for policy in policies],
        "access_keys": [dict(zip(("id", "secret"), ACCESS_KEY, strict=True))],
        "api_keys": [dict(zip(("id", "secret"), API_KEY, strict=True))],
    }
    return {"version": 1, "accounts": [{"id": ACCOUNT, "policies": policies, "users": [ada]}]}


# --- callers -----------------------------------------------------------------------------------------------------


def signed(
    host: str, path: str = PATH, key: tuple[str, ...] = ACCESS_KEY, *, method: str = "GET", body: bytes = b""
) -> dict[str, str]:
    """Return the headers of a request signed by botocore; valid within the allowed clock skew.

    `key` is an access key id, its secret, and the session token of temporary credentials.
    """
    typed = {"content-type": "application/json"} if body else {}
    request = AWSRequest(method=method, url=f"http://{host}{path}", data=body, headers={"host": host, **typed})
    botocore.auth.SigV4Auth(Credentials(*key), "docs", "us-east-1").add_auth(request)
    return {str(name).lower(): str(value) for name, value in request.headers.items()}


def with_api_key(host: str) -> dict[str, str]:
    """Return the headers of a request with an API key."""
    return {"host": host, "x-api-key": format_api_key(*API_KEY)}
