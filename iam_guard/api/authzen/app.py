"""AuthZEN as one ASGI application: `app.mount("/pdp", authzen_api(guard))`, or served alone.

Per request: (1) authenticate the caller, by any credential but a session cookie; (2) read the body, one JSON object;
(3) answer it in a worker thread, which authorizes the caller; batches and searches share one, and pause; (4) send the
response. Errors are returned as the specification says: a status, and a message as text. The application authenticates
its callers itself, so a guard around it passes its requests through.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from iam_guard.api.authzen.entities import Document
from iam_guard.api.authzen.evaluations import EVALUATE, AuthzenCaller, EvaluationApi, error_message
from iam_guard.api.authzen.searches import SEARCH_ACTIONS, SEARCH_RESOURCES, SEARCH_SUBJECTS, SearchApi
from iam_guard.api.protocol.json_body import read_object
from iam_guard.api.protocol.own_app import MAX_PARSED_INLINE, WORKERS, OwnApp, known_error, log_failure
from iam_guard.audit.record.redaction import loggable
from iam_guard.authn.presented_credentials import SigV4Credential
from iam_guard.authn.signatures.payload_hash import stated_payload
from iam_guard.errors import (
    AccessDenied,
    ConfigurationError,
    CredentialError,
    IamGuardError,
    InvalidInput,
    MalformedRequest,
    ServerBusy,
)
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.web.asgi.body import BufferedBody
from iam_guard.web.asgi.bridge import read_signed_body
from iam_guard.web.body_budget import check_content_length
from iam_guard.web.body_verification import too_large
from iam_guard.web.refusal import REALM, authentication_required
from iam_guard.web.request_credentials import principal_lookup, reading_credential

BATCH_WORKERS: Final = 1
"""Batches and searches that are answered at the same time; they pause, and may take seconds."""
MAX_SMALL: Final = 8
"""Evaluations of a request that is not a batch."""
MAX_DOCUMENT: Final = 2 * 1024 * 1024
MAX_REQUEST_ID: Final = 256
METADATA: Final = "/.well-known/authzen-configuration"
_HOSTS_WITHOUT_TLS: Final = ("localhost", "127.0.0.1", "::1")

T = TypeVar("T")

_Answer: TypeAlias = Callable[[AuthzenCaller, Document], dict[str, Any]]


class _Endpoint(NamedTuple):
    """One endpoint: its parameter in the metadata, the permission that its callers need, and what answers it."""

    parameter: str
    action: str
    answer: _Answer


def authzen_api(guard: Guard, *, url: str | None = None) -> AuthzenApi:
    """Return the AuthZEN API of a guard, to mount or serve.

    `url` is the URL under which clients reach it, the identifier in its metadata; the default is the setting
    `site_url`. Without one, it serves no metadata. Raises `ConfigurationError` unless it is an HTTPS URL, or HTTP at
    this machine.
    """
    return AuthzenApi(guard, url or guard.settings.site_url)


class AuthzenApi(OwnApp):
    """The ASGI application."""

    def __init__(self, guard: Guard, url: str) -> None:
        super().__init__(guard)
        evaluations, searches = EvaluationApi(guard), SearchApi(guard)
        self._endpoints = {
            "/access/v1/evaluation": _Endpoint("access_evaluation_endpoint", EVALUATE, evaluations.evaluation),
            "/access/v1/evaluations": _Endpoint("access_evaluations_endpoint", EVALUATE, evaluations.evaluations),
            "/access/v1/search/subject": _Endpoint("search_subject_endpoint", SEARCH_SUBJECTS, searches.subjects),
            "/access/v1/search/action": _Endpoint("search_action_endpoint", SEARCH_ACTIONS, searches.actions),
        }
        if searches.finds_resources:
            self._endpoints["/access/v1/search/resource"] = _Endpoint(
                "search_resource_endpoint", SEARCH_RESOURCES, searches.resources
            )
        self._metadata = _metadata(url, self._endpoints) if url else None
        self._limiters: dict[int, anyio.CapacityLimiter] = {}

    async def _in_worker(self, work: Callable[..., T], *arguments: object, workers: int = WORKERS) -> T:
        """Run a function in one of a number of threads."""
        limiter = self._limiters.get(workers)
        if limiter is None:
            limiter = self._limiters[workers] = anyio.CapacityLimiter(workers)  # belongs to the running event loop
        return await anyio.to_thread.run_sync(work, *arguments, limiter=limiter)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: list[tuple[bytes, bytes]] = []
        facts = self._connection.facts(scope)
        caller: AuthzenCaller | None = None
        try:
            headers += _request_id(scope)
            path = _path_below_mount(scope)
            if path == METADATA and self._metadata is not None:
                await _respond(send, scope, 200 if scope["method"] in ("GET", "HEAD") else 405, self._metadata, headers)
                return
            endpoint = self._endpoints.get(path)
            if endpoint is None or scope["method"] != "POST":
                status = HTTPStatus.NOT_FOUND if endpoint is None else HTTPStatus.METHOD_NOT_ALLOWED
                await _respond(send, scope, status, status.phrase, headers)
                return
            principal, body = await self._authenticated(scope, receive, facts, endpoint.action)
            try:
                caller = AuthzenCaller(self.guard, principal, facts, endpoint.action)
                document = await self._answered(endpoint, caller, scope, body)
            finally:
                body.release()
            await _respond(send, scope, 200, document, headers)
            return
        except Exception as failure:  # noqa: BLE001  clients get an internal failure without details
            error = known_error(failure, facts)
        self._record(error, facts, caller)
        await _respond(send, scope, error.status, error_message(error), headers + _headers_of(error))

    async def _authenticated(
        self, scope: Scope, receive: Receive, facts: Call, action: str
    ) -> tuple[Principal, BufferedBody]:
        """Authenticate the caller, and read the body: of an unsigned request, once the caller is known."""
        limit = min(MAX_DOCUMENT, self.guard.settings.max_body)
        with reading_credential(self.guard, self._connection, scope, facts) as (request, credential):
            check_content_length(request, limit)
            body = BufferedBody(receive, request, self.guard.settings)
            try:
                if isinstance(credential, SigV4Credential):
                    await read_signed_body(self.guard, request, credential, body, stated_payload(request, credential))
            except BaseException:
                body.release()
                raise
        try:
            principal = await principal_lookup(self.guard, request, credential, facts, body, any_scope=True).run_async()
            if principal.type is PrincipalType.ANONYMOUS:
                error = authentication_required(action)
                self.guard.trail.record_authentication(error, facts, "none", None)
                raise error
            await body.read(limit)
            if body.size > limit:
                raise too_large(limit)
        except BaseException:
            body.release()
            raise
        return principal, body

    async def _answered(self, endpoint: _Endpoint, caller: AuthzenCaller, scope: Scope, body: BufferedBody) -> bytes:
        """Parse and answer a request, in worker threads."""
        is_long = body.size > MAX_PARSED_INLINE
        document = await self._in_worker(_parsed, scope, body) if is_long else _parsed(scope, body)
        is_batch = endpoint.action != EVALUATE or _is_batch(document)
        workers = BATCH_WORKERS if is_batch else WORKERS
        return await self._in_worker(_answer, endpoint, caller, document, workers=workers)

    def _record(self, error: IamGuardError, facts: Call, caller: AuthzenCaller | None) -> None:
        """Record an error of an authenticated caller that has no record yet, and log one of the server."""
        log_failure(error, f"{facts.method} {loggable(facts.path)}")
        if caller is not None and not isinstance(error, AccessDenied | CredentialError):
            self.guard.trail.record_error(error, facts, caller.principal, action=caller.action)


def _parsed(scope: Scope, body: BufferedBody) -> Document:
    types = [value for name, value in scope["headers"] if name.lower() == b"content-type"]
    if len(types) != 1 or types[0].partition(b";")[0].strip().lower() != b"application/json":
        raise InvalidInput("expected `application/json` as Content-Type", place="content-type")
    return read_object(body.content())


def _is_batch(document: Document) -> bool:
    evaluations = document.get("evaluations")
    return isinstance(evaluations, list) and len(evaluations) > MAX_SMALL


def _answer(endpoint: _Endpoint, caller: AuthzenCaller, document: Document) -> bytes:
    return _json(endpoint.answer(caller, document))


def _json(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _metadata(url: str, endpoints: dict[str, _Endpoint]) -> bytes:
    """Return the metadata of the decision point with this identifier. Raises `ConfigurationError`."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _HOSTS_WITHOUT_TLS)
    if not is_secure or not parts.hostname or "?" in url or "#" in url:
        raise ConfigurationError("expected an HTTPS URL without query, such as https://pdp.example.com", place="url")
    identifier = url.rstrip("/")
    found = {endpoint.parameter: identifier + path for path, endpoint in endpoints.items()}
    return _json({"policy_decision_point": identifier, **found})


