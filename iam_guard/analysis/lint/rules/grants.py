"""Rules about grants that are wider than intended (rules AA-23, AA-24).

Only where an Allow grants access by itself, and only if that is certain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iam_guard.analysis.lint.subject import Subject
from iam_guard.evaluation.matching.pattern import compile_glob, literal_prefix
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Effect, Statement
from iam_guard.policy.fault import Fault, place
from iam_guard.policy.grammar import quoted

_EVERYTHING = "*"
_SOURCES = frozenset({"aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths"})


def _allows(subject: Subject) -> Iterator[Statement]:
    if subject.grants:
        yield from (statement for statement in subject.document.statements if statement.effect is Effect.ALLOW)


def allow_everything(subject: Subject) -> Iterator[Fault]:
    """Report every action on every resource without a condition."""
    for statement in _allows(subject):
        if _is_everything(statement) and subject.document.type is PolicyType.IDENTITY:
            yield Fault("ALLOW_EVERYTHING", "every action on every resource is allowed", place(statement, "Action"))


def _is_everything(statement: Statement) -> bool:
    resources, actions = statement.resources or (), statement.actions or ()
    return _EVERYTHING in actions and _EVERYTHING in resources and not statement.conditions


def not_action(subject: Subject) -> Iterator[Fault]:
    """Report `NotAction` in an Allow, which includes future services."""
    for statement in _allows(subject):
        if statement.not_actions is not None:
            message = "`NotAction` with `Allow` allows every other action, also of services that are added later"
            yield Fault("ALLOW_WITH_NOT_ACTION", message, place(statement, "NotAction"), name=True)


def not_resource(subject: Subject) -> Iterator[Fault]:
    """Report `NotResource` in an Allow, which includes future resources."""
    for statement in _allows(subject):
        if statement.not_resources is not None:
            message = "`NotResource` with `Allow` allows on every other resource, also those that are added later"
            yield Fault("ALLOW_WITH_NOT_RESOURCE", message, place(statement, "NotResource"), name=True)


def wildcard_principal(subject: Subject) -> Iterator[Fault]:
    """Report a wildcard principal without a condition. The language check covers trust policies."""
    if subject.document.type is not PolicyType.RESOURCE:
        return
    for statement in _allows(subject):
        if ("AWS", _ANY_PRINCIPAL) in (statement.principals or ()) and not statement.conditions:
            message = "all callers are allowed, also without credentials"
            yield Fault("ALLOW_EVERYBODY", message, place(statement, "Principal"))


_ANY_PRINCIPAL = "*"


def service_without_source(subject: Subject) -> Iterator[Fault]:
    """Report a service principal without a condition on its source, the confused deputy (rule E-60)."""
    if subject.document.type is not PolicyType.RESOURCE:
        return
    for statement in _allows(subject):
        services = [value for kind, value in statement.principals or () if kind == "Service"]
        keys = {test.key.lower() for test in statement.conditions}
        if services and not keys & _SOURCES:
            message = f"{quoted(services[0])} may act on behalf of any account: no condition limits the source"
            yield Fault("RESTRICT_ACCESS_TO_SERVICE_PRINCIPAL", message, place(statement, "Principal", "Service"))


# --- actions that lead to more permissions --------------------------------------------------------------------------


def passing_a_role(subject: Subject) -> Iterator[Fault]:
    """Report `iam:PassRole` for every role and service."""
    yield from _star(subject, "iam:passrole", "iam:passedtoservice", "PASS_ROLE", "every role can be passed")


def linked_roles(subject: Subject) -> Iterator[Fault]:
    """Report `iam:CreateServiceLinkedRole` for every service."""
    message = "service-linked roles can be created for every service"
    yield from _star(subject, "iam:createservicelinkedrole", "iam:awsservicename", "CREATE_SLR", message)


def _star(subject: Subject, action: str, key: str, prefix: str, message: str) -> Iterator[Fault]:
    """Report an action on every resource; AWS has a separate code for each notation."""
    if subject.document.type is not PolicyType.IDENTITY:
        return
    for statement in _allows(subject):
        where = "NOT_RESOURCE" if statement.not_resources is not None else "RESOURCE"
        if where == "RESOURCE" and _EVERYTHING not in (statement.resources or ()):
            continue
        if _is_everything(statement) or any(test.key.lower() == key for test in statement.conditions):
            continue
        notation = _notation(statement, action)
        if notation is None:
            continue
        element = "NotResource" if where == "NOT_RESOURCE" else "Resource"
        yield Fault(_CODES[notation, where].format(prefix), message, place(statement, element))


def _notation(statement: Statement, action: str) -> str | None:
    """Return how a statement includes an action: by name, by a pattern, or by omission from `NotAction`."""
    if statement.not_actions is not None:
        return None if _match(statement.not_actions, action) else "not"
    written = [name.lower() for name in statement.actions or ()]
    if action in written:
        return "name"
    return "star" if _match(written, action) else None


def _match(written: Sequence[str], action: str) -> bool:
    return any(
        compile_glob(pattern)(action)
        for pattern in map(str.lower, written)
        if action.startswith(literal_prefix(pattern))
    )


_CODES = {
    ("name", "NOT_RESOURCE"): "{}_WITH_NOT_RESOURCE",
    ("star", "NOT_RESOURCE"): "{}_WITH_STAR_IN_ACTION_AND_NOT_RESOURCE",
    ("not", "NOT_RESOURCE"): "{}_WITH_NOT_ACTION_AND_NOT_RESOURCE",
    ("name", "RESOURCE"): "{}_WITH_STAR_IN_RESOURCE",
    ("star", "RESOURCE"): "{}_WITH_STAR_IN_ACTION_AND_RESOURCE",
    ("not", "RESOURCE"): "{}_WITH_STAR_IN_RESOURCE_AND_NOT_ACTION",
}
