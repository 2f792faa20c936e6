"""Being a caller without credentials, in tests: `as_principal` for a block, `signed_in` for one test client.

Nothing in the product can be told to believe a caller without credentials: no setting, no header, no part of the ASGI
scope. What is here puts another function in the place of `Guard.authenticate`, for as long as somebody needs it, in
this process alone, and refuses to outside of a test run. A request that does carry credentials is signed in by them, as
ever.

The caller is kept in a context variable. So it reaches an application that runs in the test's own thread or task, or in
one started from it (Starlette's `TestClient`, the ASGI transports of HTTP clients), and no other.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from threading import Lock
from typing import Any

from iam_guard.authn.credential_verifier import credential_of
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import ConfigurationError
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.testing.principal_names import principal_named
from iam_guard.web.call_context import CurrentCall, serving

_caller: ContextVar[Principal | None] = ContextVar("iam_guard_test_caller", default=None)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@contextmanager
def as_principal(principal: Principal | str, guard: Guard | None = None) -> Iterator[Principal]:
    """Be `principal` inside the block: for guarded applications that are called from it, and for decorated handlers.

    A handler that is called directly, without an application around it, asks `guard`; without one only applications
    know the caller. `principal` is what `principal_named` takes. Raises `ConfigurationError` outside of a test run.
    """
    caller = principal_named(principal)
    with ExitStack() as leaving, _SWITCH.thrown():
        token = _caller.set(caller)
        leaving.callback(_caller.reset, token)
        if guard is not None:
            leaving.enter_context(serving(CurrentCall(guard, caller, Call(str(uuid.uuid4())))))
        yield caller


def signed_in(app: Application, principal: Principal | str) -> Application:
    """Wrap an ASGI application for a test client whose every request comes from `principal`.

    Two clients may so be two callers at once. A server in the same process can serve it as well. Raises
    `ConfigurationError` outside of a test run.
    """
    caller = principal_named(principal)
    _refuse_outside_of_tests()

    async def signed_in_app(scope: Scope, receive: Receive, send: Send) -> None:
        with as_principal(caller):
            await app(scope, receive, send)

    return signed_in_app


def _refuse_outside_of_tests() -> None:
    if "PYTEST_VERSION" not in os.environ:  # pytest sets it for as long as it runs
        raise ConfigurationError("a caller without credentials is believed in a run of pytest only")


class _Switch:
    """Whether callers are signed in by the function below; the last to leave puts the true one back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._true = Guard.authenticate

    @contextmanager
    def thrown(self) -> Iterator[None]:
        _refuse_outside_of_tests()
        self._turn(1)
        try:
            yield
        finally:
            self._turn(-1)

    def _turn(self, step: int) -> None:
        with self._lock:
            if not self._users:
                self._true = Guard.authenticate
            self._users += step
            Guard.authenticate = _for_tests(self._true) if self._users else self._true  # type: ignore[method-assign]


_SWITCH = _Switch()


def _for_tests(authenticate: Callable[..., Principal]) -> Callable[..., Principal]:
    @wraps(authenticate)
    def authenticate_for_test(self: Guard, request: HttpRequest, **more: Any) -> Principal:
        caller = _caller.get()
        if caller is None or credential_of(request).kind != "none":
            return authenticate(self, request, **more)
        return caller

    return authenticate_for_test
