"""`POST /-/reset`: restore the initial state, for tests of client code against the API.

The endpoint needs no credentials, so it exists only if requested, for a store in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio.to_thread
from starlette.types import Receive, Scope, Send

from iam_guard.api.protocol.app import AwsApi

PATH: Final = "/-/reset"


@dataclass(frozen=True)
class ResettableApi:
    api: AwsApi
    restore: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            await self.api(scope, receive, send)
            return
        status = 405
        if scope["method"] == "POST":
            await anyio.to_thread.run_sync(self._reset)
            status = 204
        headers: list[Any] = [(b"allow", b"POST")] if status == 405 else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _reset(self) -> None:
        self.restore()
        self.api.guard.refresh()
        self.api.guard.uses.forget()
