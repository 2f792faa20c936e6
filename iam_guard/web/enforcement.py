"""Enforce the requirement of a handler when it is called, and decide further questions inside of it.

The resource of the decision is built from the values that the handler uses: its own arguments first, then the path
parameters of the matched route.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio.to_thread

from iam_guard.errors import ConfigurationError
from iam_guard.guard.guard import require_allowed
from iam_guard.model.decision import Decision
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Resource
from iam_guard.web.call_context import CurrentCall, recording_refusal
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

    __slots__ = ("_defaults", "_names", "_requirement", "_signature")

    def __init__(self, requirement: Requirement, handler: Callable[..., Any]) -> None:
        """Bind a requirement. Raises `ConfigurationError` if the handler can't fill the template."""
        requirement.check_parameter_types(handler)
        self._requirement = requirement
        self._signature = signature = inspect.signature(handler)
        parameters = signature.parameters.values()
        is_plain = all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
        self._names = tuple(signature.parameters) if is_plain else None
        self._defaults = {
            parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty
        }

    def refuse_async_loaders(self) -> None:
        """Raise `ConfigurationError` for asynchronous loaders of a synchronous handler."""
        for loader in (self._requirement.loader, self._requirement.context):
            if inspect.iscoroutinefunction(loader):
                message = "expected a synchronous loader for a synchronous handler, got an asynchronous one"
                raise ConfigurationError(message, place=self._requirement.action)

    def enforce(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Decide, and raise unless allowed."""
        with recording_refusal() as call:
            arguments, resource = self._prepare(call, args, kwargs)
            if self._requirement.loader is not None:
                resource = self._loaded_resource(call, _call_loader(self._requirement.loader, arguments))
            decision = decide_in(call, self._requirement.action, resource, self._keys(self._context(arguments)))
            if not decision.allowed:
                self._refuse(decision)

    async def enforce_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Decide, and raise unless allowed; await asynchronous loaders."""
        with recording_refusal() as call:
            arguments, resource = self._prepare(call, args, kwargs)
            if self._requirement.loader is not None:
                loaded = _call_loader(self._requirement.loader, arguments)
                is_loading = not isinstance(loaded, _RESOURCE_TYPES) and inspect.isawaitable(loaded)
                resource = self._loaded_resource(call, await loaded if is_loading else loaded)
            keys = None if self._requirement.context is None else await self._awaited_keys(arguments)
            decision = await decide_in_async(call, self._requirement.action, resource, keys)
            if not decision.allowed:
                self._refuse(decision)

    async def _awaited_keys(self, arguments: Mapping[str, Any]) -> Keys | None:
        context = self._context(arguments)
        return self._keys(await context if inspect.isawaitable(context) else context)

    def _prepare(
        self, call: CurrentCall, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Mapping[str, Any], str | Resource]:
        """Return the arguments for a loader, and the resource of the template; `*` without a template."""
        requirement = self._requirement
        call.attempted_action = requirement.action
        if requirement.action not in [decision.request.action for decision in call.decisions if decision.allowed]:
            call.refused_by = requirement  # until it allows; an allowed handler may call itself
        if call.has_unsigned_payload:
            call.check_unsigned_payload(is_accepted=requirement.unsigned_payload)
        arguments = self._arguments(args, kwargs)
        scope: Mapping[str, Any] = call.scope
        for value in arguments.values():
            found = getattr(value, "scope", None)  # the handler's own request, from which it reads its parameters
            if found is None:
                continue
            if found is call.scope or ((type(found) is dict or isinstance(found, Mapping)) and _is_routed(found)):
                scope = found
                break
        if scope.get("path_params"):
            read = call.read_parameters(scope, arguments)  # raises if a dependency converts it in another way
            if self._defaults:
                self._check_defaults(read, args, kwargs)
            arguments = {**read, **arguments}
        if requirement.template is None:
            return arguments, "*"
        return arguments, requirement.template.fill(arguments, call.caller, call.guard.settings, scope)

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
        if self._names is not None and len(args) <= len(self._names):
            passed = dict(zip(self._names, args, strict=False))
            return {**self._defaults, **passed, **kwargs} if kwargs or self._defaults else passed
        bound = self._signature.bind_partial(*args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        for name, parameter in self._signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(name))
            elif parameter.kind is parameter.VAR_POSITIONAL:
                del arguments[name]
        return arguments

    def _context(self, arguments: Mapping[str, Any]) -> Any:
        context = self._requirement.context
        return _call_loader(context, arguments) if callable(context) else context

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
    passed = {}
    for name, is_required in loader_parameters(loader).items():
        if name in arguments:
            passed[name] = arguments[name]
        elif is_required:
            message = f"{describe_missing(name, arguments)} for the loader"
            raise ConfigurationError(message, place=getattr(loader, "__name__", "loader"))
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
        return await anyio.to_thread.run_sync(decide_in, call, action, resource, context)
    return call.record_decision(decision)


def decide_in(call: CurrentCall, action: str, resource: str | Resource, context: Keys | None) -> Decision:
    """Return the decision of the call's guard for its caller, and record it in the call."""
    return call.record_decision(call.guard.decide(call.caller_for(action), action, resource, context, call=call.facts))
