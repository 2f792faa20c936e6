"""iam_guard in Flask: `IamGuard(app, guard=guard)`, and the decorators of `Service` on the views.

    docs = Service("docs")

    @app.get("/documents/<document_id>")
    @docs.requires("GetDocument", resource="document/{document_id}")
    def get_document(document_id): ...

The extension wraps `app.wsgi_app` with the guard of the core, tells it which view Flask has matched, and answers
refusals as Flask answers errors, so that `after_request` functions see them. It decides nothing itself. The decorator
stands below the route: what Flask registers must be the guarded view. A view that made no decision and is not public
answers 500; `check` and the first request find it before.

A route map (`routes=`) is asked for the row of the rule that Flask has matched, before every other function that runs
before the view, with the parameters that the view gets. What one of those functions changes of them was not decided
about, so then the view does not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final
from weakref import WeakSet

from flask import Flask, Response, current_app, g, request
from flask.views import MethodView
from werkzeug.routing import Rule

from iam_guard import Guard, GuardWsgiMiddleware, IamGuardError, RouteMap, current_principal, public
from iam_guard.errors import ConfigurationError
from iam_guard.web.call_context import current_call, refusing
from iam_guard.web.endpoints import (
    Endpoint,
    endpoint_row,
    guards_of,
    name_of,
    refuse_unfit_handlers,
    unguarded_message,
)
from iam_guard.web.mapped_route import MappedRoute, is_another
from iam_guard.web.refusal import RefusalFormat, problem

__all__ = ["IamGuard", "inventory"]

_EXTENSION: Final = "iam_guard"
_DECIDED: Final = "iam_guard.decided"
"""Where the scope of a call has what a row was asked about: the rule, the method, the parameters."""


class IamGuard:
    """Put a guard before a Flask application.

    `refusal` gives the form of refusals, RFC 9457 by default. `public_endpoints` names endpoints that are open to
    everybody and cannot be decorated, `static` and those of other extensions. `check_routes=False` serves although some
    endpoints are neither guarded nor public; they still answer 500. `routes` is a map for views that nobody can touch.
    `drops_underscores` is that of `GuardWsgiMiddleware`. For an application factory leave `app` out and call
    `init_app`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        guard: Guard | None = None,
        refusal: RefusalFormat = problem,
        public_endpoints: Iterable[str] = (),
        check_routes: bool = True,
        routes: RouteMap | None = None,
        drops_underscores: bool = False,
    ) -> None:
        self._guard = guard
        self._refusal = refusal
        self._public = frozenset(public_endpoints)
        self._check_routes = check_routes
        self.route_map = routes
        self._drops_underscores = drops_underscores
        self._checked: WeakSet[Flask] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, *, guard: Guard | None = None) -> None:
        """Put the guard before an application. Raises `ConfigurationError` without a guard, and for the second time."""
        guard = guard or self._guard
        if guard is None:
            raise ConfigurationError("expected a guard, as `open_guard` gives it", place="IamGuard")
        if _EXTENSION in app.extensions:
            raise ConfigurationError("the application has a guard before it already", place="IamGuard")
        app.extensions[_EXTENSION] = self
        middleware = GuardWsgiMiddleware(
            app.wsgi_app, guard=guard, refusal=self._refusal, drops_underscores=self._drops_underscores
        )
        app.wsgi_app = middleware  # type: ignore[method-assign]  # as Flask's documentation has it
        app.before_request_funcs.setdefault(None, []).insert(0, self._matched)
        app.register_error_handler(IamGuardError, self._refused)
        if self.route_map is not None:
            self._put_before_views(app, self.route_map)

    def check(self, app: Flask) -> None:
        """Raise `ConfigurationError` where endpoints are neither guarded nor public, with their list.

        Also for a row of the map whose route the application does not have, and for a view that can fill no resource
        template.
        """
        endpoints = inventory(app)
        refuse_unfit_handlers(endpoints)
        found = [endpoint for endpoint in endpoints if not endpoint.is_guarded]
        if found:
            raise ConfigurationError(unguarded_message(found))

    def endpoint_of(self, app: Flask, rule: Rule, method: str) -> Any:
        """Return what answers a request that a rule has matched: a view, or the class of its methods."""
        if rule.endpoint in self._public:
            return _open_to_everybody
        if method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
            return _methods_that_there_are
        view = app.view_functions[rule.endpoint]
        view_class = getattr(view, "view_class", None)
        if view_class is None or guards_of(view):
            return view
        is_of_methods = issubclass(view_class, MethodView) and not guards_of(view_class.dispatch_request)
        return view_class if is_of_methods else view_class.dispatch_request

    def _matched(self) -> None:
        """Tell the guard what Flask has matched; runs before every other `before_request` function."""
        app = current_app._get_current_object()  # type: ignore[attr-defined]  # its proxy is typed as what it stands for
        if app not in self._checked:
            if self._check_routes:
                self.check(app)
            elif self.route_map is not None:
                inventory(app)
            self._checked.add(app)
        call, rule = current_call(), request.url_rule
        parameters = request.view_args or {}
        endpoint = None if rule is None else _method_of(self.endpoint_of(app, rule, request.method), request.method)
        row = None if rule is None or endpoint is _methods_that_there_are else self._row_of(app, rule, request.method)
        found = endpoint if row is None else row.standing_for(endpoint, request.method)
        call.matched(found, parameters, address=None if rule is None else _address_of(app, rule), app=app)
        if not call.has_unsigned_payload:
            g.principal = current_principal()
        if row is not None:
            row.enforce(parameters)
        call.scope[_DECIDED] = (rule, request.method, {} if row is None or row.is_public else dict(parameters))

    def _row_of(self, app: Flask, rule: Rule, method: str) -> MappedRoute | None:
        return None if self.route_map is None else self.route_map.row(method, rule.rule, _host_of(app, rule))

    def _put_before_views(self, app: Flask, routes: RouteMap) -> None:
        """Let no view run whose request was changed after its row was asked."""
        routes.refuse_async_loaders()
        dispatch = app.dispatch_request

        def dispatch_what_was_decided(*args: Any) -> Any:
            with refusing() as call:
                rule, method, parameters = call.scope.get(_DECIDED, (None, "", {}))
                is_same = request.url_rule is rule and request.method == method
                if not is_same or is_another(request.view_args or {}, parameters):
                    message = "something that runs before the view changed what was decided about"
                    raise ConfigurationError(message, place="before_request")
            return dispatch(*args)

        app.dispatch_request = dispatch_what_was_decided  # type: ignore[method-assign]  # a subclass would override it

    def _refused(self, error: IamGuardError) -> Response:
        """Answer with a refusal. What was not noted yet, the guard notes when it sees the answer leave."""
        call = current_call()
        call.refusal = error
        refusal = self._refusal(error, call.facts.request_id)
        return Response(refusal.body, refusal.status, list(refusal.headers))


