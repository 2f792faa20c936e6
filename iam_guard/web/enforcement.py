"""Enforce the requirement of a handler when it is called, and decide further questions inside of it.

The resource of the decision is built from the values that the handler uses: its own arguments first, then the path
parameters of the matched route.

Most requests wait for nothing: the policies are cached, and a loader that returns its resource at once needs no
`await`. So an asynchronous handler decides in a plain call (`BoundRequirement.begin`), and awaits only what that
returns.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import anyio.to_thread

from iam_guard.errors import ConfigurationError, IamGuardError
from iam_guard.guard.question import require_allowed
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Resource
from iam_guard.web.call_context import CURRENT_CALL, CurrentCall, current_call
from iam_guard.web.parameter_values import check_arn_segments
from iam_guard.web.refusal import authentication_required
from iam_guard.web.requirement import Concealed, Keys, Requirement, loader_parameters
from iam_guard.web.resource_template import describe_missing

_ROUTER_KEYS: Final = ("endpoint", "route_handler", "app")
"""Keys that routers add to a scope in addition to the parameters."""
_RESOURCE_TYPES: Final = (str, Resource)
"""The types that a synchronous loader returns."""


class BoundRequirement:
    """A requirement bound to one handler, enforced synchronously or asynchronously."""

    __slots__ = (
        *("_action", "_are_ordinary", "_arity", "_context", "_defaults", "_loader"),
        *("_names", "_requirement", "_service", "_signature", "_template"),
    )

    def __init__(self, requirement: Requirement, handler: Callable[..., Any]) -> None:
        """Bind a requirement. Raises `ConfigurationError` if the handler can't fill the template."""
        requirement.check_parameter_types(handler)
        self._requirement = requirement
        self._action = requirement.action
        self._service = requirement.action.partition(":")[0].lower()
        self._template, self._loader, self._context = requirement.template, requirement.loader, requirement.context
        self._signature = signature = inspect.signature(handler)
        parameters = signature.parameters.values()
        self._names = tuple(signature.parameters)
        self._defaults = {
            parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty
        }
        self._are_ordinary = all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
        """Whether each parameter is both positional and by keyword."""
        self._arity = len(self._names) if self._are_ordinary and not self._defaults else None
        """The number of arguments that every call has; None if calls differ."""

    def refuse_async_loaders(self) -> None:
        """Raise `ConfigurationError` for asynchronous loaders of a synchronous handler."""
        for loader in (self._requirement.loader, self._requirement.context):
            if inspect.iscoroutinefunction(loader):
                message = "expected a synchronous loader for a synchronous handler, got an asynchronous one"
                raise ConfigurationError(message, place=self._requirement.action)

    def enforce(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Decide, and raise unless allowed; wait for the store and the disk where necessary."""
        self.begin(args, kwargs, may_wait=True)

    async def enforce_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Decide, and raise unless allowed; await asynchronous loaders."""
        pending = self.begin(args, kwargs)
        if pending is not None:
            await pending

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, may_wait: bool = False) -> Awaitable[None] | None:
        """Decide, and raise unless allowed; return what must be awaited for that, None if it was decided at once.

        With `may_wait`, it waits for the store and the disk, and always returns None.
        """
        call = CURRENT_CALL.get()
        if call is None or call.is_over:
            call = current_call()  # raises
        try:
            arguments, resource = self._prepare(call, args, kwargs)
            if self._loader is not None:
                loaded = _call_loader(self._loader, arguments)
                if type(loaded) is Resource and loaded.arn.startswith("arn:") and "." not in loaded.arn:
                    resource = loaded
                elif not may_wait and not isinstance(loaded, _RESOURCE_TYPES) and inspect.isawaitable(loaded):
                    return self._finish(call, self._decide_later(call, arguments, loaded))
                else:
                    resource = self._loaded_resource(call, loaded)
            keys = self._context
            if callable(keys):
                if not may_wait:
                    return self._finish(call, self._decide_later(call, arguments, resource))
                keys = self._keys(_call_loader(keys, arguments))
            guard, principal = call.guard, call.principal
            credential = principal.credential
            signed = None if credential is None else credential.service
            if signed is not None and signed not in guard.signing_names.get(self._service, ()):
                principal = call.caller_for(self._action)
            decide = guard.decide if may_wait else guard.decide_from_cache
            decision = decide(principal, self._action, resource, keys, call=call.facts)
            if decision is None:
                return self._finish(call, _decide_in_thread(call, self._action, resource, keys))
            call.decisions.append(decision)
            if decision.outcome is Outcome.ALLOWED:
                call.refused_by = None
            else:
                self._refuse(decision)
        except IamGuardError as error:
            call.refusal = error
            raise
        return None

    async def _finish(self, call: CurrentCall, deciding: Awaitable[Decision]) -> None:
        try:
            decision = await deciding
            if not decision.allowed:
                self._refuse(decision)
        except IamGuardError as error:
            call.refusal = error
            raise

    async def _decide_later(
        self, call: CurrentCall, arguments: Mapping[str, Any], resource: str | Resource | Awaitable[Any]
    ) -> Decision:
        """Decide, and await the loaders of the resource and of the condition keys if they are asynchronous."""
        if not isinstance(resource, _RESOURCE_TYPES):
            resource = self._loaded_resource(call, await resource)
        context = self._context
        if callable(context):
            context = _call_loader(context, arguments)
        keys = self._keys(await context if inspect.isawaitable(context) else context)
        return await decide_in_async(call, self._action, resource, keys)

    def _prepare(
        self, call: CurrentCall, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Mapping[str, Any], str | Resource]:
        """Return the arguments for a loader, and the resource of the template; `*` without a template."""
        call.attempted_action = self._action
        if not call.decisions or self._action not in [made.request.action for made in call.decisions if made.allowed]:
            call.refused_by = self._requirement  # until it allows; an allowed handler may call itself
        if call.browser is not None and call.browser.refusal is not None:
            raise call.browser.refusal
        if call.has_unsigned_payload:
            call.check_unsigned_payload(is_accepted=self._requirement.unsigned_payload)
        if len(args) == self._arity and not kwargs:
            arguments: Mapping[str, Any] = dict(zip(self._names, args, strict=True))
        else:
            arguments = self._arguments(args, kwargs)
        scope: Mapping[str, Any] = call.scope
        for value in arguments.values():
            found = getattr(value, "scope", None)  # the handler's own request, from which it reads its parameters
            if found is scope:
                break
            if found is not None and (type(found) is dict or isinstance(found, Mapping)) and _is_routed(found):
                scope = found
                break
        if scope.get("path_params"):
            read = call.read_parameters(scope, arguments)  # raises if a dependency converts it in another way
            if self._defaults:
                self._check_defaults(read, args, kwargs)
            arguments = {**read, **arguments}
        if self._template is None:
            return arguments, "*"
        return arguments, self._template.fill(arguments, call.principal, call.guard.settings, scope)

    def _check_defaults(self, read: Mapping[str, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise `ConfigurationError` if a route parameter differs from its default and was not passed to the handler.

        The handler could then use either of the two values.
        """
        for name, default in self._defaults.items():
            if name not in read or name in kwargs or read[name] == default:
                continue
            if name not in self._signature.bind_partial(*args, **kwargs).arguments:
                message = f"expected the handler to get the parameter `{name}` of its route, got its default"
                raise ConfigurationError(message, place=self._requirement.action)

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
        """Return the arguments of the handler by name: passed, by default, and from `**kwargs`."""
        if not args and self._arity is not None:
            return kwargs
        if self._are_ordinary and len(args) <= len(self._names):
            return {**self._defaults, **dict(zip(self._names, args, strict=False)), **kwargs}
        bound = self._signature.bind_partial(*args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        for name, parameter in self._signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(name))
            elif parameter.kind is parameter.VAR_POSITIONAL:
                del arguments[name]
        return arguments

    def _loaded_resource(self, call: CurrentCall, resource: Any) -> str | Resource:
        """Return what the loader returned; raise for a missing resource, and for one without a complete ARN."""
        if isinstance(resource, _RESOURCE_TYPES):
            named = require_arn(resource, self._requirement.action)
            if not self._requirement.raw:
                check_arn_segments(named.arn if isinstance(named, Resource) else named)
            return named
        if resource is None:
            if call.principal.type is PrincipalType.ANONYMOUS and not self._requirement.conceal:
                raise authentication_required(self._requirement.action)
            raise Concealed
        message = f"expected a loader to return a resource, an ARN or None, got `{type(resource).__name__}`"
        raise ConfigurationError(message, place=self._requirement.action)

    def _keys(self, context: Any) -> Keys | None:
        if context is None or isinstance(context, Mapping):
            return context
        message = f"expected condition keys as a mapping, got `{type(context).__name__}`"
        raise ConfigurationError(message, place=self._requirement.action)

    def _refuse(self, decision: Decision) -> None:
        """Raise the refusal that a denial is answered with."""
        if self._requirement.conceal and decision.error is None:
            raise Concealed(decision)
        require_allowed(decision)


def _call_loader(loader: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call a loader with the arguments in its signature."""
    parameters = loader_parameters(loader)
    try:
        passed = dict(zip(parameters, map(arguments.__getitem__, parameters), strict=False))
    except KeyError:  # one with a default may be missing
        passed = {name: arguments[name] for name in parameters if name in arguments}
        for name, is_required in parameters.items():
            if is_required and name not in passed:
                message = f"{describe_missing(name, arguments)} for the loader"
                raise ConfigurationError(message, place=getattr(loader, "__name__", "loader")) from None
    return loader(**passed)


def _is_routed(scope: Mapping[str, Any]) -> bool:
    """Return whether a scope belongs to a routed request.

    An attribute `scope` of a parsed body may contain anything that the caller sent, but nothing callable.
    """
    return "path_params" in scope and any(callable(scope.get(name)) for name in _ROUTER_KEYS)


def require_arn(resource: str | Resource, action: str) -> str | Resource:
    """Return the resource if it has a complete ARN; raise `ConfigurationError` otherwise."""
    arn = resource.arn if isinstance(resource, Resource) else resource
    if isinstance(arn, str) and (arn.startswith("arn:") or arn == "*"):
        return resource
    message = f"expected an ARN such as `arn:aws:docs:us-east-1:111122223333:document/7`, got `{arn}`"
    raise ConfigurationError(message, place=action)


async def decide_in_async(call: CurrentCall, action: str, resource: str | Resource, context: Keys | None) -> Decision:
    """Decide as `decide_in` does; use a thread if the store or the disk must be accessed."""
    decision = call.guard.decide_from_cache(call.caller_for(action), action, resource, context, call=call.facts)
    if decision is None:
        return await _decide_in_thread(call, action, resource, context)
    return call.record_decision(decision)


def _decide_in_thread(
    call: CurrentCall, action: str, resource: str | Resource, context: Keys | None
) -> Awaitable[Decision]:
    return anyio.to_thread.run_sync(decide_in, call, action, resource, context)


def decide_in(call: CurrentCall, action: str, resource: str | Resource, context: Keys | None) -> Decision:
    """Return the decision of the call's guard for its caller, and record it in the call."""
    return call.record_decision(call.guard.decide(call.caller_for(action), action, resource, context, call=call.facts))
