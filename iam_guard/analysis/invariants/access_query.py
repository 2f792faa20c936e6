"""Which requests a search in a store is about, written as in a policy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.checks.statement_forms import form_of
from iam_guard.analysis.invariants.policy_forms import compile_stored
from iam_guard.errors import InvalidInput
from iam_guard.model.decision import PolicyType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST
from iam_guard.store.protocol import StoredPolicy


@dataclass(frozen=True)
class AccessQuery:
    """Which requests a search is about: those that `about` applies to, and none of `unless`; each is one statement.

    `catalogue` has all actions there are, None for any.
    """

    about: StoredPolicy | None = None
    unless: tuple[StoredPolicy, ...] = ()
    catalogue: tuple[str, ...] | None = None

    def concerns(self, request: AccessRequest) -> bool:
        """Return whether it is about a request."""
        if self.about is not None and not _applies(self.about, request):
            return False
        return not any(_applies(policy, request) for policy in self.unless)


def query_of(
    actions: Sequence[str] = ("*",),
    resources: Sequence[str] = ("*",),
    condition: Mapping[str, Any] | None = None,
    catalogue: tuple[str, ...] | None = None,
) -> AccessQuery:
    """Return the query about some actions on some resources, written as in a policy, that meet a condition.

    `catalogue` has all actions there are, None for any. Raises `PolicyError` for an invalid element.
    """
    statement: dict[str, Any] = {"Effect": "Allow", "Action": [*actions], "Resource": [*resources]}
    statement |= {} if condition is None else {"Condition": condition}
    return AccessQuery(statement_policy(statement), catalogue=catalogue)


def statement_policy(statement: Mapping[str, Any]) -> StoredPolicy:
    """Return a policy of one Allow statement, which says what requests are.

    Raises `PolicyError` for an invalid element, `InvalidInput` for characters that policies must not have.
    """
    text = json.dumps({"Version": LATEST, "Statement": [{"Effect": "Allow", **statement}]})
    policy = StoredPolicy.of("the query", PolicyType.IDENTITY, None, text)
    try:
        form_of(compile_stored(policy).content)
    except Undecided as error:
        raise InvalidInput(str(error)) from None
    return policy


def _applies(policy: StoredPolicy, request: AccessRequest) -> bool:
    action = request.action.lower()
    return any(statement.applies(request, action) for statement in compile_stored(policy).content.statements)
