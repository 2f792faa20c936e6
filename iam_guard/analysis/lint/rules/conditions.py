"""Rules about condition keys: unknown, not supplied by the action, or with the wrong operator (AA-22 to AA-24)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iam_guard.analysis.lint.rules.key_relations import DEPRECATED, UNSUPPORTED, requires_value
from iam_guard.analysis.lint.subject import Subject
from iam_guard.analysis.reference.reference_index import KnownAction, KnownKey
from iam_guard.evaluation.matching.condition_keys import row_of
from iam_guard.evaluation.matching.referenced_keys import keys_of_resource
from iam_guard.evaluation.matching.variables import variable_keys
from iam_guard.model.own_services import SERVED
from iam_guard.model.reference import KeyType
from iam_guard.policy.document import Document, Effect
from iam_guard.policy.fault import Fault, ParsedCondition, conditions, place, resources
from iam_guard.policy.grammar import TAG_KEY_PREFIXES, WILDCARD, quoted, shown
from iam_guard.policy.json_tree import Path

_FAMILIES: dict[str, KeyType] = {
    "String": "String",
    "Numeric": "Numeric",
    "Date": "Date",
    "Bool": "Bool",
    "Binary": "Binary",
    "IpAddress": "IPAddress",
    "NotIpAddress": "IPAddress",
    "Arn": "ARN",
}
"""Prefix of an operator -> the type that it compares."""
_COMPATIBLE: dict[KeyType, frozenset[KeyType]] = {
    "ARN": frozenset({"String"}),
    "Bool": frozenset({"String"}),
    "Date": frozenset({"Numeric"}),
    "Binary": frozenset({"String"}),
}
"""Type of a key -> other types that compare it sensibly; epoch seconds are numbers (C-16)."""
_REPORTED_ELSEWHERE = TAG_KEY_PREFIXES | DEPRECATED.keys() | {UNSUPPORTED}
_FROM_CALLER = frozenset({"aws:referer", "aws:useragent"})


def unknown_key(subject: Subject) -> Iterator[Fault]:
    """Report an undefined key, in a condition or as a policy variable."""
    for key, path, is_name in _referenced_keys(subject.document):
        prefix, known = key.partition(":")[0].lower(), subject.references
        if known.key(key) is not None or key.rstrip("/").lower() in _REPORTED_ELSEWHERE:
            continue
        if prefix == "aws":
            message = f"unknown condition key {quoted(key)}{known.suggest_key(key)}"
            yield Fault("INVALID_GLOBAL_CONDITION_KEY", message, path, name=is_name)
        elif prefix in known.services:
            message = f"the service {quoted(prefix)} has no condition key {quoted(key)}{known.suggest_key(key)}"
            yield Fault("INVALID_SERVICE_CONDITION_KEY", message, path, name=is_name)


def _referenced_keys(document: Document) -> Iterator[tuple[str, Path, bool]]:
    """Yield the keys that the policy refers to, each with its path, and whether it is the name there."""
    for entry in resources(document):
        for key in keys_of_resource(entry.value, document.version):
            yield key, entry.path, False
    for tested in conditions(document):
        yield tested.test.key, tested.path, True
        for value, path in tested.values():
            for key in variable_keys(value, document.version):
                yield key, path, False


def key_not_supplied(subject: Subject) -> Iterator[Fault]:
    """Report a key that no action of the statement supplies, so the condition is never met."""
    for tested in _requiring_a_value(subject):
        key = tested.test.key
        if subject.references.key(key) is None or _is_of_every_request(key):
            continue
        known = subject.actions_of(tested.statement)
        if known and not any(_may_supply(subject, action, key) for action in known):
            message = f"none of the statement's actions supplies {quoted(key)}, so the condition is never met"
            yield Fault("CONDITION_KEY_NOT_SUPPLIED", message + _declaration(known, key), tested.path, name=True)


def action_without_key(subject: Subject) -> Iterator[Fault]:
    """Report an action that does not supply a key, in a statement whose other actions do."""
    for tested in _requiring_a_value(subject):
        key, statement = tested.test.key, tested.statement
        if subject.references.key(key) is None or _is_of_every_request(key):
            continue
        matching = [subject.references.matching_actions(written) for written in statement.actions or ()]
        if all(actions is not None and not _any_supplies(subject, actions, key) for actions in matching):
            continue
        for index, actions in enumerate(matching):
            if actions and not _any_supplies(subject, actions, key):
                written = quoted((statement.actions or ())[index])
                message = f"{written} does not supply {quoted(key)}, so the statement never applies to it"
                path = place(statement, "Action", index)
                yield Fault("UNSUPPORTED_ACTION_FOR_CONDITION_KEY", message, path)


def _any_supplies(subject: Subject, actions: Sequence[KnownAction], key: str) -> bool:
    return any(_may_supply(subject, action, key) for action in actions)


def _declaration(actions: list[KnownAction], key: str) -> str:
    """Return the end of a message that shows how an application declares a key; empty for actions of IAM and STS."""
    action = next((action for action in actions if action.service.name not in SERVED), None)
    if action is None:
        return ""
    is_of_request = key.lower().startswith(("aws:requesttag/", "aws:tagkeys"))
    if action.entry.resources and not is_of_request:
        code = f'declare_resource_type("{action.entry.resources[0].name}", …, condition_keys=["{shown(key, 100)}"])'
    else:
        code = f'declare_action("{action.entry.name}", condition_keys=["{shown(key, 100)}"])'
    return f"; if the application supplies it, declare it: `{code}`"


def _may_supply(subject: Subject, action: KnownAction, key: str) -> bool:
    """Return whether an action supplies a key, or may: code that finds its resource may return tags with it."""
    is_tag = key.lower().startswith("aws:resourcetag/")
    return (
        action.entry.open_keys or (is_tag and action.entry.open_resources) or subject.references.supplies(action, key)
    )


def _requiring_a_value(subject: Subject) -> Iterator[ParsedCondition]:
    """Yield the tests that fail if the key is absent."""
    for tested in conditions(subject.document):
        if tested.operator.base != "Null" and requires_value(tested):
            yield tested


def _is_of_every_request(key: str) -> bool:
    """Return whether a key is independent of the action. Request tags are supplied by the action."""
    row = row_of(key)
    if row is None:
        return False
    return row.supplier not in SERVED and row.name not in ("aws:RequestTag/", "aws:TagKeys", "aws:ResourceTag/")


def _known_keys(subject: Subject) -> Iterator[tuple[ParsedCondition, KnownKey]]:
    """Yield the tests of known keys."""
    for tested in conditions(subject.document):
        known = subject.references.key(tested.test.key)
        if known is not None:
            yield tested, known


def wrong_operator(subject: Subject) -> Iterator[Fault]:
    """Report an operator that compares another type than the key's."""
    for tested, known in _known_keys(subject):
        compared = _compared(tested)
        if known.type is None or known.is_free or compared is None or compared == known.type:
            continue
        if compared not in _COMPATIBLE.get(known.type, frozenset()):
            type = f"{'a list of ' if known.multivalued else ''}{known.type}"
            message = f"{quoted(tested.test.key)} is {type}, but `{tested.operator.base}` compares {compared}"
            yield Fault("TYPE_MISMATCH", message, tested.path[:-1], name=True)


