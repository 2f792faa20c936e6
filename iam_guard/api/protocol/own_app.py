"""What the ASGI applications of our own APIs share: scopes, worker threads, and errors."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from starlette.types import Receive, Scope, Send

from iam_guard.audit.record.redaction import loggable
from iam_guard.errors import ConfigurationError, DecisionUnavailable, IamGuardError, ServerBusy
from iam_guard.guard.guard import Guard
from iam_guard.model.request import Call
from iam_guard.web.connection import Connection
from iam_guard.web.requirement import MARK, OWN_GUARD

T = TypeVar("T")

_log = logging.getLogger("iam_guard.api")

WORKERS: Final = 8
"""Requests that are answered at the same time."""
MAX_PARSED_INLINE: Final = 4 * 1024
"""Bytes of a request that are parsed on the event loop; longer ones are parsed in a worker thread."""
_POLICY_VIOLATION: Final = 1008


class OwnApp(ABC):
    """An application that authenticates and authorizes its callers itself: a guard around it passes its requests on."""

    def __init__(self, guard: Guard) -> None:
        setattr(self, MARK, OWN_GUARD)
        self.guard = guard
        self._connection = Connection(guard.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self.serve(scope, receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            case "lifespan":
                while (message := await receive())["type"] != "lifespan.shutdown":
                    await send({"type": f"{message['type']}.complete"})
                await anyio.to_thread.run_sync(self.guard.trail.end_shard)
                await send({"type": "lifespan.shutdown.complete"})
            case other:
                raise ConfigurationError(f"expected an http scope, got `{other}`")

    @abstractmethod
    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""


def known_error(error: Exception, facts: Call) -> IamGuardError:
    """Return an error for the client: an unexpected one is logged, and becomes an internal failure without details."""
    if isinstance(error, IamGuardError):
        return error
    _log.error("%s %s: unexpected %s", facts.method, loggable(facts.path), type(error).__name__)
    return ConfigurationError(f"unexpected {type(error).__name__}")


def log_failure(error: IamGuardError, what: str) -> None:
    """Log an error of the server itself; not that it is busy, and not a decision that could not be made."""
    if error.fault == "receiver" and not isinstance(error, DecisionUnavailable | ServerBusy):
        _log.error("%s: %s", what, loggable(error))
