"""What guards the components of a server: the mark of their functions, the rows of a map, or the decision by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import anyio.to_thread
from fastmcp import FastMCP

from iam_guard import Endpoint, Guard, Service, current_call
from iam_guard.adapters import (
    PUBLIC,
    CurrentCall,
    MappedRoute,
    Mark,
    Requirement,
    check_handler_parameters,
    check_services,
    endpoint_row,
    own_mark,
    unguarded_message,
)
from iam_guard.errors import ConfigurationError
from iam_guard_fastmcp.components import Found, all_of, function_of

_ACTIONS: Final[Mapping[str, str]] = {"tool": "CallTool", "resource": "ReadResource", "prompt": "GetPrompt"}


class ComponentGuards:
    """Finds what guards a component; the arguments are those of `GuardTools`."""

    def __init__(
        self,
        guard: Guard,
        service: Service,
        *,
        by_name: bool,
        conceal: bool,
        components: Mapping[str, Mark],
        list_action: str | None,
    ) -> None:
        self._guard = guard
        self._rows = {key: MappedRoute(key, mark) for key, mark in components.items()}
        declare = partial(_by_name, service, conceal=conceal)
        self._named = {kind: MappedRoute(kind, declare(kind, _ACTIONS[kind])) for kind in _ACTIONS if by_name}
        self._listing = {kind: declare(kind, list_action) for kind in _ACTIONS} if list_action else {}

    def guard_of(self, found: Found, function: Any) -> tuple[MappedRoute | None, Mark | None]:
        """Return the row that decides before a component, and the guard; no row if its function decides itself."""
        row = self._rows.get(found.key)
        if row is None:
            mark: Mark | None = own_mark(function)
            if mark is not None:
                return None, mark
            row = self._named.get(found.kind)
        elif function is not None and _depends_on_arguments(row.mark):
            message = "expected the decorator `requires` on a function, since a row does not have validated arguments"
            raise ConfigurationError(message, place=found.key)
        return row, None if row is None else row.mark

    def is_named(self, row: MappedRoute) -> bool:
        """Return whether a row decides by the name of a component."""
        return row in self._named.values()

    async def permitted(self, components: Sequence[Found]) -> list[Any]:
        """Return the components that the caller may use; one audit record."""
        call = current_call()
        asked = [await self._question(call, found) for found in components]
        questions = [question for question in asked if isinstance(question, tuple)]
        answers: Iterable[Any] = ()
        if questions:
            caller = call.caller_for(questions[0][0])
            ask = partial(self._guard.ask, caller, questions, call=call.facts)
            answers = await anyio.to_thread.run_sync(ask)
        decided = iter(answers)
        return [
            found.component
            for found, question in zip(components, asked, strict=True)
            if (next(decided).allowed if isinstance(question, tuple) else question)
        ]

    async def _question(self, call: CurrentCall, found: Found) -> tuple[str, str] | bool:
        """Return the question whether the caller may use a component, or the answer if no decision is needed.

        A resource that depends on arguments has `*` in place of them, literally: only a policy for all of them
        matches. With `list_action`, the name is decided instead.
        """
        row, mark = self.guard_of(found, await function_of(found.component))
        if not isinstance(mark, Requirement):
            return mark == PUBLIC
        is_named = row is not None and self.is_named(row)
        is_open = "*" in found.name if is_named else _depends_on_arguments(mark)
        if is_open and self._listing:
            mark, is_named = self._listing[found.kind], True
        settings, principal = self._guard.settings, call.principal
        if mark.template is not None:
            names = (name for name in mark.template.parameters if name not in mark.template.defaults)
            values = {"name": found.name} if is_named else dict.fromkeys(names, "*")
            return mark.action, mark.template.fill(values, principal, settings)
        if mark.loader is None:
            return mark.action, "*"
        service = mark.action.partition(":")[0]
        return mark.action, f"arn:{settings.partition}:{service}:{settings.region}:{principal.account or ''}:*"

    async def inventory(self, server: FastMCP) -> list[Endpoint]:
        """Return the components of a server, each with its guard."""
        endpoints = []
        for found in await all_of(server):
            function = await function_of(found.component)
            row, _ = self.guard_of(found, function)
            endpoints.append(endpoint_row(found.key, (), found.component.name, *filter(None, (row, function))))
        return endpoints

    async def check(self, server: FastMCP) -> None:
        """Raise `ConfigurationError` for unguarded components, and for mistakes in requirements and map."""
        endpoints = await self.inventory(server)
        check_services(endpoints, self._guard.signing_names)
        check_handler_parameters(endpoint for endpoint in endpoints if endpoint.path not in self._rows)
        unknown = self._rows.keys() - {endpoint.path for endpoint in endpoints}
        if unknown:
            raise ConfigurationError(f"expected components of the server, got `{min(unknown)}`", place="components")
        unguarded = [endpoint for endpoint in endpoints if not endpoint.is_guarded]
        if unguarded:
            raise ConfigurationError(unguarded_message(unguarded))


def _by_name(service: Service, kind: str, action: str, *, conceal: bool) -> Requirement:
    return service.requirement(action, resource=f"{kind}/{{name}}", conceal=conceal, raw=("name",))


def _depends_on_arguments(mark: object) -> bool:
    if not isinstance(mark, Requirement):
        return False
    names = set() if mark.template is None else {*mark.template.parameters} - {*mark.template.defaults}
    return bool(names) or callable(mark.loader) or callable(mark.context)