def inventory(app: Flask) -> list[Endpoint]:
    """List every endpoint of an application with what guards it, in the order of its rules.

    Raises `ConfigurationError` for an application that has no guard before it, and for a map with other routes.
    """
    routes = _extension_of(app).route_map
    return _unmapped(app) if routes is None else routes.joined(_unmapped(app))


def inventory_of(app: object) -> list[Endpoint] | None:
    """List the endpoints without the map, for `iam-guard routes`; None for what is no application of Flask."""
    return _unmapped(app) if isinstance(app, Flask) else None


def route_map_of(app: object) -> RouteMap | None:
    """Return the map of an application, for `iam-guard routes`."""
    return _extension_of(app).route_map if isinstance(app, Flask) else None


def _extension_of(app: Flask) -> IamGuard:
    extension = app.extensions.get(_EXTENSION)
    if not isinstance(extension, IamGuard):
        raise ConfigurationError("the application has no guard before it: expected `IamGuard(app, guard=…)`")
    return extension


def _unmapped(app: Flask) -> list[Endpoint]:
    extension = _extension_of(app)
    return [
        replace(endpoint, host=_host_of(app, rule))
        for rule in app.url_map.iter_rules()
        for endpoint in _endpoints(extension, app, rule)
    ]


def _host_of(app: Flask, rule: Rule) -> str | None:
    """Return the host or the subdomain that a rule is for, as the application declares it; None for all the others."""
    return (rule.host if app.url_map.host_matching else rule.subdomain) or None


def _address_of(app: Flask, rule: Rule) -> str:
    return f"{_host_of(app, rule) or ''}{rule.rule}"


def _endpoints(extension: IamGuard, app: Flask, rule: Rule) -> Iterator[Endpoint]:
    is_automatic = getattr(rule, "provide_automatic_options", False)
    methods = tuple(sorted(each for each in rule.methods or () if not (is_automatic and each == "OPTIONS")))
    found = extension.endpoint_of(app, rule, "GET")
    if not isinstance(found, type):
        view = app.view_functions[rule.endpoint]
        yield endpoint_row(rule.rule, methods, rule.endpoint, found, handler=getattr(view, "view_class", view))
        return
    for method in methods:
        yield endpoint_row(rule.rule, (method,), f"{name_of(found)}.{method.lower()}", _method_of(found, method))


def _method_of(endpoint: Any, method: str) -> Any:
    """Return the method of a class that answers: by what Flask has routed, which may not be what was sent."""
    if not isinstance(endpoint, type) or guards_of(endpoint):
        return endpoint
    is_get = method == "HEAD" and not hasattr(endpoint, "head")
    return getattr(endpoint, "get" if is_get else method.lower(), endpoint)


@public
def _open_to_everybody() -> None:
    """Stand for an endpoint that `public_endpoints` names."""


@public
def _methods_that_there_are() -> None:
    """Stand for what Flask itself answers to OPTIONS: the methods, as a 405 tells them too."""
