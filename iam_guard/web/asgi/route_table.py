"""What the guard asks of the routes of an ASGI framework: a `RouteReader` for each, which alone knows its attributes.

Frameworks are not imported: a reader recognizes its routes by what they have. `routes.py` lists the readers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from iam_guard.web.endpoints import Endpoint
from iam_guard.web.route_maps.route_map import RouteMap


class MountPath(NamedTuple):
    """The mounts before a route: their joined template, and the host of the innermost route with a host."""

    path: str = ""
    host: str | None = None

    def through(self, path: str, host: str | None = None) -> MountPath:
        return MountPath(self.path + path.rstrip("/"), self.host if host is None else host)

    def ends_with(self, other: MountPath) -> bool:
        return self.path.endswith(other.path) and other.host in (None, self.host)


class RouteNode(NamedTuple):
    """A route to an endpoint or to a mounted application."""

    route: Any
    mount: MountPath
    path: str
    """Its own template."""
    host: str | None = None
    """Its own host template; None for every host."""
    mounted: Any = None
    """The application whose routes are behind it, if it has any; None for an endpoint."""
    inner: Sequence[Any] = ()
    """The routes behind it."""

    @property
    def template(self) -> str:
        return self.mount.path + self.path


class RouteReader(Protocol):
    """Reads and guards the routes of one framework."""

    def reads(self, route: Any) -> bool:
        """Return whether a route is one of this framework."""

    def nodes(self, route: Any, mount: MountPath) -> Iterator[RouteNode]:
        """Yield what a route leads to: itself, the routes of an included router, one for each of its handlers."""

    def guards(self, route: Any) -> list[Any]:
        """Return what a route calls before its endpoint."""

    def routed(self, scope: Mapping[str, Any]) -> Any:
        """Return the route, or what stands for it, that the framework has put into the scope of a request, or None."""

    def endpoints(self, node: RouteNode) -> Iterator[Endpoint]:
        """Yield the endpoints of a node without routes behind it; `routes.py` adds the host."""

    def install(self, node: RouteNode, routes: RouteMap) -> None:
        """Install a route map in a node; idempotent.

        Raises `ConfigurationError` for a row whose route has no place for it.
        """
