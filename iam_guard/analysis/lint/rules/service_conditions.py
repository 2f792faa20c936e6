"""Rules about conditions on callers that are services: in resource-based, trust and resource control policies.

A service that acts for a resource has the keys of its source, `aws:SourceArn` and so on, and none of a user or role
(rules K-10, E-11, E-60).
"""

from __future__ import annotations

from collections.abc import Iterator

from iam_guard.analysis.lint.rules.key_relations import requires_value
from iam_guard.analysis.lint.subject import Subject
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Effect, Statement
from iam_guard.policy.fault import Fault, ParsedCondition, conditions
from iam_guard.policy.grammar import quoted

_NEVER_OF_SERVICE = frozenset(
    {"aws:principalorgid", "aws:principalorgpaths", "aws:username", "aws:multifactorauthpresent", "aws:tokenissuetime"}
    | {"aws:multifactorauthage", "aws:sourceidentity", "aws:federatedprovider"}
)
_TAG_OF_PRINCIPAL = "aws:principaltag/"
_NETWORK = frozenset({"aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:sourcevpcarn", "aws:vpcsourceip"})
_OF_PRINCIPAL = frozenset({"aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount", "aws:principalarn"})
_OF_SOURCE = frozenset({"aws:sourceorgid", "aws:sourceorgpaths", "aws:sourceaccount", "aws:sourcearn"})
_IS_SERVICE = "aws:principalisawsservice"


def key_without_value(subject: Subject) -> Iterator[Fault]:
    """Report a key that a statement requires and that its only callers, services, never have."""
    for tested, service in _of_services(subject):
        key = tested.test.key.lower()
        if requires_value(tested) and (key in _NEVER_OF_SERVICE or key.startswith(_TAG_OF_PRINCIPAL)):
            message = f"requests of {quoted(service)} have no {quoted(tested.test.key)}, so the condition is never met"
            yield Fault("UNSUPPORTED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL", message, tested.path, name=True)


def network_of_service(subject: Subject) -> Iterator[Fault]:
    """Report a limit on the network of a service, which is not the one of the caller that it acts for."""
    for tested, service in _of_services(subject):
        if tested.test.key.lower() in _NETWORK:
            message = f"{quoted(tested.test.key)} is about the network of {quoted(service)}, not about its source"
            yield Fault("RECOMMENDED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL", message, tested.path, name=True)


def _of_services(subject: Subject) -> Iterator[tuple[ParsedCondition, str]]:
    """Yield the conditions of Allows whose principals are all services, each with one of these."""
    if subject.document.type in (PolicyType.RESOURCE, PolicyType.TRUST):
        for tested in conditions(subject.document):
            kinds = {kind for kind, _ in tested.statement.principals or ()}
            if tested.statement.effect is Effect.ALLOW and kinds == {"Service"}:
                yield tested, (tested.statement.principals or ())[0][1]


# --- resource control policies -----------------------------------------------------------------------------------


def principal_key_denies_services(subject: Subject) -> Iterator[Fault]:
    """Report a resource control policy about callers of an organization that denies services, too (E-11)."""
    for tested in _negated(subject, _OF_PRINCIPAL):
        if _IS_SERVICE not in _keys(tested.statement):
            message = f"services have no {quoted(tested.test.key)} of yours, so their requests are denied, too"
            yield Fault("RCP_MISSING_RELATED_PRINCIPAL_CONDITION_KEY", message, tested.path, name=True)


def source_key_denies_principals(subject: Subject) -> Iterator[Fault]:
    """Report a resource control policy about the source of services that denies users and roles, too."""
    for tested in _negated(subject, _OF_SOURCE):
        if _IS_SERVICE not in _keys(tested.statement):
            message = f"requests of users and roles have no {quoted(tested.test.key)}, so they are denied, too"
            yield Fault("RCP_MISSING_RELATED_SERVICE_PRINCIPAL_CONDITION_KEY", message, tested.path, name=True)


def source_key_without_null_check(subject: Subject) -> Iterator[Fault]:
    """Report a resource control policy that denies a service that acts for no resource."""
    for tested in _negated(subject, _OF_SOURCE):
        if not any(test.operator == "Null" and test.key.lower() in _OF_SOURCE for test in tested.statement.conditions):
            message = f"requests of services without {quoted(tested.test.key)} are denied, too"
            yield Fault("RCP_MISSING_SERVICE_CONDITION_KEY_NULL_CHECK", message, tested.path, name=True)


def _negated(subject: Subject, keys: frozenset[str]) -> Iterator[ParsedCondition]:
    """Yield the conditions of resource control policies that are met if one of the keys is absent."""
    if subject.document.type is PolicyType.RCP:
        for tested in conditions(subject.document):
            is_met_without = "Not" in tested.operator.base and tested.operator.prefix != "ForAnyValue"
            if is_met_without and tested.test.key.lower() in keys:
                yield tested


def _keys(statement: Statement) -> frozenset[str]:
    return frozenset(test.key.lower() for test in statement.conditions)
