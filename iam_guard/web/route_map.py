"""Which action guards which route, for applications whose handlers nobody can touch: a table beside them.

    routes = RouteMap()
    routes.requires("GET", "/documents/{document_id}", "docs:GetDocument", resource="document/{document_id}")
    routes.public("GET", "/health")
    GuardMiddleware(app, guard=guard, routes=routes)

A row names a route by its method and its template, as the application declares it (`{document_id:int}` and
`<int:document_id>` are `{document_id}` here), and where routes of several hosts have one template, by the host too.
INVARIANT: what is decided is the route that the router matched; a row is found by that route's template, never by
comparing it with the path of a request. A row without a route is an error, so that a map cannot silently be of
yesterday. A decorator on the handler counts besides.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from iam_guard.errors import ConfigurationError
from iam_guard.web.endpoints import Endpoint, identity_of, refuse_unfit_handlers
from iam_guard.web.mapped_route import MappedRoute, Mark
from iam_guard.web.requirement import PUBLIC, ContextSource, Requirement, ResourceSource
from iam_guard.web.service import Service

ANY = "ANY"
"""In the place of a method: every one that has no row of its own. Of what is mounted as a whole there is no other."""
WEBSOCKET = "WEBSOCKET"
"""In the place of a method."""
BY_MAP = "by the map"
"""The mark of what a map has put before a handler."""

_METHOD = re.compile(r"[A-Z][A-Z-]{0,19}")
_PARAMETER = re.compile(
    r"\{([^{}:]+):[^{}]*\}"  # Starlette and Litestar: {name:convertor}
    r"|(?<!\(\?P)<(?:[a-zA-Z_]\w*(?:\(.*?\))?:)?([a-zA-Z_]\w*)>"  # Flask and Django: <convertor(what it takes):name>
)
"""A parameter with its convertor; the groups of a regular expression, `(?P<name>…)`, are written as they are."""


class _Key(NamedTuple):
    """What a row is about. `host` is a template; None for whatever host has no row of its own."""

    method: str
    path: str
    host: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.host or ''}{self.path}"


class RouteMap:
    """Rows by method, template and host. Fill it before the application serves; then it stays as it is."""

    def __init__(self, *, services: Iterable[Service] = ()) -> None:
        """Begin without rows. `services` are those that the application has anyway; others are made as rows name them.

        Hand `routes.services` to `open_guard`.
        """
        self._services = {service.name: service for service in services}
        self._rows: dict[_Key, MappedRoute] = {}

    @property
    def services(self) -> list[Service]:
        """The services of the actions, with what rows declared."""
        return list(self._services.values())

    @property
    def takes_unsigned(self) -> bool:
        """Whether some row takes a body that the signature leaves out."""
        return any(row.takes_unsigned for row in self._rows.values())

    def requires(
        self,
        method: str,
        path: str,
        action: str,
        *,
        resource: ResourceSource = "*",
        context: ContextSource = None,
        conceal: bool = False,
        unsigned_payload: bool = False,
        raw: Collection[str] = (),
        host: str | None = None,
    ) -> None:
        """Let a route run only for callers who may do `action` (`docs:GetDocument`); all else as `Service.requires`.

        A loader's parameters are the route's. `method` is one of HTTP's, `WEBSOCKET` or `ANY`; a `HEAD` without a row
        has the one of `GET`. `host` is the template of a route for one host. Raises `ConfigurationError` where the row
        makes no sense, or there is one already.
        """
        prefix, colon, name = action.partition(":")
        if not colon:
            raise ConfigurationError(f"expected an action such as `docs:GetDocument`, got `{action}`", place=path)
        service = self._services.get(prefix) or Service(prefix)
        requirement = service.requirement(
            name, resource=resource, context=context, conceal=conceal, unsigned_payload=unsigned_payload, raw=raw
        )
        self._put(method, path, host, requirement)
        self._services[prefix] = service

    def public(self, method: str, path: str, *, host: str | None = None) -> None:
        """Open a route to everybody; bad credentials are refused there too."""
        self._put(method, path, host, PUBLIC)

    def mark(self, method: str, path: str, host: str | None = None) -> Mark | None:
        """Return what guards a route, by its template and its host; None where no row does."""
        row = self.row(method, path, host)
        return None if row is None else row.mark

    def row(self, method: str, path: str, host: str | None = None) -> MappedRoute | None:
        """Return the row of a route that a router has matched, which decides about it; None without one."""
        key = self._key(method, path, host)
        return None if key is None else self._rows[key]

    def _key(self, method: str, path: str, host: str | None) -> _Key | None:
        """Find the row of a route; one that names its host comes before one that names none."""
        template = template_of(path)
        methods = (method, "GET", ANY) if method == "HEAD" else (method, ANY)
        hosts = (None,) if host is None else (template_of(host), None)
        tried = (_Key(each, template, where) for where in hosts for each in methods)
        return next((each for each in tried if each in self._rows), None)

    def refuse_async_loaders(self) -> None:
        """Raise `ConfigurationError` for a row whose loaders a synchronous framework could not wait for."""
        for row in self._rows.values():
            row.refuse_async_loaders()

    def methods_of(self, path: str) -> tuple[str, ...]:
        """Return the methods that rows take of a route, by its template; `HEAD` too where they take `GET`."""
        template = template_of(path)
        named = {row.method for row in self._rows if row.path == template}
        return tuple(sorted(named | ({"HEAD"} if "GET" in named else set())))

    def has_row_of(self, path: str) -> bool:
        """Return whether some row is about a route, by its template."""
        template = template_of(path)
        return any(row.path == template for row in self._rows)

    def joined(self, inventory: Iterable[Endpoint]) -> list[Endpoint]:
        """Return the inventory with what the rows add to it; methods that are guarded otherwise become endpoints apart.

        Raises `ConfigurationError` for rows whose route the application does not have, or has at several hosts, and for
        those whose template the handler cannot fill.
        """
        endpoints = list(inventory)
        known: dict[tuple[str, str | None], set[str]] = {}
        for each in endpoints:
            for host in {None, _host_of(each)}:
                known.setdefault((template_of(each.path), host), set()).update(each.methods or (ANY,))
        strange = [str(each) for each in self._rows if not _is_there(each.method, known.get(each[1:], set()))]
        if strange:
            raise ConfigurationError(f"the application has no such route: {', '.join(strange)}", place="routes")
        self._refuse_ambiguous(endpoints)
        joined = [row for endpoint in endpoints for row in self._join(endpoint)]
        refuse_unfit_handlers(joined)
        return joined

    def _refuse_ambiguous(self, endpoints: Iterable[Endpoint]) -> None:
        """Raise `ConfigurationError` for a row that would guard several routes alike, and nobody knows whether it means
        to: those of several hosts, where it names none, and those of several handlers that differ in a convertor.
        """
        hosts: dict[_Key, set[str]] = {}
        paths: dict[tuple[_Key, str], dict[str, object]] = {}
        for endpoint in endpoints:
            for method in self._taken_by(endpoint):
                key = self._key(method, endpoint.path, endpoint.host)
                if key is not None:
                    hosts.setdefault(key, set()).add(_host_of(endpoint) or "any other")
                    paths.setdefault((key, method), {}).setdefault(endpoint.path, identity_of(endpoint))
        for key, found in hosts.items():
            if key.host is None and len(found) > 1:
                message = f"`{key}` is a route of several hosts ({', '.join(sorted(found))}): say which by `host`"
                raise ConfigurationError(message, place="routes")
        for (key, _), handlers in paths.items():
            if len(set(handlers.values())) > 1:
                message = f"`{key}` is for several routes ({', '.join(handlers)}): guard them where they are declared"
                raise ConfigurationError(message, place="routes")

    def _put(self, method: str, path: str, host: str | None, mark: Mark) -> None:
        template = template_of(path)
        if not _METHOD.fullmatch(method) or not template.startswith("/"):
            message = f"expected a method in capital letters and a path that begins with `/`, got `{method} {path}`"
            raise ConfigurationError(message, place="routes")
        if host is not None and (not host or "/" in host):
            raise ConfigurationError(f"expected a host such as `api.example.com`, got `{host}`", place="routes")
        key = _Key(method, template, None if host is None else template_of(host))
        if key in self._rows:
            raise ConfigurationError(f"`{key}` is in the map twice", place="routes")
        self._rows[key] = MappedRoute(str(key), mark)

    def _join(self, endpoint: Endpoint) -> list[Endpoint]:
        methods: list[tuple[Mark | None, list[str]]] = []  # no dictionary: a mapping of condition keys has no hash
        for method in self._taken_by(endpoint):
            mark = self.mark(method, endpoint.path, endpoint.host)
            those = next((those for known, those in methods if known == mark), None)
            if those is None:
                methods.append((mark, [method]))
            else:
                those.append(method)
        return [
            replace(
                endpoint,
                methods=() if those == [ANY] else tuple(those),
                guards=endpoint.guards if mark is None else (*endpoint.guards, f"{mark}, {BY_MAP}"),
                requirements=(*endpoint.requirements, *([mark] if isinstance(mark, Requirement) else ())),
            )
            for mark, those in methods
        ]

    def _taken_by(self, endpoint: Endpoint) -> tuple[str, ...]:
        named = self.methods_of(endpoint.path) if endpoint.methods_are_untold else ()
        if not named:
            return endpoint.methods or (ANY,)
        return (*named, ANY) if endpoint.is_guarded and ANY not in named else named


@lru_cache(maxsize=4096)  # asked with each request, about a route of the application
def template_of(path: str) -> str:
    """Return a route's template without the convertors of its parameters: `/documents/{document_id}`."""
    return _PARAMETER.sub(lambda found: f"{{{found[1] or found[2]}}}", path)


def _host_of(endpoint: Endpoint) -> str | None:
    return None if endpoint.host is None else template_of(endpoint.host)


def _is_there(method: str, methods: set[str]) -> bool:
    return bool(methods) if method == ANY else method in methods or ANY in methods
