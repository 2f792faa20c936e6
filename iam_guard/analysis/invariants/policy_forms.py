"""Statements of policies for one caller and one owner of resources, without the condition keys that these determine.

Whether a condition is met by a key whose value is known (`aws:PrincipalTag/…`, `aws:PrincipalOrgID`, `aws:username`, …)
does not depend on the request. Such conditions are decided by the evaluator's own compiled condition, and variables get
their values. What is left is the same for all callers that the policy treats alike, so its forms are shared.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from iam_guard.analysis.checks.instances import stands_for_itself, with_values
from iam_guard.analysis.checks.statement_forms import DocumentForm, form_of, has_open_values
from iam_guard.errors import IamGuardError
from iam_guard.evaluation.compiler import CompiledDocument, CompiledPolicy, compile_policy
from iam_guard.evaluation.matching.condition import compile_condition
from iam_guard.evaluation.matching.condition_keys import row_of
from iam_guard.evaluation.matching.referenced_keys import keys_of_condition, keys_of_document
from iam_guard.model.context import Value
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import ConditionTest, Statement
from iam_guard.policy.grammar import split_operator
from iam_guard.store.protocol import StoredPolicy

IsKnown: TypeAlias = Callable[[str], bool]
"""Returns whether the value, or the absence, of a key in lower case is known."""

_Known: TypeAlias = tuple[tuple[str, Value | None], ...]


class PolicyForms:
    """The forms of the policies of a store; policies that treat callers alike have the same form."""

    def __init__(self) -> None:
        self._forms: dict[tuple[object, ...], DocumentForm] = {}
        self._keys: dict[tuple[object, ...], frozenset[str]] = {}

    def form(self, policy: StoredPolicy, request: AccessRequest, is_known: IsKnown) -> DocumentForm:
        """Return the form of a policy for requests that have the known keys of `request`.

        Raises `PolicyError` for a policy that cannot be parsed, `Undecided` for one with unusual characters.
        """
        compiled = compile_stored(policy).content
        digest = compiled.document.digest, compiled.document.type
        keys = self._keys.get(digest)
        if keys is None:
            keys = self._keys[digest] = frozenset(key.lower() for key in keys_of_document(compiled.document))
        known = tuple((key, request.value(key)) for key in sorted(keys) if is_known(key))
        form = self._forms.get((*digest, known))
        if form is None:
            form = form_of(compiled) if not known else DocumentForm(_without_known(compiled, request, known))
            self._forms[*digest, known] = form
        return form


def compile_stored(policy: StoredPolicy) -> CompiledPolicy:
    """Compile a policy of a store, as the evaluator reads it. Raises `PolicyError`."""
    return compile_policy(policy.text, policy.ref)


def _without_known(compiled: CompiledDocument, request: AccessRequest, known: _Known) -> CompiledDocument:
    document, keys = compiled.document, frozenset(key for key, _ in known)
    statements = [_decided(statement, document.version, request, keys) for statement in document.statements]
    kept = replace(document, statements=tuple(statement for statement in statements if statement is not None))
    texts = {key: value for key, value in known if value is None or stands_for_itself(value)}
    return with_values(kept, texts)


def _decided(statement: Statement, version: str, request: AccessRequest, keys: frozenset[str]) -> Statement | None:
    """Return a statement without the conditions that are met; None if one is not."""
    left = []
    for test in statement.conditions:
        is_met = _is_met(test, version, request, keys)
        if is_met is False:
            return None
        if is_met is None:
            is_known = test.key.lower() in keys
            left.append((_turned(test, version, request) if is_known else None) or test)
    return replace(statement, conditions=tuple(left))


def _is_met(test: ConditionTest, version: str, request: AccessRequest, keys: frozenset[str]) -> bool | None:
    """Return whether a condition is met; None if that depends on the request."""
    is_absent = test.key.lower() in keys and request.value(test.key.lower()) is None
    if not is_absent and not all(key.lower() in keys for key in keys_of_condition(test, version)):
        return None
    try:
        return compile_condition(test, version)(request)
    except (IamGuardError, ValueError):  # the evaluator decides on it, too (rule C-45)
        return None


def _turned(test: ConditionTest, version: str, request: AccessRequest) -> ConditionTest | None:
    """Return a condition on the variable that the known value of a key is compared with; None for other conditions.

    `StringEquals: {aws:PrincipalTag/team: "${aws:ResourceTag/team}"}` of a principal of team `red` means that the
    resource's tag is `red` (rule V-9: without the tag it is not met, and its negation is).
    """
    name, value = split_operator(test.operator), request.value(test.key.lower())
    is_plain = not name.prefix and name.base in _SYMMETRIC and len(test.values) == 1
    if not is_plain or not has_open_values(test, version) or value is None or not stands_for_itself(value):
        return None
    found = _VARIABLE.fullmatch(test.values[0])
    row = None if found is None else row_of(found[1].lower())
    if found is None or row is None or row.multivalued:
        return None
    return ConditionTest(name.base, found[1], (value,))


_SYMMETRIC = frozenset({"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"})
_VARIABLE = re.compile(r"\$\{([^},*?$]+)\}")
