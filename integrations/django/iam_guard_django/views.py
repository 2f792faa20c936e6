"""The views of a project: which one answers a request, what guards each, and the check that finds those without.

A view counts as it was matched, never by its path.
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

from iam_guard import RouteMap, public
from iam_guard.errors import ConfigurationError
from iam_guard.web.endpoints import Endpoint, endpoint_row, guards_of, name_of
from iam_guard_django.options import Options, options, route_map
from iam_guard_django.permissions import PermissionsUntold, all_needed, own_leading, permissions_of

MIDDLEWARE: Final = "iam_guard_django.GuardMiddleware"
_FRAMEWORKS: Final = ("django.views.generic.base", "rest_framework.views")
"""Where `options` of a class comes from when the project has not written its own."""
_UNTOLD: Final = "only a request tells"
_LANGUAGE: Final = "(language)"
"""Stands in a path for what is another one in each language."""


def endpoint_of(view: Any, view_name: str | None, method: str, chosen: Options, answer: Any = None) -> Any:
    """Return what answers a request that Django has matched: the view, or the method of its class.

    `answer` is what it has answered without having asked, where it did.
    """
    if chosen.is_public(view_name):
        return _open_to_everybody
    view_class = class_of(view)
    if view_class is None or guards_of(view):
        return view
    name, handler = _handler_of(view, view_class, method.lower())
    if handler in (None, _methods_that_there_are):
        return handler
    try:
        return _guard_of(view, view_class, method.lower(), name, answer) or handler
    except PermissionsUntold:
        return handler  # nobody is let out on a guess


def inventory(urlconf: Any = None) -> list[Endpoint]:
    """List every view of a project with what guards it, in the order of its URL patterns; `ROOT_URLCONF` by default.

    Of a function all methods are one row, since nothing says which it takes but a route map, if it names some. The map
    of the setting is about `ROOT_URLCONF` only. Raises `ConfigurationError`.
    """
    routes = route_map(options()) if urlconf in (None, settings.ROOT_URLCONF) else None
    return _unmapped(urlconf) if routes is None else joined(routes)


def joined(routes: RouteMap) -> list[Endpoint]:
    """List the views of the project with a route map. Raises `ConfigurationError` for rows that cannot be."""
    endpoints = _unmapped()
    spoken = next(
        (endpoint.path for endpoint in endpoints if _LANGUAGE in endpoint.path and routes.has_row_of(endpoint.path)),
        None,
    )
    if spoken is not None:
        message = f"the path `{spoken}` is another one in each language: guard its view where it is declared"
        raise ConfigurationError(message, place="routes")
    return routes.joined(endpoints)


def inventory_of(app: object) -> list[Endpoint] | None:
    """List the views without the map, for `iam-guard routes`.

    `app` is what `get_wsgi_application` or `get_asgi_application` made, or a resolver; None for anything else.
    """
    if isinstance(app, URLResolver):
        return _unmapped(app.urlconf_name)
    return _unmapped() if isinstance(app, BaseHandler) else None


def route_map_of(app: object) -> RouteMap | None:
    """Return the map of the setting, for `iam-guard routes`."""
    is_main = isinstance(app, URLResolver) and app.urlconf_name == settings.ROOT_URLCONF
    return route_map(options()) if is_main or isinstance(app, BaseHandler) else None


def check_views(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Find what would answer 500: a wrong setting, a missing middleware, views that are neither guarded nor public."""
    try:
        endpoints = inventory()
    except ConfigurationError as error:
        return [Error(str(error), id="iam_guard.E001")]
    found: list[CheckMessage] = []
    if MIDDLEWARE not in settings.MIDDLEWARE:
        hint = f"Add `{MIDDLEWARE}` to MIDDLEWARE."
        found.append(Error("no guard is before the views", hint=hint, id="iam_guard.E002"))
    return found + [message for endpoint in endpoints if (message := _complaint(endpoint)) is not None]


def _complaint(endpoint: Endpoint) -> CheckMessage | None:
    if not endpoint.is_guarded:
        hint = "Decorate it with `requires` or `public`, or name it in `public_views` or `routes` of IAM_GUARD."
        return Error(f"the view {endpoint} is neither guarded nor public", hint=hint, id="iam_guard.E003")
    untold = next((guard for guard in endpoint.guards if guard.startswith(_UNTOLD)), None)
    if untold is None:
        return None
    hint = (
        "Without a guard it answers 500. Let `get_permissions` depend on the action or the method only, and what the "
        "view overrides call `super()`."
    )
    return checks.Warning(f"the view {endpoint} may be guarded: {untold}", hint=hint, id="iam_guard.W004")


