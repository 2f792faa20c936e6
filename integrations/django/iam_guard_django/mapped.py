"""Enforce a route map in Django: the row of the matched URL pattern decides before the view runs.

Django calls the `process_view` of each middleware after matching, with the view and its parameters. The guard is the
outermost middleware, so it decides before CSRF and others. The row is looked up by `ResolverMatch.route`. Django does
not know which methods a function accepts; if the map names some, other methods are answered with 405.

Another `process_view` may change the parameters after the decision, and no middleware runs after all of them. So
`BaseHandler.make_view_atomic` is patched to compare them again directly before the view, which then does not run.
Changes by the view itself are found when the response is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, wraps
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from iam_guard import RouteMap
from iam_guard.adapters import MappedRoute, mark_of, parameters_changed
from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard_django.options import Options, route_map
from iam_guard_django.permissions import PermissionsUnknown, permissions_of
from iam_guard_django.views import class_of, endpoint_of, joined, views_by_path

_DECIDED: Final = "_iam_guard_decided"
"""The attribute of a request for what a row has decided about: the match, the method, the original parameters."""
_TO_FIELD: Final = "_to_field"
"""The request parameter of the admin site for the field that identifies an object."""
_PATCHED: Final = "_iam_guard_looks"
"""The mark of a patched `make_view_atomic`."""


class MappedViews:
    """Enforces the route map of the setting; it is validated against the project once."""

    def __init__(self, options: Options) -> None:
        self._options = options
        _patch_view_handlers()

    def decide(self, request: HttpRequest, view: Any, parameters: Mapping[str, Any]) -> HttpResponse | None:
        """Enforce the row of a view before it runs; raise unless allowed. Returns a 405 for a method without a row."""
        row = self._matched_row(request, view)
        if row is None:
            return self._method_not_allowed(request)
        row.enforce(parameters)
        _record_row(request, row, view, parameters)
        return None

    async def decide_async(self, request: HttpRequest, view: Any, parameters: Mapping[str, Any]) -> HttpResponse | None:
        """Decide as `decide` does; await asynchronous loaders, and run others in a thread, as they may do I/O."""
        row = self._matched_row(request, view)
        if row is None:
            return self._method_not_allowed(request)
        if row.blocks:
            await sync_to_async(row.enforce)(parameters)
        else:
            await row.enforce_async(parameters)
        _record_row(request, row, view, parameters)
        return None

    def endpoint_to_report(self, request: HttpRequest, endpoint: Any) -> Any:
        """Return the endpoint to report for a matched request: the row, or the endpoint if that has a requirement."""
        row = self._row_of(request)
        return endpoint if row is None else row.endpoint_to_report(endpoint, request.method)

    @cached_property
    def _map(self) -> RouteMap:
        routes = route_map(self._options)
        if routes is None:
            raise ConfigurationError("expected a route map", place="routes")
        joined(routes)
        return routes

    @cached_property
    def _views(self) -> dict[str, list[Any]]:
        return views_by_path()

    def _matched_row(self, request: HttpRequest, view: Any) -> MappedRoute | None:
        if request.resolver_match.func is not view:
            message = "expected the request's match to have its view, got another"
            raise ConfigurationError(message, place="resolver_match")
        return self._row_of(request)

    def _row_of(self, request: HttpRequest) -> MappedRoute | None:
        routes = self._map
        return routes.row(request.method, _path_of(request)) if self._is_declared(request) else None

    def _is_declared(self, request: HttpRequest) -> bool:
        """Return whether the view is the project's for this path, and not another one that has the same path because of
        a middleware's `urlconf` or of the language.
        """
        is_of_project = getattr(request, "urlconf", None) in (None, settings.ROOT_URLCONF)
        declared = self._views.get(_path_of(request), ())
        return is_of_project and any(view is request.resolver_match.func for view in declared)

    def _method_not_allowed(self, request: HttpRequest) -> HttpResponse | None:
        """Return a 405 if the map has rows for other methods of a view, and nothing else guards this one."""
        methods = self._map.methods_of(_path_of(request)) if self._is_declared(request) else ()
        match = request.resolver_match
        if not methods:
            return None
        found = endpoint_of(match.func, match.view_name, request.method, self._options)
        if found is None or mark_of(found, request.method) is not None or _is_guard_unknown(match.func, request.method):
            return None
        return HttpResponseNotAllowed(methods)


def check_unchanged(request: HttpRequest) -> None:
    """Raise `ConfigurationError` if the match, the method or a parameter changed after the decision."""
    match, method, current, parameters = getattr(request, _DECIDED, (None, "", {}, {}))
    if match is None:
        return
    if request.resolver_match is not match or request.method != method or parameters_changed(current, parameters):
        message = (
            f"an inner `process_view` changed the view, method or parameters of `{match.route}` after the decision"
        )
        raise ConfigurationError(message, place="MIDDLEWARE")


def has_row_decision(request: HttpRequest) -> bool:
    """Return whether a row has decided about the matched view, or declares it public."""
    return hasattr(request, _DECIDED)


def _is_guard_unknown(view: Any, method: str) -> bool:
    """Return whether the permissions of the view are known to REST framework only once it runs."""
    try:
        permissions_of(view, class_of(view), method.lower())
    except PermissionsUnknown:
        return True
    return False


def _record_row(request: HttpRequest, row: MappedRoute, view: Any, parameters: Mapping[str, Any]) -> None:
    """Record what the row has decided about.

    Raises `InvalidInput` if the request makes the admin site find its object by another field than the primary key.
    """
    admin = getattr(view, "model_admin", None)
    if admin is not None and not row.is_public:
        name = request.POST.get(_TO_FIELD) or request.GET.get(_TO_FIELD)
        if name and name not in ("pk", admin.opts.pk.name, admin.opts.pk.attname):
            raise InvalidInput("expected an object by its primary key, got another field", place=_TO_FIELD)
    decided = {} if row.is_public else dict(parameters)
    setattr(request, _DECIDED, (request.resolver_match, request.method, parameters, decided))


def _path_of(request: HttpRequest) -> str:
    return f"/{request.resolver_match.route}"


def _patch_view_handlers() -> None:
    """Make Django's handlers check the request after all `process_view` hooks and before its view, as tracers do."""
    make = BaseHandler.make_view_atomic
    if hasattr(make, _PATCHED):
        return

    @wraps(make)
    def make_checked(handler: BaseHandler, view: Any) -> Any:
        return _with_check(make(handler, view))

    setattr(make_checked, _PATCHED, True)
    BaseHandler.make_view_atomic = make_checked


def _with_check(view: Callable[..., Any]) -> Callable[..., Any]:
    def check(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        check_unchanged(request)
        return view(request, *args, **kwargs)

    return markcoroutinefunction(check) if iscoroutinefunction(view) else check
