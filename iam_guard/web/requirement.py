"""The requirement of a decorated handler: its declaration. `enforcement` enforces it when the handler is called."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypedDict

from iam_guard.errors import ConfigurationError, NoSuchEntity
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.context import Given, Lazy
from iam_guard.model.decision import Decision
from iam_guard.model.request import Resource
from iam_guard.web.annotations import (
    check_convertors,
    check_parameter_types,
    handler_parameters,
    route_parameters,
)
from iam_guard.web.resource_template import ResourceTemplate, describe_missing

Keys: TypeAlias = Mapping[str, "Given | Lazy"]
ResourceLoader: TypeAlias = Callable[..., "Resource | str | Awaitable[Resource | str | None] | None"]
ContextLoader: TypeAlias = Callable[..., "Keys | Awaitable[Keys]"]
ResourceSource: TypeAlias = str | ResourceLoader
ContextSource: TypeAlias = Keys | ContextLoader | None

MARK: Final = "__iam_guard__"
"""The attribute of an endpoint with its guard: a `Requirement`, `PUBLIC` or `OWN_GUARD`."""
PUBLIC: Final = "public"
"""The mark of a public endpoint."""
OWN_GUARD: Final = "custom guard"
"""The mark of a mounted application that authenticates and authorizes by itself."""


class RequirementOptions(TypedDict, total=False):
    """The options of `Service.requires`, for functions that pass them on."""

    resource: ResourceSource
    context: ContextSource
    conceal: bool
    unsigned_payload: bool
    raw: Collection[str]


class Concealed(NoSuchEntity):
    """A denial answered as if the resource did not exist; `decision` is the denial, for internal use."""

    def __init__(self, decision: Decision | None = None) -> None:
        super().__init__("there is no such resource")
        self.decision = decision

    def __reduce__(self) -> tuple[object, ...]:
        """Support `pickle`, without the decision, as `AccessDenied` does."""
        return type(self), ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """The declaration of one decorator."""

    action: str
    template: ResourceTemplate | None
    loader: ResourceLoader | None
    context: ContextSource
    conceal: bool
    unsigned_payload: bool
    raw: frozenset[str]
    """The parameters whose values are data, so that any text may be part of an ARN."""
    catalogue: Catalogue = field(compare=False, repr=False)
    """The catalogue that declares the action."""

    @classmethod
    def declare(
        cls,
        catalogue: Catalogue,
        action: str,
        *,
        resource: ResourceSource = "*",
        context: ContextSource = None,
        conceal: bool = False,
        unsigned_payload: bool = False,
        raw: Collection[str] = (),
    ) -> Requirement:
        """Parse a declaration, and add it to the catalogue. Raises `ConfigurationError` if it is invalid."""
        name = f"{catalogue.service}:{action}"
        _check_sources(resource, context, name)
        template = loader = None
        parameters: Collection[str] = ()
        if not isinstance(resource, str):
            loader = resource
            parameters = loader_parameters(resource) if raw else ()
        elif resource != "*":
            template = ResourceTemplate(resource, service=catalogue.service, raw=raw)
            parameters = template.parameters
        _check_raw_names(raw, parameters, name)
        requirement = cls(name, template, loader, context, conceal, unsigned_payload, frozenset(raw), catalogue)
        catalogue.declare_use(
            action,
            requirement.resource,
            is_loader=loader is not None,
            keys=list(context) if isinstance(context, Mapping) else (),
            has_open_keys=callable(context),
        )
        return requirement

    @property
    def resource(self) -> str:
        """The text of the template, or the name of the loader, for people."""
        if self.loader is not None:
            return f"{getattr(self.loader, '__name__', 'loader')}()"
        return self.template.text if self.template else "*"

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"

    def check_parameter_types(self, handler: Callable[..., Any], path: str = "") -> None:
        """Raise `ConfigurationError` if a handler's annotations or its route's path can't fill the template."""
        if self.template is not None:
            check_parameter_types(handler, self.template.parameters, place=self.action)
            check_convertors(path, self.template.parameters, place=self.action)

    def check_parameter_names(self, handler: Callable[..., Any], route: str) -> None:
        """Raise `ConfigurationError` if neither the handler nor its route has a parameter of the template or loaders.

        `route` is the template of the host and the path. A handler with `**kwargs` may have every parameter, and what
        guards a route before its handler has `request`.
        """
        names = handler_parameters(handler)
        if names is None:
            return
        known = dict.fromkeys((*route_parameters(route), *names, "request"))
        if self.template is not None:
            for name in self.template.parameters:
                if name not in known and name not in self.template.defaults:
                    message = f"{describe_missing(name, known)} for the resource template `{self.template.text}`"
                    raise ConfigurationError(message, place=self.action)
        for loader in filter(callable, (self.loader, self.context)):
            for name, is_required in loader_parameters(loader).items():
                if is_required and name not in known:
                    kind = getattr(loader, "__name__", "loader")
                    raise ConfigurationError(f"{describe_missing(name, known)} for `{kind}()`", place=self.action)


def _check_sources(resource: object, context: object, action: str) -> None:
    """Raise `ConfigurationError` if the resource or the context has the wrong type and is not a loader."""
    if not isinstance(resource, str) and not callable(resource):
        message = f"expected a resource as a template or a loader, got `{type(resource).__name__}`"
        raise ConfigurationError(message, place=action)
    if context is not None and not isinstance(context, Mapping) and not callable(context):
        message = f"expected condition keys as a mapping or a loader, got `{type(context).__name__}`"
        raise ConfigurationError(message, place=action)


def _check_raw_names(raw: Collection[str], parameters: Collection[str], action: str) -> None:
    """Raise `ConfigurationError` for raw parameters that the template or the loader doesn't have."""
    unknown = [raw] if isinstance(raw, str) else [name for name in raw if name not in parameters]
    if unknown:
        names = ", ".join(f"`{name}`" for name in parameters) or "none"
        message = f"expected parameters of the resource in `raw` ({names}), got `{unknown[0]}`"
        raise ConfigurationError(message, place=action)


def takes_unsigned(mark: object) -> bool:
    """Return whether a mark is a requirement that accepts a body which the signature does not cover."""
    return isinstance(mark, Requirement) and mark.unsigned_payload


@lru_cache(maxsize=1024)  # loaders are declared once and called with every request
def loader_parameters(loader: Callable[..., Any]) -> dict[str, bool]:
    """Return the parameters of a loader, without `*args` and `**kwargs`, and whether each is required."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(loader).parameters.values()
    return {item.name: item.default is item.empty for item in parameters if item.kind not in variadic}
