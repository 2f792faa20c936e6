"""Trust policies: what a role may be saved with, and to whom the principals in it are bound (rules G-31 to G-33, G-42,
G-71, P-5, P-8).

Every user, role and session is looked up, whichever account it is of; one that does not exist is refused. Accounts may
be named without being in the store.
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
from iam_guard.store.principal_lookup import bind_principals

_ACTIONS = (
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:setcontext",
    "sts:setsourceidentity",
    "sts:tagsession",
)
"""What a trust policy can be about, in lower case."""


def trust_columns(call: ServiceCall, text: str) -> dict[str, Any]:
    """Return what is stored of a trust policy. Raises `PolicyError`, `LimitExceeded`."""
    document = _read(call, text)
    return {
        "trust_text": document.text,
        "trust_digest": document.digest,
        "trust_bindings": bind_principals(call.records, document, partition=call.partition),
    }


def _read(call: ServiceCall, text: str) -> Document:
    try:
        document = validate_for_write(text, PolicyType.TRUST, partition=call.partition)
    except PolicyError as error:
        if error.finding == SYNTAX:
            error.sentence = "This policy contains invalid Json"
        raise
    for statement in document.statements:
        if not all(map(_is_about_roles, statement.actions or ())):
            message = "expected actions that have to do with assuming a role"
            sentence = "AssumeRole policy may only specify STS AssumeRole actions."
            raise PolicyError(message, place=f"/Statement/{statement.index}/Action", sentence=sentence)
    return document


def _is_about_roles(action: str) -> bool:
    folded = action.lower()
    return folded.startswith("sts:") and any(map(compile_glob(folded), _ACTIONS))
