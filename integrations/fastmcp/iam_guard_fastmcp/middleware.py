"""`GuardTools`: decide calls of tools, reads of resources and prompts, and show only what the caller may use.

Per message: (1) find the caller: that of the HTTP request that brought the message, of the guarded call around it, or a
fixed principal; (2) find the component and its guard: the decorator of its function, a row of the map, or the decision
by its name; (3) decide by name before the component runs, or let the function's decorator decide with the validated
arguments; (4) check the result: no success after a denial, and none without a decision.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import anyio.to_thread
from fastmcp import FastMCP
from fastmcp.exceptions import AuthorizationError, NotFoundError
from fastmcp.server.dependencies import get_http_request
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.server.middleware.caching import ResponseCachingMiddleware

from iam_guard import Endpoint, Guard, IamGuardError, Principal, Service
from iam_guard.audit.record.event_ids import new_id
from iam_guard.errors import ConfigurationError, UndecidedEndpoint
from iam_guard.model.request import Call
from iam_guard.web.call_context import CURRENT_CALL, CurrentCall, current_call, serving
from iam_guard.web.endpoints import check_handler_parameters, check_services, endpoint_row, own_mark, unguarded_message
from iam_guard.web.refusal import decision_of
from iam_guard.web.requirement import PUBLIC, Concealed, Requirement
from iam_guard.web.response_guard import record_failure
from iam_guard.web.route_maps.mapped_route import MappedRoute, Mark
from iam_guard_fastmcp.components import READ, Found, all_of, declared_arguments, find, function_of, listed
from iam_guard_fastmcp.errors import refusal_in, wire_error

_log = logging.getLogger("iam_guard.web")

HTTP_CALL: Final = "iam_guard.call"
"""The key of the scope with the guarded call of an HTTP request."""
_NEGOTIATION: Final = ("initialize", "server/discover")
_ACTIONS: Final[Mapping[str, str]] = {"tool": "CallTool", "resource": "ReadResource", "prompt": "GetPrompt"}

Context: TypeAlias = MiddlewareContext[Any]
Next: TypeAlias = CallNext[Any, Any]


class _MessageCall(CurrentCall):
    """The current call of one message."""


class GuardTools(Middleware):
    """Guard the components of a FastMCP server: `FastMCP("docs", middleware=[GuardTools(guard, service=docs)])`.

    A component whose function is decorated (`docs.requires`, `public`) or that has a row in `components` is decided by
    that; every other by its name, `docs:CallTool` on `tool/search`, or not at all with `by_name=False`: it is refused.
    `components` maps `tool/search`, `resource/data://x/{id}` or `prompt/x` to a requirement or `"public"`, for
    components of other servers. `principal`, or its ARN, is the caller without HTTP; without one it is anonymous.
    `conceal` answers denials as if there were no such component. `list_action` decides whether components are listed
    whose resource depends on arguments.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        service: Service | None = None,
        principal: Principal | str | None = None,
        by_name: bool = True,
        conceal: bool = False,
        components: Mapping[str, Mark] | None = None,
        list_action: str | None = None,
    ) -> None:
        self.guard = guard
        self._principal = Principal.from_arn(principal) if isinstance(principal, str) else principal
        self._conceal = conceal
        self._rows = {key: MappedRoute(key, mark) for key, mark in (components or {}).items()}
        service = service or Service("mcp")
        declare = partial(_by_name, service, conceal=conceal)
        self._named = {kind: MappedRoute(kind, declare(kind, _ACTIONS[kind])) for kind in _ACTIONS if by_name}
        self._listing = {kind: declare(kind, list_action) for kind in _ACTIONS} if list_action else {}

    # --- the caller ---------------------------------------------------------------------------------------------------

    async def on_message(self, context: Context, call_next: Next) -> Any:
        """Set the current call of a request, and convert a refusal to an error of MCP."""
        if context.type == "notification":
            return await call_next(context)
        call: CurrentCall | None = None
        outer = CURRENT_CALL.get()
        is_nested = isinstance(outer, _MessageCall) and not outer.is_over
        try:
            if context.method not in _NEGOTIATION:
                self._check_order(_server_of(context))
            call = self._call(outer)
            earlier = len(call.decisions)
            with serving(call):
                return await call_next(context)
        except IamGuardError as error:
            if is_nested:
                raise
            if call is not None:
                record_failure(call, error, _log)
            elif error.fault == "receiver":
                _log.error("%s: %s", context.method, error)
            if self._conceal and isinstance(error, Concealed):
                raise NotFoundError(_unknown(context)) from None
            raise wire_error(error, call) from None
        finally:
            if call is not None:
                call.is_over = True
                if isinstance(outer, _MessageCall):
                    outer.decisions.extend(call.decisions[earlier:])

    def _call(self, outer: CurrentCall | None) -> CurrentCall:
        """Return the call of a message, for the caller of its HTTP request, of the call around it, or the fixed one."""
        if isinstance(outer, _MessageCall):
            around: CurrentCall | None = current_call()  # raises if it is over
        else:
            around = _http_call()
            if around is None and outer is not None:
                around = current_call()
        if around is None:
            principal = self._principal or Principal.anonymous()
            return _MessageCall(self.guard, principal, Call(new_id(), region=self.guard.settings.region))
        if around.is_over:
            raise ConfigurationError("the call is over: a message that outlives its HTTP request has no caller")
        if around.guard is not self.guard:
            raise ConfigurationError("expected the guard of the message's HTTP request in `GuardTools`, got another")
        if around.browser is not None and around.browser.refusal is not None:
            raise around.browser.refusal
        call = _MessageCall(self.guard, around.caller, around.facts)
        call.browser = around.browser
        call.decisions.extend(around.decisions[:1])  # only the first one must be of the signature's service
        return call

    def _check_order(self, server: FastMCP) -> None:
        """Raise `ConfigurationError` for a cache outside of the guard: it would answer other callers."""
        before = server.middleware[: server.middleware.index(self)] if self in server.middleware else ()
        if any(isinstance(middleware, ResponseCachingMiddleware) for middleware in before):
            raise ConfigurationError("expected `GuardTools` before `ResponseCachingMiddleware` in `middleware`")

    # --- calls --------------------------------------------------------------------------------------------------------

    async def _decided(self, context: Context, call_next: Next) -> Any:
        """Run a component for a caller who may use it."""
        call, start = current_call(), len(current_call().decisions)
        found = await find(_server_of(context), context.method or "", context.message)
        function = await function_of(found.component)
        row, mark = self._guard_of(found, function)
        if mark is None:
            raise UndecidedEndpoint(f"the {found.kind} `{found.component.name}` is neither guarded nor public")
        if row is not None:
            await row.enforce_async({"name": found.name} if self._is_named(row) else _arguments(found, context))
        refusal, result = None, None
        try:
            result = await call_next(context)
        except Exception as error:
            refusal = refusal_in(error)
            if refusal is None:
                raise
        if refusal is not None:  # raised here, since its cause would be an error that it has caused
            is_concealed = self._conceal and call.refused_by is mark and decision_of(refusal) is not None
            raise Concealed() if is_concealed else refusal
        decisions = call.decisions[start:]
        if call.refused_by is not None and (call.refused_by is mark or not any(made.allowed for made in decisions)):
            raise call.refusal or UndecidedEndpoint(f"expected no success after a denial of `{call.attempted_action}`")
        if mark != PUBLIC and not decisions:
            raise UndecidedEndpoint(f"the {found.kind} `{found.component.name}` answered without a decision")
        return result

    on_call_tool = on_read_resource = on_get_prompt = _decided

    def _guard_of(self, found: Found, function: Any) -> tuple[MappedRoute | None, Mark | None]:
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

    def _is_named(self, row: MappedRoute) -> bool:
        return row in self._named.values()

    # --- lists --------------------------------------------------------------------------------------------------------

    async def on_list_tools(self, context: Context, call_next: Next) -> Any:
        return await self._permitted(listed("tool", await call_next(context)))

    async def on_list_resources(self, context: Context, call_next: Next) -> Any:
        return await self._permitted(listed("resource", await call_next(context)))

    on_list_resource_templates = on_list_resources

    async def on_list_prompts(self, context: Context, call_next: Next) -> Any:
        return await self._permitted(listed("prompt", await call_next(context)))

    async def check_resource_access(self, context: Context) -> None:
        """Raise `AuthorizationError` for a resource that the caller may not read, for extensions of FastMCP."""
        try:
            is_permitted = bool(await self._permitted([await find(_server_of(context), READ, context.message)]))
        except (NotFoundError, IamGuardError):
            is_permitted = False
        if not is_permitted:
            raise AuthorizationError(f"Unknown resource: {context.message.uri!r}")

    async def on_request(self, context: Context, call_next: Next) -> Any:
        """Complete arguments only of components that the caller may use."""
        message = context.message
        if context.method == "completion/complete" and isinstance(message, Mapping):
            reference = message.get("ref") or {}
            kind = "prompt" if reference.get("type") == "ref/prompt" else "resource"
            key = str(reference.get("name") if kind == "prompt" else reference.get("uri"))
            component = await _server_of(context)._completion_target(str(reference.get("type")), key)
            if component is not None and not await self._permitted(listed(kind, [component])):
                unknown = {"type": "ref/prompt", "name": ""}  # FastMCP completes nothing for it
                context = context.copy(message={**message, "ref": unknown})
        return await call_next(context)

    async def _permitted(self, components: Sequence[Found]) -> list[Any]:
        """Return the components that the caller may use; one audit record."""
        call = current_call()
        asked = [await self._question(call, found) for found in components]
        questions = [question for question in asked if isinstance(question, tuple)]
        answers: Iterable[Any] = ()
        if questions:
            caller = call.caller_for(questions[0][0])
            ask = partial(self.guard.ask, caller, questions, call=call.facts)
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
        row, mark = self._guard_of(found, await function_of(found.component))
        if not isinstance(mark, Requirement):
            return mark == PUBLIC
        is_named = row is not None and self._is_named(row)
        is_open = "*" in found.name if is_named else _depends_on_arguments(mark)
        if is_open and self._listing:
            mark, is_named = self._listing[found.kind], True
        settings, principal = self.guard.settings, call.principal
        if mark.template is not None:
            names = (name for name in mark.template.parameters if name not in mark.template.defaults)
            values = {"name": found.name} if is_named else dict.fromkeys(names, "*")
            return mark.action, mark.template.fill(values, principal, settings)
        if mark.loader is None:
            return mark.action, "*"
        service = mark.action.partition(":")[0]
        return mark.action, f"arn:{settings.partition}:{service}:{settings.region}:{principal.account or ''}:*"

    # --- start-up -----------------------------------------------------------------------------------------------------

    async def inventory(self, server: FastMCP) -> list[Endpoint]:
        """Return the components of a server, each with its guard."""
        endpoints = []
        for found in await all_of(server):
            function = await function_of(found.component)
            row, _ = self._guard_of(found, function)
            endpoints.append(endpoint_row(found.key, (), found.component.name, *filter(None, (row, function))))
        return endpoints

    async def check(self, server: FastMCP) -> None:
        """Raise `ConfigurationError` for unguarded components, and for mistakes in requirements, map and order."""
        self._check_order(server)
        endpoints = await self.inventory(server)
        check_services(endpoints, self.guard.signing_names)
        check_handler_parameters(endpoint for endpoint in endpoints if endpoint.path not in self._rows)
        unknown = self._rows.keys() - {endpoint.path for endpoint in endpoints}
        if unknown:
            raise ConfigurationError(f"expected components of the server, got `{min(unknown)}`", place="components")
        unguarded = [endpoint for endpoint in endpoints if not endpoint.is_guarded]
        if unguarded:
            raise ConfigurationError(unguarded_message(unguarded))


