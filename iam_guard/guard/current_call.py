"""The call that is being served, as far as the guard itself needs it; `web.call_context` sets it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, Protocol

from iam_guard.errors import ConfigurationError
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.model.result import ServedRequest


class ServedCall(Protocol):
    """A call to the application."""

    @property
    def guard(self) -> object:
        """The guard that serves it."""
        ...

    @property
    def principal(self) -> Principal:
        """Its authenticated caller."""
        ...

    @property
    def facts(self) -> Call:
        """The facts of the call."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the response was sent."""
        ...

    def caller_for(self, action: str) -> Principal:
        """Return the caller, for a decision about an action."""
        ...


SERVED_CALL: Final[ContextVar[ServedCall | None]] = ContextVar("iam_guard_current_call", default=None)


def served_call() -> ServedCall:
    """Return the current call. Raises `ConfigurationError` outside of a call, and after its response."""
    call = SERVED_CALL.get()
    if call is None or call.is_over:
        raise ConfigurationError("expected a principal, since no guarded call is being handled", place="filter")
    return call


def request_served_by(guard: object) -> ServedRequest | None:
    """Return the request that the present code serves; None outside of one of this guard, and after its response."""
    call = SERVED_CALL.get()
    if call is None or call.is_over or call.guard is not guard:
        return None
    return ServedRequest(call.facts, call.principal)
