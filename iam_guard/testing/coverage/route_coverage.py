"""Route coverage: which guarded endpoints of an application were seen both to allow and to refuse.

Endpoints come from the application's inventory, results from the decisions made while it handled calls. A decision
belongs to the endpoint that the router chose, if it is about the action that guards it; other questions of a handler
don't count, and a refused credential is no decision. Adapters report the chosen endpoint; elsewhere, name and path
identify it. Endpoints with the same path, methods and name are the same, so a suite may create the application for
each test.
"""

from __future__ import annotations

import inspect
import re
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

from iam_guard.model.decision import Decision
from iam_guard.testing.applications import endpoints_of
from iam_guard.testing.coverage.coverage_report import rounded
from iam_guard.testing.text_table import aligned
from iam_guard.web.asgi.litestar_routes import handled_by
from iam_guard.web.asgi.routes import is_router
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.endpoints import Endpoint, name_of
from iam_guard.web.route_maps.route_map import RouteMap

_ACTION = re.compile(r"([^\s:]+:\S+) on ")
_PARAMETER = re.compile(r"\{[^{}:]+(?::([^{}]+))?\}")


class GuardedRoute(NamedTuple):
    """One guarded endpoint. `path` is its address, with the host if it is for one host."""

    path: str
    methods: tuple[str, ...]
    name: str
    action: str


@dataclass(slots=True)
class RouteTally:
    """What a route was seen to do."""

    allowed: bool = False
    refused: bool = False


class RouteCoverage:
    """The results so far, of the routes of `app`, or of every application that handles a call. Thread-safe."""

    def __init__(self, app: Any = None) -> None:
        self.routes: dict[GuardedRoute, RouteTally] = {}
        self._is_fixed = app is not None
        self._apps: dict[int, Callable[[], Any]] = {}
        self._lock = Lock()
        if app is not None:
            self._add(app)

    def add_app(self, app: Any, route_map: RouteMap | None = None) -> None:
        """Add the routes of an application that handles a call, with those of its guard's map."""
        known = self._apps.get(id(app))
        if not self._is_fixed and (known is None or known() is not app):
            self._apps[id(app)] = _reference(app)
            self._add(app, route_map)

    def add(self, call: CurrentCall, decision: Decision) -> None:
        """Add a decision made while a call was handled; undecidable requests don't count."""
        if decision.error is not None or call.facts.kind == "call":
            return
        with self._lock:
            for route in _routes_of_call(self.routes, call, decision.request.action):
                tally = self.routes[route]
                tally.allowed |= decision.allowed
                tally.refused |= not decision.allowed

    def _add(self, app: Any, route_map: RouteMap | None = None) -> None:
        with self._lock:
            for route in _guarded(endpoints_of(app, route_map)):
                self.routes.setdefault(route, RouteTally())

    # --- the report ----------------------------------------------------------------------------------------------

    def share(self) -> float | None:
        """Return the percentage of routes that were seen both ways; None without routes."""
        return 100.0 * self._covered() / len(self.routes) if self.routes else None

    def text(self) -> str:
        """Return the table of routes."""
        rows: list[tuple[str, ...]] = [("METHOD", "PATH", "ACTION", "ALLOWED", "REFUSED")]
        for route, tally in sorted(self.routes.items()):
            seen = ("yes" if is_seen else "NEVER" for is_seen in (tally.allowed, tally.refused))
            rows.append((",".join(route.methods) or "ANY", route.path, route.action, *seen))
        end = f"{self._covered()} of {len(self.routes)} guarded routes were tested both ways"
        return "\n".join([*aligned(rows), end])

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "percent": rounded(self.share()),
            "routes": [
                {
                    "path": route.path,
                    "methods": list(route.methods),
                    "endpoint": route.name,
                    "action": route.action,
                    "allowed": tally.allowed,
                    "refused": tally.refused,
                }
                for route, tally in sorted(self.routes.items())
            ],
        }

    def _covered(self) -> int:
        return sum(tally.allowed and tally.refused for tally in self.routes.values())

    # --- transfer between processes ------------------------------------------------------------------------------

    def to_plain(self) -> list[Any]:
        """Return the results as plain values."""
        return [[*route, tally.allowed, tally.refused] for route, tally in self.routes.items()]

    def merge(self, results: Iterable[Sequence[Any]]) -> None:
        """Add the `to_plain` of another process."""
        with self._lock:
            for path, methods, name, action, allowed, refused in results:
                tally = self.routes.setdefault(GuardedRoute(path, tuple(methods), name, action), RouteTally())
                tally.allowed |= allowed
                tally.refused |= refused


