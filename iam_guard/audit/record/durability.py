"""Predict whether making the line of a decision cannot fail, so that the response need not wait for it.

An Allow that changes something is refused if its record cannot be made, and making the line takes twice the time of
everything else. So check only what could fail. A record consists of strings and integers. Its time and id exist before
it is queued; everything else is created here or was validated before: action, resource and account by `AccessRequest`,
condition values by `Context`, lengths by the limit of each part. That leaves what an application passes in unvalidated:

- the facts of the call (`Call`), of any type: checked each time;
- principals and reasons, which repeat: safe are those that were part of a line before;
- the policies, recorded by a digest: computed here, once per authorizer.

The line of a failed decision (`error`), and of anything not seen before, is made immediately.
"""

from __future__ import annotations

from iam_guard.model.decision import Decision
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Call

MAX_CACHED = 4096

_TEXT = frozenset({str})
_TEXT_OR_NONE = frozenset({str, type(None)})
_NUMBER_OR_NONE = frozenset({int, type(None)})


class Durability:
    """Remember the principals and reasons that were serialized before. Safe to share between threads."""

    def __init__(self) -> None:
        self._recorded: dict[int, object] = {}

    def is_guaranteed(self, decision: Decision, call: Call | None) -> bool:
        """Return whether making the line of this decision cannot fail, except for lack of memory."""
        recorded, principal = self._recorded, decision.request.principal
        if recorded.get(id(principal)) is not principal or decision.error is not None:
            return False
        for reason in decision.reasons:
            if recorded.get(id(reason)) is not reason:
                return False
        try:
            _ = decision.policy_set
        except Exception:  # noqa: BLE001  raised again when the line is made
            return False
        return type(decision.epoch) in _NUMBER_OR_NONE and (call is None or _is_plain(call))

    def record_success(self, decision: Decision) -> None:
        """Remember that a line of this decision was made."""
        principal = decision.request.principal
        if principal.type is PrincipalType.SERVICE:
            return
        if len(self._recorded) >= MAX_CACHED:
            self._recorded.clear()  # safe from several threads
        for part in (principal, *decision.reasons):
            self._recorded[id(part)] = part  # the reference keeps the id unique


def _is_plain(call: Call) -> bool:
    return _TEXT.issuperset((type(call.request_id), type(call.region))) and _TEXT_OR_NONE.issuperset(
        (type(call.method), type(call.path), type(call.host), type(call.source_ip), type(call.user_agent))
    )
