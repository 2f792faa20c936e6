"""Explain one statement element by element: the policy's entries, the request's value, the change it would need.

Matching is not implemented again: each result comes from the compiled statement, or from the same functions for a
single entry of an element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from iam_guard.evaluation.compiler import CompiledPolicy
from iam_guard.evaluation.condition_explanation import explain_condition, fill_variables
from iam_guard.evaluation.explanation import Element, ExplainedEntry, FilledVariable, either
from iam_guard.evaluation.matching.pattern import compile_glob
from iam_guard.evaluation.matching.principal import PrincipalMatch, Principals
from iam_guard.evaluation.matching.resource import EVERYTHING, compile_resources, read_resource
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.matching_statements import names_caller
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import PrincipalEntry
from iam_guard.policy.grammar import WITH_PRINCIPAL, quoted

_NAMED = {
    PrincipalMatch.DIRECT: "it names the caller itself, or every principal",
    PrincipalMatch.PARENT: "it names the caller's role, or the user that federated it",
    PrincipalMatch.ACCOUNT: "it names the caller's account",
}
_NO_PRINCIPAL = "it names no principal"


def explain_elements(
    policy: CompiledPolicy, compiled: CompiledStatement, request: AccessRequest, *, bounded: bool
) -> tuple[Element, ...]:
    """Explain the elements in AWS's order: principal, action, resource, then each condition as written.

    An absent element that matches everything is omitted.
    """
    return tuple(_elements(policy, compiled, request, bounded))


def _elements(
    policy: CompiledPolicy, compiled: CompiledStatement, request: AccessRequest, bounded: bool
) -> Iterator[Element]:
    statement, version = compiled.statement, policy.content.document.version
    if policy.ref.type in WITH_PRINCIPAL:
        if statement.not_principals is None:
            yield _guarded("Principal", partial(_principal, compiled, request))
        else:
            yield _guarded("NotPrincipal", partial(_not_principal, compiled, request, bounded))
    name = "Action" if statement.not_actions is None else "NotAction"
    yield _guarded(name, partial(_action, compiled, request.action))
    if statement.resources is not None or statement.not_resources is not None or not compiled.matches_resource(request):
        name = "Resource" if statement.not_resources is None else "NotResource"
        yield _guarded(name, partial(_resource, name, compiled, request, version))
    for test, condition in zip(statement.conditions, compiled.conditions, strict=True):
        explain = partial(explain_condition, test, condition, request, version)
        yield _guarded("Condition", explain, operator=test.operator, key=test.key)


def _guarded(
    name: str, explain: Callable[[], Element], *, operator: str | None = None, key: str | None = None
) -> Element:
    """Explain an element; if it cannot be evaluated, report only the class of the error (rule C-45)."""
    try:
        return explain()
    except Exception as error:  # noqa: BLE001  a Deny applies on an error, an Allow does not; the tree must show why
        kind = type(error).__name__
        return Element(name, False, operator=operator, key=key, note=f"it could not be evaluated: {kind}", error=kind)


# --- principal ---------------------------------------------------------------------------------------------------


def _principal(compiled: CompiledStatement, request: AccessRequest) -> Element:
    entries = compiled.statement.principals or ()
    principal_match = compiled.principal_match(request.principal)
    note, change = _NO_PRINCIPAL, "the statement would have to name the caller"
    if principal_match is not None:
        note = _NAMED[principal_match]
    elif entries:
        note = f"it does not name {quoted(request.principal.arn)}"
        change = f"the caller would have to be {either([value for _, value in entries])}"
    return Element(
        "Principal",
        principal_match is not None,
        tuple(ExplainedEntry(_written(entry), _names(entry, request.principal)) for entry in entries),
        _names_of(request.principal),
        note=note,
        change=None if principal_match is not None else change,
    )


def _not_principal(compiled: CompiledStatement, request: AccessRequest, bounded: bool) -> Element:
    entries = compiled.statement.not_principals or ()
    is_reached = names_caller(compiled, request, bounded=bounded)
    note = "the caller is exempt: it is listed, and so is everything that it belongs to"
    if is_reached and bounded:
        note = "a caller with a permissions boundary is never exempt"
    elif is_reached:
        note = "the caller is not exempt: the list would need the caller and everything that it belongs to"
    return Element(
        "NotPrincipal",
        is_reached,
        tuple(ExplainedEntry(_written(entry), _names(entry, request.principal)) for entry in entries),
        _names_of(request.principal),
        note=note,
        change=None if is_reached else "the caller would have to be one that is not exempt",
    )


def _written(entry: PrincipalEntry) -> str:
    kind, value = entry
    return value if kind == "AWS" else f"{kind}: {value}"


def _names(entry: PrincipalEntry, principal: Principal) -> bool:
    return Principals([entry]).match(principal) is not None


def _names_of(principal: Principal) -> tuple[str, ...]:
    """Return the names by which a policy can refer to the caller; nothing of its credentials."""
    names = (principal.arn, principal.role_arn, principal.user_arn, principal.userid, principal.account)
    return tuple(dict.fromkeys(name for name in names if name is not None))


# --- action and resource -----------------------------------------------------------------------------------------


def _action(compiled: CompiledStatement, action: str) -> Element:
    statement, folded = compiled.statement, action.lower()  # M-3
    is_negated = statement.not_actions is not None
    entries = (statement.not_actions if is_negated else statement.actions) or ()
    explained = [ExplainedEntry(entry, compile_glob(entry.lower())(folded) is not is_negated) for entry in entries]
    name = "NotAction" if is_negated else "Action"
    return _compared(name, compiled.matches_action(folded), explained, "action", action)


def _resource(name: str, compiled: CompiledStatement, request: AccessRequest, version: str) -> Element:
    statement, is_negated = compiled.statement, name == "NotResource"
    entries = (statement.not_resources if is_negated else statement.resources) or ()
    explained = [
        ExplainedEntry(
            entry, compile_resources([entry], version)(request) is not is_negated, _filled(entry, request, version)
        )
        for entry in entries
    ]
    return _compared(name, compiled.matches_resource(request), explained, "resource", request.resource)


def _compared(name: str, is_matched: bool, entries: Sequence[ExplainedEntry], word: str, seen: str) -> Element:
    note = "" if is_matched else f"the request has {quoted(seen)}"
    if not is_matched and word == "resource" and seen == EVERYTHING:
        note = "the request has no resource of its own"  # M-11
    return Element(
        name,
        is_matched,
        tuple(entries),
        (seen,),
        note=note if entries else "it lists nothing",
        change=None if is_matched else _required_change(word, entries, is_negated=name.startswith("Not")),
    )


def _required_change(word: str, entries: Sequence[ExplainedEntry], *, is_negated: bool) -> str:
    if not entries:
        return f"the statement would have to name the {word}"
    if is_negated:
        failing = [entry.written for entry in entries if not entry.matched]
        return f"the {word} would have to be other than {either(failing)}"
    return f"the {word} would have to match {either([entry.written for entry in entries])}"


def _filled(entry: str, request: AccessRequest, version: str) -> tuple[FilledVariable, ...]:
    return fill_variables(read_resource(entry, version)[0], request)
