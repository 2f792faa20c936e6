"""Find the component that a message names, its canonical name, and what guards it.

FastMCP finds a component by more than one text: a URI with other percent-encodings, the hash of a tool, a version. The
decision is about the component that FastMCP runs, under the name that the server gave it. The guard of a component of a
mounted server, or of a transformed tool, is that of the function that runs in the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from fastmcp import FastMCP
from fastmcp.exceptions import NotFoundError
from fastmcp.prompts.base import Prompt
from fastmcp.resources.template import ResourceTemplate, expand_uri_template
from fastmcp.server.middleware.authorization import _requested_version
from fastmcp.server.providers.addressing import parse_hashed_backend_name
from fastmcp.server.providers.fastmcp_provider import (
    FastMCPProviderPrompt,
    FastMCPProviderResource,
    FastMCPProviderTool,
)
from fastmcp.server.providers.prefab_synthesis import synthesize_prefab_resource_by_uri
from fastmcp.utilities.components import FastMCPComponent
from fastmcp.utilities.versions import VersionSpec

from iam_guard.adapters import check_text
from iam_guard.errors import InvalidInput

READ: Final = "resources/read"
MAX_NAME: Final = 1024
"""The maximum length of a component's name in a decision."""
_QUERY: Final = re.compile(r"\{[?&][^}]*\}")
_VARIABLE: Final = re.compile(r"\{[^}]*\}")


class Found(NamedTuple):
    """A component that a message names; `name` is the text in the ARN of a decision by name."""

    kind: str
    component: FastMCPComponent
    name: str

    @property
    def key(self) -> str:
        """The key of the component in a map: `tool/search`, `resource/data://documents/{id}`."""
        return f"{self.kind}/{key_of(self.component)}"


def key_of(component: Any) -> str:
    """Return a component's name, or the URI or URI template of a resource."""
    if isinstance(component, ResourceTemplate):
        return component.uri_template
    uri = getattr(component, "uri", None)
    return str(component.name if uri is None else uri)


def listed(kind: str, components: Iterable[Any]) -> list[Found]:
    """Return components of a list. The name of a template has `*` in place of its variables."""
    return [Found(kind, component, _VARIABLE.sub("*", _path_of(key_of(component)))) for component in components]


async def find(server: FastMCP, method: str, message: Any) -> Found:
    """Return the component that a call, a read or a prompt is for. Raises `NotFoundError`, `InvalidInput`."""
    version = _requested_version(message.meta)
    if method == READ:
        return await _find_resource(server, str(message.uri), version)
    kind, name = ("tool", message.name) if method == "tools/call" else ("prompt", message.name)
    component: FastMCPComponent | None
    if kind == "prompt":
        component = await server.get_prompt(name, version=version)
    else:
        component = await server.get_tool(name, version=version)
        hashed = parse_hashed_backend_name(name)
        if component is None and hashed is not None:
            component = await server.get_tool_by_hash(*hashed)
    if component is None:
        raise NotFoundError(f"Unknown {kind}: {name!r}")
    return Found(kind, component, _checked(component.name))


async def _find_resource(server: FastMCP, uri: str, version: Any) -> Found:
    component: Any = await synthesize_prefab_resource_by_uri(server, uri)
    if component is None:
        component = await server.get_resource(uri, version=version)
    if component is not None:
        return Found("resource", component, _checked(str(component.uri), is_uri=True))
    template = await server.get_resource_template(uri, version=version)
    values = None if template is None else template.matches(uri)
    if template is None or values is None:
        raise NotFoundError(f"Unknown resource: {uri!r}")
    for name, value in values.items():
        if isinstance(value, str) and value:
            check_text(value, name)
    canonical = expand_uri_template(_path_of(template.uri_template), values)
    if canonical != uri.partition("#")[0].partition("?")[0]:
        other = await server.get_resource(canonical, version=version)
        same = None if other is not None else await server.get_resource_template(canonical, version=version)
        if same is None or same.key != template.key:  # this URI would be decided under another component's name
            raise NotFoundError(f"Unknown resource: {uri!r}")
    return Found("resource", template, _checked(canonical, is_uri=True))


def _path_of(template: str) -> str:
    """Return a URI template without the variables of its query, which are arguments, no part of the name."""
    return _QUERY.sub("", template)


def _checked(name: str, *, is_uri: bool = False) -> str:
    if not name or len(name) > MAX_NAME:
        raise InvalidInput(f"expected a name of 1 to {MAX_NAME} characters", place="name")
    check_text(name.replace("//", "/").strip("/") if is_uri else name, "uri" if is_uri else "name")
    return name


def declared_arguments(component: Any) -> frozenset[str]:
    """Return the names of the arguments of a tool or prompt; a client may send more."""
    if isinstance(component, Prompt):
        return frozenset(argument.name for argument in component.arguments or ())
    return frozenset(component.parameters.get("properties") or ())


async def function_of(component: Any) -> Any:
    """Return the function that a component runs in the end; None for a remote component."""
    server = getattr(component, "_server", None)
    if isinstance(server, FastMCP):
        inner = await _mounted(server, component)
        return None if inner is None else await function_of(inner)
    own, parent = getattr(component, "fn", None), getattr(component, "parent_tool", None)
    is_own = parent is None or own is not getattr(component, "forwarding_fn", None)  # a function that transforms
    return own if is_own else await function_of(parent)


async def _mounted(server: FastMCP, component: Any) -> FastMCPComponent | None:
    """Return the component of a mounted server that one of the outer server stands for."""
    version = VersionSpec(eq=component.version) if component.version else None
    match component:
        case FastMCPProviderTool():
            return await server.get_tool(component._original_name or "", version)
        case FastMCPProviderResource():
            return await server.get_resource(component._original_uri or "", version)
        case FastMCPProviderPrompt():
            return await server.get_prompt(component._original_name or "", version)
    templates = await server.list_resource_templates(run_middleware=False)
    original = getattr(component, "_original_uri_template", None)
    same = [item for item in templates if item.uri_template == original and item.version == component.version]
    return same[0] if len(same) == 1 else None


async def all_of(server: FastMCP) -> list[Found]:
    """Return all components of a server, for checks at start-up."""
    templates = await server.list_resource_templates(run_middleware=False)
    return [
        *listed("tool", await server.list_tools(run_middleware=False)),
        *listed("resource", [*await server.list_resources(run_middleware=False), *templates]),
        *listed("prompt", await server.list_prompts(run_middleware=False)),
    ]
