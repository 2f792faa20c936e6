"""iam_guard for Django: a middleware, and the decorators of `Service` on functions and on methods of class-based views.

    MIDDLEWARE = ["iam_guard_django.GuardMiddleware", ...]
    INSTALLED_APPS = ["iam_guard_django", ...]          # `manage.py check` reports unguarded views
    IAM_GUARD = {"guard": "documents.iam.guard"}        # a guard, or a function that returns one

The middleware authenticates callers over WSGI or ASGI, checks responses, and answers errors. It makes no decisions: a
view without a decision that is not public answers 500. `options` reads the settings, `views` finds the views, `lookups`
canonicalizes their parameters, `mapped` enforces a route map, `rest_framework` supports Django REST framework.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.urls import get_resolver

from iam_guard import IamGuardError, current_call
from iam_guard.adapters import (
    CurrentCall,
    GuardedSyncRequest,
    PrincipalType,
    Refusal,
    end_shards_on_sigterm,
    scope_of,
    serving,
)
from iam_guard.errors import CacheMiss, ConfigurationError
from iam_guard_django.lookups import canonicalize
from iam_guard_django.mapped import MappedViews, check_unchanged
from iam_guard_django.options import bridge_for, load_options
from iam_guard_django.permissions import ASKED
from iam_guard_django.views import endpoint_of

__all__ = ["GuardMiddleware"]

_REQUEST_ID: Final = "x-amzn-requestid"
_IN_HEADERS: Final = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY")
"""Headers with credentials that browsers never add to cross-site requests."""


class GuardMiddleware:
    """Guard Django's views; `request.principal` is the caller.

    Put it before middlewares that read the body or answer by themselves, and after CORS. A request with a credential in
    a header needs no CSRF token; with a presigned URL, a client certificate or no credential it does.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        end_shards_on_sigterm()  # needs the main thread; the guard may be opened in another one
        self._options = load_options()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        self._mapped = None if self._options.routes is None else MappedViews(self._options)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        guarded = bridge_for(self._options).begin(_scope_of(request))
        return self._serve_async(request, guarded) if self._is_async else self._serve(request, guarded)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the response to an error; an unrecorded error is recorded when the response is checked."""
        if not isinstance(error, IamGuardError):
            return None
        call = current_call()
        call.refusal = error
        return _response(self._options.refusal(error, call.facts.request_id))

    @property
    def process_view(self) -> Callable[..., Any]:
        """Return the hook that canonicalizes the parameters of a view, and enforces the route map if there is one."""
        return self._before_view_async if self._is_async else self._before_view

    def _before_view(self, request: HttpRequest, view: Any, _: Any, parameters: dict[str, Any]) -> HttpResponse | None:
        canonicalize(view, parameters)
        if self._mapped is None:
            return None
        try:
            return self._mapped.decide(request, view, parameters)
        except IamGuardError as error:
            return self.process_exception(request, error)

    async def _before_view_async(
        self, request: HttpRequest, view: Any, _: Any, parameters: dict[str, Any]
    ) -> HttpResponse | None:
        canonicalize(view, parameters)
        if self._mapped is None:
            return None
        try:
            return await self._mapped.decide_async(request, view, parameters)
        except IamGuardError as error:
            return self.process_exception(request, error)

    def _serve(self, request: HttpRequest, guarded: GuardedSyncRequest) -> HttpResponse:
        response = None
        try:
            _read(request, guarded)
            call = guarded.authenticate()
            _set_principal(request, call)
            with serving(call):
                response = self._get_response(request)
            return self._check_response(request, guarded, call, response)
        except IamGuardError as error:
            return _error_response(guarded, error, response)

    async def _serve_async(self, request: HttpRequest, guarded: GuardedSyncRequest) -> HttpResponse:
        response = None
        try:
            if guarded.may_block(request.META):
                await sync_to_async(_read, thread_sensitive=False)(request, guarded)
            else:
                _read(request, guarded)
            try:
                call = guarded.authenticate(cache_only=True)
            except CacheMiss:
                call = await sync_to_async(guarded.authenticate, thread_sensitive=False)()
            _set_principal(request, call)
            with serving(call):
                response = await self._get_response(request)
            return self._check_response(request, guarded, call, response)
        except IamGuardError as error:
            return _error_response(guarded, error, response)

    def _check_response(
        self, request: HttpRequest, guarded: GuardedSyncRequest, call: CurrentCall, response: HttpResponse
    ) -> HttpResponse:
        """Return the response to send: this one if it was decided, otherwise a neutral one; raise if neither may be."""
        check_unchanged(request)
        match = request.resolver_match
        if match is None:
            call.matched(None, {})
        else:
            endpoint = self._answering_endpoint(request, call, response)
            resolver = get_resolver(getattr(request, "urlconf", None))
            call.matched(endpoint, match.kwargs, address=f"/{match.route}", app=resolver)
        neutral = guarded.leave(response.status_code, response.items())
        if neutral is not None:
            response = _response(neutral, response)
        response[_REQUEST_ID] = guarded.request_id
        guarded.add_headers(response.headers, response.cookies)
        response._resource_closers.append(guarded.end)
        if response.streaming and getattr(response, "file_to_stream", None) is None:
            wrap = _parts_async if response.is_async else _parts
            response.streaming_content = wrap(guarded, call, response.streaming_content)
        return response

    def _answering_endpoint(self, request: HttpRequest, call: CurrentCall, response: HttpResponse) -> Any:
        """Return the endpoint of a matched request, or the requirement that a permission class has enforced for it."""
        match = request.resolver_match
        if call.decisions and call.refused_by is None:
            return match.func
        found = call.scope.get(ASKED)
        if found is None:
            with serving(call):
                found = endpoint_of(match.func, match.view_name, request.method or "", self._options, response)
        return found if self._mapped is None else self._mapped.endpoint_to_report(request, found)


def _scope_of(request: HttpRequest) -> dict[str, Any]:
    """Return the scope of a request; without a `host` header, with Django's server name."""
    scope = getattr(request, "scope", None)
    if scope is None:
        path = request.path.encode().decode("latin-1")  # decoded by Django; WSGI strings are Latin-1
        return dict(scope_of({**request.META, "SCRIPT_NAME": "", "PATH_INFO": path}))
    headers = list(scope["headers"])
    if not any(name.lower() == b"host" for name, _ in headers):
        named = {name: request.META[name] for name in ("SERVER_NAME", "SERVER_PORT")}
        headers += scope_of({"wsgi.url_scheme": request.scheme, **named})["headers"]
    query = scope.get("query_string", b"")  # a string in Django's test client
    query = query.encode("latin-1") if isinstance(query, str) else query
    return {**scope, "headers": headers, "query_string": query}


