"""One question to the evaluator, and the facts of the call that it came with.

Must not live here: how an HTTP request becomes one (`enforcement`, `guard`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iam_guard.model.arn import account_of
from iam_guard.model.context import Context, Given, Lazy, Value
from iam_guard.model.principal import Principal


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """May `principal` do `action` on `resource` in this `context`?

    `action` is `prefix:name`; `resource` an ARN or `*`; `resource_account` the account that owns the resource when
    it is not the account field of the ARN (rule E-54). `context` may be any mapping; see `Context`.
    """

    principal: Principal
    action: str
    resource: str
    context: Mapping[str, Given | Lazy] = field(default_factory=Context)
    resource_account: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.context, Context):
            object.__setattr__(self, "context", Context(self.context))

    def value(self, folded_key: str) -> Value | None:
        """Give the value of a condition key (lower case): as given, else as the principal supplies it (rule N-3)."""
        given = self.context.value(folded_key)  # type: ignore[attr-defined]
        return self.principal.key(folded_key) if given is None else given

    @property
    def owner(self) -> str | None:
        """The account that owns the resource; None when nobody says."""
        return self.resource_account or account_of(self.resource)


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of the application, as its loader knows it.

    `policy` is the resource-based policy attached to it (a document as dict or JSON text), None where it has none or
    where the guard's own store holds it. `tags` become `aws:ResourceTag/*`. `policy_required`: identity policies count
    only where the resource policy lets the account in (rule E-42).
    """

    arn: str
    account: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, Any] | str | None = None
    policy_required: bool = False


@dataclass(frozen=True, slots=True)
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