def _compared(tested: ParsedCondition) -> KeyType | None:
    return next((type for begin, type in _FAMILIES.items() if tested.operator.base.startswith(begin)), None)


def missing_qualifier(subject: Subject) -> Iterator[Fault]:
    """Report a multivalued key without a set qualifier (C-43)."""
    for tested, known in _known_keys(subject):
        if known.multivalued and not tested.operator.prefix and tested.operator.base != "Null":
            message = f"{quoted(tested.test.key)} has several values, so `ForAnyValue:` or `ForAllValues:` is needed"
            yield Fault("MISSING_QUALIFIER", message, tested.path[:-1], name=True)


def qualified_single_value(subject: Subject) -> Iterator[Fault]:
    """Report `ForAllValues` on a single-valued key in an Allow: it is met if the key is absent (C-36)."""
    for tested, known in _known_keys(subject):
        allows = tested.statement.effect is Effect.ALLOW
        if allows and not known.multivalued and tested.operator.prefix == "ForAllValues":
            message = f"{quoted(tested.test.key)} has a single value, and `ForAllValues` is met if the key is absent"
            yield Fault("FORALLVALUES_WITH_SINGLE_VALUED_KEY", message, tested.path[:-1], name=True)


def string_operator_on_arn(subject: Subject) -> Iterator[Fault]:
    """Report `StringLike` with wildcards on an ARN: they match across its fields."""
    for tested, known in _known_keys(subject):
        if known.type != "ARN" or tested.operator.base not in ("StringLike", "StringNotLike"):
            continue
        for value, path in tested.values():
            if WILDCARD.search(value.rpartition(":")[0]):
                message = f"a wildcard in {quoted(value)} matches across the fields of the ARN, use `ArnLike`"
                yield Fault("STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS", message, path)


def caller_supplied_key(subject: Subject) -> Iterator[Fault]:
    """Report a key whose value the caller sends."""
    for tested in conditions(subject.document):
        if tested.statement.effect is Effect.ALLOW and tested.test.key.lower() in _FROM_CALLER:
            message = f"{quoted(tested.test.key)} is a header that every caller can send"
            yield Fault("UNTRUSTWORTHY_CONDITION_KEY", message, tested.path, name=True)
