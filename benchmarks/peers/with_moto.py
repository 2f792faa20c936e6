"""moto: the class with which its simulated AWS checks a caller's policies, with our documents.

moto parses a principal's documents for every request; here they are parsed once, so that only the decision is
measured. It supports no operator but `StringEquals` and ignores `IpAddress`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from moto.iam.access_control import IAMPolicy, PermissionResult

from benchmarks.peers.peer import Ask, Peer
from benchmarks.world import Question, Rule, documents


def load(rules: Sequence[Rule]) -> Ask:
    """Parse the documents once; evaluate them one after the other, as moto does."""
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
