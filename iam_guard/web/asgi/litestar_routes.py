"""The routes of Litestar: handlers with their guards, and mounts.

The guards of a handler run before its dependencies and before the body is read; a route map inserts its own as the
first one. The scope has the template that matched, but no path of a mount, so each mount gets a copy of its handler.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Final, NamedTuple

from iam_guard.errors import ConfigurationError
from iam_guard.web.asgi.route_mapping import RouteRow, pass_mount
from iam_guard.web.asgi.route_table import MountPath, RouteNode
from iam_guard.web.endpoints import Endpoint, endpoint_row, name_of, own_mark
from iam_guard.web.requirement import MARK
from iam_guard.web.route_maps.route_map import ANY, BY_MAP, RouteMap, template_of

APP_KEY: Final = "litestar_app"
"""The key of a scope under which the router stores its application, before it matches."""
_MOUNT: Final = "iam_guard.mount"
"""The option of the handler of a mount for the path of the mount."""


class _HandledRoute(NamedTuple):
    """A route with one of its handlers."""

    route: Any
    handler: Any


class LitestarRoutes:
    """Reads and guards the routes of Litestar, and its handlers."""

    def reads(self, route: Any) -> bool:
        return isinstance(route, _HandledRoute) or hasattr(route, "resolve_guards") or bool(handlers_of(route))

    def nodes(self, route: Any, mount: MountPath) -> Iterator[RouteNode]:
        for handler in handlers_of(route):
            is_mount = getattr(handler, "is_mount", False) and own_mark(handler.fn) is None
            yield RouteNode(_HandledRoute(route, handler), mount, route.path, mounted=handler.fn if is_mount else None)

    def guards(self, route: Any) -> list[Any]:
        return list(route.resolve_guards())

    def routed(self, scope: Mapping[str, Any]) -> Any:
        return scope.get("route_handler")

    def endpoints(self, node: RouteNode) -> Iterator[Endpoint]:
        handler = node.route.handler
        endpoint = handler.fn
        guards = [each for each in self.guards(handler) if own_mark(each) not in (None, BY_MAP)]  # a map adds its own
        is_added = getattr(endpoint, "__module__", "").startswith("litestar.")  # OPTIONS: a new function for each path
        runs = getattr(endpoint, "__code__", endpoint) if is_added else endpoint
        name = name_of(getattr(endpoint, "func", endpoint))
        yield endpoint_row(node.template, methods_of(handler), name, endpoint, *guards, handler=runs)

    def install(self, node: RouteNode, routes: RouteMap) -> None:
        """Insert the guard into the guards of a handler, which caches that list once it is registered."""
        handler = _handler_with_path(*node.route)
        guards = handler.resolve_guards()
        ours = next((guard for guard in guards if isinstance(guard, _MapGuard) and guard.route_map is routes), None)
        if ours is None:
            ours = _MapGuard(routes)
            guards.insert(0, ours)
            if ours not in handler.resolve_guards():
                message = f"expected a handler whose guards can be changed, got that of `{node.template}`"
                raise ConfigurationError(message, place="routes")
        if not node.inner:
            ours.add_route(node, methods_of(handler))


def handlers_of(route: Any) -> Sequence[Any]:
    """Return the handlers of a route, including mounts; nothing for routes of other frameworks."""
    handler = getattr(route, "route_handler", None)
    return getattr(route, "route_handlers", None) or ([] if handler is None else [handler])


def methods_of(handler: Any) -> tuple[str, ...]:
    """Return the methods of a handler; nothing if it takes all of them."""
    if hasattr(handler, "resolve_websocket_class"):
        return ("WEBSOCKET",)
    return tuple(sorted(str(getattr(method, "value", method)) for method in getattr(handler, "http_methods", ())))


def handled_by(scope: Mapping[str, Any]) -> Any:
    """Return the function that handles a request, which is known before it is routed; None in other frameworks."""
    handler = scope.get("route_handler")
    return None if handler is None else handler.fn


class _MapGuard:
    """The first guard of one handler, which may have several routes."""

    def __init__(self, routes: RouteMap) -> None:
        self.route_map = routes
        self._rows: dict[str, RouteRow] = {}
        self._is_fully_mapped = True

    def add_route(self, node: RouteNode, methods: tuple[str, ...]) -> None:
        self._rows.setdefault(template_of(node.path), RouteRow(self.route_map, node.path)).mounts.add(node.mount)
        marks = (self.route_map.mark(method, node.template, node.mount.host) for method in methods or (ANY,))
        self._is_fully_mapped &= all(mark is not None for mark in marks)
        # Code between the middleware and the guards, such as a rate limit, may answer for a guarded handler.
        setattr(self, MARK, BY_MAP if self._is_fully_mapped else None)

    async def __call__(self, connection: Any, handler: Any) -> None:
        scope = connection.scope
        is_mount = getattr(handler, "is_mount", False)
        template = handler.opt.get(_MOUNT, "") if is_mount else scope.get("path_template", "")
        if not self._rows:
            pass_mount(scope, template)
            return
        row = self._rows.get(template_of(template))
        if row is None:
            raise ConfigurationError(f"expected a template of the handler, got `{template}`", place="routes")
        await row.decide(scope)


def _handler_with_path(route: Any, handler: Any) -> Any:
    """Return the handler of a route; for a mount, a copy with the path for the shared guards."""
    if not getattr(handler, "is_mount", False) or handler.opt.get(_MOUNT) == route.path:
        return handler
    handler.resolve_guards()  # so that the copy shares the list
    route.route_handler = copy(handler)
    route.route_handler.opt = {**handler.opt, _MOUNT: route.path}
    return route.route_handler
