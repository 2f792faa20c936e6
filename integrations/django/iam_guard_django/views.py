"""The views of a project: which one answers a request, what guards each, and the check that finds those without.

A view counts as it was matched, never by its path. Must not live here: serving them (the middleware).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.handlers.base import BaseHandler
from django.urls import URLPattern, get_resolver

from iam_guard import public
from iam_guard.enforcement.endpoints import Endpoint, endpoint_row, guards_of, name_of
from iam_guard.errors import ConfigurationError
from iam_guard_django.options import Options, options

MIDDLEWARE: Final = "iam_guard_django.GuardMiddleware"
_FRAMEWORKS: Final = ("django.views.generic.base", "rest_framework.views")
"""Where `options` of a class comes from when the project has not written its own."""


def endpoint_of(view: Any, view_name: str | None, method: str, chosen: Options) -> Any:
    """Give what answers a request that Django has matched: the view, or the method of its class."""
    if chosen.is_public(view_name):
        return _open_to_everybody
    view_class = _class_of(view)
    if view_class is None or guards_of(view):
        return view
    return _handler_of(view, view_class, method.lower())


def inventory(urlconf: Any = None) -> list[Endpoint]:
    """List every view of a project with what guards it, in the order of its URL patterns; `ROOT_URLCONF` by default.

    Of a function all methods are one row, since nothing says which it takes. Raises `ConfigurationError`.
    """
    return list(_walk(get_resolver(urlconf).url_patterns, "/", (), options()))


def inventory_of(app: object) -> list[Endpoint] | None:
    """Do the same for `iam-guard routes`, given what `get_wsgi_application` or `get_asgi_application` made.

    None for anything else.
    """
    return inventory() if isinstance(app, BaseHandler) else None


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
    hint = "Decorate it with `requires` or `public`, or name it in IAM_GUARD['public_views']."
    return found + [
        Error(f"the view {each} is neither guarded nor public", hint=hint, id="iam_guard.E003")
        for each in endpoints
        if not each.is_guarded
    ]


def _walk(patterns: Iterable[Any], prefix: str, spaces: tuple[str, ...], chosen: Options) -> Iterator[Endpoint]:
    for each in patterns:
        path = prefix + str(each.pattern)
        if isinstance(each, URLPattern):
            name = ":".join((*spaces, each.name)) if each.name else None
            yield from _rows(each.callback, path, name, chosen)
        else:
            inside = (*spaces, each.namespace) if each.namespace else spaces
            yield from _walk(each.url_patterns, path, inside, chosen)


def _rows(view: Any, path: str, view_name: str | None, chosen: Options) -> Iterator[Endpoint]:
    view_class = _class_of(view)
    if view_class is None or guards_of(view) or chosen.is_public(view_name):
        yield endpoint_row(path, (), name_of(view), endpoint_of(view, view_name, "GET", chosen))
        return
    actions = getattr(view, "actions", None)
    for method in view_class.http_method_names if actions is None else (*actions, "options"):
        handler = _handler_of(view, view_class, method)
        if handler not in (None, _methods_that_there_are):
            yield endpoint_row(path, (method.upper(),), f"{name_of(view_class)}.{method}", handler)


def _class_of(view: Any) -> Any:
    """Give the class of a class-based view, of Django or of REST framework; None for a function."""
    return getattr(view, "view_class", None) or getattr(view, "cls", None)


def _handler_of(view: Any, view_class: Any, method: str) -> Any:
    """Give the method of a class that takes an HTTP method, or what guards it by the class; None without one."""
    actions = getattr(view, "actions", None) or {}
    name = actions.get(method, method)
    if name == "head" and not hasattr(view_class, name):
        name = actions.get("get", "get")
    handler = getattr(view_class, name, None)
    if name == "options" and is_of_framework(handler):
        return _methods_that_there_are
    chosen = getattr(view, "initkwargs", {})  # those of an `@action` replace the class's
    permissions = chosen.get("permission_classes", getattr(view_class, "permission_classes", ()))
    guard_of = next((found for each in permissions if (found := getattr(each, "iam_guard_of", None))), None)
    return handler if handler is None or guard_of is None else guard_of(view_class, name) or handler


def is_of_framework(options: Any) -> bool:
    """Tell whether what answers OPTIONS is a framework's own, and not the project's."""
    return getattr(options, "__module__", None) in _FRAMEWORKS


@public
def _open_to_everybody() -> None:
    """Stand for a view that `public_views` names."""


@public
def _methods_that_there_are() -> None:
    """Stand for what a framework itself answers to OPTIONS: the methods, as a 405 tells them too."""
