"""Watch decisions from outside: while watching, the method that decides is replaced by one that reports them.

The product pays nothing for it, since decisions don't check for watchers. A watcher gets each decision after it was
made and can't change it. Watchers are removed in reverse order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.model.decision import Decision


@contextmanager
def watching_evaluations(record: Callable[[Authorizer, Decision], None]) -> Iterator[None]:
    """Call `record` with every decision of policies inside the block."""
    decide = Authorizer.decide

    @wraps(decide)
    def watched(self: Authorizer, *args: Any, **kwargs: Any) -> Decision:
        decision = decide(self, *args, **kwargs)
        record(self, decision)
        return decision

    Authorizer.decide = watched  # type: ignore[method-assign]
    try:
        yield
    finally:
        Authorizer.decide = decide  # type: ignore[method-assign]
