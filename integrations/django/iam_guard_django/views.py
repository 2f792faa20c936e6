"""The views of a project: the endpoint of a request, the inventory with guards, and the system check.

Views are identified by Django's match, never by comparing paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.core.handlers.base import BaseHandler
from django.urls import LocalePrefixPattern, ResolverMatch, URLPattern, URLResolver, get_resolver

from iam_guard import Endpoint, RouteMap, public
from iam_guard.adapters import check_handler_parameters, check_services, endpoint_row, guards_of, name_of
from iam_guard.errors import ConfigurationError
from iam_guard_django.options import Options, existing_guard, load_options, route_map
from iam_guard_django.permissions import PermissionsUnknown, all_needed, chain_overrides, permissions_of

MIDDLEWARE: Final = "iam_guard_django.GuardMiddleware"
_FRAMEWORKS: Final = ("django.views.generic.base", "rest_framework.views")
"""The modules of the default `options` methods of class-based views."""
_UNKNOWN: Final = "depends on the request"
_LANGUAGE: Final = "(language)"
"""Placeholder for the part of a path that differs per language."""


def endpoint_of(view: Any, view_name: str | None, method: str, options: Options, answer: Any = None) -> Any:
    """Return the endpoint of a matched request: the view, the method of its class, or what guards that method.

    `answer` is the response of the view, if it has answered without a decision.
    """
    if options.is_public(view_name):
        return _public_endpoint
    view_class = class_of(view)
    if view_class is None or guards_of(view):
        return view
    name, handler = _handler_of(view, view_class, method.lower())
    if handler in (None, _automatic_options):
        return handler
    try:
        return _guard_of(view, view_class, method.lower(), name, answer) or handler
    except PermissionsUnknown:
        return handler  # unmarked, so that its response is rejected


def inventory(urlconf: Any = None) -> list[Endpoint]:
    """Return every view of a project with its guards, in the order of its URL patterns; `ROOT_URLCONF` by default.

    A function has one row, as its methods are unknown unless a route map names them. The map of the setting applies to
    `ROOT_URLCONF` only. Raises `ConfigurationError`.
    """
    routes = route_map(load_options()) if urlconf in (None, settings.ROOT_URLCONF) else None
    return _unmapped_inventory(urlconf) if routes is None else joined(routes)


def joined(routes: RouteMap) -> list[Endpoint]:
    """Return the views of the project with a route map. Raises `ConfigurationError` for invalid rows."""
    endpoints = _unmapped_inventory()
    for endpoint in endpoints:
        if _LANGUAGE in endpoint.path and routes.methods_of(endpoint.path):
            message = f"expected a path without translations in a route map, got `{endpoint.path}`: decorate its view"
            raise ConfigurationError(message, place="routes")
    return routes.joined(endpoints)


def inventory_of(app: object) -> list[Endpoint] | None:
    """Return the views without the map, for `iam-guard routes`.

    `app` is the result of `get_wsgi_application` or `get_asgi_application`, or a resolver; None for anything else.
    """
    if isinstance(app, URLResolver):
        return _unmapped_inventory(app.urlconf_name)
    return _unmapped_inventory() if isinstance(app, BaseHandler) else None


def route_map_of(app: object) -> RouteMap | None:
    """Return the map of the setting, for `iam-guard routes`."""
    is_main = isinstance(app, URLResolver) and app.urlconf_name == settings.ROOT_URLCONF
    return route_map(load_options()) if is_main or isinstance(app, BaseHandler) else None


def check_views(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Report views that would answer 500, and invalid settings or a missing middleware."""
    try:
        endpoints = inventory()
        check_handler_parameters(endpoints)
        guard = existing_guard(load_options())
        if guard is not None:
            check_services(endpoints, guard.signing_names)
    except ConfigurationError as error:
        return [Error(str(error), id="iam_guard.E001")]
    found: list[CheckMessage] = []
    if MIDDLEWARE not in settings.MIDDLEWARE:
        hint = f"Add `{MIDDLEWARE}` to MIDDLEWARE."
        found.append(Error("the views have no guard middleware", hint=hint, id="iam_guard.E002"))
    return found + [message for endpoint in endpoints if (message := _message_for(endpoint)) is not None]


def _message_for(endpoint: Endpoint) -> CheckMessage | None:
    if not endpoint.is_guarded:
        hint = "Decorate it with `requires` or `public`, or add it to `public_views` or `routes` of IAM_GUARD."
        return Error(f"the view {endpoint} is neither guarded nor public", hint=hint, id="iam_guard.E003")
    untold = next((guard for guard in endpoint.guards if guard.startswith(_UNKNOWN)), None)
    if untold is None:
        return None
    hint = (
        "Without a guard it answers 500. Let `get_permissions` depend only on the action or the method, and call "
        "`super()` in overridden methods."
    )
    return checks.Warning(f"the view {endpoint} may be guarded: {untold}", hint=hint, id="iam_guard.W004")


