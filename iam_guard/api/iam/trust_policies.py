"""Trust policies: validation, and binding of their principals (G-31 to G-33, G-42, G-71, P-5, P-8).

Users, roles and sessions of every account must exist. Accounts may be outside the store.
"""

from __future__ import annotations

from typing import Any

from iam_guard.api.call import ServiceCall
from iam_guard.errors import PolicyError
from iam_guard.evaluation.matching.pattern import compile_glob
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document
from iam_guard.policy.json_tree import SYNTAX
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.policies.principal_bindings import bind_principals

_ACTIONS = (
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:setcontext",
    "sts:setsourceidentity",
    "sts:tagsession",
)
"""The actions of trust policies, in lower case."""


def trust_columns(call: ServiceCall, text: str) -> dict[str, Any]:
    """Return the columns of a trust policy. Raises `PolicyError`, `LimitExceeded`."""
    document = _validated(call, text)
    return {
        "trust_text": document.text,
        "trust_digest": document.digest,
        "trust_bindings": bind_principals(call.records, document, partition=call.partition),
    }


def _validated(call: ServiceCall, text: str) -> Document:
    try:
        document = validate_for_write(text, PolicyType.TRUST, partition=call.partition)
    except PolicyError as error:
        if error.finding == SYNTAX:
            error.sentence = "This policy contains invalid Json"
        raise
    for statement in document.statements:
        if not all(map(_is_trust_action, statement.actions or ())):
            message = "expected actions for assuming a role"
            sentence = "AssumeRole policy may only specify STS AssumeRole actions."
            raise PolicyError(message, place=f"/Statement/{statement.index}/Action", sentence=sentence)
    return document


def _is_trust_action(action: str) -> bool:
    folded = action.lower()
    return folded.startswith("sts:") and any(map(compile_glob(folded), _ACTIONS))
