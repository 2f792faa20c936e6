"""Route maps in files: YAML (or JSON) of our own form, and OpenAPI documents that say `x-iam-action`.

    version: 1
    routes:
      - {path: "/documents/{id}", methods: [GET], action: "docs:GetDocument", resource: "document/{id}"}
      - {path: /health, methods: [GET], public: true}

`host: api.example.com` says which route is meant where several hosts have one path.

In OpenAPI an operation has `x-iam-action: docs:GetDocument`, and where it applies `x-iam-resource`, `x-iam-conceal`,
`x-iam-unsigned-payload` and `x-iam-raw`; or `x-iam-public: true`. Every operation must say one of the two, for a map
that leaves one out by mistake would leave it to be found in production. `x-iam-host` stands on the document, a path or
an operation, the innermost counts; `servers` say where clients find the service, not for which host the application has
a route. Everything is read strictly, with the line of what is wrong.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from iam_guard.errors import ConfigurationError, SeedError
from iam_guard.store.seed.fields import Fields, node_text
from iam_guard.store.seed.problems import Problems
from iam_guard.store.seed.seed_tree import MapNode, Node, read_tree
from iam_guard.web.route_map import RouteMap

_ROW: Final = ("path", "methods", "host", "action", "resource", "conceal", "unsigned_payload", "raw", "public")
_OPERATIONS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
_MARKS: Final = (
    "x-iam-action",
    "x-iam-resource",
    "x-iam-conceal",
    "x-iam-unsigned-payload",
    "x-iam-raw",
    "x-iam-public",
)
_HOST: Final = "x-iam-host"


def read_route_map(path: str | Path) -> RouteMap:
    """Read a map of our own form, or an OpenAPI document; raise `ConfigurationError` that says what is wrong where."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the route map cannot be read: {type(error).__name__}", place=str(path)) from None
    return route_map_of(text, str(path))


def route_map_of(text: str, name: str = "the route map") -> RouteMap:
    """Do the same with a text; `name` is how it is called in errors."""
    problems, routes = Problems(name), RouteMap()
    try:
        root = read_tree(text, problems)
        if isinstance(root, MapNode) and root.get("openapi") is not None:
            _read_openapi(root, routes, problems)
        else:
            _read_own(root, routes, problems)
        problems.raise_any()
    except SeedError as error:  # so it is called there; the message begins with the file and the line
        raise ConfigurationError(error.message.replace("the seed", "the route map")) from None
    return routes


# --- our own form --------------------------------------------------------------------------------------------------


def _read_own(root: Node, routes: RouteMap, problems: Problems) -> None:
    whole = Fields(root, "a route map", ("version", "routes"), problems)
    whole.integer("version", range(1, 2), 1)
    whole.node("version", required=True)
    whole.node("routes", required=True)
    for node in whole.items("routes"):
        fields = Fields(node, "a route", _ROW, problems)
        path, host = fields.text("path", required=True), fields.text("host")
        methods = [node_text(each, "each of `methods`", problems) for each in fields.items("methods")] or ["ANY"]
        for method in methods:
            if path is not None and method is not None:
                _put(routes, fields, problems, (method, path, host), _ROW[3:])


# --- OpenAPI ---------------------------------------------------------------------------------------------------------


def _read_openapi(root: MapNode, routes: RouteMap, problems: Problems) -> None:
    paths = root.get("paths")
    if not isinstance(paths, MapNode):
        raise problems.fatal(root.line, "expected `paths` in the OpenAPI document")
    host = _host(_said(root, "a document", (_HOST,), problems))
    for path, item in paths.pairs:
        if not isinstance(item, MapNode):
            problems.add(item.line, f"expected the operations of `{path.text[:200]}`")
            continue
        here = _host(_said(item, "a path", (_HOST,), problems), host)
        for name, operation in item.pairs:
            if name.text in _OPERATIONS:
                _read_operation(operation, routes, problems, (name.text.upper(), path.text, here))


def _read_operation(node: Node, routes: RouteMap, problems: Problems, route: tuple[str, str, str | None]) -> None:
    method, path, host = route
    fields = _said(node, "an operation", (*_MARKS, _HOST), problems)
    if not any(fields.has(each) for each in _MARKS):
        problems.add(node.line, f"expected `x-iam-action` or `x-iam-public` in {method} `{path[:200]}`")
        return
    _put(routes, fields, problems, (method, path, _host(fields, host)), _MARKS)


def _host(fields: Fields, around: str | None = None) -> str | None:
    """Return the host that is named here, or else around it."""
    return fields.text(_HOST) if fields.has(_HOST) else around


def _said(node: Node, what: str, known: Collection[str], problems: Problems) -> Fields:
    """Return what a part of a document says to us; the rest of it is for others."""
    pairs = tuple(pair for pair in node.pairs if pair[0].text.startswith("x-iam-")) if isinstance(node, MapNode) else ()
    return Fields(MapNode(pairs, node.line, 1, 1), what, known, problems)


# --- one row -----------------------------------------------------------------------------------------------------


def _put(
    routes: RouteMap, fields: Fields, problems: Problems, route: tuple[str, str, str | None], keys: Collection[str]
) -> None:
    """Put a row in for a method, path and host; `keys` name what follows the host in `_ROW`."""
    method, path, host = route
    action_key, resource_key, conceal_key, unsigned_key, raw_key, public_key = keys
    action, is_public = fields.text(action_key), _truth(fields, public_key)
    resource, conceal, unsigned = fields.text(resource_key), _truth(fields, conceal_key), _truth(fields, unsigned_key)
    raw = [node_text(each, f"each of `{raw_key}`", problems) for each in fields.items(raw_key)]
    if is_public is (action is not None) or (is_public and (resource is not None or conceal or unsigned or raw)):
        problems.add(fields.line, f"expected either `{action_key}`, with what belongs to it, or `{public_key}`")
        return
    try:
        if action is None:
            routes.public(method, path, host=host)
        else:
            routes.requires(
                *(method, path, action),
                host=host,
                resource=resource or "*",
                conceal=conceal,
                unsigned_payload=unsigned,
                raw=[name for name in raw if name is not None],
            )
    except ConfigurationError as error:
        problems.add(fields.line, error.message)


def _truth(fields: Fields, key: str) -> bool:
    return fields.choice(key, ("true", "false"), "false") == "true"
