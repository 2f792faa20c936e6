"""iam_guard for Flask: `IamGuard(app, guard=guard)`, and the decorators of `Service` on the views.

    docs = Service("docs")

    @app.get("/documents/<document_id>")
    @docs.requires("GetDocument", resource="document/{document_id}")
    def get_document(document_id): ...

The extension wraps `app.wsgi_app` with the guard, reports the view that Flask has matched, and answers errors as Flask
does, so that `after_request` functions see them. It makes no decisions. Put the decorator below the route, so that
Flask registers the guarded view. A view without a decision that is not public answers 500; `check` and the first
request report it.

A route map (`routes=`) is enforced for the matched rule before all other `before_request` functions, with the
parameters of the view. If one of those functions changes them after the decision, the view does not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from flask import Flask, Response, current_app, g, request
from flask.views import MethodView
from werkzeug.routing import Rule

from iam_guard import (
    Endpoint,
    Guard,
    GuardWsgiMiddleware,
    IamGuardError,
    RouteMap,
    current_call,
    current_principal,
    public,
)
from iam_guard.adapters import (
    MappedRoute,
    RefusalFormat,
    check_handler_parameters,
    check_services,
    endpoint_row,
    guards_of,
    name_of,
    parameters_changed,
    problem,
    recording_refusal,
    route_address,
    unguarded_message,
)
from iam_guard.errors import ConfigurationError

__all__ = ["IamGuard", "inventory"]

_EXTENSION: Final = "iam_guard"
_DECIDED: Final = "iam_guard.decided"
"""The key of a scope for what a row has decided about: the rule, the method, the parameters."""


class IamGuard:
    """Guard a Flask application.

    `refusal` formats error responses, by default as RFC 9457. `public_endpoints` are public endpoints that can't be
    decorated, such as `static` and those of other extensions. `check_routes=False` serves an application with endpoints
    that are neither guarded nor public; they still answer 500. `routes` is a map for views that can't be decorated.
    `drops_underscores` is that of `GuardWsgiMiddleware`. For an application factory, omit `app` and call `init_app`.
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
        self._guards: WeakKeyDictionary[Flask, Guard] = WeakKeyDictionary()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, *, guard: Guard | None = None) -> None:
        """Guard an application. Raises `ConfigurationError` without a guard, and if the application has one already."""
        guard = guard or self._guard
        if guard is None:
            raise ConfigurationError("expected a guard from `open_guard`, got none", place="IamGuard")
        if _EXTENSION in app.extensions:
            raise ConfigurationError("expected an application without a guard, got a guarded one", place="IamGuard")
        app.extensions[_EXTENSION] = self
        self._guards[app] = guard
        middleware = GuardWsgiMiddleware(
            app.wsgi_app, guard=guard, refusal=self._refusal, drops_underscores=self._drops_underscores
        )
        app.wsgi_app = middleware  # type: ignore[method-assign]  # as Flask's documentation has it
        app.before_request_funcs.setdefault(None, []).insert(0, self._matched)
        app.register_error_handler(IamGuardError, self._error_response)
        if self.route_map is not None:
            self._guard_dispatch(app, self.route_map)

    def check(self, app: Flask) -> None:
        """Raise `ConfigurationError` with the endpoints that are neither guarded nor public, if there are any.

        Also raised for a row of the map without a route, for a view whose parameters can't fill its resource template,
        and for an action of a service that was not passed to the guard.
        """
        endpoints = inventory(app)
        check_handler_parameters(endpoints)
        if (guard := self._guards.get(app)) is not None:
            check_services(endpoints, guard.signing_names)
        found = [endpoint for endpoint in endpoints if not endpoint.is_guarded]
        if found:
            raise ConfigurationError(unguarded_message(found))

    def endpoint_of(self, app: Flask, rule: Rule, method: str) -> Any:
        """Return the endpoint of a matched rule: a view, or the class of its methods."""
        if rule.endpoint in self._public:
            return _public_endpoint
        if method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
            return _automatic_options
        view = app.view_functions[rule.endpoint]
        view_class = getattr(view, "view_class", None)
        if view_class is None or guards_of(view):
            return view
        is_of_methods = issubclass(view_class, MethodView) and not guards_of(view_class.dispatch_request)
        return view_class if is_of_methods else view_class.dispatch_request

    def _matched(self) -> None:
        """Report the matched view to the guard; runs before all other `before_request` functions."""
        app = current_app._get_current_object()  # type: ignore[attr-defined]  # the proxy is typed as `Flask`
        if app not in self._checked:
            if self._check_routes:
                self.check(app)
            elif self.route_map is not None:
                inventory(app)
            self._checked.add(app)
        call, rule = current_call(), request.url_rule
        parameters = request.view_args or {}
        row: MappedRoute | None = None
        found = address = None
        if rule is not None:
            host = _host_of(app, rule)
            address = route_address(host, rule.rule)
            found = _method_of(self.endpoint_of(app, rule, request.method), request.method)
            if self.route_map is not None and found is not _automatic_options:
                row = self.route_map.row(request.method, rule.rule, host)
            if row is not None:
                found = row.endpoint_to_report(found, request.method)
        call.matched(found, parameters, address=address, app=app)
        if not call.has_unsigned_payload:
            g.principal = current_principal()
        if row is not None:
            row.enforce(parameters)
        call.scope[_DECIDED] = (rule, request.method, {} if row is None or row.is_public else dict(parameters))

    def _guard_dispatch(self, app: Flask, routes: RouteMap) -> None:
        """Check the row's loaders, and reject requests that were changed after the decision."""
        routes.refuse_async_loaders()
        dispatch = app.dispatch_request

        def dispatch_unchanged(*args: Any) -> Any:
            with recording_refusal() as call:
                rule, method, parameters = call.scope.get(_DECIDED, (None, "", {}))
                is_same = request.url_rule is rule and request.method == method
                if not is_same or parameters_changed(request.view_args or {}, parameters):
                    message = "a function before the view changed the rule, method or parameters after the decision"
                    raise ConfigurationError(message, place="before_request")
            return dispatch(*args)

        app.dispatch_request = dispatch_unchanged  # type: ignore[method-assign]  # a subclass would override it

    def _error_response(self, error: IamGuardError) -> Response:
        """Return the response to an error; an unrecorded error is recorded when the response is checked."""
        call = current_call()
        call.refusal = error
        refusal = self._refusal(error, call.facts.request_id)
        return Response(refusal.body, refusal.status, list(refusal.headers))


