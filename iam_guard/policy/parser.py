"""Parse policy text into a Document (rules A, N-9).

`parse` refuses

- text that is not exactly one JSON value of at most 1,048,576 characters and 64 levels, or has a duplicate key (G-10);
- a value that is not an object; an unknown (case-sensitive) element, statement element or principal key (G-1, G-2,
  G-20, G-40); a wrong JSON type, null included (G-16, G-17);
- an unknown `Version`, a missing `Statement`, a missing or unknown `Effect` (G-3, G-7, G-21);
- both or neither of `Action` and `NotAction` (G-22); both of `Resource` and `NotResource`, both of `Principal` and
  `NotPrincipal` (G-23); neither of `Resource` and `NotResource` where the type of policy requires one (A.3);
- a principal in an identity-based, boundary, session or service control policy (G-30); `Resource`, `NotResource` or
  `NotPrincipal` in a trust policy (G-32); `NotPrincipal` with `Allow` (G-34);
- a wildcard in a `Federated` or `Service` principal (G-46), a principal string other than `*` (G-40);
- an action that is neither `*` nor `prefix:name` with a literal prefix and one colon (G-60, G-61, G-62);
- a resource that is neither `*` nor an ARN (G-63), has a wildcard in its service field (G-65), or has fewer than six
  fields outside of identity-based policies and boundaries (G-64);
- an unknown operator, `NullIfExists` (G-66, C-30); a condition key that is not `prefix:name` (G-67); two keys of one
  operator that differ by letter case (G-11).

Everything else can be evaluated; a write refuses more (`saving`).
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
    refuse(reading, {Scope.ALWAYS})
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
