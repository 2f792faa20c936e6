"""Endpoints of any framework: the mark that guards one, and its row in the inventory."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from iam_guard.errors import ConfigurationError
from iam_guard.model.catalogue import Catalogue
from iam_guard.web.requirement import MARK, Requirement

_REMEDY: Final = (
    "put `@requires` or `@public` below the route decorator, or use the guard of your framework's adapter "
    "(`Depends(guarded(…))` in FastAPI, `guards=[guarded(…)]` in Litestar)"
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint: `path` is the complete template, `guards` are descriptions (`docs:GetDocument on …`, `public`)."""

    path: str
    methods: tuple[str, ...]
    name: str
    guards: tuple[str, ...]
    requirements: tuple[Requirement, ...] = ()
    """The requirements that are enforced before it answers."""
    host: str | None = None
    """The host template of its route (`{tenant}.example.com`); None for every host."""
    methods_are_unknown: bool = False
    """Whether its methods are unknown; if a route map names some, the endpoint gets only these."""
    handler: Any = field(default=None, repr=False, compare=False)
    """The function or class that runs; endpoints with the same handler are identical."""

    @property
    def address(self) -> str:
        """The path, after the host if the route has one."""
        return route_address(self.host, self.path)

    @property
    def is_guarded(self) -> bool:
        """Whether anything decides before the handler, or it is public."""
        return bool(self.guards)

    def __str__(self) -> str:
        return f"{','.join(self.methods) or 'ANY'} {self.address} ({self.name})"


def route_address(host: str | None, path: str) -> str:
    """Return the host of a route, if it has one, followed by its path."""
    return f"{host or ''}{path}"


def endpoint_row(path: str, methods: tuple[str, ...], name: str, *guards: Any, handler: Any = None) -> Endpoint:
    """Return the row of an endpoint; `guards` are the endpoint itself and what is called before it.

    `handler` is the function or class that runs, if it is not the first of `guards`.
    """
    marks = [mark for guard in guards if (mark := own_mark(guard)) is not None]
    requirements = tuple(mark for mark in marks if isinstance(mark, Requirement))
    runs = handler if handler is not None else next(iter(guards), None)
    return Endpoint(path, methods, name, tuple(str(mark) for mark in marks), requirements, handler=runs)


def catalogues_of(endpoints: Iterable[Endpoint]) -> list[Catalogue]:
    """Return the distinct catalogues of the requirements of `endpoints`."""
    catalogues = [requirement.catalogue for endpoint in endpoints for requirement in endpoint.requirements]
    return list({id(catalogue): catalogue for catalogue in catalogues}.values())


def check_handler_parameters(endpoints: Iterable[Endpoint]) -> None:
    """Raise `ConfigurationError` for a handler whose parameters and path can't fill its resource template."""
    for endpoint in endpoints:
        for requirement in endpoint.requirements:
            requirement.check_parameter_types(endpoint.handler, endpoint.path)
            requirement.check_parameter_names(endpoint.handler, endpoint.address)


def check_services(endpoints: Iterable[Endpoint], passed: Collection[str]) -> None:
    """Raise `ConfigurationError` for an action of a service that was not passed to the guard.

    The guard would not apply resource control policies to it, nor accept the service's other signing names.
    """
    for catalogue in catalogues_of(endpoints):
        name = catalogue.service
        if name not in passed:
            names = ", ".join(f"`{other}`" for other in passed) or "none"
            message = f"expected the service `{name}` of the handlers among the guard's services, got {names}"
            remedy = f'pass it as in `open_guard(…, services=[Service("{name}")])`'
            raise ConfigurationError(f"{message}; {remedy}", place="services")


def unguarded_message(endpoints: Iterable[Endpoint]) -> str:
    """Return the error message for unguarded endpoints, with hints for the usual causes."""
    endpoints = list(endpoints)
    names = [str(endpoint) for endpoint in endpoints]
    message = f"endpoints that are neither guarded nor public: {', '.join(names)}"
    if any("(FastAPI.setup." in name for name in names):
        message += "; call `public_docs(app)` of iam_guard_fastapi for FastAPI's own pages, or turn them off"
    for endpoint in endpoints:
        parameter = _guard_without_depends(endpoint.handler)
        if parameter is not None:
            message += f"; wrap the guard of the parameter `{parameter}` of {endpoint.name} in `Depends(…)`"
            return f"{message}, as in `Annotated[Principal, Depends(guarded(…))]`"
    return f"{message}; {_REMEDY}"


def _guard_without_depends(handler: Any) -> str | None:
    """Return the parameter of a handler that has a guard as its default or annotation, which no framework calls."""
    if not inspect.isfunction(handler):
        return None
    try:
        signature = inspect.signature(handler, eval_str=True)
    except Exception:  # noqa: BLE001  an annotation may be any expression, with names that only exist for type checkers
        signature = inspect.signature(handler)
    for name, parameter in signature.parameters.items():
        if any(own_mark(value) is not None for value in (parameter.default, *_metadata_of(parameter.annotation))):
            return name
    return None


def _metadata_of(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__metadata__", ())


def mark_of(endpoint: Any, method: str | None) -> Any:
    """Return the mark of an endpoint, or for an unmarked endpoint class that of its handler; None without one.

    `method` is the HTTP method, None for a WebSocket.
    """
    mark = own_mark(endpoint)
    if mark is not None or not inspect.isclass(endpoint):
        return mark
    name = "on_connect" if method is None else method.lower()
    if name == "head" and not hasattr(endpoint, name):
        name = "get"
    return own_mark(getattr(endpoint, name, None))


def own_mark(endpoint: Any) -> Any:
    """Return the mark of an endpoint itself, or of the class of an instance. Marks of base classes don't count."""
    if isinstance(endpoint, type):
        return vars(endpoint).get(MARK)
    while endpoint is not None and not hasattr(endpoint, MARK) and hasattr(endpoint, "func"):
        endpoint = endpoint.func  # functools.partial
    kind = type(endpoint)
    if hasattr(kind, MARK) and MARK not in vars(kind) and MARK not in getattr(endpoint, "__dict__", ()):
        return None
    return getattr(endpoint, MARK, None)


def guards_of(endpoint: Any) -> tuple[str, ...]:
    """Return the description of what guards an endpoint, as for the inventory; empty for an unguarded one."""
    mark = own_mark(endpoint)
    return () if mark is None else (str(mark),)


def handler_identity(endpoint: Endpoint) -> object:
    """Return a value that is equal for endpoints with the same handler; wrapped handlers may differ."""
    handler = endpoint.handler
    if inspect.ismethod(handler):
        return id(handler.__self__), id(handler.__func__)  # each access creates a new method object
    return endpoint.name if handler is None else id(handler)


def name_of(endpoint: Any) -> str:
    """Return the qualified name of a handler, or the name of its class."""
    return getattr(endpoint, "__qualname__", None) or type(endpoint).__name__