def views_by_path() -> dict[str, list[Any]]:
    """Return the views of the project by their paths; where patterns are the same, the first takes all."""
    found: dict[str, list[Any]] = {}
    for view, path, _ in _walk(get_resolver().url_patterns, "", ()):
        found.setdefault(path, []).append(view)
    return found


def _unmapped(urlconf: Any = None) -> list[Endpoint]:
    chosen = options()
    return [row for found in _walk(get_resolver(urlconf).url_patterns, "", ()) for row in _rows(*found, chosen)]


def _walk(patterns: Iterable[Any], before: str, spaces: tuple[str, ...]) -> Iterator[tuple[Any, str, str]]:
    """Return each view with its path and the name that a match of it will have, also where its pattern has none."""
    for pattern in patterns:
        route = (
            before + _text_of(pattern.pattern).removeprefix("^") if before else _text_of(pattern.pattern)
        )  # as a match
        if isinstance(pattern, URLPattern):
            match = ResolverMatch(pattern.callback, (), {}, pattern.name, namespaces=list(spaces))
            yield pattern.callback, f"/{route}", match.view_name
        else:
            inside = (*spaces, pattern.namespace) if pattern.namespace else spaces
            yield from _walk(pattern.url_patterns, route, inside)


def _text_of(pattern: Any) -> str:
    """Return a pattern as it was written."""
    if isinstance(pattern, LocalePrefixPattern):
        return f"{_LANGUAGE}/"
    is_translated = not all(isinstance(vars(pattern).get(name, ""), str) for name in ("_route", "_regex"))
    return f"{_LANGUAGE if is_translated else ''}{pattern}"


def _rows(view: Any, path: str, view_name: str | None, chosen: Options) -> Iterator[Endpoint]:
    view_class = class_of(view)
    if view_class is None or guards_of(view) or chosen.is_public(view_name):
        found = endpoint_of(view, view_name, "GET", chosen)
        row = endpoint_row(path, (), name_of(view), found, handler=view_class or view)
        yield replace(row, methods_are_untold=True)
        return
    actions = getattr(view, "actions", None)
    for method in view_class.http_method_names if actions is None else (*actions, "options"):
        name, handler = _handler_of(view, view_class, method)
        if handler not in (None, _methods_that_there_are):
            called = method if actions is None else actions.get(method, method)
            row = endpoint_row(path, (method.upper(),), f"{name_of(view_class)}.{called}", handler)
            yield _with_permissions(row, view, view_class, name)


def class_of(view: Any) -> Any:
    """Return the class of a class-based view, of Django or of REST framework; None for a function."""
    return getattr(view, "view_class", None) or getattr(view, "cls", None)


def _handler_of(view: Any, view_class: Any, method: str) -> tuple[str, Any]:
    """Return the method of a class that takes an HTTP method, and its name; None without one."""
    actions = getattr(view, "actions", None) or {}
    name = actions.get(method, method)
    if name == "head" and not hasattr(view_class, name):
        name = actions.get("get", "get")
    handler = getattr(view_class, name, None)
    return name, _methods_that_there_are if name == "options" and is_of_framework(handler) else handler


def _guard_of(view: Any, view_class: Any, method: str, name: str, answer: Any = None) -> Any:
    """Return what guards a method by a permission of REST framework; None without. Raises `PermissionsUntold`."""
    served = (getattr(answer, "renderer_context", None) or {}).get("view")
    if served is not None and not answer.exception and own_leading(view_class):
        return None  # the method has run, and no permission was asked
    permissions = all_needed(permissions_of(view, view_class, method, served))
    guard_of = next((found for permission in permissions if (found := getattr(permission, "iam_guard_of", None))), None)
    return None if guard_of is None else guard_of(view_class, name)


def _with_permissions(row: Endpoint, view: Any, view_class: Any, name: str) -> Endpoint:
    """Return the row of a method with what guards it by a permission; where only a request tells, it says so.

    A permission of ours asks for what `iam_requires` says: of a method that is not named there no request tells more.
    """
    (method,) = row.methods
    try:
        guard = _guard_of(view, view_class, method.lower(), name)
    except PermissionsUntold as untold:
        is_known = row.is_guarded or name not in getattr(view_class, "iam_requires", {})
        return row if is_known else replace(row, guards=(f"{_UNTOLD}: {untold}",))
    return row if guard is None else endpoint_row(row.path, row.methods, row.name, guard, handler=row.handler)


def is_of_framework(options: Any) -> bool:
    """Return whether what answers OPTIONS is a framework's own, and not the project's."""
    return getattr(options, "__module__", None) in _FRAMEWORKS


@public
def _open_to_everybody() -> None:
    """Stand for a view that `public_views` names."""


@public
def _methods_that_there_are() -> None:
    """Stand for what a framework itself answers to OPTIONS: the methods, as a 405 tells them too."""
