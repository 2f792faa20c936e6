"""One row of a route map: it enforces the requirement of its route, and represents the unmarked endpoint."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeAlias

from iam_guard.web.endpoints import mark_of
from iam_guard.web.enforcement import BoundRequirement
from iam_guard.web.requirement import MARK, Requirement

Mark: TypeAlias = Requirement | str
"""A requirement, or `PUBLIC`."""


class MappedRoute:
    """The guard of one route; it has a mark like an endpoint, so that it can represent one."""

    def __init__(self, name: str, mark: Mark) -> None:
        self.mark = mark
        self.__qualname__ = name  # for messages about the endpoint
        setattr(self, MARK, mark)
        self.is_public = not isinstance(mark, Requirement)
        self._bound = BoundRequirement(mark, _no_parameters) if isinstance(mark, Requirement) else None
        sources = (mark.loader, mark.context) if isinstance(mark, Requirement) else ()
        loaders = [source for source in sources if callable(source)]
        self._is_awaited = any(inspect.iscoroutinefunction(loader) for loader in loaders)
        self.blocks = bool(loaders) and not self._is_awaited
        """Whether all loaders are synchronous, and must not be called on an event loop."""

    def refuse_async_loaders(self) -> None:
        """Raise `ConfigurationError` for asynchronous loaders, which a synchronous framework can't await."""
        if self._is_awaited and self._bound is not None:
            self._bound.refuse_async_loaders()

    def enforce(self, parameters: Mapping[str, Any]) -> None:
        """Decide for the current call, with the parameters that the handler gets; raise unless allowed.

        Raises `ConfigurationError` for an asynchronous loader.
        """
        if self._bound is not None:
            self.refuse_async_loaders()
            self._bound.enforce((), dict(parameters))

    async def enforce_async(self, parameters: Mapping[str, Any]) -> None:
        """Decide as `enforce` does, and await asynchronous loaders."""
        if self._bound is not None:
            await self._bound.enforce_async((), dict(parameters))

    def endpoint_to_report(self, endpoint: object, method: str) -> object:
        """Return the endpoint to report as matched: the row, or the endpoint if only that one has a requirement."""
        return endpoint if self.is_public and mark_of(endpoint, method) is not None else self


def parameters_changed(parameters: Mapping[str, Any], decided: Mapping[str, Any]) -> bool:
    """Return whether a parameter differs from the value in `decided`; removed and added parameters don't count."""
    return any(
        name in parameters and parameters[name] is not value and parameters[name] != value
        for name, value in decided.items()
    )


def _no_parameters() -> None:
    """Serve as the handler of a row, which has no parameters but the route's."""
