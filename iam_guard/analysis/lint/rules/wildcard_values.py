"""Rules about conditions with the value `*`, which test only whether the key is present (rule AA-25)."""

from __future__ import annotations

from collections.abc import Iterator

from iam_guard.analysis.lint.subject import Subject
from iam_guard.policy.fault import Fault, ParsedCondition, conditions
from iam_guard.policy.grammar import quoted

_EVERYTHING = "*"


def always_or_never(subject: Subject) -> Iterator[Fault]:
    """Report a condition that `Null` states directly, that is always met, or that is never met (C-5, C-30 to C-39)."""
    for tested in conditions(subject.document):
        if tested.operator.base not in ("StringLike", "StringNotLike") or _EVERYTHING not in tested.test.values:
            continue
        code, meaning = _meaning(subject, tested)
        if code is not None:
            message = f"`{tested.test.operator}` with {quoted(_EVERYTHING)} is {meaning}"
            yield Fault(code, message, tested.path)


def _meaning(subject: Subject, tested: ParsedCondition) -> tuple[str | None, str]:
    """Return the code and what the condition means; no code where a list of values would change that (C-7)."""
    operator, key = tested.operator, quoted(tested.test.key)
    known = subject.references.key(tested.test.key)
    match operator.base, operator.prefix:
        case "StringNotLike", "ForAnyValue" if not operator.if_exists:
            return "REDUNDANT_STATEMENT_DUE_TO_WILDCARD_IN_CONDITION", "never met, so the statement never applies"
        case "StringLike", "ForAllValues":
            return "REDUNDANT_KEY_DUE_TO_WILDCARD_IN_CONDITION", "always met"
        case _, str():
            return None, ""
        case _ if known is not None and known.multivalued:
            return None, ""
        case "StringNotLike", _:
            return "EQUIVALENT_TO_NULL_TRUE", f"met if {key} is absent"
        case _ if not operator.if_exists:
            return "EQUIVALENT_TO_NULL_FALSE", f"met if {key} is present"
    return ("REDUNDANT_KEY_DUE_TO_WILDCARD_IN_CONDITION", "always met") if known is not None else (None, "")
