"""vakt: a policy per rule, of rules over subject, action, resource and context, kept in memory."""

from __future__ import annotations

from collections.abc import Sequence

import vakt
from vakt.rules import CIDR, Any, Eq, StartsWith

from benchmarks.peers.peer import Ask, Peer
from benchmarks.world import CLASS, NETWORK, Question, Rule


def load(rules: Sequence[Rule]) -> Ask:
    """Fill a storage in memory, and use a guard with the checker of rules."""
    storage = vakt.MemoryStorage()
    for number, rule in enumerate(rules):
        storage.add(_policy(number, rule))
    guard = vakt.Guard(storage, vakt.RulesChecker())

    def ask(question: Question) -> bool:
        context = {"class": question.document_class, "address": question.address}
        inquiry = vakt.Inquiry(action=question.action, resource=question.resource, subject="ada", context=context)
        return bool(guard.is_allowed(inquiry))

    return ask


def _policy(number: int, rule: Rule) -> vakt.Policy:
    return vakt.Policy(
        number,
        effect=vakt.ALLOW_ACCESS if rule.allows else vakt.DENY_ACCESS,
        subjects=[Any()],
        actions=[Eq(rule.action)],
        resources=[StartsWith(rule.folder)],
        context={"class": Eq(CLASS), "address": CIDR(NETWORK)} if rule.conditions else {},
    )


PEER = Peer("vakt", load)
