"""cedarpy: a Cedar policy per rule; policies and entities are parsed once and passed as handles.

The Cedar policies are equivalent to ours: a pattern over the resource's name. Folders as nested entities would be its
own idiom, and another policy.
"""

from __future__ import annotations

from collections.abc import Sequence

import cedarpy

from benchmarks.peers.peer import Ask, Peer
from benchmarks.world import CLASS, NETWORK, Question, Rule


def load(rules: Sequence[Rule]) -> Ask:
    """Parse all policies into one handle."""
    policies = cedarpy.PolicySet.from_str("\n".join(_policy(rule) for rule in rules))
    entities = cedarpy.Entities.from_json_str("[]")

    def ask(question: Question) -> bool:
        request = {
            "principal": {"type": "User", "id": "ada"},
            "action": {"type": "Action", "id": question.action},
            "resource": {"type": "Document", "id": question.resource},
            "context": {
                "arn": question.resource,
                "class": question.document_class,
                "address": {"__extn": {"fn": "ip", "arg": question.address}},
            },
        }
        return bool(cedarpy.is_authorized(request, policies, entities).allowed)

    return ask


def _policy(rule: Rule) -> str:
    when = f'context.arn like "{rule.folder}*"'
    if rule.conditions:
        when += f' && context.class == "{CLASS}" && context.address.isInRange(ip("{NETWORK}"))'
    effect = "permit" if rule.allows else "forbid"
    return f'{effect} (principal, action == Action::"{rule.action}", resource) when {{ {when} }};'


PEER = Peer("cedarpy", load)
