"""`Service` and its decorators: a handler declares its action and resource, and asks the guard of the current call.

`docs.requires("GetDocument", resource="document/{document_id}")` works on asynchronous and synchronous handlers of any
framework that speaks ASGI; both share one body, `Requirement`, and differ in the last line only. The decorated handler
keeps its signature. A refusal is raised and answered by the middleware.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, ParamSpec, TypeVar, cast

from iam_guard.errors import ConfigurationError
from iam_guard.guard.guard import require_allowed
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.context import Given, Lazy
from iam_guard.model.decision import Decision
from iam_guard.model.reference import AccessLevel, ServiceReference
from iam_guard.model.request import Resource
from iam_guard.web.call_context import refusing
from iam_guard.web.requirement import (
    MARK,
    PUBLIC,
    ContextSource,
    Requirement,
    ResourceSource,
    decide_here,
    decide_here_async,
)
from iam_guard.web.resource_template import ResourceTemplate

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Service:
    """A namespace of the application: `Service("docs")` has the actions `docs:…` and the ARNs `arn:aws:docs:…`.

    `title` is what people call it, for the pages of its service authorization reference. `signing_names` are the
    services that clients may sign for at its routes, where that is not its own name: `("docs", "s3")` for uploads by
    clients of S3. They hold for a service that `open_guard` is given.
    """

    def __init__(self, name: str, *, title: str = "", signing_names: Collection[str] = ()) -> None:
        self.catalogue = Catalogue(name, title, frozenset(signing_names))

    @property
    def name(self) -> str:
        return self.catalogue.service

    def __repr__(self) -> str:
        return f"Service({self.name!r})"

    def requires(
        self,
        action: str,
        *,
        resource: ResourceSource = "*",
        context: ContextSource = None,
        conceal: bool = False,
        unsigned_payload: bool = False,
        raw: Collection[str] = (),
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Let the decorated handler run only for callers who may do `action` on `resource`.

        `resource` is a template (`document/{document_id}`, a whole ARN, or `*` for actions without a resource), or a
        loader: a function whose parameters are named like path parameters or handler arguments, which gives a
        `Resource`, an ARN, or None where there is no such thing (answered 404). `context` is a mapping of condition
        keys, or a loader of one. Loaders may be asynchronous where the handler is. `conceal` answers 404 instead of
        403. `unsigned_payload` takes requests whose signature leaves the body out, for uploads and S3's presigned URLs.
        A value that names no resource (`a/../b`, a float) is refused with 400; `raw` names the parameters whose text is
        data, the key of an object say, and may be any.
        Raises `ConfigurationError` where the declaration makes no sense.
        """
        requirement = self.requirement(
            action, resource=resource, context=context, conceal=conceal, unsigned_payload=unsigned_payload, raw=raw
        )
        return functools.partial(_guarded, requirement)

    def requirement(
        self,
        action: str,
        *,
        resource: ResourceSource = "*",
        context: ContextSource = None,
        conceal: bool = False,
        unsigned_payload: bool = False,
        raw: Collection[str] = (),
    ) -> Requirement:
        """Declare what `requires` does, without a handler: for what stands before handlers."""
        _refuse_no_text(action, self.name)
        label = resource if isinstance(resource, str) else f"{getattr(resource, '__name__', 'loader')}()"
        requirement = Requirement.of(
            f"{self.name}:{action}",
            resource,
            context,
            conceal=conceal,
            service=self.name,
            unsigned_payload=unsigned_payload,
            raw=raw,
            catalogue=self.catalogue,
        )
        self.catalogue.declare_use(
            action,
            label,
            is_loader=requirement.loader is not None,
            keys=list(context) if isinstance(context, Mapping) else (),
            has_open_keys=callable(context),
        )
        return requirement

    # --- what no decorator says ----------------------------------------------------------------------------------

    def declare_action(
        self,
        name: str,
        *,
        description: str = "",
        level: AccessLevel | str | None = None,
        resource_types: Collection[str] = (),
        condition_keys: Collection[str] = (),
        depends_on: Collection[str] = (),
    ) -> None:
        """Say of an action what does not follow from `requires`, for the service authorization reference.

        `level` is one of AWS's access levels, by the action's verb where it is left out; `description` stands before
        the handler's docstring. `resource_types` and `condition_keys` are those that a loader supplies; `depends_on`
        are the actions that a caller needs beside. Raises `ConfigurationError` for what contradicts an earlier word.
        """
        self.catalogue.declare_action(
            name,
            summary=description,
            level=level,
            types=resource_types,
            keys=condition_keys,
            depends_on=depends_on,
        )

    def declare_resource_type(
        self, name: str, template: str, *, condition_keys: Collection[str] = (), description: str = ""
    ) -> None:
        """Return a resource type its name and the template of its ARN; `requires` with that template is about it.

        Raises `ConfigurationError` for what is no template, and for one that another type has.
        """
        ResourceTemplate(template, service=self.name)
        self.catalogue.declare_resource_type(name, template, keys=condition_keys, description=description)

    def declare_condition_key(
        self, name: str, type: str = "String", *, multivalued: bool = False, description: str = ""
    ) -> None:
        """Return what a condition key of the service holds: `ARN`, `Binary`, `Bool`, `Date`, `IPAddress`, `Numeric`,
        `String`.

        Raises `ConfigurationError` for another type, a key of another service, and a second, different word.
        """
        self.catalogue.declare_condition_key(name, type, multivalued=multivalued, description=description)

    def reference(self) -> ServiceReference:
        """Return the service authorization reference. Raises `ConfigurationError` where declarations do not agree."""
        return self.catalogue.reference()

    # --- asking --------------------------------------------------------------------------------------------------

    def decide(
        self, action: str, resource: str | Resource = "*", context: Mapping[str, Given | Lazy] | None = None
    ) -> Decision:
        """Decide for the current caller inside a handler; synchronous, for what the decorator cannot know beforehand.

        `resource` is an ARN or a `Resource`. The decision is noted. Raises `ConfigurationError` outside of a call.
        """
        return decide_here(str(self.catalogue.declare(action)), resource, context)

    async def decide_async(
        self, action: str, resource: str | Resource = "*", context: Mapping[str, Given | Lazy] | None = None
    ) -> Decision:
        """Decide as `decide` does, leaving the event loop where the store must be asked."""
        return await decide_here_async(str(self.catalogue.declare(action)), resource, context)

    def authorize(
        self, action: str, resource: str | Resource = "*", context: Mapping[str, Given | Lazy] | None = None
    ) -> Decision:
        """Decide as `decide` does and raise `AccessDenied` unless allowed."""
        with refusing():
            return require_allowed(self.decide(action, resource, context))


