"""One row of a route map: it decides about its route, and stands for the endpoint that knows nothing of a guard."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeAlias

from iam_guard.web.endpoints import mark_of
from iam_guard.web.requirement import MARK, Requirement, takes_unsigned

Mark: TypeAlias = Requirement | str
"""What a row says: a requirement, or `PUBLIC`."""


class MappedRoute:
    """What guards one route; its mark is that of an endpoint, so that it can stand for one."""

    def __init__(self, name: str, mark: Mark) -> None:
        self.mark = mark
        self.__qualname__ = name  # for messages about the endpoint
        setattr(self, MARK, mark)
        self._bound = mark.bind(_nothing) if isinstance(mark, Requirement) else None
        sources = (mark.loader, mark.context) if isinstance(mark, Requirement) else ()
        self._loaders = [source for source in sources if callable(source)]
        self._is_awaited = any(inspect.iscoroutinefunction(loader) for loader in self._loaders)

    @property
    def is_public(self) -> bool:
        """Whether the route is open to everybody."""
        return not isinstance(self.mark, Requirement)

    @property
    def takes_unsigned(self) -> bool:
        """Whether the route takes a body that the signature leaves out."""
        return takes_unsigned(self.mark)

    @property
    def blocks(self) -> bool:
        """Whether it has loaders, and no asynchronous one: what they call may wait, so no event loop runs them."""
        return bool(self._loaders) and not self._is_awaited

    def refuse_async_loaders(self) -> None:
        """Raise `ConfigurationError` for a loader that a synchronous framework could not wait for."""
        if self._is_awaited and self._bound is not None:
            self._bound.refuse_async_loaders()

    def enforce(self, parameters: Mapping[str, Any]) -> None:
        """Decide for the current call, with the parameters that the handler gets; raise unless allowed.

        Raises `ConfigurationError` for a loader that would have to be awaited.
        """
        if self._bound is not None:
            self.refuse_async_loaders()
            self._bound.enforce((), dict(parameters))

    async def enforce_async(self, parameters: Mapping[str, Any]) -> None:
        """Do the same, and wait for asynchronous loaders."""
        if self._bound is not None:
            await self._bound.enforce_async((), dict(parameters))

    def standing_for(self, endpoint: object, method: str) -> object:
        """Return what a framework's router is said to have found: the row, or the endpoint where that asks for more."""
        return endpoint if self.is_public and mark_of(endpoint, method) is not None else self


def is_another(given: Mapping[str, Any], decided: Mapping[str, Any]) -> bool:
    """Return whether a handler gets another value of a parameter than was decided about; one may be gone, or be new."""
    return any(name in given and given[name] is not value and given[name] != value for name, value in decided.items())


def _nothing() -> None:
    """Stand in for a handler: all parameters are the route's."""
