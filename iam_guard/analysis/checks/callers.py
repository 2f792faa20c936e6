"""The callers of a check: representatives of all callers, and the condition keys that each determines.

Two callers are alike if the policies' principals name both in the same way. The representatives are every principal
that a policy names, its parents and children (sessions of a role, federated sessions of a user, the account's root user
and other users), callers of an account that is not named, services, identity providers, and anonymous callers. Each
occurs with a resource of its own account and with one of another.

A caller determines its keys (table K-10, E.1), which a check must not vary by itself: `caller_tests` are conditions
that all requests of the caller meet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from iam_guard.analysis.checks.differences import Side
from iam_guard.analysis.checks.limits import MAX_CALLERS, Undecided
from iam_guard.analysis.checks.statement_forms import DocumentForm, StatementForm, Test
from iam_guard.analysis.checks.text_sets import TextUnion
from iam_guard.evaluation.matching.condition_keys import Kind, row_of
from iam_guard.evaluation.matching.pattern import ARN_FIELDS
from iam_guard.evaluation.matching.principal import PrincipalMatch
from iam_guard.model.arn import account_of
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.policy.document import LATEST, ConditionTest

_ACCOUNT_ID = re.compile(r"(?<![0-9])[0-9]{12}(?![0-9])")
_UNNAMED_ACCOUNTS = ("123456789012", "210987654321")
_ANY_ACCOUNT = "?" * 12
_NAME = "example"
"""The name of callers and sessions that no policy names."""
KINDS = MappingProxyType(
    {
        PrincipalType.USER: ("iam", "user/"),
        PrincipalType.ASSUMED_ROLE: ("iam", "role/"),
        PrincipalType.FEDERATED_USER: ("sts", "federated-user/"),
    }
)
"""The service and the beginning of the resource of `aws:PrincipalArn`, for callers with a name."""


@dataclass(frozen=True)
class TypicalCaller:
    """A representative caller of a resource of account `owner`.

    `account` is None if it represents callers of every unnamed account. `arns` are patterns of `aws:PrincipalArn` if it
    represents callers of several names; empty if it has only that of `principal`.
    """

    principal: Principal
    owner: str
    account: str | None = None
    arns: tuple[str, ...] = ()

    @property
    def is_in_account(self) -> bool:
        """Whether the resource belongs to the caller's account."""
        return self.principal.account == self.owner


def accounts_of(documents: Iterable[DocumentForm]) -> tuple[str, ...]:
    """Return the accounts that are named as a whole: as principals, in resources, and in condition values."""
    return tuple(dict.fromkeys(account for document in documents for account in _accounts(document)))


@lru_cache(maxsize=4096)
def _accounts(document: DocumentForm) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for form in document.statements:
        written = form.statement
        texts = [value for _, value in _entries(form) if value.isdigit() or value.endswith(":root")]
        texts += [*(written.resources or ()), *(written.not_resources or ())]
        texts += [value for test in written.conditions for value in test.values]
        found.update(dict.fromkeys(_ACCOUNT_ID.findall("\n".join(texts))))
    return tuple(found)


def owners_of(documents: Iterable[DocumentForm], asked: TextUnion | None) -> tuple[str, ...]:
    """Return the accounts of resources, also of those asked about, and those that conditions require of resources."""
    found: dict[str, None] = dict.fromkeys(() if asked is None else _ACCOUNT_ID.findall("\n".join(_written(asked))))
    for document in documents:
        for form in document.statements:
            texts = [*(form.statement.resources or ()), *(form.statement.not_resources or ())]
            tests = [test for test in form.statement.conditions if test.key.lower() == "aws:resourceaccount"]
            for text in (*texts, *(value for test in tests for value in test.values)):
                found.update(dict.fromkeys(_ACCOUNT_ID.findall(text)))
    return tuple(found)


