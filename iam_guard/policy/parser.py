"""Parse policy text into a Document (rules A, N-9).

`parse` refuses what is not exactly one JSON value (`json_text`), what a Document cannot represent (`document_shape`),
and what has no meaning: the rows of `document_refusals` that always apply. Everything else can be evaluated; a write
refuses more (`saving`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document
from iam_guard.policy.document_refusals import Scope, refuse
from iam_guard.policy.document_shape import read_document
from iam_guard.policy.fault import Reading
from iam_guard.policy.json_text import read_json
from iam_guard.policy.json_tree import MAX_CHARACTERS, from_mapping


def parse(source: str | bytes | Mapping[str, Any], type: PolicyType = PolicyType.IDENTITY) -> Document:
    """Parse a policy of a type from JSON text or decoded JSON; raise `PolicyError` if it is refused.

    The error has a JSON pointer as `place`, line and column if the source is text, AWS's `sentence` and the code of
    the `finding`. A document from a mapping has no positions, and canonical JSON as its text.
    """
    reading = read(source, type)
    refuse(reading, Scope.ALWAYS)
    return reading.document


def read(
    source: str | bytes | Mapping[str, Any],
    type: PolicyType,
    *,
    partition: str = "aws",
    limit: int = MAX_CHARACTERS,
) -> Reading:
    """Parse a document of at most `limit` characters, without applying the rules of `document_refusals`."""
    tree = read_json(source, limit) if isinstance(source, (str, bytes)) else from_mapping(source, limit)
    return Reading(read_document(tree, type), tree, partition)
