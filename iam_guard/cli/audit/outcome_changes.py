"""The lines for a decision whose outcome would change."""

from __future__ import annotations

from collections.abc import Iterator

from iam_guard.analysis.replay import OutcomeChange


def change_lines(change: OutcomeChange) -> Iterator[str]:
    yield f"{change.count} x {change.principal} {change.action} {change.resource}: {change.was} -> {change.becomes}"
    yield f"    before: {'; '.join(change.before) or 'no statement'}"
    yield f"    after:  {'; '.join(change.after) or 'no statement'}"
    yield f"    {change.first} to {change.last}, first {change.event_id}"
