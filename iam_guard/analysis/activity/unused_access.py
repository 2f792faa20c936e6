"""Find unused access: what identity-based policies allow and a principal never attempted.

Every attempt counts as use, also a denied or rejected one, as in service-last-accessed data (R-34). Wildcards are
expanded to the known actions: those that the application declares, and our own. Denials count only for whole services;
conditions, boundaries and control policies are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from iam_guard.analysis.activity.aggregation import Activity
from iam_guard.analysis.allowed_services import allow_statements, known_services, reached_services, service_of_action
from iam_guard.evaluation.matching.pattern import Matcher, compile_glob
from iam_guard.policy.document import Document, Effect, Statement
from iam_guard.policy.parser import parse
from iam_guard.store.protocol import StoredPolicy


class UnusedGrant(NamedTuple):
    """One action entry of a statement that matches no attempt: `action` as written, `policy` the policy's name."""

    policy: str
    statement: str
    action: str


@dataclass(frozen=True, slots=True)
class UnusedAccess:
    """Allowed access that was never attempted.

    `services` were never used; `actions` are unused known actions of used services; `grants` are removable entries of
    policies.
    """

    services: tuple[str, ...]
    actions: tuple[str, ...]
    grants: tuple[UnusedGrant, ...]


def unused_access(activity: Activity, policies: Iterable[StoredPolicy], known: Iterable[str] = ()) -> UnusedAccess:
    """Compare an activity with policies; `known` are the names of all known actions (`docs:GetDocument`)."""
    known = list(known)
    documents = [(policy.ref.name, parse(policy.text)) for policy in policies]
    used = set(activity.actions)
    used_services = {service_of_action(action) for action in used}
    services = known_services((*used_services, *map(service_of_action, known)))
    reachable = reached_services([document for _, document in documents], services)
    allowed = _allowed([document for _, document in documents], known)
    unused = {
        action
        for action in allowed
        if action.lower() not in used and service_of_action(action) in used_services & reachable
    }
    grants = tuple(_unused_grants(documents, used))
    return UnusedAccess(tuple(sorted(reachable - used_services)), tuple(sorted(unused)), grants)


def _allowed(documents: Iterable[Document], known: list[str]) -> list[str]:
    matchers = [_matcher(statement) for statement in allow_statements(documents)]
    return [action for action in known if any(match(action.lower()) for match in matchers)]


def _matcher(statement: Statement) -> Matcher:
    """Return a matcher of the statement's actions, in lower case."""
    is_named = statement.actions is not None
    entries = [compile_glob(pattern.lower()) for pattern in statement.actions or statement.not_actions or ()]
    return lambda action: any(match(action) for match in entries) is is_named


def _unused_grants(documents: Iterable[tuple[str, Document]], used: set[str]) -> Iterator[UnusedGrant]:
    for name, document in documents:
        for statement in document.statements:
            for action in statement.actions or ():
                match = compile_glob(action.lower())
                if statement.effect is Effect.ALLOW and not any(map(match, used)):
                    yield UnusedGrant(name, statement.sid or f"statement {statement.index}", action)
