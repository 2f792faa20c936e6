"""GuardedRoute coverage: which guarded endpoints of an application were seen both to allow and to refuse.

Endpoints come from the application's inventory; what they did, from the decisions made while it handled calls. A
decision belongs to the endpoint that the router chose, if it is about the action that guards it: what a handler asks
besides does not count, and a refused credential is no decision. An application that a test suite makes anew for each
test is one application: endpoints with the same path, methods and name are the same. Must not live here: who finds
endpoints (`asgi/routes`), who decides (`watching`).
"""

from __future__ import annotations

import inspect
import re
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

from iam_guard.asgi.routes import inventory
from iam_guard.enforcement.context import CurrentCall
from iam_guard.enforcement.endpoints import Endpoint
from iam_guard.model.decision import Decision
from iam_guard.testing.coverage_report import rounded
from iam_guard.testing.text_table import aligned

_ACTION = re.compile(r"([^\s:]+:\S+) on ")
_PARAMETER = re.compile(r"\{[^{}:]+(?::([^{}]+))?\}")
_WEBSOCKET = "WEBSOCKET"


class GuardedRoute(NamedTuple):
    """One guarded endpoint."""

    path: str
    methods: tuple[str, ...]
    name: str
    action: str

    def __str__(self) -> str:
        return f"{','.join(self.methods) or 'ANY'} {self.path}"


@dataclass(slots=True)
class RouteTally:
    """What a route did."""

    allowed: bool = False
    refused: bool = False

    @property
    def is_covered(self) -> bool:
        return self.allowed and self.refused


class RouteCoverage:
    """What was seen so far. Safe to share between threads."""

    def __init__(self, app: Any = None) -> None:
        """Watch the routes of `app`, or else those of every application that handles a call."""
        self.routes: dict[GuardedRoute, RouteTally] = {}
        self._is_fixed = app is not None
        self._known: dict[int, Callable[[], Any]] = {}
        self._lock = Lock()
        if app is not None:
            self._add(app)

    def note_app(self, app: Any) -> None:
        """Learn the routes of an application that is about to handle a call."""
        known = self._known.get(id(app))
        if not self._is_fixed and (known is None or known() is not app):
            self._known[id(app)] = _reference(app)
            self._add(app)

    def note(self, call: CurrentCall, decision: Decision) -> None:
        """Take in a decision that was made while a call was handled. One that could not be made is none."""
        if decision.error is not None or call.facts.kind == "call":
            return
        with self._lock:
            for route in _routes_of_call(self.routes, call.scope, decision.request.action):
                tally = self.routes[route]
                tally.allowed |= decision.allowed
                tally.refused |= not decision.allowed

    def _add(self, app: Any) -> None:
        with self._lock:
            for route in _guarded(inventory(app)):
                self.routes.setdefault(route, RouteTally())

    # --- from one process to another -----------------------------------------------------------------------------

    def to_list(self) -> list[Any]:
        """Give all of it as plain values."""
        return [[*route, tally.allowed, tally.refused] for route, tally in self.routes.items()]

    def merge(self, given: Iterable[Sequence[Any]]) -> None:
        """Add what `to_list` gave elsewhere."""
        with self._lock:
            for path, methods, name, action, allowed, refused in given:
                tally = self.routes.setdefault(GuardedRoute(path, tuple(methods), name, action), RouteTally())
                tally.allowed |= allowed
                tally.refused |= refused


def _reference(app: Any) -> Callable[[], Any]:
    """Refer to an application without keeping it, where that can be done."""
    try:
        return weakref.ref(app)
    except TypeError:
        return lambda: app


def _guarded(endpoints: Iterable[Endpoint]) -> Iterable[GuardedRoute]:
    for each in endpoints:
        for guard in each.guards:
            action = _ACTION.match(guard)
            if action:
                yield GuardedRoute(each.path, each.methods, each.name, action[1])


def guarding_actions(app: Any) -> list[str]:
    """List the actions that guard the endpoints of an application."""
    return sorted({each.action for each in _guarded(inventory(app))})


# --- whose decision it was ---------------------------------------------------------------------------------------


def _routes_of_call(routes: Iterable[GuardedRoute], scope: Mapping[str, Any], action: str) -> list[GuardedRoute]:
    """Find the routes that the router may have chosen: several only where they cannot be told apart."""
    name, method = _endpoint_name(scope), _method(scope)
    about = [each for each in routes if each.action == action and each.name in name and _takes(each, method)]
    return [each for each in about if any(_pattern(each.path).fullmatch(path) for path in _paths(scope))]


def _endpoint_name(scope: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the names that the inventory may have for the endpoint of a call."""
    endpoint = scope.get("endpoint")
    name = getattr(endpoint, "__qualname__", None) or type(endpoint).__name__
    if not inspect.isclass(endpoint):
        return (name,)
    method = str(scope.get("method", "")).lower()
    return name, f"{name}.{method}", *((f"{name}.get",) if method == "head" else ())


def _method(scope: Mapping[str, Any]) -> str:
    return _WEBSOCKET if scope.get("type") == "websocket" else str(scope.get("method"))


def _takes(route: GuardedRoute, method: str) -> bool:
    return not route.methods or method in route.methods or (method == "HEAD" and "GET" in route.methods)


def _paths(scope: Mapping[str, Any]) -> tuple[str, str]:
    """Give the path of a call, as sent and as the application knows it behind a proxy's prefix."""
    path, prefix = str(scope.get("path", "")), str(scope.get("app_root_path", scope.get("root_path", "")))
    return path, path[len(prefix) :] if prefix and path.startswith(prefix + "/") else path


def _pattern(template: str) -> re.Pattern[str]:
    """Make the pattern of the paths that a template may stand for; the router has chosen already."""
    found, at = "", 0
    for parameter in _PARAMETER.finditer(template):
        found += re.escape(template[at : parameter.start()]) + (".*" if parameter[1] == "path" else "[^/]+")
        at = parameter.end()
    return re.compile(found + re.escape(template[at:]))


# --- the report --------------------------------------------------------------------------------------------------


def route_share(routes: Mapping[GuardedRoute, RouteTally]) -> float | None:
    """Give the share of routes that were seen both ways, in percent; None where there are none."""
    return 100.0 * sum(each.is_covered for each in routes.values()) / len(routes) if routes else None


def route_text(routes: Mapping[GuardedRoute, RouteTally]) -> str:
    """Lay out the table of routes."""
    rows = [("METHOD", "PATH", "ACTION", "ALLOWED", "REFUSED")]
    rows += [
        (",".join(route.methods) or "ANY", route.path, route.action, _word(tally.allowed), _word(tally.refused))
        for route, tally in sorted(routes.items(), key=lambda item: item[0])
    ]
    covered = sum(each.is_covered for each in routes.values())
    return "\n".join([*aligned(rows), f"{covered} of {len(routes)} guarded routes were tested both ways"])


def route_json(routes: Mapping[GuardedRoute, RouteTally]) -> dict[str, Any]:
    """Give the report as JSON values."""
    rows = sorted(routes.items(), key=lambda item: item[0])
    return {
        "percent": rounded(route_share(routes)),
        "routes": [
            {
                "path": route.path,
                "methods": list(route.methods),
                "endpoint": route.name,
                "action": route.action,
                "allowed": tally.allowed,
                "refused": tally.refused,
            }
            for route, tally in rows
        ],
    }


def _word(is_seen: bool) -> str:
    return "yes" if is_seen else "NEVER"
