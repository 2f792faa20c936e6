"""What a call that changes something came to: told by whoever carries it out, to whoever notes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from iam_guard.errors import IamGuardError


@dataclass(frozen=True, slots=True)
class ChangedDocument:
    """The policy document that a change is about, by digest; None where there was none before, or is none now."""

    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What was asked for, and what was done. `action` is `prefix:name`; `resource` an ARN or `*`, of account `owner`.

    `parameters` and `elements` are CloudTrail's `requestParameters` and `responseElements`, without any secret;
    `masked` points at what was left out of them. `changed` says whether any row is otherwise than before, and `epoch`
    is that of the state with the change. With `error`, nothing was done.
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


class ChangeRecorder(Protocol):
    """Who notes what is done without being asked about: changes that the application itself, or its operator, makes."""

    def prepare(self) -> None:
        """Raise `DecisionUnavailable` where it is known that nothing can be noted, before anything is done."""
        ...

    def note(self, result: CallResult) -> None:
        """Record what was done. Raises `RecordUnavailable` where that cannot be."""
        ...


class NoChangeRecorder:
    """Notes nothing."""

    def prepare(self) -> None:
        """Let everything be done."""

    def note(self, result: CallResult) -> None:
        """Forget it."""
