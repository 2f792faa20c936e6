"""Callers from outside of a zone of trust, and the requests that are inside whatever their caller (rules AA-4, AA-5).

A request is inside if the caller belongs to the zone, or if a condition key that only the framework sets names the zone
(the account or organization of the resource on whose behalf a service calls, or the organization of the caller).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache

from iam_guard.analysis.checks.callers import TypicalCaller, accounts_of, partitions_of, resource_callers
from iam_guard.analysis.checks.statement_forms import DocumentForm, Test
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.model.arn import account_of, is_account_id
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.policy.document import LATEST, ConditionTest, Document, Effect, PrincipalEntry, Statement

_ACCOUNT_KEYS = frozenset({"aws:sourceaccount", "aws:sourceowner", "kms:calleraccount"})
_ORGANIZATION_KEYS = frozenset({"aws:sourceorgid", "aws:principalorgid"})
_PATH_KEYS = frozenset({"aws:sourceorgpaths", "aws:principalorgpaths"})
_SOURCE_ARN = "aws:sourcearn"
_ACCOUNT = re.compile(r"(?<![0-9])[0-9]{12}(?![0-9])")
_PART_OF_ACCOUNT = re.compile(r"[0-9][*?]|[*?][0-9]|\$\{")
_USUAL_ACCOUNTS = ("123456789012", "210987654321")
"""The accounts of examples."""
_DELETED = re.compile(r"A(?:ID|RO)A[A-Z0-9]*")
"""The unique id of a principal that was deleted: a policy in force has the ARNs of all others (rules P-5, P-7)."""


def outside_entries(entries: Iterable[PrincipalEntry], inside: Collection[str]) -> list[PrincipalEntry]:
    """Return the principals of a statement that may be callers from outside; `inside` are the accounts of the zone.

    Services are not external (rule AA-4); deleted principals and canonical user ids match no caller.
    """
    return [entry for entry in dict.fromkeys(entries) if _is_outside(entry, inside)]


def _is_outside(entry: PrincipalEntry, inside: Collection[str]) -> bool:
    kind, value = entry
    if kind == "Federated":
        return value.startswith("arn:")
    if kind != "AWS" or _DELETED.fullmatch(value):
        return False
    return entry_account(entry) not in inside


def entry_account(entry: PrincipalEntry) -> str | None:
    """Return the account that all callers belong to whom a principal of a policy names; None for other principals."""
    kind, value = entry
    if kind != "AWS":
        return None
    return value if is_account_id(value) else account_of(value)


def outside_callers(
    forms: Sequence[DocumentForm], arn: str, owner: str, inside: Collection[str]
) -> list[TypicalCaller]:
    """Return the typical callers from outside that an Allow of the first form names; `arn` belongs to `owner`.

    Callers of identity providers exist for trust policies only: they do nothing but assume a role. Raises `Undecided`
    if there are too many of one account.
    """
    allows, kind = forms[0].allows, forms[0].document.type
    partitions = partitions_of(forms, [arn])
    found = [
        TypicalCaller(caller.principal, owner, caller.account, caller.arns)
        for caller in _callers(forms, partitions, inside)
        if _is_external(caller.principal, kind)
        and any(form.compiled.principal_match(caller.principal) is not None for form in allows)
    ]
    if kind is PolicyType.TRUST:  # an anonymous caller is the last example of one that can assume a role
        found.sort(key=lambda caller: caller.principal.type is PrincipalType.ANONYMOUS)
    return found


def _callers(
    forms: Sequence[DocumentForm], partitions: tuple[str, ...], inside: Collection[str]
) -> Iterator[TypicalCaller]:
    """Yield the callers without an account and of unnamed accounts, then those of each account that is named."""
    statements = [form.statement for document in forms for form in document.statements]
    listed = [entries for statement in statements for entries in (statement.principals, statement.not_principals)]
    by_account: dict[str | None, set[PrincipalEntry]] = {None: set()}
    for entry in outside_entries((entry for entries in listed for entry in entries or ()), inside):
        by_account.setdefault(entry_account(entry), set()).add(entry)
    named = {account for account in accounts_of(forms) if account not in inside}
    known = {*named, *filter(None, by_account), *inside}
    yield from _callers_elsewhere(frozenset(by_account.pop(None)), partitions, known)
    for account in sorted({*named, *filter(None, by_account)}):
        entries = frozenset(by_account.get(account, ()))
        callers = _callers_named(entries, partitions, (account,) if account in named else ())
        yield from (caller for caller in callers if caller.principal.account == account)


def _callers_elsewhere(
    entries: frozenset[PrincipalEntry], partitions: tuple[str, ...], known: Collection[str]
) -> Iterator[TypicalCaller]:
    """Yield the callers without an account, and those of an account that is not known."""
    named: set[str] = set()
    while True:
        listed = _callers_named(entries, partitions, tuple(sorted(named)))
        callers = [caller for caller in listed if caller.account is None]
        clashes = {account for caller in callers if (account := caller.principal.account) in known and account}
        if not clashes:
            yield from callers
            return
        named |= clashes


@lru_cache(maxsize=4096)
def _callers_named(
    entries: frozenset[PrincipalEntry], partitions: tuple[str, ...], named: tuple[str, ...]
) -> tuple[TypicalCaller, ...]:
    """Return the callers that some principals of policies distinguish, each once; `named` are accounts as a whole."""
    statement = Statement(0, Effect.ALLOW, principals=tuple(sorted(entries)), actions=())
    form = DocumentForm(CompiledDocument(Document(PolicyType.RESOURCE, LATEST, (statement,), "callers", "")))
    found: dict[Principal, TypicalCaller] = {}
    for caller in resource_callers([form], named, partitions):
        found.setdefault(caller.principal, caller)
    return tuple(found.values())


def _is_external(principal: Principal, kind: PolicyType) -> bool:
    """Return whether a caller is of a kind that findings report."""
    match principal.type:
        case PrincipalType.SERVICE:
            return False  # AA-4
        case PrincipalType.FEDERATED:
            return kind is PolicyType.TRUST
        case _:
            return True


def inside_tests(keys: Iterable[str], inside: Collection[str], organization: str | None) -> tuple[Test, ...]:
    """Return the conditions of which a request that is inside meets one, about some keys in lower case."""
    return tuple((test, LATEST) for key in sorted(keys) for test in _tests(key, sorted(inside), organization))


def _tests(key: str, inside: Sequence[str], organization: str | None) -> Iterator[ConditionTest]:
    if key in _ACCOUNT_KEYS and inside:
        yield ConditionTest("StringEquals", key, tuple(inside))
    elif key == _SOURCE_ARN and inside:
        yield ConditionTest("ArnLike", key, tuple(f"arn:*:*:*:{account}:*" for account in inside))
    elif organization is not None and key in _ORGANIZATION_KEYS:
        yield ConditionTest("StringEquals", key, (organization,))
    elif organization is not None and key in _PATH_KEYS:
        yield ConditionTest("ForAnyValue:StringLike", key, (f"{organization}/*",))


def distinguished_accounts(forms: Iterable[DocumentForm], inside: frozenset[str]) -> frozenset[str]:
    """Return the accounts of a zone that conditions treat differently from accounts that they do not name.

    These are the accounts that values contain, all of them if a value has a part of an account before or after a
    wildcard; and those that requests have by default.
    """
    if len(inside) <= 1:
        return inside
    values = {value for form in forms for tests in form.tests.values() for test, _ in tests for value in test.values}
    if any(map(_PART_OF_ACCOUNT.search, values)):
        return inside
    return inside & {*_USUAL_ACCOUNTS, *(name for value in values for name in _ACCOUNT.findall(value))}
