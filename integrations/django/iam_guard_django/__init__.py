"""iam_guard in Django: a middleware, and the decorators of `Service` on function views and on methods of class views.

    MIDDLEWARE = ["iam_guard_django.GuardMiddleware", ...]
    INSTALLED_APPS = ["iam_guard_django", ...]          # `manage.py check` finds views that nobody guards
    IAM_GUARD = {"guard": "documents.iam.guard"}        # a guard, or a function that gives one

The middleware signs in the caller of a request over WSGI or ASGI, watches which answers leave, and answers refusals. It
decides nothing itself: a view that made no decision and is not public answers 500. Settings are read in `options`,
views are found in `views`, their parameters are read in `lookups`, a route map is asked in `mapped`, what Django REST
framework needs is in `rest_framework`.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.urls import get_resolver

from iam_guard import IamGuardError
from iam_guard.audit.writer.termination import end_shards_on_sigterm
from iam_guard.errors import CacheMiss, ConfigurationError
from iam_guard.model.principal import PrincipalType
from iam_guard.web.call_context import CurrentCall, current_call, serving
from iam_guard.web.refusal import Refusal
from iam_guard.web.wsgi.bridge import GuardedRequest, WsgiBridge
from iam_guard.web.wsgi.environ import scope_of
from iam_guard_django.lookups import canonicalize
from iam_guard_django.mapped import MappedViews, refuse_changes
from iam_guard_django.options import entrance_for, options
from iam_guard_django.permissions import ASKED
from iam_guard_django.views import endpoint_of

__all__ = ["GuardMiddleware"]

_REQUEST_ID: Final = "x-amzn-requestid"
_IN_HEADERS: Final = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY")
"""Headers with credentials that no browser sends to another site of its own accord."""


class GuardMiddleware:
    """Put a guard before Django's views; `request.principal` is the caller.

    Stands outside of whatever reads the body or answers by itself, and inside of CORS. A request whose credential came
    in a header needs no CSRF token; one with a presigned URL, a client certificate or no credential does.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        end_shards_on_sigterm()  # in the main thread; the guard may be opened in another, with the first request
        self._options = options()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        self._mapped = None if self._options.routes is None else MappedViews(self._options)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse]:
        passage = self._entrance.passage(_scope_of(request))
        return self._serve_async(request, passage) if self._is_async else self._serve(request, passage)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer with a refusal. What was not noted yet is noted when the answer leaves."""
        if not isinstance(error, IamGuardError):
            return None
        call = current_call()
        call.refusal = error
        return _response(self._options.refusal(error, call.facts.request_id))

    @property
    def process_view(self) -> Callable[..., Any]:
        """Return what canonicalizes the parameters, then decides by the route map if there is one, before a view."""
        return self._before_view_async if self._is_async else self._before_view

    def _before_view(self, request: HttpRequest, view: Any, _: Any, parameters: dict[str, Any]) -> HttpResponse | None:
        canonicalize(view, parameters)
        if self._mapped is None:
            return None
        try:
            return self._mapped.before(request, view, parameters)
        except IamGuardError as error:
            return self.process_exception(request, error)

    async def _before_view_async(
        self, request: HttpRequest, view: Any, _: Any, parameters: dict[str, Any]
    ) -> HttpResponse | None:
        canonicalize(view, parameters)
        if self._mapped is None:
            return None
        try:
            return await self._mapped.before_async(request, view, parameters)
        except IamGuardError as error:
            return self.process_exception(request, error)

    @property
    def _entrance(self) -> WsgiBridge:
        return entrance_for(self._options)

    def _serve(self, request: HttpRequest, passage: GuardedRequest) -> HttpResponse:
        response = None
        try:
            _read(request, passage)
            call = passage.enter()
            _know(request, call)
            with serving(call):
                response = self._get_response(request)
            return self._left(request, passage, call, response)
        except IamGuardError as error:
            return _refused(passage, error, response)

    async def _serve_async(self, request: HttpRequest, passage: GuardedRequest) -> HttpResponse:
        response = None
        try:
            if passage.may_read_long(request.META):
                await sync_to_async(_read, thread_sensitive=False)(request, passage)
            else:
                _read(request, passage)
            try:
                call = passage.enter(cache_only=True)
            except CacheMiss:
                call = await sync_to_async(passage.enter, thread_sensitive=False)()
            _know(request, call)
            with serving(call):
                response = await self._get_response(request)
            return self._left(request, passage, call, response)
        except IamGuardError as error:
            return _refused(passage, error, response)

    def _left(
        self, request: HttpRequest, passage: GuardedRequest, call: CurrentCall, response: HttpResponse
    ) -> HttpResponse:
        """Let an answer out, if it was decided."""
        refuse_changes(request)
        match = request.resolver_match
        if match is None:
            call.matched(None, {})
        else:
            found, resolver = self._answering(request, call, response), get_resolver(getattr(request, "urlconf", None))
            call.matched(found, match.kwargs, address=f"/{match.route}", app=resolver)
        instead = passage.leave(response.status_code, response.items())
        if instead is not None:
            response = _response(instead, response)
        response[_REQUEST_ID] = passage.request_id
        response._resource_closers.append(passage.end)
        if response.streaming and getattr(response, "file_to_stream", None) is None:
            parts = response.streaming_content
            response.streaming_content = (
                _parts_async(passage, call, parts) if response.is_async else _parts(passage, call, parts)
            )
        return response

    def _answering(self, request: HttpRequest, call: CurrentCall, response: HttpResponse) -> Any:
        """Return what answered a request that Django has matched; what a permission has asked for stands in for it."""
        match = request.resolver_match
        if call.decisions and call.refused_by is None:
            return match.func
        found = call.scope.get(ASKED)
        if found is None:
            with serving(call):
                found = endpoint_of(match.func, match.view_name, request.method or "", self._options, response)
        return found if self._mapped is None else self._mapped.standing_for(request, found)


def _scope_of(request: HttpRequest) -> dict[str, Any]:
    """Return the scope of a request, with the host that Django takes for it where the client named none."""
    scope = getattr(request, "scope", None)
    if scope is None:
        path = request.path.encode().decode("latin-1")  # Django has read it; WSGI has bytes
        return dict(scope_of({**request.META, "SCRIPT_NAME": "", "PATH_INFO": path}))
    headers = list(scope["headers"])
    if not any(name.lower() == b"host" for name, _ in headers):
        named = {name: request.META[name] for name in ("SERVER_NAME", "SERVER_PORT")}
        headers += scope_of({"wsgi.url_scheme": request.scheme, **named})["headers"]
    query = scope.get("query_string", b"")  # Django's own test client has a text here
    query = query.encode("latin-1") if isinstance(query, str) else query
    return {**scope, "headers": headers, "query_string": query}


def _read(request: HttpRequest, passage: GuardedRequest) -> None:
    """Verify the body of a signed request, and give the view what is to be read."""
    environ = request.META
    if hasattr(request, "scope"):  # Django has read it from the server, whole
        environ.update({"wsgi.input": request._stream, "wsgi.input_terminated": True})
        environ.pop("HTTP_TRANSFER_ENCODING", None)
    if hasattr(request, "_body"):  # a middleware before us has read it
        environ["wsgi.input"] = io.BytesIO(request._body)
    elif request._read_started:
        environ["wsgi.input"] = _ReadBefore()
    if passage.read(environ):
        request._stream = environ["wsgi.input"]
        request._read_started = False
        for stale in ("_body", "headers"):
            request.__dict__.pop(stale, None)


class _ReadBefore:
    """Stands for a body of which something before us has left nothing to verify, a parsed form say."""

    def read(self, size: int = -1, /) -> bytes:
        message = "the body of a signed request was read before the guard: put the guard before whatever reads it"
        raise ConfigurationError(message, place="MIDDLEWARE")


def _know(request: HttpRequest, call: CurrentCall) -> None:
    if not call.has_unsigned_payload:
        request.principal = call.principal
    is_known = call.principal.type is not PrincipalType.ANONYMOUS
    if is_known and any(name in request.META for name in _IN_HEADERS):
        request.csrf_processing_done = True


def _refused(passage: GuardedRequest, error: IamGuardError, instead_of: HttpResponse | None) -> HttpResponse:
    """Answer with a refusal; what an answer in its place holds open is closed with it."""
    response = _response(passage.refuse(error), instead_of)
    response._resource_closers.append(passage.end)
    return response


def _response(refusal: Refusal, instead_of: HttpResponse | None = None) -> HttpResponse:
    response = HttpResponse(refusal.body, status=refusal.status, headers=dict(refusal.headers))
    if instead_of is not None:
        response._resource_closers.extend(instead_of._resource_closers)
    return response


def _parts(passage: GuardedRequest, call: CurrentCall, parts: Iterator[bytes]) -> Iterator[bytes]:
    """Make each part of an answer while its call is the current one."""
    while True:
        with serving(call):
            part = next(parts, None)
        passage.go_on()
        if part is None:
            return
        yield part


async def _parts_async(passage: GuardedRequest, call: CurrentCall, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        with serving(call):
            part = await anext(parts, None)
        passage.go_on()
        if part is None:
            return
        yield part