def _read(request: HttpRequest, guarded: GuardedSyncRequest) -> None:
    """Read the credential and the signed body; replace the request's stream and headers."""
    environ = request.META
    if hasattr(request, "scope"):  # Django has read the complete body
        environ.update({"wsgi.input": request._stream, "wsgi.input_terminated": True})
        environ.pop("HTTP_TRANSFER_ENCODING", None)
    if hasattr(request, "_body"):  # read by an outer middleware
        environ["wsgi.input"] = io.BytesIO(request._body)
    elif request._read_started:
        environ["wsgi.input"] = _ConsumedBody()
    if guarded.read(environ):
        request._stream = environ["wsgi.input"]
        request._read_started = False
        for stale in ("_body", "headers"):
            request.__dict__.pop(stale, None)


class _ConsumedBody:
    """Stands for a body that was consumed before the guard, by a parsed form for example."""

    def read(self, size: int = -1, /) -> bytes:
        message = "the body of a signed request was read before the guard: put the guard before what reads it"
        raise ConfigurationError(message, place="MIDDLEWARE")


def _set_principal(request: HttpRequest, call: CurrentCall) -> None:
    if not call.has_unsigned_payload:
        request.principal = call.principal
    is_known = call.principal.type is not PrincipalType.ANONYMOUS
    if is_known and any(name in request.META for name in _IN_HEADERS):
        request.csrf_processing_done = True


def _error_response(guarded: GuardedSyncRequest, error: IamGuardError, instead_of: HttpResponse | None) -> HttpResponse:
    """Return the response to an error; it closes the resources of the response that it replaces."""
    response = _response(guarded.refuse(error), instead_of)
    guarded.add_headers(response.headers, response.cookies)
    response._resource_closers.append(guarded.end)
    return response


def _response(refusal: Refusal, instead_of: HttpResponse | None = None) -> HttpResponse:
    response = HttpResponse(refusal.body, status=refusal.status, headers=dict(refusal.headers))
    if instead_of is not None:
        response._resource_closers.extend(instead_of._resource_closers)
    return response


def _parts(guarded: GuardedSyncRequest, call: CurrentCall, parts: Iterator[bytes]) -> Iterator[bytes]:
    """Generate each part of a response while its call is current."""
    while True:
        with serving(call):
            part = next(parts, None)
        guarded.check_body()
        if part is None:
            return
        yield part


async def _parts_async(
    guarded: GuardedSyncRequest, call: CurrentCall, parts: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    while True:
        with serving(call):
            part = await anext(parts, None)
        guarded.check_body()
        if part is None:
            return
        yield part
