"""One measurement of route coverage, from the options that ask for it to the report, and how calls are watched.

As with `watching`: the methods that decide in a call and that take one are others for as long as somebody measures, and
the product pays nothing when nobody does. Must not live here: what is counted (`route_coverage`), pytest (`plugin`).
"""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Self

from iam_guard.asgi.middleware import GuardMiddleware
from iam_guard.asgi.routes import inventory
from iam_guard.enforcement.context import CurrentCall, current_call
from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.guard import Guard
from iam_guard.model.decision import Decision
from iam_guard.testing.measuring import write_json
from iam_guard.testing.route_coverage import RouteCoverage, route_json, route_share, route_text


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

    def to_plain(self) -> Any:
        """Give what was seen, for `merge` in another process."""
        return self._coverage.to_list()

    def merge(self, given: Any) -> None:
        """Add what another process saw."""
        self._coverage.merge(given)

    def share(self) -> float | None:
        """Give the percentage of routes that were tested both ways; None where there were none."""
        return route_share(self._coverage.routes)

    def text(self) -> str:
        """Give the report for a terminal."""
        return route_text(self._coverage.routes)

    def write(self, *, json_file: str | None, html_file: str | None = None) -> None:
        """Write the report that is wanted; there is none in HTML."""
        if json_file:
            write_json(json_file, route_json(self._coverage.routes))


def load_application(name: str) -> Any:
    """Import `module:app`, from the current folder too; raise `InvalidInput` for what is no application with routes."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise InvalidInput(f"expected module:app, got `{name[:200]}`")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        app = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidInput(f"expected module:app, got `{name[:200]}`: {error}") from error
    if not inventory(app):
        raise InvalidInput(f"`{name[:200]}` has no routes; an application is expected, not what makes one")
    return app


@contextmanager
def watching_calls(
    note_decision: Callable[[CurrentCall, Decision], None], note_app: Callable[[Any], None]
) -> Iterator[None]:
    """Tell `note_decision` of every decision of a guard in a call to an application, `note_app` of the application."""
    answer, serve = Guard._answer, GuardMiddleware.__call__

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
            note_app(scope.get("app", self.app))
        return serve(self, scope, receive, send)

    Guard._answer = watched_answer  # type: ignore[method-assign]
    GuardMiddleware.__call__ = watched_serve  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Guard._answer = answer  # type: ignore[method-assign]
        GuardMiddleware.__call__ = serve  # type: ignore[method-assign]
