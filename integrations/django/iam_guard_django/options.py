"""The setting `IAM_GUARD`, and the guard that it names.

The guard is opened with the first request of a process, so that servers may fork after they have loaded the
application.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.utils.module_loading import import_string

from iam_guard import Guard, RouteMap
from iam_guard.errors import ConfigurationError
from iam_guard.web.refusal import RefusalFormat, problem
from iam_guard.web.wsgi.bridge import WsgiBridge

SETTING: Final = "IAM_GUARD"
_KEYS: Final = ("guard", "refusal", "public_views", "routes", "drops_underscores")

_lock = threading.Lock()
_entrances: dict[Options, WsgiBridge] = {}


@dataclass(frozen=True, slots=True)
class Options:
    """What `IAM_GUARD` says."""

    guard: Guard | Callable[[], Guard] | str
    refusal: RefusalFormat
    public_views: frozenset[str]
    routes: RouteMap | str | None
    drops_underscores: bool

    def is_public(self, view_name: str | None) -> bool:
        """Return whether `public_views` names a view, or with `namespace:*` all those of its namespace."""
        if not view_name:
            return False
        spaces = view_name.split(":")[:-1]
        return view_name in self.public_views or any(
            ":".join([*spaces[:depth], "*"]) in self.public_views for depth in range(1, len(spaces) + 1)
        )


def options() -> Options:
    """Read the setting. Raises `ConfigurationError`."""
    given = getattr(settings, SETTING, None)
    if not isinstance(given, Mapping) or "guard" not in given:
        raise ConfigurationError('expected a setting such as `IAM_GUARD = {"guard": "project.iam.guard"}`')
    unknown = sorted(str(each) for each in given if each not in _KEYS)
    if unknown:
        raise ConfigurationError(f"expected the keys {', '.join(_KEYS)}, got `{unknown[0]}`", place=SETTING)
    names = given.get("public_views", ())
    if isinstance(names, str) or "*" in names:
        raise ConfigurationError("expected a list of view names, or of `namespace:*`", place="public_views")
    refusal = given.get("refusal", problem)
    return Options(
        given["guard"],
        _imported(refusal) if isinstance(refusal, str) else refusal,
        frozenset(names),
        given.get("routes"),
        given.get("drops_underscores", False),
    )


def route_map(chosen: Options) -> RouteMap | None:
    """Return the route map of the setting, None without one. Raises `ConfigurationError`."""
    found: object = _imported(chosen.routes) if isinstance(chosen.routes, str) else chosen.routes
    if found is not None and not isinstance(found, RouteMap):
        raise ConfigurationError(f"expected a route map, got `{type(found).__name__}`", place="routes")
    return found


def entrance_for(chosen: Options) -> WsgiBridge:
    """Return the entrance with the guard of the setting; opened once in a process. Raises `ConfigurationError`."""
    entrance = _entrances.get(chosen)
    if entrance is None:
        with _lock:
            entrance = _entrances.get(chosen)
            if entrance is None:
                entrance = WsgiBridge(
                    _opened(chosen.guard), refusal=chosen.refusal, drops_underscores=chosen.drops_underscores
                )
                _entrances[chosen] = entrance
    return entrance


def _opened(given: Guard | Callable[[], Guard] | str) -> Guard:
    found: object = _imported(given) if isinstance(given, str) else given
    if isinstance(found, Guard):
        return found
    made = found() if callable(found) else found
    if not isinstance(made, Guard):
        raise ConfigurationError(f"expected a guard, got `{type(made).__name__}`", place="guard")
    atexit.register(made.close)  # what waits to be recorded is written
    return made


def _imported(name: str) -> Any:
    try:
        return import_string(name)
    except ImportError as error:
        raise ConfigurationError(f"expected what can be imported, got `{name}`", place=SETTING) from error