def _written(union: TextUnion) -> Iterator[str]:
    yield from union.words
    for pattern in union.globs:
        yield "".join(piece if isinstance(piece, str) else "*" for piece in pattern)


def unnamed_accounts(named: Iterable[str]) -> Iterator[str]:
    """Yield account ids that are not named, the most readable first."""
    taken = frozenset(named)
    yield from (account for account in _UNNAMED_ACCOUNTS if account not in taken)
    yield from (account for number in range(1, 10**12) if (account := f"{number:012d}") not in taken)


# --- identity-based policies -------------------------------------------------------------------------------------


def identity_callers(named: Iterable[str], *, by_account: bool) -> Iterator[TypicalCaller]:
    """Yield the callers that have an identity-based policy; one for all if no condition is about the caller."""
    unnamed = next(unnamed_accounts(named))
    for account in (None, *named) if by_account else (None,):
        for principal in (user_in(account or unnamed), session_of(account or unnamed))[: 2 if by_account else 1]:
            yield TypicalCaller(principal, account or unnamed, account, _any_name(principal, account))


@lru_cache(maxsize=4096)
def user_in(account: str) -> Principal:
    """Return a user."""
    return Principal.from_arn(f"arn:aws:iam::{account}:user/example")


@lru_cache(maxsize=4096)
def session_of(account: str) -> Principal:
    """Return a session of a role."""
    return Principal.from_arn(f"arn:aws:sts::{account}:assumed-role/example/example")


def _any_name(principal: Principal, account: str | None) -> tuple[str, ...]:
    if principal.type is PrincipalType.ROOT:
        return (f"arn:*:iam::{_ANY_ACCOUNT}:root",) if account is None else ()
    service, beginning = KINDS[principal.type]
    return (f"arn:*:{service}::{account or _ANY_ACCOUNT}:{beginning}?*",)


# --- resource-based policies -------------------------------------------------------------------------------------


def resource_callers(
    documents: Iterable[DocumentForm],
    named: Iterable[str],
    taken: Iterable[str] = (),
    asked: TextUnion | None = None,
) -> list[TypicalCaller]:
    """Return the callers of a resource-based policy; `named` are the accounts that are named as a whole.

    `taken` are further accounts that do not represent unnamed ones; `asked` are the resources of the question.
    """
    forms, places = [*documents], [*named]
    owners = owners_of(forms, asked)
    entries = {entry for document in forms for form in document.statements for entry in _entries(form)}
    mentioned = [account for _, value in sorted(entries) for account in _ACCOUNT_ID.findall(value)]
    unnamed = unnamed_accounts((*mentioned, *places, *taken))
    owner, other = next(unnamed), next(unnamed)
    callers: dict[tuple[Principal, str], TypicalCaller] = {}
    for principal, account, arns in (*_special(entries, other), *_with_account(entries, places, other)):
        own = [] if principal.account is None else [principal.account]
        for place in dict.fromkeys((owner, *own, *owners)):
            callers.setdefault((principal, place), TypicalCaller(principal, place, account, arns))
    if len(callers) > MAX_CALLERS:
        raise Undecided(f"the principals need more than {MAX_CALLERS:,} typical callers")
    return list(callers.values())


def _entries(form: StatementForm) -> Iterator[tuple[str, str]]:
    yield from form.statement.principals or ()
    yield from form.statement.not_principals or ()


_Represented: TypeAlias = tuple[Principal, str | None, tuple[str, ...]]
"""The fields of a `TypicalCaller` except its owner."""


def _special(entries: set[tuple[str, str]], unnamed: str) -> Iterator[_Represented]:
    """Yield callers without an account."""
    yield Principal.anonymous(), None, ()
    services = {value for kind, value in entries if kind == "Service"} | {"example.amazonaws.com"}
    providers = {value for kind, value in entries if kind == "Federated"} | {f"arn:aws:iam::{unnamed}:saml-provider/x"}
    for service in sorted(services):
        yield Principal.service(service), None, ()
    for provider in sorted(providers):
        if provider.count(":") >= ARN_FIELDS - 1:
            yield Principal.federated(provider, userid="example", keys={}), None, ()


