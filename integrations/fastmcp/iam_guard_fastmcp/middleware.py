"""`GuardTools`: decide calls of tools, reads of resources and prompts, and show only what the caller may use.

Per message: (1) find the caller: that of the HTTP request that brought the message, of the guarded call around it, or a
fixed principal; (2) find the component and its guard (`component_guards.py`); (3) decide by name before the component
runs, or let the function's decorator decide with the validated arguments; (4) check the result: no success after a
denial, and none without a decision.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from fastmcp import FastMCP
from fastmcp.exceptions import AuthorizationError, NotFoundError
from fastmcp.server.dependencies import get_http_request
from fastmcp.server.middleware import CallNext, Middleware, MiddlewareContext
from fastmcp.server.middleware.caching import ResponseCachingMiddleware

from iam_guard import Endpoint, Guard, IamGuardError, Principal, Service, current_call
from iam_guard.adapters import (
    CURRENT_CALL,
    PUBLIC,
    Call,
    Concealed,
    CurrentCall,
    Mark,
    decision_of,
    new_id,
    record_failure,
    serving,
)
from iam_guard.errors import ConfigurationError, UndecidedEndpoint
from iam_guard_fastmcp.component_guards import ComponentGuards
from iam_guard_fastmcp.components import READ, Found, declared_arguments, find, function_of, listed
from iam_guard_fastmcp.errors import refusal_in, wire_error

_log = logging.getLogger("iam_guard.web")

HTTP_CALL: Final = "iam_guard.call"
"""The key of the scope with the guarded call of an HTTP request."""
_NEGOTIATION: Final = ("initialize", "server/discover")

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
        self._guards = ComponentGuards(
            guard,
            service or Service("mcp"),
            by_name=by_name,
            conceal=conceal,
            components=components or {},
            list_action=list_action,
        )

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
        row, mark = self._guards.guard_of(found, function)
        if mark is None:
            raise UndecidedEndpoint(f"the {found.kind} `{found.component.name}` is neither guarded nor public")
        if row is not None:
            await row.enforce_async({"name": found.name} if self._guards.is_named(row) else _arguments(found, context))
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

    # --- lists --------------------------------------------------------------------------------------------------------

    async def on_list_tools(self, context: Context, call_next: Next) -> Any:
        return await self._guards.permitted(listed("tool", await call_next(context)))

    async def on_list_resources(self, context: Context, call_next: Next) -> Any:
        return await self._guards.permitted(listed("resource", await call_next(context)))

    on_list_resource_templates = on_list_resources

    async def on_list_prompts(self, context: Context, call_next: Next) -> Any:
        return await self._guards.permitted(listed("prompt", await call_next(context)))

    async def check_resource_access(self, context: Context) -> None:
        """Raise `AuthorizationError` for a resource that the caller may not read, for extensions of FastMCP."""
        try:
            is_permitted = bool(await self._guards.permitted([await find(_server_of(context), READ, context.message)]))
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
            if component is not None and not await self._guards.permitted(listed(kind, [component])):
                unknown = {"type": "ref/prompt", "name": ""}  # FastMCP completes nothing for it
                context = context.copy(message={**message, "ref": unknown})
        return await call_next(context)

    # --- start-up -----------------------------------------------------------------------------------------------------

    async def inventory(self, server: FastMCP) -> list[Endpoint]:
        """Return the components of a server, each with its guard."""
        return await self._guards.inventory(server)

    async def check(self, server: FastMCP) -> None:
        """Raise `ConfigurationError` for unguarded components, and for mistakes in requirements, map and order."""
        self._check_order(server)
        await self._guards.check(server)


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
