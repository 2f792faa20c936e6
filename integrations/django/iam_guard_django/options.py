"""The setting `IAM_GUARD`, and its guard.

The guard is opened with the first request of a process, so that servers may fork after loading the application.
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
from iam_guard.adapters import RefusalFormat, WsgiBridge, did_you_mean, problem
from iam_guard.errors import ConfigurationError

SETTING: Final = "IAM_GUARD"
_KEYS: Final = ("guard", "refusal", "public_views", "routes", "drops_underscores")

_lock = threading.Lock()
_bridges: dict[Options, WsgiBridge] = {}


@dataclass(frozen=True, slots=True)
class Options:
    """The parsed setting `IAM_GUARD`."""

    guard: Guard | Callable[[], Guard] | str
    refusal: RefusalFormat
    public_views: frozenset[str]
    routes: RouteMap | str | None
    drops_underscores: bool

    def is_public(self, view_name: str | None) -> bool:
        """Return whether `public_views` contains a view, or `namespace:*` for one of its namespaces."""
        if not view_name:
            return False
        spaces = view_name.split(":")[:-1]
        return view_name in self.public_views or any(
            ":".join([*spaces[:depth], "*"]) in self.public_views for depth in range(1, len(spaces) + 1)
        )


def load_options() -> Options:
    """Parse the setting. Raises `ConfigurationError`."""
    configured = getattr(settings, SETTING, None)
    if not isinstance(configured, Mapping) or "guard" not in configured:
        raise ConfigurationError('expected a setting such as `IAM_GUARD = {"guard": "project.iam.guard"}`')
    unknown = sorted(str(key) for key in configured if key not in _KEYS)
    if unknown:
        hint = did_you_mean(unknown[0], _KEYS) or f", expected one of {', '.join(_KEYS)}"
        raise ConfigurationError(f"unknown key `{unknown[0]}`{hint}", place=SETTING)
    names = configured.get("public_views", ())
    if isinstance(names, str) or "*" in names:
        raise ConfigurationError("expected a list of view names and `namespace:*`", place="public_views")
    return Options(
        configured["guard"],
        _imported(configured.get("refusal", problem)),
        frozenset(names),
        configured.get("routes"),
        configured.get("drops_underscores", False),
    )


def route_map(options: Options) -> RouteMap | None:
    """Return the route map of the setting; None without one. Raises `ConfigurationError`."""
    found: object = _imported(options.routes)
    if found is not None and not isinstance(found, RouteMap):
        raise ConfigurationError(f"expected a route map, got `{type(found).__name__}`", place="routes")
    return found


def bridge_for(options: Options) -> WsgiBridge:
    """Return the bridge with the guard of the setting; created once per process. Raises `ConfigurationError`."""
    bridge = _bridges.get(options)
    if bridge is None:
        with _lock:
            bridge = _bridges.get(options)
            if bridge is None:
                bridge = WsgiBridge(
                    _open_guard(options.guard), refusal=options.refusal, drops_underscores=options.drops_underscores
                )
                _bridges[options] = bridge
    return bridge


def existing_guard(options: Options) -> Guard | None:
    """Return the guard of the setting; None if it is a function, which opens the guard with the first request."""
    found = _imported(options.guard)
    return found if isinstance(found, Guard) else None


def _open_guard(configured: Guard | Callable[[], Guard] | str) -> Guard:
    found: object = _imported(configured)
    if isinstance(found, Guard):
        return found
    guard = found() if callable(found) else found
    if not isinstance(guard, Guard):
        raise ConfigurationError(f"expected a guard, got `{type(guard).__name__}`", place="guard")
    atexit.register(guard.close)  # writes the queued audit records
    return guard


def _imported(value: Any) -> Any:
    """Return what a name in the setting stands for; any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except ImportError as error:
        raise ConfigurationError(f"expected an importable name, got `{value}`", place=SETTING) from error