def _with_account(entries: set[tuple[str, str]], places: list[str], unnamed: str) -> Iterator[_Represented]:
    """Yield users, sessions of roles, federated sessions and root users: the named ones, and others of each account."""
    names = sorted(value for kind, value in entries if kind == "AWS")
    user_ids: list[str | None] = [None, *[name for name in names if name.startswith("AIDA")]]
    role_ids: list[str | None] = [None, *[name for name in names if name.startswith("AROA")]]
    users = [name for name in names if _is_of(name, "iam", "user")]
    roles = [name for name in names if _is_of(name, "iam", "role")]
    for user in users:
        yield from ((Principal.from_arn(user, userid=userid), account_of(user), ()) for userid in user_ids)
        federated = f"arn:{user.split(':')[1]}:sts::{account_of(user)}:federated-user/example"
        principal = Principal.from_arn(federated, user_arn=user)
        yield principal, account_of(user), _any_name(principal, account_of(user))
    for role in roles:
        session_arn = session_of_role(role, "example")
        yield from ((_session(session_arn, role, role_id), account_of(role), ()) for role_id in role_ids)
    for name in names:
        if _is_of(name, "sts", "assumed-role") and name.count("/") == 2:
            account = account_of(name) or ""
            free = name.split("/")[1]
            partition = name.split(":")[1]
            arns = (f"arn:{partition}:iam::{account}:role/{free}", f"arn:{partition}:iam::{account}:role/*/{free}")
            parents = [role for role in roles if session_of_role(role, name.split("/")[2]) == name]
            for role_id in role_ids:
                yield _session(name, None, role_id), account, arns
                yield from ((_session(name, parent, role_id), account, ()) for parent in parents)
        if _is_of(name, "sts", "federated-user"):
            owners: list[str | None] = [None, *[user for user in users if account_of(user) == account_of(name)]]
            yield from ((Principal.from_arn(name, user_arn=user_arn), account_of(name), ()) for user_arn in owners)
    for place in (None, *places):
        yield from _of_account(place, place or unnamed, user_ids, role_ids)


def _of_account(
    account: str | None, place: str, user_ids: list[str | None], role_ids: list[str | None]
) -> Iterator[_Represented]:
    """Yield callers of an account whose names are in no policy."""
    person, session = user_in(place), session_of(place)
    yield from ((replace(person, userid=userid), account, _any_name(person, account)) for userid in user_ids)
    for role_id in role_ids:
        yield _session(session.arn, None, role_id), account, _any_name(session, account)
    for kind in ("sts::{}:federated-user/example", "iam::{}:root"):
        principal = Principal.from_arn(f"arn:aws:{kind.format(place)}")
        yield principal, account, _any_name(principal, account)


def _session(arn: str, role_arn: str | None, role_id: str | None) -> Principal:
    userid = None if role_id is None else f"{role_id}:{arn.rsplit('/', 1)[-1]}"
    return Principal.from_arn(arn, role_arn=role_arn, userid=userid)


def session_of_role(role_arn: str, session: str) -> str:
    """Return the ARN of a session of a role."""
    partition, name = role_arn.split(":")[1], role_arn.rsplit("/", 1)[-1]
    return f"arn:{partition}:sts::{account_of(role_arn)}:assumed-role/{name}/{session}"


def _is_of(name: str, service: str, kind: str) -> bool:
    fields = name.split(":", ARN_FIELDS - 1)
    is_arn = len(fields) == ARN_FIELDS and fields[0] == "arn" and account_of(name) is not None
    return is_arn and fields[2] == service and fields[5].startswith(f"{kind}/")


