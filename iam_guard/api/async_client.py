"""The clients of the process for asynchronous handlers: the same methods as coroutines.

    iam = current_async_client("iam")
    await iam.create_user(UserName="rita")
    async for page in iam.get_paginator("list_users").paginate():
        ...

Each call waits in one of the threads of the API for this guard (`api_workers`), never on the event loop. Paginators and
waiters are used as those of aiobotocore.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Final

import anyio

from iam_guard.api.client import InProcessClient, client, current_client
from iam_guard.api.protocol.api_workers import ApiWorkers, workers_of
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal

_END: Final = object()
_GOES_ON: Final = "Max attempts exceeded"
"""How botocore says that the last attempt may be followed by another."""


def async_client(
    guard: Guard,
    service: str,
    principal: Principal | None = None,
    *,
    account: str | None = None,
    reason: str | None = None,
    across_accounts: bool = False,
) -> Any:
    """Return the client that `client` returns, with coroutines. Raises what `client` raises."""
    return AsyncClient(
        client(guard, service, principal, account=account, reason=reason, across_accounts=across_accounts)
    )


def current_async_client(service: str) -> Any:
    """Return the client that `current_client` returns, with coroutines. Raises what `current_client` raises."""
    return AsyncClient(current_client(service))


class AsyncClient:
    """A client whose operations are coroutines. `meta`, `exceptions` and `can_paginate` are those of the other."""

    meta: Any = None

    def __init__(self, behind: Any) -> None:
        self._behind = behind
        self.meta, self.exceptions, self.can_paginate = behind.meta, behind.exceptions, behind.can_paginate

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, dict[str, Any]]]:
        operation = self.meta.method_to_api_mapping.get(name)
        if operation is None:
            raise AttributeError(f"the client of `{self.meta.service_model.service_name}` has no method `{name}`")
        return partial(self._call, operation)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.meta.method_to_api_mapping})

    async def _call(self, operation: str, /, **parameters: Any) -> dict[str, Any]:
        behind: InProcessClient = self._behind
        call = behind.begin(operation, parameters)
        with behind.refusing(call):
            behind.check(call)
            return await self._workers.run_call(call, partial(behind.perform, call))

    @property
    def _workers(self) -> ApiWorkers:
        return workers_of(self._behind.guard)

    def get_paginator(self, operation_name: str) -> AsyncPaginator:
        """Return the paginator of an operation. Raises botocore's `OperationNotPageableError`."""
        return AsyncPaginator(self._behind.get_paginator(operation_name), self._workers)

    def get_waiter(self, waiter_name: str) -> AsyncWaiter:
        """Return a waiter. Raises `ValueError` if there is none of that name."""
        return AsyncWaiter(self._behind.get_waiter(waiter_name), self._workers)

    async def close(self) -> None:
        """Do nothing: a client in the process has no connection."""

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncPaginator:
    """A paginator of botocore, whose pages are called one after the other in threads."""

    def __init__(self, paginator: Any, workers: ApiWorkers) -> None:
        self._paginator, self._workers = paginator, workers

    def paginate(self, **parameters: Any) -> AsyncPages:
        """Return the pages of a list; the parameters are those of the operation, and `PaginationConfig`."""
        return AsyncPages(self._paginator.paginate(**parameters), self._workers)


class AsyncPages:
    """The pages of a list, for `async for`."""

    def __init__(self, pages: Any, workers: ApiWorkers) -> None:
        self._pages, self._workers = pages, workers

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self._in_threads(iter(self._pages))

    def search(self, expression: str) -> AsyncIterator[Any]:
        """Yield what a JMESPath expression finds in the pages."""
        return self._in_threads(self._pages.search(expression))

    async def build_full_result(self) -> dict[str, Any]:
        """Return all pages in one."""
        full: dict[str, Any] = await self._workers.run(self._pages.build_full_result)
        return full

    @property
    def resume_token(self) -> str | None:
        """Where a list that was cut by `MaxItems` goes on."""
        token: str | None = self._pages.resume_token
        return token

    async def _in_threads(self, found: Iterator[Any]) -> AsyncIterator[Any]:
        while (element := await self._workers.run(next, found, _END)) is not _END:
            yield element


class AsyncWaiter:
    """A waiter of botocore, which sleeps on the event loop, not in a thread."""

    def __init__(self, waiter: Any, workers: ApiWorkers) -> None:
        self._waiter, self._workers = waiter, workers

    async def wait(self, *, WaiterConfig: Mapping[str, int] | None = None, **parameters: Any) -> None:  # noqa: N803
        """Wait as botocore's waiter does, `Delay` seconds between at most `MaxAttempts` calls. Raises `WaiterError`."""
        config, of_model = WaiterConfig or {}, self._waiter.config
        once = partial(self._waiter.wait, WaiterConfig={"MaxAttempts": 1}, **parameters)
        for attempts_left in reversed(range(max(1, config.get("MaxAttempts", of_model.max_attempts)))):
            try:
                await self._workers.run(once)
            except import_module("botocore.exceptions").WaiterError as error:
                if attempts_left == 0 or not error.kwargs["reason"].startswith(_GOES_ON):
                    raise
            else:
                return
            await anyio.sleep(config.get("Delay", of_model.delay))
