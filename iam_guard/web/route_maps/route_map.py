"""Route maps: a table of actions and routes, for applications whose handlers can't be decorated.

    routes = RouteMap()
    routes.requires("GET", "/documents/{document_id}", "docs:GetDocument", resource="document/{document_id}")
    routes.public("GET", "/health")
    GuardMiddleware(app, guard=guard, routes=routes)

A row names a route by its method and its template, as the application declares it (`{document_id:int}` and
`<int:document_id>` are `{document_id}` here), and by its host if routes of several hosts have the same template.
INVARIANT: a row is looked up by the template of the route that the router matched, never by comparing paths. A row
without a route is an error, so that an outdated map is noticed. Decorators of handlers are enforced in addition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple, Unpack

from iam_guard.errors import ConfigurationError
from iam_guard.web.endpoints import Endpoint, check_handler_parameters, handler_identity, route_address
from iam_guard.web.requirement import PUBLIC, Requirement, RequirementOptions, takes_unsigned
from iam_guard.web.route_maps.mapped_route import MappedRoute, Mark
from iam_guard.web.service import Service, split_action

ANY = "ANY"
"""A method of rows: all methods without their own row. Mounted applications have only this one."""
WEBSOCKET = "WEBSOCKET"
"""A method of rows."""
BY_MAP = "by the map"
"""The mark of the guards that a map installs before handlers."""

_METHOD = re.compile(r"[A-Z][A-Z-]{0,19}")
_PARAMETER = re.compile(
    r"\{([^{}:]+):[^{}]*\}"  # Starlette and Litestar: {name:convertor}
    r"|(?<!\(\?P)<(?:[a-zA-Z_]\w*(?:\(.*?\))?:)?([a-zA-Z_]\w*)>"  # Flask and Django: <convertor(arguments):name>
)
"""A parameter with its convertor; groups of regular expressions, `(?P<name>…)`, stay unchanged."""


class _RouteKey(NamedTuple):
    """The key of a row. `host` is a template; None for all hosts without their own row."""

    method: str
    path: str
    host: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {route_address(self.host, self.path)}"


class RouteMap:
    """Rows by method, template and host. Complete it before the application serves requests."""

    def __init__(self, *, services: Iterable[Service] = ()) -> None:
        """Create an empty map. `services` are existing services; others are created as rows name them.

        Pass `routes.services` to `open_guard`.
        """
        self._services = {service.name: service for service in services}
        self._rows: dict[_RouteKey, MappedRoute] = {}

    @property
    def services(self) -> list[Service]:
        """The services of the actions, with the declarations of the rows."""
        return list(self._services.values())

    @property
    def takes_unsigned(self) -> bool:
        """Whether a row accepts a body that the signature does not cover."""
        return any(takes_unsigned(row.mark) for row in self._rows.values())

    def requires(
        self,
        method: str,
        path: str,
        action: str,
        *,
        host: str | None = None,
        **options: Unpack[RequirementOptions],
    ) -> None:
        """Require `action` (`docs:GetDocument`) for a route; the other arguments are those of `Service.requires`.

        Loaders get the parameters of the route. `method` is an HTTP method, `WEBSOCKET` or `ANY`; a `HEAD` without a
        row uses that of `GET`. `host` is the host template of a route. Raises `ConfigurationError` for an invalid or
        duplicate row.
        """
        prefix, name = split_action(action, path)
        service = self._services.get(prefix) or Service(prefix)
        requirement = service.requirement(name, **options)
        self._add(method, path, host, requirement)
        self._services[prefix] = service

    def public(self, method: str, path: str, *, host: str | None = None) -> None:
        """Declare a route public; invalid credentials are still rejected."""
        self._add(method, path, host, PUBLIC)

    def mark(self, method: str, path: str, host: str | None = None) -> Mark | None:
        """Return the mark of a route, by its template and its host; None without a row."""
        row = self.row(method, path, host)
        return None if row is None else row.mark

    def row(self, method: str, path: str, host: str | None = None) -> MappedRoute | None:
        """Return the row of a matched route, by its template and its host; None without one."""
        key = self._key(method, path, host)
        return None if key is None else self._rows[key]

    def _key(self, method: str, path: str, host: str | None) -> _RouteKey | None:
        """Return the key of a route's row; rows with its host take precedence."""
        template = template_of(path)
        methods = (method, "GET", ANY) if method == "HEAD" else (method, ANY)
        hosts = (None,) if host is None else (template_of(host), None)
        candidates = (_RouteKey(method, template, host) for host in hosts for method in methods)
        return next((key for key in candidates if key in self._rows), None)

    def refuse_async_loaders(self) -> None:
        """Raise `ConfigurationError` for a row with asynchronous loaders, which a synchronous framework can't await."""
        for row in self._rows.values():
            row.refuse_async_loaders()

    def methods_of(self, path: str) -> tuple[str, ...]:
        """Return the methods of a route's rows, by its template, with `HEAD` if there is `GET`; none without a row."""
        template = template_of(path)
        named = {row.method for row in self._rows if row.path == template}
        return tuple(sorted(named | ({"HEAD"} if "GET" in named else set())))

    def joined(self, inventory: Iterable[Endpoint]) -> list[Endpoint]:
        """Return the inventory with the guards of the rows; methods with different guards become separate endpoints.

        Raises `ConfigurationError` for rows without a route, for rows with routes of several hosts, and for rows whose
        template the handler can't fill.
        """
        endpoints = list(inventory)
        methods: dict[tuple[str, str | None], set[str]] = {}
        for endpoint in endpoints:
            for host in {None, _host_of(endpoint)}:
                methods.setdefault((template_of(endpoint.path), host), set()).update(endpoint.methods or (ANY,))
        unknown = [str(key) for key in self._rows if not _has_method(key.method, methods.get(key[1:], set()))]
        if unknown:
            raise ConfigurationError(f"the application has no such route: {', '.join(unknown)}", place="routes")
        self._check_ambiguous(endpoints)
        joined = [row for endpoint in endpoints for row in self._join(endpoint)]
        check_handler_parameters(joined)
        return joined

    def _check_ambiguous(self, endpoints: Iterable[Endpoint]) -> None:
        """Raise `ConfigurationError` for a row that matches several routes: of several hosts if the row has no host, or
        of several handlers whose paths differ only in a convertor.
        """
        hosts: dict[_RouteKey, set[str]] = {}
        paths: dict[tuple[_RouteKey, str], dict[str, object]] = {}
        for endpoint in endpoints:
            for method in self._methods_for(endpoint):
                key = self._key(method, endpoint.path, endpoint.host)
                if key is not None:
                    hosts.setdefault(key, set()).add(_host_of(endpoint) or "any other")
                    paths.setdefault((key, method), {}).setdefault(endpoint.path, handler_identity(endpoint))
        for key, found in hosts.items():
            if key.host is None and len(found) > 1:
                message = f"`{key}` is a route of several hosts ({', '.join(sorted(found))}): add `host` to the row"
                raise ConfigurationError(message, place="routes")
        for (key, _), handlers in paths.items():
            if len(set(handlers.values())) > 1:
                message = f"`{key}` is for several routes ({', '.join(handlers)}): decorate their handlers"
                raise ConfigurationError(message, place="routes")

    def _add(self, method: str, path: str, host: str | None, mark: Mark) -> None:
        template = template_of(path)
        if not _METHOD.fullmatch(method) or not template.startswith("/"):
            message = f"expected a method in capital letters and a path that begins with `/`, got `{method} {path}`"
            raise ConfigurationError(message, place="routes")
        if host is not None and (not host or "/" in host):
            raise ConfigurationError(f"expected a host such as `api.example.com`, got `{host}`", place="routes")
        key = _RouteKey(method, template, None if host is None else template_of(host))
        if key in self._rows:
            raise ConfigurationError(f"`{key}` is in the map twice", place="routes")
        self._rows[key] = MappedRoute(str(key), mark)

    def _join(self, endpoint: Endpoint) -> list[Endpoint]:
        methods: list[tuple[Mark | None, list[str]]] = []  # not a dictionary: marks may be unhashable
        for method in self._methods_for(endpoint):
            mark = self.mark(method, endpoint.path, endpoint.host)
            group = next((group for other, group in methods if other == mark), None)
            if group is None:
                methods.append((mark, [method]))
            else:
                group.append(method)
        return [
            replace(
                endpoint,
                methods=() if group == [ANY] else tuple(group),
                guards=endpoint.guards if mark is None else (*endpoint.guards, f"{mark}, {BY_MAP}"),
                requirements=(*endpoint.requirements, *([mark] if isinstance(mark, Requirement) else ())),
            )
            for mark, group in methods
        ]

    def _methods_for(self, endpoint: Endpoint) -> tuple[str, ...]:
        named = self.methods_of(endpoint.path) if endpoint.methods_are_unknown else ()
        if not named:
            return endpoint.methods or (ANY,)
        return (*named, ANY) if endpoint.is_guarded and ANY not in named else named


@lru_cache(maxsize=4096)  # called with each request, for the application's routes
def template_of(path: str) -> str:
    """Return a route's template without the convertors of its parameters: `/documents/{document_id}`."""
    return _PARAMETER.sub(lambda found: f"{{{found[1] or found[2]}}}", path)


def _host_of(endpoint: Endpoint) -> str | None:
    return None if endpoint.host is None else template_of(endpoint.host)


def _has_method(method: str, methods: set[str]) -> bool:
    return bool(methods) if method == ANY else method in methods or ANY in methods
