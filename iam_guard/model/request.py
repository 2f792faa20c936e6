"""One question to the evaluator, and the facts of the call that it came with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.model.arn import account_of
from iam_guard.model.context import Context, Given, Lazy, Value
from iam_guard.model.principal import Principal


class _Unreadable(Enum):
    UNREADABLE = "unreadable"


UNREADABLE: Final = _Unreadable.UNREADABLE
"""What stands for the value of a condition key that could not be computed."""

KeysRead: TypeAlias = dict[str, Value | Literal[_Unreadable.UNREADABLE] | None]
"""Condition key in lower case -> what an evaluation was told; None for a key that is absent."""


@dataclass(frozen=True)
class AccessRequest:
    """May `principal` do `action` on `resource` in this `context`?

    `action` is `prefix:name`; `resource` an ARN or `*`; `resource_account` the account that owns the resource when
    it is not the account field of the ARN (rule E-54). `context` may be any mapping; see `Context`. Raises
    `InvalidInput` for what is of another kind than it should be; what a text says is not looked at. `read` has the
    condition keys that were asked for up to now, in that order.
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
        # One is made for every request, and what a frozen dataclass writes for itself takes twice as long.
        if not isinstance(principal, Principal):
            raise InvalidInput(f"expected a principal, got `{type(principal).__name__}`")
        fields = self.__dict__
        fields["principal"] = principal
        fields["action"] = action if type(action) is str else _text(action, "an action")
        fields["resource"] = resource if type(resource) is str else _text(resource, "a resource")
        is_ready = Context in type(context).__mro__  # as `isinstance`, which a mapping has done in many steps
        fields["context"] = context if is_ready else Context(context)
        if resource_account is not None and type(resource_account) is not str:
            resource_account = _text(resource_account, "the resource's account")
        fields["resource_account"] = resource_account
        fields["read"] = {}

    def value(self, folded_key: str) -> Value | None:
        """Return the value of a condition key (lower case): as given, else as the principal supplies it (rule N-3)."""
        try:
            found = self.context.value(folded_key)
            if found is None:
                found = self.principal.key(folded_key)
        except Exception:
            self.read[folded_key] = UNREADABLE
            raise
        self.read[folded_key] = found
        return found

    @property
    def owner(self) -> str | None:
        """The account that owns the resource; None when nobody says."""
        return self.resource_account or account_of(self.resource)


def _text(given: object, what: str) -> str:
    """Return a text that is nothing but a text: a member of an enumeration, say, has ways of its own to show itself."""
    if isinstance(given, str):
        return str.__str__(given)
    raise InvalidInput(f"expected a text as {what}, got `{type(given).__name__}`")


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of the application, as its loader knows it.

    `policy` is the resource-based policy attached to it (a document as dict or JSON text), None where it has none or
    where the guard's own store holds it. `tags` become `aws:ResourceTag/*`. `policy_required`: identity policies count
    only where the resource policy lets the account in (rule E-42). Raises `InvalidInput` for an ARN that is no text,
    `ConfigurationError` for an account or tags of the wrong kind, which no sender of a request has chosen.
    """

    arn: str
    account: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, Any] | str | None = None
    policy_required: bool = False

    def __post_init__(self) -> None:
        if type(self.arn) is not str:
            object.__setattr__(self, "arn", _text(self.arn, "a resource"))
        if self.account is not None and not isinstance(self.account, str):
            raise ConfigurationError(f"expected the resource's account as a text, got `{type(self.account).__name__}`")
        if type(self.tags) is not dict and not isinstance(self.tags, Mapping):
            raise ConfigurationError(f"expected the resource's tags as a mapping, got `{type(self.tags).__name__}`")


ActionOnResource = tuple[str, str | Resource]
"""A question: an action and a resource, or its ARN."""


@dataclass(frozen=True)
class Call:
    """The facts of one call to the application, for condition keys and audit. Nothing secret.

    `path` is the route's template where it is known (`/documents/{document_id}`), else the path. `source_ip` is the
    client's address after trusted proxies. `kind` is `http`, `websocket` or `call` (a plain function call).
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

    def __init__(
        self,
        request_id: str,
        kind: str = "call",
        method: str | None = None,
        path: str | None = None,
        host: str | None = None,
        source_ip: str | None = None,
        user_agent: str | None = None,
        referer: str | None = None,
        secure: bool = False,
        region: str = "us-east-1",
    ) -> None:
        fields = self.__dict__  # as in `AccessRequest`
        fields["request_id"] = request_id
        fields["kind"] = kind
        fields["method"] = method
        fields["path"] = path
        fields["host"] = host
        fields["source_ip"] = source_ip
        fields["user_agent"] = user_agent
        fields["referer"] = referer
        fields["secure"] = secure
        fields["region"] = region
