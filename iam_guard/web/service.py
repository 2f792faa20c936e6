"""`Service` and its decorators, with which handlers declare their action and resource.

`docs.requires("GetDocument", resource="document/{document_id}")` works on asynchronous and synchronous handlers of any
ASGI or WSGI framework. The decorated handler keeps its signature. A denial is raised, and the middleware answers it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, ParamSpec, TypeVar, Unpack, cast

from iam_guard.errors import ConfigurationError
from iam_guard.filters.attributes import Absent
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.guard.question import require_allowed
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.context import Given, Lazy
from iam_guard.model.decision import Decision
from iam_guard.model.own_services import RESERVED
from iam_guard.model.reference import AccessLevel, ServiceReference
from iam_guard.model.request import Resource
from iam_guard.web.call_context import current_call, recording_refusal
from iam_guard.web.enforcement import BoundRequirement, decide_in, decide_in_async, require_arn
from iam_guard.web.requirement import MARK, PUBLIC, ContextSource, Requirement, RequirementOptions, ResourceSource
from iam_guard.web.resource_template import ResourceTemplate

_STREAMING: Final = (
    "`StreamingResponse` in FastAPI and Starlette, `Stream` in Litestar, `Response` in Flask, "
    "`StreamingHttpResponse` in Django, `StreamResponse` in aiohttp"
)
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Service:
    """A namespace of the application: `Service("docs")` has the actions `docs:…` and the ARNs `arn:aws:docs:…`.

    `title` is the name in its service authorization reference. `signing_names` are the service names accepted in
    signatures, if not only its own: `("docs", "s3")` for uploads by S3 clients. They apply to services passed to
    `open_guard`. Raises `ConfigurationError` for an invalid name, and for the name of a service of iam_guard (`iam`).
    """

    def __init__(self, name: str, *, title: str = "", signing_names: Collection[str] = ()) -> None:
        if name in RESERVED:
            message = f"expected the name of a service of the application, got `{name}`, which iam_guard itself uses"
            raise ConfigurationError(message, place="Service")
        self.catalogue = Catalogue(name, title, frozenset(signing_names))

    @property
    def name(self) -> str:
        """The prefix of the actions."""
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
        """Run the decorated handler only for callers who are allowed `action` on `resource`.

        `resource` is a template (`document/{document_id}`, an ARN, or `*` for actions without a resource), or a loader:
        a function with parameters named like path parameters or handler arguments, which returns a `Resource`, an ARN,
        or None if there is no such resource (404). `context` is a mapping of condition keys, or a loader of one. An
        asynchronous handler may have asynchronous loaders. `conceal` answers 404 instead of 403. `unsigned_payload`
        accepts signatures that don't cover the body, for uploads and S3's presigned URLs. Values that can't be part of
        a resource name (`a/../b`, a float) are answered with 400; `raw` names parameters that may be any text, such as
        object keys. Raises `ConfigurationError` for an invalid declaration.
        """
        requirement = self.requirement(
            action, resource=resource, context=context, conceal=conceal, unsigned_payload=unsigned_payload, raw=raw
        )
        return functools.partial(_guard_handler, requirement)

    def requirement(self, action: str, **options: Unpack[RequirementOptions]) -> Requirement:
        """Declare a requirement without a handler, for guards that run before handlers."""
        _check_action_name(action, self.name)
        return Requirement.declare(self.catalogue, action, **options)

    # --- declarations without a decorator ----------------------------------------------------------------------------

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
        """Declare what doesn't follow from `requires`, for the service authorization reference.

        `level` is one of AWS's access levels; the default follows from the action's verb. `description` takes
        precedence over the handler's docstring. `resource_types` and `condition_keys` are those that a loader returns;
        `depends_on` are further actions that the caller needs. Raises `ConfigurationError` if it contradicts an earlier
        declaration.
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
        """Declare a resource type with the template of its ARN; `requires` with that template refers to it.

        Raises `ConfigurationError` for an invalid template, and for the template of another type.
        """
        ResourceTemplate(template, service=self.name)
        self.catalogue.declare_resource_type(name, template, keys=condition_keys, description=description)

    def resource_type(
        self,
        name: str,
        template: str,
        *,
        model: Any,
        account: Any,
        tags: Any = None,
        keys: Mapping[str, Any] | None = None,
        absent: Mapping[str, Absent] | None = None,
        description: str = "",
    ) -> ResourceMapping:
        """Declare a resource type whose resources are rows of a model of SQLAlchemy; lists of these can be filtered.

        The parameters of `template` are attributes of the model, such as `document/{id}`. `account` is that of each
        resource: 12 digits, a column, or an SQL expression. `tags` is a JSON column, an object of strings, or
        `TagRows`. `keys` are condition keys, each with its column: text, number, boolean, datetime, or an IP address
        as text. `absent` says per key what an absent key is: NULL (`null`, the default), NULL and the empty string
        (`empty`), or nothing (`never`). Raises `ConfigurationError` for a declaration that can't be compared exactly.

        `model` may be one of Django, and columns are then names of its fields; `for_django` of the result adds one.
        """
        ResourceTemplate(template, service=self.name)
        mapping = ResourceMapping(
            self.catalogue, name, template, model=model, account=account, tags=tags, keys=keys, absent=absent
        )
        self.catalogue.declare_resource_type(name, template, keys=mapping.condition_keys, description=description)
        self.catalogue.mappings[name] = mapping
        return mapping

    def declare_condition_key(
        self, name: str, type: str = "String", *, multivalued: bool = False, description: str = ""
    ) -> None:
        """Declare the type of a condition key: `ARN`, `Binary`, `Bool`, `Date`, `IPAddress`, `Numeric` or `String`.

        Raises `ConfigurationError` for another type, a key of another service, and a contradicting declaration.
        """
        self.catalogue.declare_condition_key(name, type, multivalued=multivalued, description=description)

    def reference(self) -> ServiceReference:
        """Return the service authorization reference. Raises `ConfigurationError` for contradicting declarations."""
        return self.catalogue.reference()

    # --- decisions in handlers ------------------------------------------------------------------------------------

    def decide(
        self, action: str, resource: str | Resource = "*", context: Mapping[str, Given | Lazy] | None = None
    ) -> Decision:
        """Return a decision for the current caller, inside a synchronous handler; the decision is recorded.

        `resource` is an ARN or a `Resource`. Raises `ConfigurationError` outside of a call.
        """
        name = str(self.catalogue.declare(action))
        return decide_in(current_call(), name, require_arn(resource, name), context)

    async def decide_async(
        self, action: str, resource: str | Resource = "*", context: Mapping[str, Given | Lazy] | None = None
    ) -> Decision:
        """Decide as `decide` does; use a thread if the store must be queried."""
        name = str(self.catalogue.declare(action))
        return await decide_in_async(current_call(), name, require_arn(resource, name), context)

    def authorize(
        self, action: str, resource: str | Resource = "*", context: Mapping[str, Given | Lazy] | None = None
    ) -> Decision:
        """Decide as `decide` does and raise `AccessDenied` unless allowed."""
        with recording_refusal():
            return require_allowed(self.decide(action, resource, context))


