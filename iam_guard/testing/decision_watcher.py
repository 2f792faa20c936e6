"""Watching decisions from outside: while somebody watches, the methods that decide tell of it.

No decision looks for a watcher: for the time of watching the method of the class is another one, which calls the first.
So the product pays nothing for it. What watches gets the decision after it was made and cannot change it. Those who
came first leave last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.model.decision import Decision


@contextmanager
def watching_evaluations(note: Callable[[Authorizer, Decision], None]) -> Iterator[None]:
    """Tell `note` of every decision that policies made, whoever asked."""
    decide = Authorizer.decide

    @wraps(decide)
    def watched(self: Authorizer, *args: Any, **kwargs: Any) -> Decision:
        decision = decide(self, *args, **kwargs)
        note(self, decision)
        return decision

    Authorizer.decide = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        Authorizer.decide = decide  # type: ignore[method-assign]