def inventory(app: Flask) -> list[Endpoint]:
    """Return every endpoint of an application with its guards, in the order of its rules.

    Raises `ConfigurationError` for an application without a guard, and for a map with unknown routes.
    """
    routes = _extension_of(app).route_map
    return _unmapped_inventory(app) if routes is None else routes.joined(_unmapped_inventory(app))


def inventory_of(app: object) -> list[Endpoint] | None:
    """Return the endpoints without the map, for `iam-guard routes`; None for anything but a Flask application."""
    return _unmapped_inventory(app) if isinstance(app, Flask) else None


def route_map_of(app: object) -> RouteMap | None:
    """Return the map of an application, for `iam-guard routes`."""
    return _extension_of(app).route_map if isinstance(app, Flask) else None


def _extension_of(app: Flask) -> IamGuard:
    extension = app.extensions.get(_EXTENSION)
    if not isinstance(extension, IamGuard):
        raise ConfigurationError("expected an application with `IamGuard(app, guard=…)`, got one without")
    return extension


def _unmapped_inventory(app: Flask) -> list[Endpoint]:
    extension = _extension_of(app)
    return [
        replace(endpoint, host=_host_of(app, rule))
        for rule in app.url_map.iter_rules()
        for endpoint in _endpoints(extension, app, rule)
    ]


def _host_of(app: Flask, rule: Rule) -> str | None:
    """Return the host or the subdomain of a rule; None if it matches every host."""
    return (rule.host if app.url_map.host_matching else rule.subdomain) or None


def _endpoints(extension: IamGuard, app: Flask, rule: Rule) -> Iterator[Endpoint]:
    is_automatic = getattr(rule, "provide_automatic_options", False)
    methods = tuple(sorted(method for method in rule.methods or () if not (is_automatic and method == "OPTIONS")))
    found = extension.endpoint_of(app, rule, "GET")
    if not isinstance(found, type):
        view = app.view_functions[rule.endpoint]
        yield endpoint_row(rule.rule, methods, rule.endpoint, found, handler=getattr(view, "view_class", view))
        return
    for method in methods:
        yield endpoint_row(rule.rule, (method,), f"{name_of(found)}.{method.lower()}", _method_of(found, method))


def _method_of(endpoint: Any, method: str) -> Any:
    """Return the method of a class for the routed method, which may differ from the sent one."""
    if not isinstance(endpoint, type) or guards_of(endpoint):
        return endpoint
    is_get = method == "HEAD" and not hasattr(endpoint, "head")
    return getattr(endpoint, "get" if is_get else method.lower(), endpoint)


@public
def _public_endpoint() -> None:
    """Stand for an endpoint in `public_endpoints`."""


@public
def _automatic_options() -> None:
    """Stand for Flask's answer to OPTIONS: the list of methods, as in a 405."""
