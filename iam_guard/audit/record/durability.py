"""Whether the line of a decision can be made for certain, so that its request may be answered before it is.

An Allow that changes something is refused where its record cannot be made. Making it to find out takes twice the time
of all the rest, so it is asked for less: what could fail? A record is text and whole numbers. Its time and its id are
there before it waits; everything else is made by us or was looked at before: action, resource and account by
`AccessRequest`, the values of condition keys by `Context`, the length by the limits of each part. What is left is what
an application hands in as it likes:

- the facts of the call (`Call`), of which any may be of another kind than text: looked at each time;
- callers and reasons, which come again and again: certain are those of which a line was made before, and no others;
- the policies, which are told by a digest: computed here, once for each authorizer.

A decision that fails (`error`), and whatever is not known here, is made at once, as ever.
"""

from __future__ import annotations

from iam_guard.model.decision import Decision
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Call

MAX_KEPT = 4096

_TEXT = frozenset({str})
_TEXT_OR_NONE = frozenset({str, type(None)})
_NUMBER_OR_NONE = frozenset({int, type(None)})


class Durability:
    """Remembers callers and reasons of which a line was made. Safe to share between threads."""

    def __init__(self) -> None:
        self._made: dict[int, object] = {}

    def covers(self, decision: Decision, call: Call | None) -> bool:
        """Return whether making the line of this decision cannot fail, but for want of memory."""
        made, principal = self._made, decision.request.principal
        if made.get(id(principal)) is not principal or decision.error is not None:
            return False
        for reason in decision.reasons:
            if made.get(id(reason)) is not reason:
                return False
        try:
            _ = decision.policy_set
        except Exception:  # noqa: BLE001  whatever it is, it is for whoever makes the line
            return False
        return type(decision.epoch) in _NUMBER_OR_NONE and (call is None or _is_plain(call))

    def made(self, decision: Decision) -> None:
        """Say that a line of this decision was made."""
        principal = decision.request.principal
        if principal.type is PrincipalType.SERVICE:
            return
        if len(self._made) >= MAX_KEPT:
            self._made.clear()  # the simplest that several threads may do at once
        for each in (principal, *decision.reasons):
            self._made[id(each)] = each  # held, so that no other has its identity


def _is_plain(call: Call) -> bool:
    return _TEXT.issuperset((type(call.request_id), type(call.region))) and _TEXT_OR_NONE.issuperset(
        (type(call.method), type(call.path), type(call.host), type(call.source_ip), type(call.user_agent))
    )
