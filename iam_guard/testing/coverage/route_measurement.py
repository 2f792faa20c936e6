"""Measure and report route coverage, and watch calls.

As in `policy_measurement`, methods that decide in a call, handle a call and release its response are replaced while
measuring, so the product pays nothing otherwise. The routes of an ASGI application are listed before a call; those of
frameworks with an adapter when the response is released, because only then every one has reported the chosen route.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Self

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.guard.decision_maker import DecisionMaker
from iam_guard.model.decision import Decision
from iam_guard.testing.applications import endpoints_of, load_app
from iam_guard.testing.coverage.policy_measurement import replaced, without_plans, write_json
from iam_guard.testing.coverage.route_coverage import RouteCoverage
from iam_guard.web.asgi.middleware import GuardMiddleware
from iam_guard.web.call_context import CurrentCall, current_call
from iam_guard.web.guarded_request import GuardedRequest
from iam_guard.web.refusal import Refusal
from iam_guard.web.route_maps.route_map import RouteMap


class RouteMeasurement(RouteCoverage):
    """Route coverage that is measured while it is entered, of `module:app` or of every application called.

    Raises `InvalidInput` if the application can't be found, or has no routes.
    """

    def __init__(self, app: str = "") -> None:
        super().__init__(load_application(app) if app else None)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(watching_calls(self.add, self.add_app))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, *, json_file: str | None, html_file: str | None = None) -> None:
        """Write the requested report; there is none in HTML."""
        if json_file:
            write_json(json_file, self.to_json())


def load_application(name: str) -> Any:
    """Import `module:app`, or call it if it is a factory. Raises `InvalidInput` for an application without routes."""
    app = load_app(name)
    if not endpoints_of(app):
        raise InvalidInput(f"expected an application with routes, `{name[:200]}` has none")
    return app


@contextmanager
def watching_calls(
    record_decision: Callable[[CurrentCall, Decision], None], record_app: Callable[[Any, RouteMap | None], None]
) -> Iterator[None]:
    """Call `record_decision` with every decision of a guard in a call, and `record_app` with its application."""
    answer, serve, leave = DecisionMaker.decide_and_record, GuardMiddleware.__call__, GuardedRequest.leave

    @wraps(answer)
    def watched_answer(self: DecisionMaker, *args: Any, **kwargs: Any) -> Decision:
        decision = answer(self, *args, **kwargs)
        try:
            call = current_call()
        except ConfigurationError:
            return decision  # no call is being handled
        record_decision(call, decision)
        return decision

    @wraps(serve)
    def watched_serve(self: GuardMiddleware, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        if scope["type"] != "lifespan":  # routes may be added until then
            record_app(scope.get("app", self.app), self.route_map)
        return serve(self, scope, receive, send)

    @wraps(leave)
    def watched_leave(self: GuardedRequest, status: int, headers: Iterable[tuple[str, str]] = ()) -> Refusal | None:
        call = self.call
        if call is not None and call.app is not None:
            record_app(call.app, None)
            for decision in call.decisions:
                record_decision(call, decision)
        return leave(self, status, headers)

    with (
        without_plans(),
        replaced(DecisionMaker, "decide_and_record", watched_answer),
        replaced(GuardMiddleware, "__call__", watched_serve),
        replaced(GuardedRequest, "leave", watched_leave),
    ):
        yield
