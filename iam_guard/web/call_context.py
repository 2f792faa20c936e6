"""The current call: its guard, caller, path parameters, and decisions.

The middleware sets it, and the decorators read it. It is a context variable, so that handlers need no `request`
parameter, and that it is available in the thread of a synchronous handler.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from iam_guard.authn.signatures.accepted_scope import wrong_service
from iam_guard.errors import ConfigurationError, IamGuardError, IncompleteSignature
from iam_guard.guard.current_call import SERVED_CALL
from iam_guard.guard.guard import Guard
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.web.browser.browser_caller import BrowserCaller


def path_parameters(scope: Mapping[str, Any], named: Collection[str] = ()) -> Mapping[str, Any]:
    """Return the path parameters as the router parsed them."""
    parameters: Mapping[str, Any] = scope.get("path_params") or {}
    return parameters


ReadParameters: TypeAlias = Callable[[Mapping[str, Any], Collection[str]], Mapping[str, Any]]
"""(the scope, the parameters that the guarded function already has) -> the path parameters."""


@dataclass
class CurrentCall:
    """One call to the application. `scope` is the ASGI scope, which the framework fills while routing.

    Created for every request: a field that `__init__` does not take has its default on the class until it changes.
    """

    guard: Guard
    principal: Principal
    facts: Call
    scope: MutableMapping[str, Any] = field(default_factory=dict, repr=False)
    decisions: list[Decision] = field(default_factory=list, init=False)
    attempted_action: str | None = field(default=None, init=False)
    """The action that a decorator is about to authorize; it is recorded if no decision could be made."""
    refused_by: object = field(default=None, init=False, repr=False)
    """The requirement that denied the call, unless it was allowed later."""
    has_unsigned_payload: bool = field(default=False, init=False)
    """Whether the signature does not cover the body, and no requirement has accepted that yet."""
    browser: BrowserCaller | None = field(default=None, init=False)
    """What the session cookie establishes; None without one, or if the caller has another credential."""
    challenge: str | None = field(default=None, init=False)
    """What the response asks of the browser in `WWW-Authenticate`."""
    route_map: object = field(default=None, init=False, repr=False)
    """The route map of the guard: rows of another guard's map do not count."""
    is_public: bool = field(default=False, init=False)
    """Whether the route map declares the route public."""
    refusal: IamGuardError | None = field(default=None, init=False)
    """The latest error raised to the framework, which may turn it into a 500 before the middleware sees it."""
    is_over: bool = field(default=False, init=False)
    """Whether the response was sent; a task that continues after that has no caller."""
    address: str | None = field(default=None, init=False)
    """The `Endpoint.address` of the matched route; None if the framework does not report it."""
    app: object = field(default=None, init=False, repr=False)
    """The application of that route, for the inventory."""
    read_parameters: ReadParameters = field(default=staticmethod(path_parameters), init=False, repr=False)
    """Returns the path parameters that the guarded function does not have, as the rest of the application gets them."""

    @property
    def caller(self) -> Principal:
        """Return the caller. Raises `IncompleteSignature` if the body is unsigned and was not accepted."""
        if self.has_unsigned_payload:
            self.check_unsigned_payload(is_accepted=False)
        return self.principal

    def caller_for(self, action: str) -> Principal:
        """Return the caller, for a decision about an action.

        The first action of a call must belong to the service in the signature's scope. Later ones, from the handler,
        may belong to other services. Raises `SignatureDoesNotMatch`, and what `caller` raises.
        """
        principal = self.principal
        credential = principal.credential
        if credential is not None and credential.service is not None and not self.decisions:
            service = action.partition(":")[0].lower()
            accepted = self.guard.signing_names.get(service) or frozenset((service,))
            if credential.service not in accepted:
                raise wrong_service(accepted)
        return self.caller if self.has_unsigned_payload else principal

    def check_unsigned_payload(self, *, is_accepted: bool) -> None:
        """Accept a body that the signature does not cover, or raise `IncompleteSignature`."""
        if self.has_unsigned_payload and not is_accepted:
            raise IncompleteSignature("unsigned payloads are not accepted here", place="x-amz-content-sha256")
        self.has_unsigned_payload = False

    def record_decision(self, decision: Decision) -> Decision:
        """Record a decision of this call, and return it."""
        self.decisions.append(decision)
        if decision.outcome is Outcome.ALLOWED:
            self.refused_by = None
        return decision

    def browser_headers(self, answered: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return what to add to a response with the headers `answered`, because of the session cookie."""
        if self.browser is None:
            return []
        challenges = [] if self.challenge is None else [("www-authenticate", self.challenge)]
        return [*self.browser.headers(answered), *challenges]

    def matched(
        self, endpoint: object, parameters: Mapping[str, Any], *, address: str | None = None, app: object = None
    ) -> None:
        """Record the endpoint that the router matched, None without one; for frameworks without an ASGI scope.

        `address` is the `Endpoint.address` in the inventory of `app`, which identifies the route in reports.
        """
        self.scope["endpoint"] = endpoint
        self.scope["path_params"] = parameters
        self.address, self.app = address, app


CURRENT_CALL: Final = cast("ContextVar[CurrentCall | None]", SERVED_CALL)
"""The call that is served, for middleware that sets it without a `with` block; others use `serving`."""


def current_call() -> CurrentCall:
    """Return the current call; raise `ConfigurationError` outside of a call, and in a task that outlived it.

    A background worker inherits the context of the request that started it, and must not act for that caller later.
    """
    call = CURRENT_CALL.get()
    if call is None:
        raise ConfigurationError("no guarded call is being handled: is the guard in front of the application?")
    require_unfinished(call)
    return call


def require_unfinished(call: CurrentCall) -> None:
    """Raise `ConfigurationError` after the response of a call."""
    if call.is_over:
        raise ConfigurationError("the call is over: code that runs after the response has no caller")


def current_principal() -> Principal:
    """Return the caller of the current call; raise `ConfigurationError` outside of one."""
    return current_call().caller


def current_decision() -> Decision | None:
    """Return the latest decision of the current call, None before the first; raise `ConfigurationError` outside."""
    decisions = current_call().decisions
    return decisions[-1] if decisions else None


@contextmanager
def recording_refusal() -> Iterator[CurrentCall]:
    """Enter the current call, and store an `IamGuardError` raised inside as its refusal."""
    call = current_call()
    try:
        yield call
    except IamGuardError as error:
        call.refusal = error
        raise


def serving(call: CurrentCall) -> AbstractContextManager[CurrentCall]:
    """Make `call` the current call; for middlewares, workers and tests."""
    return _Serving(call)


class _Serving:
    """A class, since it is entered for every request: a generator takes three times as long."""

    __slots__ = ("_call", "_token")

    def __init__(self, call: CurrentCall) -> None:
        self._call = call

    def __enter__(self) -> CurrentCall:
        self._token: Token[CurrentCall | None] = CURRENT_CALL.set(self._call)
        return self._call

    def __exit__(self, *error: object) -> None:
        CURRENT_CALL.reset(self._token)
