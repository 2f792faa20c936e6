"""iam_guard in Flask: `IamGuard(app, guard=guard)`, and the decorators of `Service` on the views.

    docs = Service("docs")

    @app.get("/documents/<document_id>")
    @docs.requires("GetDocument", resource="document/{document_id}")
    def get_document(document_id): ...

The extension wraps `app.wsgi_app` with the guard of the core, tells it which view Flask has matched, and answers
refusals as Flask answers errors, so that `after_request` functions see them. It decides nothing itself. The decorator
stands below the route: what Flask registers must be the guarded view. A view that made no decision and is not public
answers 500; `check` and the first request find it before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final
from weakref import WeakSet

from flask import Flask, Response, current_app, g, request
from flask.views import MethodView
from werkzeug.routing import Rule

from iam_guard import Guard, GuardWsgiMiddleware, IamGuardError, current_principal, public
from iam_guard.enforcement.context import current_call
from iam_guard.enforcement.endpoints import Endpoint, endpoint_row, guards_of, name_of
from iam_guard.enforcement.refusal import RefusalFormat, problem
from iam_guard.errors import ConfigurationError

__all__ = ["IamGuard", "inventory"]

_EXTENSION: Final = "iam_guard"


class IamGuard:
    """Put a guard before a Flask application.

    `refusal` gives the form of refusals, RFC 9457 by default. `public_endpoints` names endpoints that are open to
    everybody and cannot be decorated, `static` and those of other extensions. `check_routes=False` serves although some
    endpoints are neither guarded nor public; they still answer 500. `drops_underscores` is that of
    `GuardWsgiMiddleware`. For an application factory leave `app` out and call `init_app`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        guard: Guard | None = None,
        refusal: RefusalFormat = problem,
        public_endpoints: Iterable[str] = (),
        check_routes: bool = True,
        drops_underscores: bool = False,
    ) -> None:
        self._guard = guard
        self._refusal = refusal
        self._public = frozenset(public_endpoints)
        self._check_routes = check_routes
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

    def check(self, app: Flask) -> None:
        """Raise `ConfigurationError` where endpoints are neither guarded nor public, with their list."""
        found = ", ".join(str(each) for each in inventory(app) if not each.is_guarded)
        if found:
            raise ConfigurationError(f"endpoints that are neither guarded nor public: {found}")

    def endpoint_of(self, app: Flask, rule: Rule, method: str) -> Any:
        """Give what answers a request that a rule has matched: a view, or the class of its methods."""
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
        if self._check_routes and app not in self._checked:
            self.check(app)
            self._checked.add(app)
        call, rule = current_call(), request.url_rule
        endpoint = None if rule is None else self.endpoint_of(app, rule, request.method)
        call.matched(endpoint, request.view_args or {})
        if not call.has_unsigned_payload:
            g.principal = current_principal()

    def _refused(self, error: IamGuardError) -> Response:
        """Answer with a refusal. What was not noted yet, the guard notes when it sees the answer leave."""
        call = current_call()
        call.refusal = error
        refusal = self._refusal(error, call.facts.request_id)
        return Response(refusal.body, refusal.status, list(refusal.headers))


def inventory(app: Flask) -> list[Endpoint]:
    """List every endpoint of an application with what guards it, in the order of its rules.

    Raises `ConfigurationError` for an application that has no guard before it.
    """
    extension = app.extensions.get(_EXTENSION)
    if not isinstance(extension, IamGuard):
        raise ConfigurationError("the application has no guard before it: expected `IamGuard(app, guard=…)`")
    return [endpoint for rule in app.url_map.iter_rules() for endpoint in _endpoints(extension, app, rule)]


def inventory_of(app: object) -> list[Endpoint] | None:
    """Do the same for `iam-guard routes`; None for what is no application of Flask."""
    return inventory(app) if isinstance(app, Flask) else None


def _endpoints(extension: IamGuard, app: Flask, rule: Rule) -> Iterator[Endpoint]:
    is_automatic = getattr(rule, "provide_automatic_options", False)
    methods = tuple(sorted(each for each in rule.methods or () if not (is_automatic and each == "OPTIONS")))
    found = extension.endpoint_of(app, rule, "GET")
    if not isinstance(found, type):
        yield endpoint_row(rule.rule, methods, rule.endpoint, found)
        return
    for method in methods:
        handler = getattr(found, method.lower(), None) or (method == "HEAD" and getattr(found, "get", None))
        yield endpoint_row(rule.rule, (method,), f"{name_of(found)}.{method.lower()}", handler)


@public
def _open_to_everybody() -> None:
    """Stand for an endpoint that `public_endpoints` names."""


@public
def _methods_that_there_are() -> None:
    """Stand for what Flask itself answers to OPTIONS: the methods, as a 405 tells them too."""
