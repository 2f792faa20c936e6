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


def _allows(subject: Subject, type: PolicyType | None = None) -> Iterator[Statement]:
    """Return the Allow statements that grant access, of policies of one type or of all."""
    if subject.grants and type in (None, subject.document.type):
        yield from (statement for statement in subject.document.statements if statement.effect is Effect.ALLOW)


def allow_everything(subject: Subject) -> Iterator[Fault]:
    """Report every action on every resource without a condition."""
    for statement in _allows(subject, PolicyType.IDENTITY):
        if _is_everything(statement):
            yield Fault("ALLOW_EVERYTHING", "every action on every resource is allowed", place(statement, "Action"))


def _is_everything(statement: Statement) -> bool:
    resources, actions = statement.resources or (), statement.actions or ()
    return _EVERYTHING in actions and _EVERYTHING in resources and not statement.conditions


def negated_element(subject: Subject) -> Iterator[Fault]:
    """Report `NotAction` and `NotResource` in an Allow, which include future services and resources."""
    for statement in _allows(subject):
        if statement.not_actions is not None:
            message = "`NotAction` with `Allow` allows every other action, including those of services added later"
            yield Fault("ALLOW_WITH_NOT_ACTION", message, place(statement, "NotAction"), name=True)
        if statement.not_resources is not None:
            message = "`NotResource` with `Allow` allows access to every other resource, including those added later"
            yield Fault("ALLOW_WITH_NOT_RESOURCE", message, place(statement, "NotResource"), name=True)


def wildcard_principal(subject: Subject) -> Iterator[Fault]:
    """Report a wildcard principal without a condition. The language check covers trust policies."""
    for statement in _allows(subject, PolicyType.RESOURCE):
        if ("AWS", "*") in (statement.principals or ()) and not statement.conditions:
            message = "all callers are allowed, also without credentials"
            yield Fault("ALLOW_EVERYBODY", message, place(statement, "Principal"))


def service_without_source(subject: Subject) -> Iterator[Fault]:
    """Report a service principal without a condition on its source, the confused deputy (rule E-60)."""
    for statement in _allows(subject, PolicyType.RESOURCE):
        services = [value for kind, value in statement.principals or () if kind == "Service"]
        keys = {test.key.lower() for test in statement.conditions}
        if services and not keys & _SOURCES:
            message = f"{quoted(services[0])} may act on behalf of any account: no condition limits the source"
            yield Fault("RESTRICT_ACCESS_TO_SERVICE_PRINCIPAL", message, place(statement, "Principal", "Service"))


# --- actions that lead to more permissions --------------------------------------------------------------------------


_ROLE_ACTIONS = (
    ("iam:passrole", "iam:passedtoservice", "PASS_ROLE", "every role can be passed"),
    (
        "iam:createservicelinkedrole",
        "iam:awsservicename",
        "CREATE_SLR",
        "service-linked roles can be created for every service",
    ),
)
"""An action that provides a role, the condition key that limits it, the prefix of the codes, and the message."""


def every_role(subject: Subject) -> Iterator[Fault]:
    """Report an action that provides every role; AWS has a separate code for each notation."""
    for statement in _allows(subject, PolicyType.IDENTITY):
        element = "Resource" if statement.not_resources is None else "NotResource"
        if _is_everything(statement) or (element == "Resource" and _EVERYTHING not in (statement.resources or ())):
            continue
        for action, key, prefix, message in _ROLE_ACTIONS:
            notation = _notation(statement, action)
            if notation is not None and all(test.key.lower() != key for test in statement.conditions):
                yield Fault(f"{prefix}_WITH_{_CODES[notation, element]}", message, place(statement, element))


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
    ("name", "NotResource"): "NOT_RESOURCE",
    ("star", "NotResource"): "STAR_IN_ACTION_AND_NOT_RESOURCE",
    ("not", "NotResource"): "NOT_ACTION_AND_NOT_RESOURCE",
    ("name", "Resource"): "STAR_IN_RESOURCE",
    ("star", "Resource"): "STAR_IN_ACTION_AND_RESOURCE",
    ("not", "Resource"): "STAR_IN_RESOURCE_AND_NOT_ACTION",
}
