"""A route map before Django's views: the row of the URL pattern that Django has matched decides before the view runs.

Strategy. Django calls `process_view` of each middleware once it has matched, with the view and its parameters; the
guard stands outermost, so it comes before CSRF and whatever else acts there. A row is found by the match's own route,
which Django makes of the patterns on its way. Of a function Django does not know which methods it takes, so where the
map names some the others are answered 405, and the function does not run. What another `process_view` changes after
that was not decided about. No middleware stands behind them all, so Django's handlers are told to look once more where
they have the view in their hands, `make_view_atomic`, and it does not run. The answer is looked at as it leaves, for
what a view itself changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from iam_guard import RouteMap
from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.web.endpoints import mark_of
from iam_guard.web.mapped_route import MappedRoute, is_another
from iam_guard_django.options import Options, route_map
from iam_guard_django.permissions import PermissionsUntold, permissions_of
from iam_guard_django.views import class_of, endpoint_of, joined, views_by_path

_DECIDED: Final = "_iam_guard_decided"
"""Where a request has what a row was asked about: the match, the method, the parameters as they were."""
_TO_FIELD: Final = "_to_field"
"""The parameter by which the admin site is told what finds an object."""
_LOOKS: Final = "_iam_guard_looks"
"""The mark of what looks at requests before their view runs."""


class MappedViews:
    """Asks the map of the setting about each view; whether it fits to the project is looked at once."""

    def __init__(self, chosen: Options) -> None:
        self._options = chosen
        self._routes: RouteMap | None = None
        self._views: dict[str, list[Any]] = {}
        _look_before_views()

    def before(self, request: HttpRequest, view: Any, parameters: Mapping[str, Any]) -> HttpResponse | None:
        """Decide by the row of a view that is about to run; raise unless allowed. Gives an answer in its place."""
        row = self._row_before(request, view)
        if row is None:
            return self._not_taken(request)
        row.enforce(parameters)
        _refuse_another_field(request, row, view)
        _note(request, row, parameters)
        return None

    async def before_async(self, request: HttpRequest, view: Any, parameters: Mapping[str, Any]) -> HttpResponse | None:
        """Do the same, and wait for asynchronous loaders; others have a thread, so that they may ask the database."""
        row = self._row_before(request, view)
        if row is None:
            return self._not_taken(request)
        if row.blocks:
            await sync_to_async(row.enforce)(parameters)
        else:
            await row.enforce_async(parameters)
        _refuse_another_field(request, row, view)
        _note(request, row, parameters)
        return None

    def standing_for(self, request: HttpRequest, endpoint: Any) -> Any:
        """Return what answers a request that Django has matched: the row, or the endpoint where that asks for more."""
        row = self._row_of(request)
        return endpoint if row is None else row.standing_for(endpoint, request.method)

    @property
    def _map(self) -> RouteMap:
        if self._routes is None:
            routes = route_map(self._options)
            if routes is None:
                raise ConfigurationError("expected a route map", place="routes")
            joined(routes)
            self._views = views_by_path()
            self._routes = routes
        return self._routes

    def _row_before(self, request: HttpRequest, view: Any) -> MappedRoute | None:
        if request.resolver_match.func is not view:
            raise ConfigurationError("the match of a request is not that of its view", place="resolver_match")
        return self._row_of(request)

    def _row_of(self, request: HttpRequest) -> MappedRoute | None:
        routes = self._map
        return routes.row(request.method, _path_of(request)) if self._is_declared(request) else None

    def _is_declared(self, request: HttpRequest) -> bool:
        """Return whether the view is the one that the map is about, and not another that has the same path for now: by
        URLs that a middleware chose, or in a language.
        """
        is_of_project = getattr(request, "urlconf", None) in (None, settings.ROOT_URLCONF)
        declared = self._views.get(_path_of(request), ())
        return is_of_project and any(each is request.resolver_match.func for each in declared)

    def _not_taken(self, request: HttpRequest) -> HttpResponse | None:
        """Answer where the map names methods of a view, and not this one, and nothing else guards it."""
        methods = self._map.methods_of(_path_of(request)) if self._is_declared(request) else ()
        match = request.resolver_match
        if not methods:
            return None
        found = endpoint_of(match.func, match.view_name, request.method, self._options)
        if found is None or mark_of(found, request.method) is not None or _may_be_guarded(match.func, request.method):
            return None
        return HttpResponseNotAllowed(methods)


def refuse_changes(request: HttpRequest) -> None:
    """Raise `ConfigurationError` where a view has something else than what its row was asked about."""
    match, method, given, parameters = getattr(request, _DECIDED, (None, "", {}, {}))
    if match is None:
        return
    if request.resolver_match is not match or request.method != method or is_another(given, parameters):
        message = f"`process_view` of something inside of the guard changed what was decided about `{match.route}`"
        raise ConfigurationError(message, place="MIDDLEWARE")


def is_decided_by_row(request: HttpRequest) -> bool:
    """Return whether a row has been asked about the view that Django has matched, or opens it."""
    return hasattr(request, _DECIDED)


def _may_be_guarded(view: Any, method: str) -> bool:
    """Return whether only REST framework will know, once the view runs, which permissions it has."""
    try:
        permissions_of(view, class_of(view), method.lower())
    except PermissionsUntold:
        return True
    return False


def _note(request: HttpRequest, row: MappedRoute, parameters: Mapping[str, Any]) -> None:
    asked = {} if row.is_public else dict(parameters)
    setattr(request, _DECIDED, (request.resolver_match, request.method, parameters, asked))


def _refuse_another_field(request: HttpRequest, row: MappedRoute, view: Any) -> None:
    """Raise `InvalidInput` where a request has the admin site find its object by another field than the decided key."""
    admin = getattr(view, "model_admin", None)
    if admin is None or row.is_public:
        return
    name = request.POST.get(_TO_FIELD) or request.GET.get(_TO_FIELD)
    if name and name not in ("pk", admin.opts.pk.name, admin.opts.pk.attname):
        raise InvalidInput("expected an object by its primary key, got another field", place=_TO_FIELD)


def _path_of(request: HttpRequest) -> str:
    return f"/{request.resolver_match.route}"


def _look_before_views() -> None:
    """Let Django's handlers look at a request after all `process_view` and before its view, as tracers do."""
    make = BaseHandler.make_view_atomic
    if hasattr(make, _LOOKS):
        return

    @wraps(make)
    def make_looking(handler: BaseHandler, view: Any) -> Any:
        return _looking(make(handler, view))

    setattr(make_looking, _LOOKS, True)
    BaseHandler.make_view_atomic = make_looking


def _looking(view: Callable[..., Any]) -> Callable[..., Any]:
    def look(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        refuse_changes(request)
        return view(request, *args, **kwargs)

    return markcoroutinefunction(look) if iscoroutinefunction(view) else look
