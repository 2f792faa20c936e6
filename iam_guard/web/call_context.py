"""The current call: which guard, who calls, with which path parameters, and what was decided so far.

The middleware sets it, the decorators read it. It lives in a context variable, so that a handler needs no `request`
parameter and a thread that runs a synchronous handler sees it too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from iam_guard.authn.credential_verifier import wrong_service
from iam_guard.errors import ConfigurationError, IamGuardError, IncompleteSignature
from iam_guard.guard.guard import Guard
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call


def path_parameters(scope: Mapping[str, Any], named: Collection[str] = ()) -> Mapping[str, Any]:
    """Return the path parameters as the router found them, whatever the guarded function names itself."""
    parameters: Mapping[str, Any] = scope.get("path_params") or {}
    return parameters


ReadParameters: TypeAlias = Callable[[Mapping[str, Any], Collection[str]], Mapping[str, Any]]
"""(the scope, what the guarded function names itself) -> the path parameters."""


@dataclass(slots=True)
class CurrentCall:
    """One call to the application. `scope` is the ASGI scope, which the framework fills while it routes."""

    guard: Guard
    principal: Principal
    facts: Call
    scope: MutableMapping[str, Any] = field(default_factory=dict, repr=False)
    decisions: list[Decision] = field(default_factory=list)
    wanted: str | None = None
    """The action that a decorator is about to ask for; tells what was wanted when no decision could be made."""
    refused_by: object = field(default=None, repr=False)
    """The requirement that has not let the caller through, with nothing allowed since."""
    has_unsigned_payload: bool = False
    """Whether the caller's signature leaves the body out, and no requirement has taken such a call yet."""
    is_public: bool = False
    """Whether a route map opens the route to everybody."""
    refusal: IamGuardError | None = None
    """The latest refusal raised towards the framework, which may make a 500 of it before the middleware sees it."""
    is_over: bool = False
    """Whether its answer is out: a task that goes on after that asks in nobody's name."""
    address: str | None = None
    """The address of the route that was matched, as the inventory has it; None where the framework does not say so."""
    app: object = field(default=None, repr=False)
    """What has that route, for the inventory."""
    read_parameters: ReadParameters = field(default=path_parameters, repr=False)
    """Returns the path parameters that a guarded function does not name, as the rest of the application has them."""

    @property
    def caller(self) -> Principal:
        """Return the caller. Raises `IncompleteSignature` where the body may not be the caller's."""
        if self.has_unsigned_payload:
            self.take_payload(is_taken=False)
        return self.principal

    def caller_for(self, action: str) -> Principal:
        """Return the caller, for a decision about an action.

        The first action of a call must be of the service that was signed for. What a handler of that service asks
        after it is its own affair, of other services too. Raises `SignatureDoesNotMatch`, and what `caller` raises.
        """
        signed = None if self.principal.credential is None else self.principal.credential.service
        if signed is not None and not self.decisions:
            service = action.partition(":")[0].lower()
            accepted = self.guard.signing_names.get(service, frozenset((service,)))
            if signed not in accepted:
                raise wrong_service(accepted)
        return self.caller

    def take_payload(self, *, is_taken: bool) -> None:
        """Take a body that the signature leaves out, or raise `IncompleteSignature` where nobody has taken it."""
        if self.has_unsigned_payload and not is_taken:
            raise IncompleteSignature("unsigned payloads are not accepted here", place="x-amz-content-sha256")
        self.has_unsigned_payload = False

    def decided(self, decision: Decision) -> Decision:
        """Take a decision of this call, and give it back."""
        self.decisions.append(decision)
        if decision.allowed:
            self.refused_by = None
        return decision

    def matched(
        self, endpoint: object, parameters: Mapping[str, Any], *, address: str | None = None, app: object = None
    ) -> None:
        """Take what the framework's router found, None for nothing; for frameworks that do not fill an ASGI scope.

        `address` is that of the endpoint in the inventory of `app`, by which a report tells one route from another.
        """
        self.scope["endpoint"] = endpoint
        self.scope["path_params"] = parameters
        self.address, self.app = address, app


_current: ContextVar[CurrentCall | None] = ContextVar("iam_guard_current_call", default=None)


def current_call() -> CurrentCall:
    """Return the current call; raise `ConfigurationError` outside of one, and in a task that has outlived it.

    A worker that a request has started is of no request: whatever comes to it later would be asked in the name of the
    first caller.
    """
    call = _current.get()
    if call is None:
        raise ConfigurationError("no guarded call is being handled: is the guard in front of the application?")
    if call.is_over:
        raise ConfigurationError("the call is over: what goes on after its answer must be told on whose behalf")
    return call


def current_principal() -> Principal:
    """Return the caller of the call being handled; raise `ConfigurationError` outside of one."""
    return current_call().caller


def current_decision() -> Decision | None:
    """Return the latest decision of the call being handled, None before the first; raise outside of a call."""
    decisions = current_call().decisions
    return decisions[-1] if decisions else None


class refusing:  # noqa: N801  used as a statement; a generator would cost a microsecond a call
    """Return the call being handled, and remember as its refusal what is raised inside."""

    __slots__ = ("_call",)

    def __enter__(self) -> CurrentCall:
        self._call = current_call()
        return self._call

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, IamGuardError):
            self._call.refusal = error


class serving:  # noqa: N801  used as a statement
    """Make `call` the current one; for middlewares, workers and tests."""

    __slots__ = ("_call", "_token")

    def __init__(self, call: CurrentCall) -> None:
        self._call = call

    def __enter__(self) -> CurrentCall:
        self._token = _current.set(self._call)
        return self._call

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        _current.reset(self._token)
