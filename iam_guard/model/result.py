"""The result of a call that changes the store, for the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from iam_guard.errors import IamGuardError
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call


@dataclass(frozen=True, slots=True)
class ChangedDocument:
    """The digests of a policy document before and after a change; None if it did not or does not exist."""

    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """A call and its result. `action` is `prefix:name`; `resource` an ARN or `*`, of account `owner`.

    `parameters` and `elements` are CloudTrail's `requestParameters` and `responseElements`, without secrets; `masked`
    has pointers to the removed values. `changed` is whether any row changed, `epoch` the epoch after the change. With
    `error`, nothing was changed.
    """

    action: str
    resource: str = "*"
    owner: str | None = None
    parameters: Mapping[str, Any] | None = None
    elements: Mapping[str, Any] | None = None
    masked: tuple[str, ...] = ()
    document: ChangedDocument | None = None
    changed: bool = True
    epoch: int | None = None
    error: IamGuardError | None = None


class ServedRequest(NamedTuple):
    """The request of a caller in which an application makes a change."""

    call: Call
    caller: Principal


class ChangeRecorder(Protocol):
    """Records changes without an access decision: those made by the application itself or by its administrator."""

    def prepare(self) -> None:
        """Raise `DecisionUnavailable` before a change if it is known that it could not be recorded."""

    def record(self, result: CallResult) -> None:
        """Record a change. Raises `RecordUnavailable` if it cannot be recorded."""


class NoChangeRecorder:
    """A `ChangeRecorder` that records nothing."""

    def prepare(self) -> None:
        """Do nothing."""

    def record(self, result: CallResult) -> None:
        """Do nothing."""
