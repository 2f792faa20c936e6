"""Access requests, their resources, and the facts of a call to the application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.model.arn import Location, account_of, is_complete
from iam_guard.model.context import NO_KEYS, Context, Given, Lazy, Value
from iam_guard.model.principal import Principal


class _Unreadable(Enum):
    UNREADABLE = "unreadable"


UNREADABLE: Final = _Unreadable.UNREADABLE
"""The placeholder for a condition key whose value could not be computed."""

KeysRead: TypeAlias = dict[str, Value | Literal[_Unreadable.UNREADABLE] | None]
"""Maps a condition key in lower case to the value that an evaluation read; None for an absent key."""


@dataclass(frozen=True)
class AccessRequest:
    """A request to the evaluator: may `principal` do `action` on `resource` in this `context`?

    `action` is `prefix:name`; `resource` an ARN or `*`; `resource_account` the account that owns the resource if it is
    not the account field of the ARN (rule E-54). `context` may be any mapping; see `Context`. `read` has the condition
    keys read so far, in order. Raises `InvalidInput` for values of the wrong type; their text is not validated.
    """

    principal: Principal
    action: str
    resource: str
    context: Context = field(default_factory=Context)
    resource_account: str | None = None
    read: KeysRead = field(init=False, compare=False, repr=False)

    def __init__(
        self,
        principal: Principal,
        action: str,
        resource: str,
        context: Mapping[str, Given | Lazy] | None = None,
        resource_account: str | None = None,
    ) -> None:
        # Created for every request: the generated `__init__` of a frozen dataclass takes twice as long.
        if not isinstance(principal, Principal):
            raise InvalidInput(f"expected a principal, got `{type(principal).__name__}`")
        fields = self.__dict__
        fields["principal"] = principal
        fields["action"] = action if type(action) is str else _string(action, "an action")
        fields["resource"] = resource = resource if type(resource) is str else _string(resource, "a resource")
        if "{" in resource and not is_complete(resource):
            raise InvalidInput(f"expected a complete ARN, with its partition and region, got `{resource[:200]}`")
        is_context = type(context) is not dict and Context in type(context).__mro__  # faster than `isinstance`
        fields["context"] = context if is_context else Context(context)
        if resource_account is not None and type(resource_account) is not str:
            resource_account = _string(resource_account, "a resource's account")
        fields["resource_account"] = resource_account
        fields["read"] = {}

    @classmethod
    def checked(
        cls, principal: Principal, action: str, resource: str, context: Context, resource_account: str | None
    ) -> AccessRequest:
        """Return a request of values that are known to have these types: no strings of subclasses, for example."""
        request = object.__new__(cls)
        request.__dict__.update(
            principal=principal,
            action=action,
            resource=resource,
            context=context,
            resource_account=resource_account,
            read={},
        )
        return request

    @classmethod
    def for_resource(
        cls,
        principal: Principal,
        action: str,
        resource: Resource,
        context: Mapping[str, Given | Lazy] | None = None,
        *,
        region: str = "us-east-1",
        partition: str = "aws",
    ) -> AccessRequest:
        """Return the request about a resource, for policies of `compile_policies` that decide without a guard.

        `region` and `partition` complete the ARN of a declared resource, as a guard does with those of its settings.

        The condition keys are those of `context`, which take precedence, then `aws:ResourceAccount` (the resource's
        account, else that of its ARN), the resource's `keys` and its tags. Its `policy` and `policy_required` belong to
        the policies, not to the request, and are ignored. Raises `InvalidInput` for fields of the wrong type, and
        `ContextError` for an invalid `context`.
        """
        if not isinstance(resource, Resource):
            raise InvalidInput(f"expected a `Resource`, got `{type(resource).__name__}`")
        resource = resource.at(Location(partition, region))
        owner = resource.account or account_of(resource.arn)
        keys = Context.of_resource(context, resource.tags, resource.keys, owner)
        return cls(principal, action, resource.arn, keys, resource.account)

    def value(self, folded_key: str) -> Value | None:
        """Return the value of a condition key (lower case) from the context, else from the principal (rule N-3)."""
        context = self.context
        text = context._values.get(folded_key)  # the common case; a string is what `Context.value` returns
        if type(text) is str:
            self.read[folded_key] = text
            return text
        try:
            value = context.value(folded_key)
            if value is None:
                value = self.principal.key(folded_key)
        except Exception:
            self.read[folded_key] = UNREADABLE
            raise
        self.read[folded_key] = value
        return value

    def is_unknown(self, folded_key: str) -> bool:
        """Return whether `value` returns None because the value is unknown, as a recorded request's may be."""
        return False

    def copy(self) -> AccessRequest:
        """Return the same request, of which no condition key was read."""
        return AccessRequest(self.principal, self.action, self.resource, self.context, self.resource_account)

    @property
    def owner(self) -> str | None:
        """The account that owns the resource; None if unknown."""
        return self.resource_account or account_of(self.resource)


