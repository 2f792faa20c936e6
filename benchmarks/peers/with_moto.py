"""moto: the class by which its simulated AWS checks a caller's policies, with the documents of ours.

moto reads a principal's documents anew for every request; here they are read once, so that it is asked for deciding
alone. It knows no operator but `StringEquals` and passes over `IpAddress`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from moto.iam.access_control import IAMPolicy, PermissionResult

from benchmarks.peers.peer import Ask, Peer
from benchmarks.world import Question, Rule, documents


def load(rules: Sequence[Rule]) -> Ask:
    """Read the documents once; ask them one after the other, as moto does."""
    policies = [IAMPolicy(json.dumps(document)) for document in documents(rules, 15)]

    def ask(question: Question) -> bool:
        context = {"aws:ResourceTag/class": question.document_class, "aws:SourceIp": question.address}
        permitted = False
        for policy in policies:
            result = policy.is_action_permitted(question.action, question.resource, None, context)
            if result is PermissionResult.DENIED:
                return False
            permitted = permitted or result is PermissionResult.PERMITTED
        return permitted

    return ask


PEER = Peer("moto", load)