def views_by_path() -> dict[str, list[Any]]:
    """Return the views of the project by path; of identical patterns, the first gets all requests."""
    found: dict[str, list[Any]] = {}
    for view, path, _ in _walk(get_resolver().url_patterns, "", ()):
        found.setdefault(path, []).append(view)
    return found


def _unmapped_inventory(urlconf: Any = None) -> list[Endpoint]:
    options = load_options()
    return [row for found in _walk(get_resolver(urlconf).url_patterns, "", ()) for row in _rows(*found, options)]


def _walk(patterns: Iterable[Any], prefix: str, namespaces: tuple[str, ...]) -> Iterator[tuple[Any, str, str]]:
    """Yield each view with its path and the `view_name` of its matches, also for unnamed patterns."""
    for pattern in patterns:
        text = _text_of(pattern.pattern)
        route = prefix + text.removeprefix("^") if prefix else text  # as a match
        if isinstance(pattern, URLPattern):
            match = ResolverMatch(pattern.callback, (), {}, pattern.name, namespaces=list(namespaces))
            yield pattern.callback, f"/{route}", match.view_name
        else:
            inside = (*namespaces, pattern.namespace) if pattern.namespace else namespaces
            yield from _walk(pattern.url_patterns, route, inside)


def _text_of(pattern: Any) -> str:
    if isinstance(pattern, LocalePrefixPattern):
        return f"{_LANGUAGE}/"
    is_translated = not all(isinstance(vars(pattern).get(name, ""), str) for name in ("_route", "_regex"))
    return f"{_LANGUAGE if is_translated else ''}{pattern}"


def _rows(view: Any, path: str, view_name: str | None, options: Options) -> Iterator[Endpoint]:
    view_class = class_of(view)
    if view_class is None or guards_of(view) or options.is_public(view_name):
        found = endpoint_of(view, view_name, "GET", options)
        row = endpoint_row(path, (), name_of(view), found, handler=view_class or view)
        yield replace(row, methods_are_unknown=True)
        return
    actions = getattr(view, "actions", None)
    for method in view_class.http_method_names if actions is None else (*actions, "options"):
        name, handler = _handler_of(view, view_class, method)
        if handler not in (None, _automatic_options):
            called = method if actions is None else actions.get(method, method)
            row = endpoint_row(path, (method.upper(),), f"{name_of(view_class)}.{called}", handler)
            yield _with_permissions(row, view, view_class, name)


def class_of(view: Any) -> Any:
    """Return the class of a class-based view, of Django or of REST framework; None for a function."""
    return getattr(view, "view_class", None) or getattr(view, "cls", None)


def _handler_of(view: Any, view_class: Any, method: str) -> tuple[str, Any]:
    """Return the name and the method of a class for an HTTP method; None without one."""
    actions = getattr(view, "actions", None) or {}
    name = actions.get(method, method)
    if name == "head" and not hasattr(view_class, name):
        name = actions.get("get", "get")
    handler = getattr(view_class, name, None)
    return name, _automatic_options if name == "options" and is_of_framework(handler) else handler


def _guard_of(view: Any, view_class: Any, method: str, name: str, answer: Any = None) -> Any:
    """Return the guard of a method from its REST framework permissions, or None. Raises `PermissionsUnknown`."""
    served = (getattr(answer, "renderer_context", None) or {}).get("view")
    if served is not None and not answer.exception and chain_overrides(view_class):
        return None  # the method has run without a permission check
    permissions = all_needed(permissions_of(view, view_class, method, served))
    guard_of = next((found for permission in permissions if (found := getattr(permission, "iam_guard_of", None))), None)
    return None if guard_of is None else guard_of(view_class, name)


def _with_permissions(row: Endpoint, view: Any, view_class: Any, name: str) -> Endpoint:
    """Return the row of a method with the guard of its permissions, or a note that it depends on the request.

    `GuardPermission` reads `iam_requires`: a method that is not in it is unguarded in every request.
    """
    (method,) = row.methods
    try:
        guard = _guard_of(view, view_class, method.lower(), name)
    except PermissionsUnknown as untold:
        is_known = row.is_guarded or name not in getattr(view_class, "iam_requires", {})
        return row if is_known else replace(row, guards=(f"{_UNKNOWN}: {untold}",))
    return row if guard is None else endpoint_row(row.path, row.methods, row.name, guard, handler=row.handler)


def is_of_framework(handler: Any) -> bool:
    """Return whether a handler of OPTIONS is the framework's default."""
    return getattr(handler, "__module__", None) in _FRAMEWORKS


@public
def _public_endpoint() -> None:
    """Stand for a view in `public_views`."""


@public
def _automatic_options() -> None:
    """Stand for a framework's answer to OPTIONS: the list of methods, as in a 405."""
