"""Route maps in files: YAML (or JSON) in our own format, and OpenAPI documents with `x-iam-action`.

    version: 1
    routes:
      - {path: "/documents/{id}", methods: [GET], action: "docs:GetDocument", resource: "document/{id}"}
      - {path: /health, methods: [GET], public: true}

`host: api.example.com` selects a route if several hosts have the same path.

In OpenAPI, an operation has `x-iam-action: docs:GetDocument` and optionally `x-iam-resource`, `x-iam-conceal`,
`x-iam-unsigned-payload` and `x-iam-raw`; or it has `x-iam-public: true`. An operation with neither is an error.
`x-iam-host` may be set for the document, a path or an operation; the innermost counts. `servers` are ignored: they are
public addresses, not hosts of routes. Parsing is strict, and errors contain the line.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from iam_guard.errors import ConfigurationError, SeedError
from iam_guard.policy.problems import Problems
from iam_guard.policy.yaml_tree import MapNode, Node, read_tree
from iam_guard.store.seed.fields import Fields, node_text
from iam_guard.web.route_maps.route_map import RouteMap

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
    """Read a map in our own format, or an OpenAPI document. Raises `ConfigurationError` with the line."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the route map cannot be read: {type(error).__name__}", place=str(path)) from None
    return route_map_of(text, str(path))


def route_map_of(text: str, name: str = "the route map") -> RouteMap:
    """Parse a map as `read_route_map` does; `name` is used in errors."""
    problems, routes = Problems(name), RouteMap()
    try:
        root = read_tree(text, problems)
        if isinstance(root, MapNode) and root.get("openapi") is not None:
            _read_openapi(root, routes, problems)
        else:
            _read_own(root, routes, problems)
        problems.raise_any()
    except SeedError as error:  # the parser is shared with seeds; the message starts with file and line
        raise ConfigurationError(error.message) from None
    return routes


# --- our own format --------------------------------------------------------------------------------------------------


def _read_own(root: Node, routes: RouteMap, problems: Problems) -> None:
    document = Fields(root, "a route map", ("version", "routes"), problems)
    document.integer("version", range(1, 2), 1)
    document.node("version", required=True)
    document.node("routes", required=True)
    for node in document.items("routes"):
        fields = Fields(node, "a route", _ROW, problems)
        path, host = fields.text("path", required=True), fields.text("host")
        methods = [node_text(each, "each of `methods`", problems) for each in fields.items("methods")] or ["ANY"]
        for method in methods:
            if path is not None and method is not None:
                _add_row(routes, fields, problems, (method, path, host), _ROW[3:])


# --- OpenAPI ---------------------------------------------------------------------------------------------------------


def _read_openapi(root: MapNode, routes: RouteMap, problems: Problems) -> None:
    paths = root.get("paths")
    if not isinstance(paths, MapNode):
        raise problems.fatal(root.line, "expected `paths` in the OpenAPI document")
    host = _host(_extension_fields(root, "a document", (_HOST,), problems))
    for path, item in paths.pairs:
        if not isinstance(item, MapNode):
            problems.add(item.line, f"expected the operations of `{path.text[:200]}`")
            continue
        here = _host(_extension_fields(item, "a path", (_HOST,), problems), host)
        for name, operation in item.pairs:
            if name.text in _OPERATIONS:
                _read_operation(operation, routes, problems, (name.text.upper(), path.text, here))


def _read_operation(node: Node, routes: RouteMap, problems: Problems, route: tuple[str, str, str | None]) -> None:
    method, path, host = route
    fields = _extension_fields(node, "an operation", (*_MARKS, _HOST), problems)
    if not any(fields.has(key) for key in _MARKS):
        problems.add(node.line, f"expected `x-iam-action` or `x-iam-public` in {method} `{path[:200]}`")
        return
    _add_row(routes, fields, problems, (method, path, _host(fields, host)), _MARKS)


def _host(fields: Fields, around: str | None = None) -> str | None:
    """Return the host of this part of the document, or of the enclosing one."""
    return fields.text(_HOST) if fields.has(_HOST) else around


def _extension_fields(node: Node, what: str, keys: Collection[str], problems: Problems) -> Fields:
    """Return the `x-iam-` extensions of a part of a document."""
    pairs = tuple(pair for pair in node.pairs if pair[0].text.startswith("x-iam-")) if isinstance(node, MapNode) else ()
    return Fields(MapNode(pairs, node.line, 1, 1), what, keys, problems)


# --- one row -----------------------------------------------------------------------------------------------------


def _add_row(
    routes: RouteMap, fields: Fields, problems: Problems, route: tuple[str, str, str | None], keys: Collection[str]
) -> None:
    """Add the row of a method, path and host; `keys` are the names of the members after the host in `_ROW`."""
    method, path, host = route
    action_key, resource_key, conceal_key, unsigned_key, raw_key, public_key = keys
    action, is_public = fields.text(action_key), _boolean(fields, public_key)
    resource = fields.text(resource_key)
    conceal, unsigned = _boolean(fields, conceal_key), _boolean(fields, unsigned_key)
    raw = [node_text(each, f"each of `{raw_key}`", problems) for each in fields.items(raw_key)]
    if is_public is (action is not None) or (is_public and (resource is not None or conceal or unsigned or raw)):
        problems.add(fields.line, f"expected either `{action_key}` with its options, or `{public_key}` alone")
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


def _boolean(fields: Fields, key: str) -> bool:
    return fields.choice(key, ("true", "false"), "false") == "true"