def requires(
    action: str,
    *,
    resource: ResourceSource = "*",
    context: ContextSource = None,
    conceal: bool = False,
    unsigned_payload: bool = False,
    raw: Collection[str] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Do as `Service.requires`, with the whole action name: `@requires("docs:GetDocument", …)`."""
    _refuse_no_text(action, "requires")
    prefix, colon, name = action.partition(":")
    if not colon:
        raise ConfigurationError(f"expected an action such as `docs:GetDocument`, got `{action}`", place="requires")
    service = Service(prefix)
    return service.requires(
        name, resource=resource, context=context, conceal=conceal, unsigned_payload=unsigned_payload, raw=raw
    )


def public(endpoint: T) -> T:
    """Mark an endpoint (a handler, an endpoint class or a mounted ASGI application) as open to everybody."""
    setattr(endpoint, MARK, PUBLIC)
    return endpoint


def _refuse_no_text(action: object, place: str) -> None:
    """Raise `ConfigurationError` for a handler, say: then the parentheses with the action were forgotten."""
    if not isinstance(action, str):
        message = f'expected the name of an action, as in `requires("GetDocument")`, got `{type(action).__name__}`'
        raise ConfigurationError(message, place=place)


def _first_line(handler: Callable[..., Any]) -> str:
    return (inspect.getdoc(handler) or "").partition("\n")[0].strip()


def _guarded(requirement: Requirement, handler: Callable[P, R]) -> Callable[P, R]:
    if inspect.isclass(handler) or not callable(handler):
        message = "expected a function or method; of an endpoint class, decorate each method (get, post, …)"
        raise ConfigurationError(message, place=requirement.action)
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise ConfigurationError("expected a handler that returns, got a generator", place=requirement.action)
    bound = requirement.bind(handler)
    if requirement.catalogue is not None:
        requirement.catalogue.describe(requirement.action.partition(":")[2], _first_line(handler))
    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            await bound.enforce_async(args, kwargs)
            return await handler(*args, **kwargs)

        guarded = cast("Callable[P, R]", guarded_async)
    else:
        bound.refuse_async_loaders()

        @functools.wraps(handler)
        def guarded_sync(*args: P.args, **kwargs: P.kwargs) -> R:
            bound.enforce(args, kwargs)
            return handler(*args, **kwargs)

        guarded = guarded_sync
    setattr(guarded, MARK, requirement)
    return guarded