def _path_below_mount(scope: Scope) -> str:
    """Return the path below that of the mount, which newer servers include in the path."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _request_id(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the header that repeats the caller's id of the request. Raises `MalformedRequest`."""
    sent = [value for name, value in scope["headers"] if name.lower() == b"x-request-id"]
    if not sent:
        return []
    if len(sent) > 1 or len(sent[0]) > MAX_REQUEST_ID or not sent[0].decode("latin-1").isprintable():
        message = f"expected at most {MAX_REQUEST_ID} printable characters in one X-Request-ID"
        raise MalformedRequest(message, place="x-request-id")
    return [(b"x-request-id", sent[0])]


def _headers_of(error: IamGuardError) -> list[tuple[bytes, bytes]]:
    if error.status == HTTPStatus.UNAUTHORIZED:
        return [(b"www-authenticate", REALM.encode())]
    return [(b"retry-after", str(error.retry_after).encode())] if isinstance(error, ServerBusy) else []


async def _respond(
    send: Send, scope: Scope, status: int, content: bytes | str, headers: list[tuple[bytes, bytes]]
) -> None:
    """Send JSON, or a message as text."""
    is_json = isinstance(content, bytes) and status == HTTPStatus.OK
    body = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = b"GET, HEAD" if isinstance(content, bytes) else b"POST"
        body, headers = HTTPStatus.METHOD_NOT_ALLOWED.phrase.encode(), [*headers, (b"allow", allowed)]
    media_type = b"application/json" if is_json else b"text/plain; charset=utf-8"
    sent = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def beside_authzen(guard: Guard, api: ASGIApp, url: str) -> ASGIApp:
    """Return an application with AuthZEN at its paths, and another one at every other path."""
    authzen = authzen_api(guard, url=url)

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_authzen = path == METADATA or path.startswith("/access/v1/")
        await (authzen if is_authzen else api)(scope, receive, send)

    return choose