def _reference(app: Any) -> Callable[[], Any]:
    """Return a reference to an application, a weak one if possible."""
    try:
        return weakref.ref(app)
    except TypeError:
        return lambda: app


def _guarded(endpoints: Iterable[Endpoint]) -> list[GuardedRoute]:
    found = [
        GuardedRoute(endpoint.address, endpoint.methods, endpoint.name, action[1])
        for endpoint in endpoints
        for guard in endpoint.guards
        if (action := _ACTION.match(guard))
    ]
    got = {(route.path, route.action) for route in found if "GET" in route.methods}
    return [route for route in found if route.methods != ("HEAD",) or (route.path, route.action) not in got]


def guarding_actions(app: Any) -> list[str]:
    """Return the actions that guard the endpoints of an application."""
    return sorted({route.action for route in _guarded(endpoints_of(app))})


# --- attribution of decisions ------------------------------------------------------------------------------------


def _routes_of_call(routes: Iterable[GuardedRoute], call: CurrentCall, action: str) -> list[GuardedRoute]:
    """Return the routes that the router may have chosen: several only if they can't be distinguished."""
    method = "WEBSOCKET" if call.scope.get("type") == "websocket" else str(call.scope.get("method"))
    about = [route for route in routes if route.action == action and _accepts(route, method)]
    if call.address is not None:
        chosen = [route for route in about if route.path == call.address]
    else:
        names, addresses = _endpoint_names(call.scope), _addresses(call.scope)
        chosen = [route for route in about if route.name in names]
        chosen = [route for route in chosen if any(map(_pattern(route.path).fullmatch, addresses))]
        chosen = [route for route in chosen if not route.path.startswith("/")] or chosen  # host-specific routes first
    return [route for route in chosen if method in route.methods] or chosen  # a map may have `ANY` and a method


def _endpoint_names(scope: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the possible inventory names of the endpoint of a call."""
    endpoint, handler = scope.get("endpoint"), handled_by(scope)
    if handler is not None and is_router(endpoint):
        endpoint = getattr(handler, "func", handler)
    name = name_of(endpoint)
    if not inspect.isclass(endpoint):
        return (name,)
    method = str(scope.get("method", "")).lower()
    return name, f"{name}.{method}", *((f"{name}.get",) if method == "head" else ())


def _accepts(route: GuardedRoute, method: str) -> bool:
    return not route.methods or method in route.methods or (method == "HEAD" and "GET" in route.methods)


def _addresses(scope: Mapping[str, Any]) -> list[str]:
    """Return the path of a call as sent, and without a proxy's prefix, both also with the host."""
    path, prefix = str(scope.get("path", "")), str(scope.get("app_root_path", scope.get("root_path", "")))
    paths = [path, path[len(prefix) :] if prefix and path.startswith(prefix + "/") else path]
    sent = next((value for name, value in scope.get("headers", ()) if name == b"host"), b"")
    host = sent.decode("latin-1").partition(":")[0]
    return [*paths, *(f"{host}{path}" for path in paths)]


def _pattern(template: str) -> re.Pattern[str]:
    """Return the pattern of the paths that a template matches."""
    found, at = "", 0
    for parameter in _PARAMETER.finditer(template):
        found += re.escape(template[at : parameter.start()]) + (".*" if parameter[1] == "path" else "[^/]+")
        at = parameter.end()
    return re.compile(found + re.escape(template[at:]))
