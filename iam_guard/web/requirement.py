"""What a decorated handler requires, and how it is enforced when the handler is called.

The resource of the decision is built from exactly what the handler uses: its own arguments first, then the path
parameters of the route that matched.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import anyio.to_thread

from iam_guard.errors import ConfigurationError, NoSuchEntity
from iam_guard.guard.guard import require_allowed
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.context import Given, Lazy
from iam_guard.model.decision import Decision
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Resource
from iam_guard.web.annotations import refuse_unfit_convertors, refuse_unfit_parameters
from iam_guard.web.call_context import CurrentCall, current_call, refusing
from iam_guard.web.parameter_values import refuse_dotted_arn
from iam_guard.web.refusal import sign_in_for
from iam_guard.web.resource_template import ResourceTemplate, missing

Keys: TypeAlias = Mapping[str, "Given | Lazy"]
ResourceLoader: TypeAlias = Callable[..., "Resource | str | Awaitable[Resource | str | None] | None"]
ContextLoader: TypeAlias = Callable[..., "Keys | Awaitable[Keys]"]
ResourceSource: TypeAlias = str | ResourceLoader
ContextSource: TypeAlias = Keys | ContextLoader | None

MARK: Final = "__iam_guard__"
"""The attribute of an endpoint that says what guards it: a `Requirement`, `PUBLIC` or `OWN_GUARD`."""
PUBLIC: Final = "public"
OWN_GUARD: Final = "a guard of its own"
"""The mark of an application that signs in its callers and decides by itself, wherever it is mounted."""

_ROUTERS_WORDS: Final = ("endpoint", "route_handler", "app")
"""What routers put into a scope beside the parameters."""


class Concealed(NoSuchEntity):
    """A denial answered as if the thing did not exist; `decision` is the denial, for whoever may see it."""

    def __init__(self, decision: Decision | None = None) -> None:
        super().__init__("there is no such resource")
        self.decision = decision


_RESOURCE: Final = (str, Resource)
"""What a template or a loader gives, nearly always and at once."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """The declaration of one decorator."""

    action: str
    template: ResourceTemplate | None
    loader: ResourceLoader | None
    context: ContextSource
    conceal: bool
    unsigned_payload: bool = False
    raw: frozenset[str] = frozenset()
    """The parameters whose values are data, so that any text of theirs may be part of an ARN."""
    catalogue: Catalogue | None = field(default=None, compare=False, repr=False)
    """Where the action was declared."""

    @classmethod
    def of(
        cls,
        action: str,
        resource: ResourceSource,
        context: ContextSource,
        *,
        conceal: bool,
        service: str,
        unsigned_payload: bool = False,
        raw: Collection[str] = (),
        catalogue: Catalogue | None = None,
    ) -> Requirement:
        """Read a declaration; raise `ConfigurationError` where it makes no sense."""
        _refuse_of_no_use(resource, context, action)
        template = loader = None
        known: Collection[str] = ()
        if not isinstance(resource, str):
            loader = resource
            known = _wants_of(resource).names if raw else ()
        elif resource != "*":
            template = ResourceTemplate(resource, service=service, raw=raw)
            known = template.parameters
        _refuse_unknown_raw(raw, known, action)
        return cls(action, template, loader, context, conceal, unsigned_payload, frozenset(raw), catalogue)

    def __str__(self) -> str:
        if self.loader is not None:
            return f"{self.action} on {getattr(self.loader, '__name__', 'loader')}()"
        return f"{self.action} on {self.template.text if self.template else '*'}"

    def bind(self, handler: Callable[..., Any]) -> BoundRequirement:
        """Join the declaration with its handler. Raises `ConfigurationError` where it cannot fill the template."""
        self.refuse_unfit_parameters(handler)
        return BoundRequirement(self, inspect.signature(handler))

    def refuse_unfit_parameters(self, handler: Callable[..., Any], path: str = "") -> None:
        """Raise `ConfigurationError` where a handler or the path of its route can only bring what fills no template."""
        if self.template is not None:
            refuse_unfit_parameters(handler, self.template.parameters, place=self.action)
            refuse_unfit_convertors(path, self.template.parameters, place=self.action)


class BoundRequirement:
    """A requirement on one handler. Two ways to enforce it share everything but the waiting."""

    __slots__ = ("_defaults", "_names", "_requirement", "_signature")

    def __init__(self, requirement: Requirement, signature: inspect.Signature) -> None:
        self._requirement = requirement
        self._signature = signature
        parameters = signature.parameters.values()
        is_plain = all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
        self._names = tuple(signature.parameters) if is_plain else None
        self._defaults = {
            parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty
        }

    def refuse_async_loaders(self) -> None:
        """Raise `ConfigurationError` where a synchronous handler was given a loader that it cannot wait for."""
        for loader in (self._requirement.loader, self._requirement.context):
            if inspect.iscoroutinefunction(loader):
                message = "a synchronous handler cannot wait for an asynchronous loader"
                raise ConfigurationError(message, place=self._requirement.action)

    def enforce(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Decide, and raise unless allowed."""
        with refusing() as call:
            arguments, scope = self._begin(call, args, kwargs)
            resource = self._resource(call, arguments, scope)
            context = self._context(arguments)
            self._finish(_decide(call, self._requirement.action, self._checked(call, resource), self._keys(context)))

    async def enforce_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Decide, and raise unless allowed; wait for asynchronous loaders."""
        with refusing() as call:
            arguments, scope = self._begin(call, args, kwargs)
            resource = self._resource(call, arguments, scope)
            if not isinstance(resource, _RESOURCE) and inspect.isawaitable(resource):
                resource = await resource
            wanted = self._checked(call, resource)
            keys = None if self._requirement.context is None else await self._awaited_keys(arguments)
            self._finish(await _decide_async(call, self._requirement.action, wanted, keys))

    async def _awaited_keys(self, arguments: Mapping[str, Any]) -> Keys | None:
        context = self._context(arguments)
        return self._keys(await context if inspect.isawaitable(context) else context)

    def _begin(
        self, call: CurrentCall, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return what a template or a loader is given, and the scope of the route."""
        call.wanted = self._requirement.action
        if not any(decision.allowed and decision.request.action == call.wanted for decision in call.decisions):
            call.refused_by = self._requirement  # until it allows; a handler that has run may call itself
        if call.has_unsigned_payload:
            call.take_payload(is_taken=self._requirement.unsigned_payload)
        arguments = self._arguments(args, kwargs)
        scope: Mapping[str, Any] = call.scope
        for value in arguments.values():
            found = getattr(value, "scope", None)  # the handler's own request: what it reads its parameters from
            if found is None:
                continue
            if found is call.scope or ((type(found) is dict or isinstance(found, Mapping)) and _is_routed(found)):
                scope = found
                break
        if not scope.get("path_params"):
            return arguments, scope
        read = call.read_parameters(scope, arguments)  # refuses what a dependency reads in another way
        if self._defaults:
            self._refuse_defaults(read, args, kwargs)
        return {**read, **arguments}, scope

    def _refuse_defaults(self, read: Mapping[str, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Raise `ConfigurationError` where a parameter of the route has another value than its default in the handler.

        Where the framework has not passed it on, the handler may use either of the two.
        """
        for name, default in self._defaults.items():
            if name not in read or name in kwargs or read[name] == default:
                continue
            if name not in self._signature.bind_partial(*args, **kwargs).arguments:
                message = f"expected the handler to get the parameter `{name}` of its route, got its default"
                raise ConfigurationError(message, place=self._requirement.action)

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
        """Name what the handler will have: given or by default, also what it takes as `**anything`."""
        if self._names is not None and len(args) <= len(self._names):
            given = dict(zip(self._names, args, strict=False))
            return {**self._defaults, **given, **kwargs} if kwargs or self._defaults else given
        bound = self._signature.bind_partial(*args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        for name, parameter in self._signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments.update(arguments.pop(name))
            elif parameter.kind is parameter.VAR_POSITIONAL:
                del arguments[name]
        return arguments

    def _resource(self, call: CurrentCall, arguments: Mapping[str, Any], scope: Mapping[str, Any]) -> Any:
        requirement = self._requirement
        if requirement.loader is not None:
            return _called(requirement.loader, arguments)
        if requirement.template is None:
            return "*"
        return requirement.template.fill(arguments, call.caller, call.guard.settings, scope)

    def _context(self, arguments: Mapping[str, Any]) -> Any:
        context = self._requirement.context
        return _called(context, arguments) if callable(context) else context

    def _checked(self, call: CurrentCall, resource: Any) -> str | Resource:
        if isinstance(resource, _RESOURCE):
            named = _named(resource, self._requirement.action)
            if self._requirement.loader is not None and not self._requirement.raw:
                refuse_dotted_arn(named.arn if isinstance(named, Resource) else named)
            return named
        if resource is None:
            if call.principal.type is PrincipalType.ANONYMOUS and not self._requirement.conceal:
                raise sign_in_for(self._requirement.action)
            raise Concealed
        message = f"expected a loader to give a resource, an ARN or None, got `{type(resource).__name__}`"
        raise ConfigurationError(message, place=self._requirement.action)

    def _keys(self, context: Any) -> Keys | None:
        if context is None or isinstance(context, Mapping):
            return context
        message = f"expected condition keys as a mapping, got `{type(context).__name__}`"
        raise ConfigurationError(message, place=self._requirement.action)

    def _finish(self, decision: Decision) -> None:
        if decision.allowed:
            return
        if self._requirement.conceal and decision.error is None:
            raise Concealed(decision)
        require_allowed(decision)


def _refuse_of_no_use(resource: object, context: object, action: str) -> None:
    """Raise `ConfigurationError` for what is neither what it should be nor a loader of it."""
    if not isinstance(resource, str) and not callable(resource):
        message = f"expected a resource as a template or a loader, got `{type(resource).__name__}`"
        raise ConfigurationError(message, place=action)
    if context is not None and not isinstance(context, Mapping) and not callable(context):
        message = f"expected condition keys as a mapping or a loader, got `{type(context).__name__}`"
        raise ConfigurationError(message, place=action)


def _refuse_unknown_raw(raw: Collection[str], known: Collection[str], action: str) -> None:
    """Raise `ConfigurationError` for raw parameters that the template, or the loader, does not have."""
    unknown = [raw] if isinstance(raw, str) else [name for name in raw if name not in known]
    if unknown:
        names = ", ".join(f"`{name}`" for name in known) or "none"
        message = f"expected the names of parameters of the resource as `raw` ({names}), got `{unknown[0]}`"
        raise ConfigurationError(message, place=action)


def _is_routed(scope: Mapping[str, Any]) -> bool:
    """Return whether a scope is that of a request which a router has taken.

    A body may have a field of that name, and whatever the caller likes in it, but nothing that can be called.
    """
    return "path_params" in scope and any(callable(scope.get(name)) for name in _ROUTERS_WORDS)


def takes_unsigned(mark: object) -> bool:
    """Return whether the mark of an endpoint is a requirement that takes a body which the signature does not cover."""
    return isinstance(mark, Requirement) and mark.unsigned_payload


def decide_here(action: str, resource: str | Resource, context: Keys | None) -> Decision:
    """Ask the guard of the current call, for its caller."""
    return _decide(current_call(), action, _named(resource, action), context)


async def decide_here_async(action: str, resource: str | Resource, context: Keys | None) -> Decision:
    """Ask the guard of the current call; in a thread of its own where the store or the disk must be waited for."""
    return await _decide_async(current_call(), action, _named(resource, action), context)


def _named(resource: str | Resource, action: str) -> str | Resource:
    """Return a resource back that has an ARN; only a template may be short. Raises `ConfigurationError`."""
    arn = resource.arn if isinstance(resource, Resource) else resource
    if isinstance(arn, str) and (arn.startswith("arn:") or arn == "*"):
        return resource
    message = f"expected an ARN such as `arn:aws:docs:us-east-1:111122223333:document/7`, got `{arn}`"
    raise ConfigurationError(message, place=action)


async def _decide_async(call: CurrentCall, action: str, resource: str | Resource, context: Keys | None) -> Decision:
    decision = call.guard.decide_from_cache(call.caller_for(action), action, resource, context, call=call.facts)
    if decision is None:
        return await anyio.to_thread.run_sync(_decide, call, action, resource, context)
    return call.decided(decision)


def _decide(call: CurrentCall, action: str, resource: str | Resource, context: Keys | None) -> Decision:
    return call.decided(call.guard.decide(call.caller_for(action), action, resource, context, call=call.facts))


class _Wants(NamedTuple):
    """What a loader is called with: the names that it needs, those that it has a default for, and its own."""

    needed: tuple[str, ...]
    optional: tuple[str, ...]
    called: str

    @property
    def names(self) -> tuple[str, ...]:
        return self.needed + self.optional


@lru_cache(maxsize=1024)  # a loader is declared once and called with every request
def _wants_of(loader: Callable[..., Any]) -> _Wants:
    named = [
        parameter for parameter in inspect.signature(loader).parameters.values() if parameter.kind not in _ANYTHING
    ]
    return _Wants(
        tuple(each.name for each in named if each.default is each.empty),
        tuple(each.name for each in named if each.default is not each.empty),
        getattr(loader, "__name__", "loader"),
    )


_ANYTHING: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _called(loader: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call a loader with the arguments that its signature names."""
    wants = _wants_of(loader)
    try:
        given = {name: arguments[name] for name in wants.needed}
    except KeyError as absent:
        message = f"the loader needs {missing(absent.args[0], arguments)}"
        raise ConfigurationError(message, place=wants.called) from None
    for name in wants.optional:
        if name in arguments:
            given[name] = arguments[name]
    return loader(**given)
