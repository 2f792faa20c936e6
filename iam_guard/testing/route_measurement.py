"""One measurement of route coverage, from the options that ask for it to the report, and how calls are watched.

As with `decision_watcher`: the methods that decide in a call, that take one and that let its answer out are others for
as long as somebody measures, and the product pays nothing when nobody does. Of an ASGI application the routes are known
before a call; of what frameworks with an adapter serve, when the answer leaves: only then has every one of them said
what its router found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Self

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.guard.guard import Guard
from iam_guard.model.decision import Decision
from iam_guard.testing.applications import endpoints_of, load_app
from iam_guard.testing.policy_measurement import write_json
from iam_guard.testing.route_coverage import (
    GuardedRoute,
    RouteCoverage,
    RouteTally,
    route_json,
    route_share,
    route_text,
)
from iam_guard.web.asgi.middleware import GuardMiddleware
from iam_guard.web.call_context import CurrentCall, current_call
from iam_guard.web.refusal import Refusal
from iam_guard.web.route_map import RouteMap
from iam_guard.web.wsgi.bridge import GuardedRequest


class RouteMeasurement:
    """Measures route coverage while it is entered, of `module:app` or of every application that handles a call.

    Raises `InvalidInput` where there is no such application, or it has no routes.
    """

    def __init__(self, app: str = "") -> None:
        self._coverage = RouteCoverage(load_application(app) if app else None)
        self._leaving = ExitStack()

    def __enter__(self) -> Self:
        self._leaving.enter_context(watching_calls(self._coverage.note, self._coverage.note_app))
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    @property
    def routes(self) -> Mapping[GuardedRoute, RouteTally]:
        """What was seen of each guarded route so far."""
        return self._coverage.routes

    def to_plain(self) -> Any:
        """Return what was seen, for `merge` in another process."""
        return self._coverage.to_list()

    def merge(self, given: Any) -> None:
        """Add what another process saw."""
        self._coverage.merge(given)

    def share(self) -> float | None:
        """Return the percentage of routes that were tested both ways; None where there were none."""
        return route_share(self.routes)

    def text(self) -> str:
        """Return the report for a terminal."""
        return route_text(self.routes)

    def write(self, *, json_file: str | None, html_file: str | None = None) -> None:
        """Write the report that is wanted; there is none in HTML."""
        if json_file:
            write_json(json_file, route_json(self.routes))


def load_application(name: str) -> Any:
    """Import `module:app`, or call it where it makes one; raise `InvalidInput` for what has no routes."""
    app = load_app(name)
    if not endpoints_of(app):
        raise InvalidInput(f"`{name[:200]}` has no routes; an application is expected")
    return app


@contextmanager
def watching_calls(
    note_decision: Callable[[CurrentCall, Decision], None], note_app: Callable[[Any, RouteMap | None], None]
) -> Iterator[None]:
    """Tell `note_decision` of every decision of a guard in a call to an application, `note_app` of the application."""
    answer, serve, leave = Guard._decide_and_record, GuardMiddleware.__call__, GuardedRequest.leave

    @wraps(answer)
    def watched_answer(self: Guard, *args: Any, **kwargs: Any) -> Decision:
        decision = answer(self, *args, **kwargs)
        try:
            call = current_call()
        except ConfigurationError:
            return decision  # no call is being handled
        note_decision(call, decision)
        return decision

    @wraps(serve)
    def watched_serve(self: GuardMiddleware, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        if scope["type"] != "lifespan":  # routes may be added until then
            note_app(scope.get("app", self.app), self.route_map)
        return serve(self, scope, receive, send)

    @wraps(leave)
    def watched_leave(self: GuardedRequest, status: int, headers: Iterable[tuple[str, str]] = ()) -> Refusal | None:
        call = self._call
        if call is not None and call.app is not None:
            note_app(call.app, None)
            for decision in call.decisions:
                note_decision(call, decision)
        return leave(self, status, headers)

    Guard._decide_and_record = watched_answer  # type: ignore[method-assign]
    GuardMiddleware.__call__ = watched_serve  # type: ignore[method-assign, assignment]
    GuardedRequest.leave = watched_leave  # type: ignore[method-assign]
    try:
        yield
    finally:
        Guard._decide_and_record = answer  # type: ignore[method-assign]
        GuardMiddleware.__call__ = serve  # type: ignore[method-assign]
        GuardedRequest.leave = leave  # type: ignore[method-assign]