def side_of(form: DocumentForm, callers: Sequence[TypicalCaller]) -> Side:
    """Return a resource-based policy as a side: the callers that each statement is sufficient for."""
    bits: dict[int, int] = {}
    for statement in form.statements:
        named = [index for index, caller in enumerate(callers) if _is_named(statement, caller)]
        bits[id(statement)] = sum(1 << index for index in named)
    return Side(form, bits)


def _is_named(statement: StatementForm, caller: TypicalCaller) -> bool:
    """Return whether a Deny is about the caller, or an Allow is sufficient for it (rules E-30, E-50 to E-62)."""
    match = statement.compiled.principal_match(caller.principal)
    if match is None:
        return False
    if statement.compiled.denies or not caller.is_in_account or match is PrincipalMatch.DIRECT:
        return True
    return match is PrincipalMatch.PARENT and caller.principal.type is PrincipalType.ASSUMED_ROLE


# --- keys --------------------------------------------------------------------------------------------------------

DERIVED = frozenset(
    {
        *("aws:principaltype", "aws:principalaccount", "aws:principalarn", "aws:username", "aws:userid"),
        *("aws:principalisawsservice", "aws:principalservicename", "aws:principalservicenameslist"),
        *("aws:principalorgid", "aws:principalorgpaths", "aws:resourceaccount"),
    }
)
"""The keys that depend on the caller or on the owner of the resource, in lower case; so do all principal tags."""
OF_PRINCIPAL = frozenset(
    {"aws:principaltype", "aws:principalaccount", "aws:principalarn", "aws:username", "aws:userid"}
)
"""Those that the evaluator derives from the principal (rule N-3): each is absent, or one text that is not empty."""
_PRINCIPAL_TAG = "aws:principaltag/"
_PARTITION = re.compile(r"arn:([a-z][a-z0-9-]*):")
_TYPES: Mapping[Kind, tuple[str, ...]] = {
    "Bool": ("BoolIfExists", "true", "false"),
    "Ip": ("IpAddressIfExists", "0.0.0.0/0", "::/0"),
}
"""What the values of keys of a type are."""
_WITHOUT_ACCOUNT = (PrincipalType.ANONYMOUS, PrincipalType.SERVICE, PrincipalType.FEDERATED)


def derived_keys(documents: Iterable[DocumentForm], more: Iterable[str] = ()) -> frozenset[str]:
    """Return the keys of conditions that depend on the caller; `more` are further keys that a check needs."""
    keys = {*more, *(key for document in documents for key in document.tests)}
    return frozenset(key for key in keys if key in DERIVED or key.startswith(_PRINCIPAL_TAG))


def letters_of(documents: Iterable[DocumentForm]) -> str:
    """Return the characters that accounts do not have and conditions on them do."""
    tests = [test for document in documents for key in _OF_ACCOUNTS for test, _ in document.tests.get(key, ())]
    return "".join(sorted({char for test in tests for value in test.values for char in value} - {*"0123456789*?"}))


_OF_ACCOUNTS = ("aws:principalaccount", "aws:userid")


def partitions_of(documents: Iterable[DocumentForm]) -> tuple[str, ...]:
    """Return the partitions that callers can be of: `aws`, and those that the documents name."""
    return tuple(sorted({"aws", *(name for document in documents for name in _partitions(document))}))


@lru_cache(maxsize=4096)
def _partitions(document: DocumentForm) -> frozenset[str]:
    return frozenset(_PARTITION.findall(document.document.text))


def typed_tests(documents: Iterable[DocumentForm]) -> Iterator[Test]:
    """Yield conditions that every request meets: keys of AWS have values of their type, as booleans have one of two."""
    for key in sorted({key for document in documents for key in document.tests}):
        row = row_of(key)
        if row is not None and row.kind in _TYPES:
            yield _test(_TYPES[row.kind][0], key, *_TYPES[row.kind][1:])