def _string(value: object, what: str) -> str:
    """Return a plain `str`: subclasses such as enumerations may format differently. Raises `InvalidInput`."""
    if isinstance(value, str):
        return str.__str__(value)
    raise InvalidInput(f"expected a string as {what}, got `{type(value).__name__}`")


@dataclass(frozen=True)
class Resource:
    """A resource of the application, as returned by its loader.

    `policy` is its resource-based policy (dict or JSON text), None if it has none or if the guard's store has it.
    `tags` become `aws:ResourceTag/*`, and `keys` are condition keys of the application, such as `docs:Class`, from the
    resource's own data: values as in `context`, which takes precedence. A tag or key that is ambiguous, a value that is
    no condition value, and a key that begins with `aws:`, `iam:` or `sts:` raise only in a decision that reads the key:
    an Allow that reads it does not apply, a Deny does (rule C-45). `policy_required`: identity policies apply only if
    the resource policy allows the account (rule E-42). Raises `InvalidInput` for an ARN that is not a string,
    `ConfigurationError` for an account, tags or keys of the wrong type, since clients do not choose these.
    """

    arn: str
    account: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, Any] | str | None = None
    policy_required: bool = False
    keys: Mapping[str, Given | Lazy] = field(default_factory=dict)

    def __init__(
        self,
        arn: str,
        account: str | None = None,
        tags: Mapping[str, str] = NO_KEYS,
        policy: Mapping[str, Any] | str | None = None,
        policy_required: bool = False,
        keys: Mapping[str, Given | Lazy] = NO_KEYS,
    ) -> None:
        # Created for every request, as `AccessRequest`.
        if account is not None and not isinstance(account, str):
            raise ConfigurationError(f"expected a string as a resource's account, got `{type(account).__name__}`")
        if type(arn) is not str:
            arn = _string(arn, "a resource")
        fields = self.__dict__
        fields["arn"] = arn
        fields["account"] = account
        fields["tags"] = {} if tags is NO_KEYS else tags if type(tags) is dict else _mapping(tags, "tags")
        fields["policy"] = policy
        fields["policy_required"] = policy_required
        fields["keys"] = {} if keys is NO_KEYS else keys if type(keys) is dict else _mapping(keys, "keys")

    def at(self, location: Location) -> Resource:
        """Return the resource with a complete ARN: a declared one has the partition and region of the location."""
        arn = location.complete(self.arn)
        return self if arn is self.arn else replace(self, arn=arn)


def _mapping(value: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise ConfigurationError(f"expected a mapping as a resource's {what}, got `{type(value).__name__}`")


ResourceLoader = Callable[[str], "Resource | None"]
"""Returns the application's own data of a resource, such as its policy, by ARN, or None."""


def load_resource(loader: ResourceLoader, wanted: Resource, location: Location) -> Resource:
    """Return a resource as the application's loader describes it. Raises `ConfigurationError` for another resource."""
    loaded = loader(wanted.arn)
    if loaded is None:
        return wanted
    found = loaded.at(location) if isinstance(loaded, Resource) else None
    if found is None or found.arn != wanted.arn:
        raise ConfigurationError("expected the requested resource from the resource loader, got another value")
    return found


ActionOnResource = tuple[str, str | Resource]
"""An action and a resource or its ARN."""


class Call(NamedTuple):
    """The facts of a call to the application, for condition keys and audit. Nothing secret.

    `path` is the route's template if known (`/documents/{document_id}`), else the path. `source_ip` is the client's
    address after trusted proxies. `kind` is `http`, `websocket`, `grpc` or `call` (a plain function call).

    A tuple, since it is created for every request: a frozen dataclass takes twice as long.
    """

    request_id: str
    kind: str = "call"
    method: str | None = None
    path: str | None = None
    host: str | None = None
    source_ip: str | None = None
    user_agent: str | None = None
    referer: str | None = None
    secure: bool = False
    region: str = "us-east-1"
