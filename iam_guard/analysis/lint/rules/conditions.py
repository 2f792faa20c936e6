"""Whether condition keys exist, come with the actions, and are tested by an operator of their type (AA-22 to AA-24)."""

from __future__ import annotations

from collections.abc import Iterator

from iam_guard.analysis.lint.reference_index import KnownKey
from iam_guard.analysis.lint.subject import Subject
from iam_guard.evaluation.matching.condition_keys import row_of
from iam_guard.evaluation.matching.referenced_keys import keys_of_resource
from iam_guard.evaluation.matching.variables import written_keys
from iam_guard.model.own_services import SERVED
from iam_guard.model.reference import KeyType
from iam_guard.policy.document import Document, Effect
from iam_guard.policy.fault import Fault, Tested, conditions, resources
from iam_guard.policy.grammar import TAG_KEY_PREFIXES, WILDCARD, quoted
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
"""How an operator begins -> what it compares."""
_ALSO: dict[KeyType, frozenset[KeyType]] = {
    "ARN": frozenset({"String"}),
    "Bool": frozenset({"String"}),
    "Date": frozenset({"Numeric"}),
    "Binary": frozenset({"String"}),
}
"""Type of a key -> what else compares it sensibly; epoch seconds are numbers (C-16)."""
_UNLISTED = frozenset({"aws:principalorgmasteraccountid", "aws:sourceowner"})
"""Keys that AWS's own policies have (the second one that of each new SNS topic) and its documentation has not."""
_FROM_CALLER = frozenset({"aws:referer", "aws:useragent"})


def unknown_key(subject: Subject) -> Iterator[Fault]:
    """A key that AWS or the service has not, in a condition or as a policy variable."""
    for key, path, is_name in _asked(subject.document):
        prefix = key.partition(":")[0].lower()
        if subject.known.key(key) is not None or key.rstrip("/").lower() in TAG_KEY_PREFIXES | _UNLISTED:
            continue
        close = subject.known.like_key(key) if prefix == "aws" or prefix in subject.known.services else None
        instead = "" if close is None else f", did you mean {quoted(close)}?"
        if prefix == "aws":
            message = f"there is no condition key {quoted(key)}{instead}"
            yield Fault("INVALID_GLOBAL_CONDITION_KEY", message, path, name=is_name)
        elif prefix in subject.known.services:
            message = f"the service {quoted(prefix)} has no condition key {quoted(key)}{instead}"
            yield Fault("INVALID_SERVICE_CONDITION_KEY", message, path, name=is_name)


def _asked(document: Document) -> Iterator[tuple[str, Path, bool]]:
    """Walk over the keys that are asked for: each with where it stands, and whether it is a name there."""
    for entry in resources(document):
        for key in keys_of_resource(entry.value, document.version):
            yield key, entry.path, False
    for tested in conditions(document):
        yield tested.test.key, tested.path, True
        for value, path in tested.values():
            for key in written_keys(value, document.version):
                yield key, path, False


def key_not_supplied(subject: Subject) -> Iterator[Fault]:
    """A key that none of the statement's actions supplies, so that the test is never met."""
    for tested in _that_ask_for_a_value(subject):
        key = tested.test.key
        if subject.known.key(key) is None or _is_of_every_request(key):
            continue
        meant = [subject.known.meant(action) for action in tested.statement.actions or ()]
        if not meant or any(each is None for each in meant):
            continue
        known = [action for each in meant for action in each or ()]
        if known and not any(each.entry.open_keys or subject.known.supplies(each, key) for each in known):
            message = f"none of the statement's actions supplies {quoted(key)}, so the condition is never met"
            yield Fault("CONDITION_KEY_NOT_SUPPLIED", message, tested.path, name=True)


def _that_ask_for_a_value(subject: Subject) -> Iterator[Tested]:
    """Walk over the tests that an absent key fails (C-7, C-30, C-36)."""
    for tested in conditions(subject.document):
        operator = tested.operator
        is_met_without = operator.if_exists or "Not" in operator.base or operator.prefix == "ForAllValues"
        if operator.base != "Null" and not is_met_without:
            yield tested


def _is_of_every_request(key: str) -> bool:
    """Return whether a key has nothing to do with the action. Tags that a request sets are the action's to supply."""
    row = row_of(key)
    if row is None:
        return False
    return row.supplier not in SERVED and row.name not in ("aws:RequestTag/", "aws:TagKeys", "aws:ResourceTag/")


def wrong_operator(subject: Subject) -> Iterator[Fault]:
    """An operator that compares something else than the key holds."""
    for tested in conditions(subject.document):
        known = subject.known.key(tested.test.key)
        compared = _compared(tested)
        if known is None or known.type is None or known.is_free or compared is None or compared == known.type:
            continue
        if compared not in _ALSO.get(known.type, frozenset()):
            message = (
                f"{quoted(tested.test.key)} holds {_shown(known)}, and `{tested.operator.base}` compares {compared}"
            )
            yield Fault("TYPE_MISMATCH", message, tested.path[:-1], name=True)


def _compared(tested: Tested) -> KeyType | None:
    return next((type for begin, type in _FAMILIES.items() if tested.operator.base.startswith(begin)), None)


def _shown(known: KnownKey) -> str:
    return f"{'several ' if known.multivalued else ''}{known.type}"


def missing_qualifier(subject: Subject) -> Iterator[Fault]:
    """A key of several values without a set prefix (C-43)."""
    for tested in conditions(subject.document):
        known = subject.known.key(tested.test.key)
        if known is not None and known.multivalued and not tested.operator.prefix and tested.operator.base != "Null":
            message = f"{quoted(tested.test.key)} has several values, so `ForAnyValue:` or `ForAllValues:` is needed"
            yield Fault("MISSING_QUALIFIER", message, tested.path[:-1], name=True)


def qualified_single_value(subject: Subject) -> Iterator[Fault]:
    """`ForAllValues` in an Allow is met where the key is absent (C-36)."""
    for tested in conditions(subject.document):
        known = subject.known.key(tested.test.key)
        allows = tested.statement.effect is Effect.ALLOW
        if allows and known is not None and not known.multivalued and tested.operator.prefix == "ForAllValues":
            message = f"{quoted(tested.test.key)} has one value, and without it `ForAllValues` is met"
            yield Fault("FORALLVALUES_WITH_SINGLE_VALUED_KEY", message, tested.path[:-1], name=True)


def string_operator_on_arn(subject: Subject) -> Iterator[Fault]:
    """`StringLike` with wildcards on an ARN: they run over the borders of its fields."""
    for tested in conditions(subject.document):
        known = subject.known.key(tested.test.key)
        if known is None or known.type != "ARN" or tested.operator.base not in ("StringLike", "StringNotLike"):
            continue
        for value, path in tested.values():
            if WILDCARD.search(value.rpartition(":")[0]):
                message = f"a wildcard in {quoted(value)} runs over the fields of the ARN, use `ArnLike`"
                yield Fault("STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS", message, path)


def from_the_caller(subject: Subject) -> Iterator[Fault]:
    """A key whose value the caller sends."""
    for tested in conditions(subject.document):
        if tested.statement.effect is Effect.ALLOW and tested.test.key.lower() in _FROM_CALLER:
            message = f"{quoted(tested.test.key)} is a header that every caller can send"
            yield Fault("UNTRUSTWORTHY_CONDITION_KEY", message, tested.path, name=True)
