"""Test callers without credentials: `as_principal` for a block, `signed_in` for one test client.

The product itself has no way to accept a caller without credentials: no setting, header or ASGI scope entry. This
module replaces `Guard.authenticate` while it is in use, only in this process and only in a test run. A request with
credentials is still authenticated by them.

The caller is kept in a context variable. It reaches an application that runs in the test's own thread or task, or in
one started from it (Starlette's `TestClient`, the ASGI transports of HTTP clients), and no other.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from threading import Lock
from typing import Any

from starlette.types import Receive, Scope, Send

from iam_guard.authn.credential import claimed_credential
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import ConfigurationError
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.testing.principal_names import principal_named
from iam_guard.web.call_context import CurrentCall, serving

_caller: ContextVar[Principal | None] = ContextVar("iam_guard_test_caller", default=None)

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@contextmanager
def as_principal(principal: Principal | str, guard: Guard | None = None) -> Iterator[Principal]:
    """Use `principal` as the caller of guarded applications and decorated handlers inside the block.

    A handler that is called directly, without an application, uses `guard`; without one, only applications get the
    caller. `principal` is one, or a name for `principal_named`. Raises `ConfigurationError` outside of a test run.
    """
    caller = principal_named(principal)
    with ExitStack() as stack, _REPLACEMENT.active():
        token = _caller.set(caller)
        stack.callback(_caller.reset, token)
        if guard is not None:
            stack.enter_context(serving(CurrentCall(guard, caller, Call(str(uuid.uuid4())))))
        yield caller


def signed_in(app: Application, principal: Principal | str) -> Application:
    """Wrap an ASGI application for a test client whose requests all come from `principal`.

    So two clients can be two callers at once. A server in the same process can serve the application too.
    Raises `ConfigurationError` outside of a test run.
    """
    caller = principal_named(principal)
    _refuse_outside_of_tests()

    async def signed_in_app(scope: Scope, receive: Receive, send: Send) -> None:
        with as_principal(caller):
            await app(scope, receive, send)

    return signed_in_app


def _refuse_outside_of_tests() -> None:
    if "PYTEST_VERSION" not in os.environ:  # set by pytest while it runs
        raise ConfigurationError("expected a run of pytest: callers without credentials are accepted only there")


class _Replacement:
    """Replaces `Guard.authenticate` while any block is active; the last one to end restores the original."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._original = Guard.authenticate

    @contextmanager
    def active(self) -> Iterator[None]:
        _refuse_outside_of_tests()
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, step: int) -> None:
        with self._lock:
            if not self._users:
                self._original = Guard.authenticate
            self._users += step
            authenticate = _for_tests(self._original) if self._users else self._original
            Guard.authenticate = authenticate  # type: ignore[method-assign]


_REPLACEMENT = _Replacement()


def _for_tests(authenticate: Callable[..., Principal]) -> Callable[..., Principal]:
    @wraps(authenticate)
    def authenticate_for_test(self: Guard, request: HttpRequest, **more: Any) -> Principal:
        caller = _caller.get()
        if caller is None or claimed_credential(request).kind != "none":
            return authenticate(self, request, **more)
        return caller

    return authenticate_for_test