def requires(action: str, **options: Unpack[RequirementOptions]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Require an action with its complete name, as `Service.requires`: `@requires("docs:GetDocument", …)`."""
    _check_action_name(action, "requires")
    service, name = split_action(action, "requires")
    return Service(service).requires(name, **options)


def split_action(action: str, place: str) -> tuple[str, str]:
    """Return the service and the name of an action. Raises `ConfigurationError` for a name without a service."""
    service, colon, name = action.partition(":")
    if not colon:
        raise ConfigurationError(f"expected an action such as `docs:GetDocument`, got `{action}`", place=place)
    return service, name


def public(endpoint: T) -> T:
    """Mark an endpoint (a handler, an endpoint class or a mounted ASGI application) as public."""
    setattr(endpoint, MARK, PUBLIC)
    return endpoint


def _check_action_name(action: object, place: str) -> None:
    """Raise `ConfigurationError` if the action is not a string, as with a decorator without parentheses."""
    if not isinstance(action, str):
        message = f'expected the name of an action, as in `requires("GetDocument")`, got `{type(action).__name__}`'
        raise ConfigurationError(message, place=place)


def _guard_handler(requirement: Requirement, handler: Callable[P, R]) -> Callable[P, R]:
    if inspect.isclass(handler) or not callable(handler):
        message = "expected a function or method; of an endpoint class, decorate each method (get, post, …)"
        raise ConfigurationError(message, place=requirement.action)
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        message = (
            "expected a handler that returns a response, got a generator: return your framework's streaming response "
            f"with the generator ({_STREAMING}); for a method of gRPC, put `@streaming` of iam_guard_grpc below"
        )
        raise ConfigurationError(message, place=requirement.action)
    bound = BoundRequirement(requirement, handler)
    docstring = (inspect.getdoc(handler) or "").partition("\n")[0].strip()
    requirement.catalogue.describe(requirement.action.partition(":")[2], docstring)
    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def guarded_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            pending = bound.begin(args, kwargs)
            if pending is not None:
                await pending
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
