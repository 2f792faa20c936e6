"""What guards an endpoint, whatever framework it belongs to: its mark, and its row in the inventory."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from iam_guard.model.catalogue import Catalogue
from iam_guard.web.requirement import MARK, Requirement


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint: `path` is the whole template, `guards` what stands on it (`docs:GetDocument on …`, `public`)."""

    path: str
    methods: tuple[str, ...]
    name: str
    guards: tuple[str, ...]
    requirements: tuple[Requirement, ...] = ()
    """What is asked for before it answers."""
    host: str | None = None
    """The host that it answers at alone, as the application declares it (`{tenant}.example.com`)."""
    methods_are_untold: bool = False
    """Whether nothing says which methods it takes but a route map, if it names some: then it gets no other."""
    handler: Any = field(default=None, repr=False, compare=False)
    """What runs; endpoints with one handler are one, whatever they are called."""

    @property
    def address(self) -> str:
        """The path, behind the host where there is one."""
        return f"{self.host or ''}{self.path}"

    @property
    def is_guarded(self) -> bool:
        return bool(self.guards)

    def __str__(self) -> str:
        return f"{','.join(self.methods) or 'ANY'} {self.address} ({self.name})"


def endpoint_row(path: str, methods: tuple[str, ...], name: str, *guarding: Any, handler: Any = None) -> Endpoint:
    """Make the row of an endpoint: what answers, and what is called before it and may decide.

    `handler` is what runs, where something else stands for it.
    """
    marks = [mark for each in guarding if (mark := own_mark(each)) is not None]
    requirements = tuple(mark for mark in marks if isinstance(mark, Requirement))
    runs = handler if handler is not None else next(iter(guarding), None)
    return Endpoint(path, methods, name, tuple(str(mark) for mark in marks), requirements, handler=runs)


def catalogues_of(endpoints: Iterable[Endpoint]) -> list[Catalogue]:
    """List the catalogues that what guards endpoints was declared in, each once."""
    requirements = (requirement for endpoint in endpoints for requirement in endpoint.requirements)
    found = [each.catalogue for each in requirements if each.catalogue is not None]
    return list({id(each): each for each in found}.values())


def refuse_unfit_handlers(endpoints: Iterable[Endpoint]) -> None:
    """Raise `ConfigurationError` for a handler that can fill no template, by its annotations or its path."""
    for endpoint in endpoints:
        for requirement in endpoint.requirements:
            requirement.refuse_unfit_parameters(endpoint.handler, endpoint.path)


def unguarded_message(endpoints: Iterable[Endpoint]) -> str:
    """Return which endpoints nobody guards, and the usual reason where one is decorated all the same."""
    listing = ", ".join(str(endpoint) for endpoint in endpoints)
    where = "what guards one stands below the decorator of its route"
    return f"endpoints that are neither guarded nor public: {listing}; {where}"


def mark_of(endpoint: Any, method: str | None) -> Any:
    """Return the mark of what answers a call: of an endpoint class without a mark, its handler's; None without any.

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
    """Return the mark of an endpoint itself, or of the class of an object. A mark on a base class does not count."""
    if isinstance(endpoint, type):
        return vars(endpoint).get(MARK)
    while endpoint is not None and not hasattr(endpoint, MARK) and hasattr(endpoint, "func"):
        endpoint = endpoint.func  # functools.partial
    kind = type(endpoint)
    if hasattr(kind, MARK) and MARK not in vars(kind) and MARK not in getattr(endpoint, "__dict__", ()):
        return None
    return getattr(endpoint, MARK, None)


def guards_of(endpoint: Any) -> tuple[str, ...]:
    """Return what guards an endpoint, for its row in the inventory; nothing where nobody does."""
    mark = own_mark(endpoint)
    return () if mark is None else (str(mark),)


def identity_of(endpoint: Endpoint) -> object:
    """Return what two endpoints have in common where the same runs for both; a wrapper may make another thing of it."""
    handler = endpoint.handler
    if inspect.ismethod(handler):
        return id(handler.__self__), id(handler.__func__)  # each access makes another method
    return endpoint.name if handler is None else id(handler)


def name_of(endpoint: Any) -> str:
    """Return the name of an endpoint, for messages."""
    return getattr(endpoint, "__qualname__", None) or type(endpoint).__name__
