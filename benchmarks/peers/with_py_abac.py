"""py-abac: a policy per rule, targets and attribute conditions, kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import py_abac
from py_abac.storage.memory import MemoryStorage

from benchmarks.peers.peer import Ask, Peer
from benchmarks.world import CLASS, NETWORK, Question, Rule


def load(rules: Sequence[Rule]) -> Ask:
    """Fill a storage in memory, and use a decision point where a deny overrides."""
    storage = MemoryStorage()
    for number, rule in enumerate(rules):
        storage.add(py_abac.Policy.from_json(_policy(number, rule)))
    point = py_abac.PDP(storage)

    def ask(question: Question) -> bool:
        request = py_abac.AccessRequest(
            subject={"id": "ada", "attributes": {}},
            action={"id": question.action, "attributes": {}},
            resource={"id": question.resource, "attributes": {"class": question.document_class}},
            context={"address": question.address},
        )
        return bool(point.is_allowed(request))

    return ask


def _policy(number: int, rule: Rule) -> dict[str, Any]:
    rules: dict[str, Any] = {"subject": {}, "resource": {}, "action": {}, "context": {}}
    if rule.conditions:
        rules["resource"] = {"$.class": {"condition": "Equals", "value": CLASS}}
        rules["context"] = {"$.address": {"condition": "CIDR", "value": NETWORK}}
    return {
        "uid": str(number),
        "effect": "allow" if rule.allows else "deny",
        "targets": {"action_id": rule.action, "resource_id": f"{rule.folder}*"},
        "rules": rules,
        "priority": 0,
    }


PEER = Peer("py-abac", load)