def _by_name(service: Service, kind: str, action: str, *, conceal: bool) -> Requirement:
    return service.requirement(action, resource=f"{kind}/{{name}}", conceal=conceal, raw=("name",))


def _server_of(context: Context) -> FastMCP:
    if context.fastmcp_context is None:
        raise ConfigurationError("expected a message of a FastMCP server, got one without context")
    return context.fastmcp_context.fastmcp


def _http_call() -> CurrentCall | None:
    """Return the guarded call of the message's HTTP request; None without HTTP."""
    try:
        scope = get_http_request().scope
    except RuntimeError:
        return None
    call = scope.get(HTTP_CALL) or CURRENT_CALL.get()
    if not isinstance(call, CurrentCall):
        raise ConfigurationError("no guarded call is being handled: serve with `guarded_http_app`")
    return call


def _depends_on_arguments(mark: object) -> bool:
    if not isinstance(mark, Requirement):
        return False
    names = set() if mark.template is None else {*mark.template.parameters} - {*mark.template.defaults}
    return bool(names) or callable(mark.loader) or callable(mark.context)


def _arguments(found: Found, context: Context) -> dict[str, Any]:
    """Return the declared arguments for a row of the map, as the client sent them."""
    if found.kind == "resource":
        matches = getattr(found.component, "matches", None)
        return dict((matches and matches(found.name)) or {})
    declared = declared_arguments(found.component)
    return {name: value for name, value in (context.message.arguments or {}).items() if name in declared}


def _unknown(context: Context) -> str:
    kind = {"tools/call": "tool", "prompts/get": "prompt"}.get(context.method or "", "resource")
    return f"Unknown {kind}: {getattr(context.message, 'name', None) or str(getattr(context.message, 'uri', ''))!r}"