def caller_tests(
    caller: TypicalCaller, keys: Iterable[str], named: Iterable[str], partitions: Iterable[str], letters: str
) -> Iterator[Test]:
    """Yield conditions on some keys that every request of a caller meets; `named` are all named accounts."""
    tests = _tests(caller, [*named], partitions, letters)
    for key in sorted(keys):
        if key.startswith(_PRINCIPAL_TAG) and caller.principal.type in _WITHOUT_ACCOUNT:
            yield _test("Null", key, "true")
        for operator, *values in tests.get(key, ()):
            yield _test(operator, key, *values)


def _test(operator: str, key: str, *values: str) -> Test:
    return ConditionTest(operator, key, values), LATEST


def _tests(
    caller: TypicalCaller, named: list[str], partitions: Iterable[str], letters: str
) -> Mapping[str, Iterable[tuple[str, ...]]]:
    """Return the conditions of table K-10 and of E.1, by key."""
    principal, kind = caller.principal, caller.principal.type
    has_account = kind not in _WITHOUT_ACCOUNT
    is_service = kind is PrincipalType.SERVICE
    absent = [("Null", "true")]
    others = [("StringNotEquals", *named)] if named else []
    derived = {key.lower(): str(value) for key, value in principal.condition_keys.items()}
    digits = [("StringNotLike", *(f"*{letter}*" for letter in letters))] if letters else []
    any_account = [("StringLike", _ANY_ACCOUNT), *digits, *others] if caller.account is None and has_account else []
    found: dict[str, Iterable[tuple[str, ...]]] = {
        "aws:principaltype": _fixed(derived, "aws:principaltype"),
        "aws:principalaccount": any_account or _fixed(derived, "aws:principalaccount"),
        "aws:principalarn": _fixed(derived, "aws:principalarn"),
        "aws:username": _fixed(derived, "aws:username"),
        "aws:principalservicename": [("StringEqualsIfExists", principal.arn)] if is_service else absent,
        "aws:principalservicenameslist": [] if is_service else absent,
        "aws:principalisawsservice": (
            absent if kind is PrincipalType.ANONYMOUS else [("BoolIfExists", "true" if is_service else "false")]
        ),
        "aws:principalorgid": [] if has_account else absent,
        "aws:principalorgpaths": [] if has_account else absent,
        "aws:resourceaccount": [("StringEqualsIfExists", caller.owner)],
    }
    if kind in (*_WITHOUT_ACCOUNT, PrincipalType.ROOT, PrincipalType.FEDERATED_USER) or principal.userid:
        found["aws:userid"] = _fixed(derived, "aws:userid")
    elif kind is PrincipalType.ASSUMED_ROLE:
        session = "?*" if caller.account is None or principal.name == _NAME else principal.name
        found["aws:userid"] = [("StringLikeIfExists", f"?*:{session}")]
    if caller.owner not in named:
        found["aws:resourceaccount"] = others
    if caller.arns:
        other_arns = [f"arn:*:*:*:{account}:*" for account in named]
        of_others = [("ArnNotLike", *other_arns)] if caller.account is None and other_arns else []
        in_partitions = ("ArnLike", *(f"arn:{partition}:*:*:*:*" for partition in partitions))
        found["aws:principalarn"] = [("ArnLike", *caller.arns), in_partitions, *of_others]
        if kind is PrincipalType.USER:
            found["aws:username"] = [("Null", "false"), ("StringNotLike", "*/*")]
        if kind is PrincipalType.ROOT:
            found["aws:userid"] = any_account
        if kind is PrincipalType.FEDERATED_USER:
            not_named = [("StringNotLike", *(f"{account}:*" for account in named))] if named else []
            of_account = ("StringLike", f"{caller.account or _ANY_ACCOUNT}:?*")
            found["aws:userid"] = [of_account, *([] if caller.account else not_named)]
    return found


def _fixed(derived: Mapping[str, str], key: str) -> list[tuple[str, ...]]:
    value = derived.get(key)
    return [("Null", "true")] if value is None else [("StringEquals", value)]
