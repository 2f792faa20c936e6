"""Of policies as applications write them, nearly every statement can be a condition of a query."""

from __future__ import annotations

import json
from collections import Counter

from iam_guard.filters.dialects import DIALECTS
from iam_guard.filters.filterability import untranslated
from iam_guard.policy.parser import parse

from .realistic_policies import SHAPES, TYPES, Writer, write_policies

STATEMENTS = 2_000
NOT_FILTERABLE = {
    Writer.letter_case: "`StringEqualsIgnoreCase` on ",
    Writer.date_in_tag: "`DateGreaterThan` on `aws:resourcetag/expires`, which is text",
    Writer.number_in_tag: "`NumericLessThanEquals` on `aws:resourcetag/level`, which is text",
    Writer.number: "`billing:amount` is a decimal number, which SQLite stores with a rounding error",
}
"""The shapes of which some statements are refused, and why."""


def test_realistic_statements_can_be_filtered() -> None:
    """At least 95 of 100 on every database; the others for a reason that the documentation names."""
    total = filterable = 0
    refused: Counter[str] = Counter()
    for kind, service, written in write_policies(1, STATEMENTS):
        document = parse(json.dumps(written), kind)
        for statement in document.statements:
            reasons = {
                refusal.reason
                for dialect in DIALECTS
                for _, refusal in untranslated(document, statement, TYPES[service], dialect)
            }
            total += 1
            filterable += not reasons
            refused.update(reasons)
    print(f"{filterable} of {total} statements: {100 * filterable / total:.1f} %; refused: {refused.most_common()}")
    assert total >= STATEMENTS
    assert filterable >= 0.95 * total
    assert all(reason.startswith(tuple(NOT_FILTERABLE.values())) for reason in refused), refused
    assert all(any(reason.startswith(known) for reason in refused) for known in NOT_FILTERABLE.values())


def test_corpus_has_every_shape() -> None:
    """What cannot be filtered is in the corpus, so that its share is a measurement."""
    assert {*NOT_FILTERABLE} < {shape for shape, _ in SHAPES}
