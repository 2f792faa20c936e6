"""The callers of a check: representatives of all callers.

Two callers are alike if the policies' principals name both in the same way. The representatives are every principal
that a policy names, its parents and children (sessions of a role, federated sessions of a user, the account's root user
and other users), callers of an account that is not named, services, identity providers, and anonymous callers. Each
occurs with a resource of its own account and with one of another.

An account belongs to a partition: `arn:aws-cn:iam::111122223333:root` names the callers of `aws-cn` alone (rules G-51,
M-16). Callers without a name in a policy occur in every partition that the documents of a check name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count, product
from types import MappingProxyType
from typing import TypeAlias

from iam_guard.analysis.checks.differences import Side
from iam_guard.analysis.checks.limits import MAX_CALLERS, Undecided
from iam_guard.analysis.checks.statement_forms import DocumentForm, StatementForm
from iam_guard.analysis.checks.text_sets import TextUnion
from iam_guard.evaluation.matching.pattern import ARN_FIELDS, compile_texts, is_literal, read_wildcards
from iam_guard.evaluation.matching.principal import PrincipalMatch
from iam_guard.model.arn import account_of
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.policy.document import PrincipalEntry
from iam_guard.policy.grammar import PARTITIONS

_ACCOUNT_ID = re.compile(r"(?<![0-9])[0-9]{12}(?![0-9])")
_UNNAMED_ACCOUNTS = ("123456789012", "210987654321")
ANY_ACCOUNT = "?" * 12
EXAMPLE = "example"
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

    @property
    def partition(self) -> str:
        """The partition of the caller's ARN; empty if it has none."""
        arn = self.principal.arn
        return arn.split(":", 2)[1] if arn.startswith("arn:") else ""


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


# --- partitions --------------------------------------------------------------------------------------------------

_PARTITION_FIELD = re.compile(r"arn:([^:*?]*(?:[*?][^:]*)?)(?::|$)")
_NAMED_PARTITION = re.compile(rf"(?<![\w-])(?:{'|'.join(sorted(PARTITIONS - {'aws'}, reverse=True))})(?![\w-])")
_PARTITION_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_USUAL_PARTITIONS = ("aws", *sorted(PARTITIONS - {"aws"}))


def partitions_of(
    documents: Iterable[DocumentForm], arns: Iterable[str] = (), asked: TextUnion | None = None
) -> tuple[str, ...]:
    """Return the partitions that callers can be of: those of ARNs in the documents, of further ARNs, and of `asked`.

    A wildcard in a partition stands for the known partitions, of which one of each kind is returned that the wildcards
    distinguish. It is `aws` if no partition is named.
    """
    fields = {field for document in documents for field in _partition_fields(document)}
    fields.update(_fields_of([*arns, *(() if asked is None else _written(asked))]))
    named = sorted(field for field in fields if _PARTITION_NAME.fullmatch(field))
    wildcards = [compile_texts([field], read_wildcards) for field in sorted(fields) if not is_literal(field)]
    kinds: dict[tuple[bool, ...], str] = {}
    for partition in (*named, *_USUAL_PARTITIONS):
        kinds.setdefault(tuple(matches(partition) for matches in wildcards), partition)
    return tuple(dict.fromkeys((*named, *(name for kind, name in kinds.items() if any(kind))))) or ("aws",)


@lru_cache(maxsize=4096)
def _partition_fields(document: DocumentForm) -> frozenset[str]:
    texts: list[str] = []
    for form in document.statements:
        written = form.statement
        texts += [value for _, value in _entries(form)]
        texts += [*(written.resources or ()), *(written.not_resources or ())]
        texts += [value for test in written.conditions for value in test.values]
    return frozenset(_fields_of(texts))


def _fields_of(texts: Iterable[str]) -> Iterator[str]:
    """Yield the partitions in ARNs, with their wildcards; a variable is one, too."""
    for text in texts:
        found = _PARTITION_FIELD.match(_VARIABLE.sub("*", text))
        if found is not None:
            yield found[1]
        yield from _NAMED_PARTITION.findall(text)


_VARIABLE = re.compile(r"\$\{[^}]*\}")


def unnamed_accounts(named: Iterable[str]) -> Iterator[str]:
    """Yield account ids that are not named, the most readable first."""
    taken = frozenset(named)
    yield from (account for account in _UNNAMED_ACCOUNTS if account not in taken)
    yield from (account for number in range(1, 10**12) if (account := f"{number:012d}") not in taken)


# --- identity-based policies -------------------------------------------------------------------------------------


def identity_callers(named: Iterable[str], partitions: Sequence[str], *, by_account: bool) -> Iterator[TypicalCaller]:
    """Yield the callers that have an identity-based policy; one for all if no condition is about the caller."""
    unnamed = next(unnamed_accounts(named))
    if not by_account:
        user = _user_in(partitions[0], unnamed)
        yield TypicalCaller(user, unnamed, None, _any_name(user, None))
        return
    for account, partition in product((None, *named), partitions):
        for create in (_user_in, _session_in):
            principal = create(partition, account or unnamed)
            yield TypicalCaller(principal, account or unnamed, account, _any_name(principal, account))


@lru_cache(maxsize=4096)
def _user_in(partition: str, account: str) -> Principal:
    return Principal.from_arn(f"arn:{partition}:iam::{account}:user/{EXAMPLE}")


@lru_cache(maxsize=4096)
def _session_in(partition: str, account: str) -> Principal:
    return Principal.from_arn(f"arn:{partition}:sts::{account}:assumed-role/{EXAMPLE}/{EXAMPLE}")


def _any_name(principal: Principal, account: str | None) -> tuple[str, ...]:
    partition = principal.arn.split(":", 2)[1]
    if principal.type is PrincipalType.ROOT:
        return (f"arn:{partition}:iam::{ANY_ACCOUNT}:root",) if account is None else ()
    service, beginning = KINDS[principal.type]
    return (f"arn:{partition}:{service}::{account or ANY_ACCOUNT}:{beginning}?*",)


# --- resource-based policies -------------------------------------------------------------------------------------


def resource_callers(
    documents: Iterable[DocumentForm],
    named: Iterable[str],
    partitions: Sequence[str],
    taken: Iterable[str] = (),
    asked: TextUnion | None = None,
) -> list[TypicalCaller]:
    """Return the callers of a resource-based policy; `named` are the accounts that are named as a whole.

    `partitions` are those of callers without a name (`partitions_of`), `taken` further accounts that do not represent
    unnamed ones, and `asked` the resources of the question.
    """
    forms, places = [*documents], [*named]
    owners = owners_of(forms, asked)
    entries = {entry for document in forms for form in document.statements for entry in _entries(form)}
    mentioned = [account for _, value in sorted(entries) for account in _ACCOUNT_ID.findall(value)]
    unnamed = unnamed_accounts((*mentioned, *places, *taken))
    owner, other = next(unnamed), next(unnamed)
    callers: dict[tuple[Principal, str], TypicalCaller] = {}
    special = _special(entries, _service_names(forms), f"arn:{partitions[0]}:iam::{other}:saml-provider/x")
    for principal, account, arns in (*special, *_with_account(entries, [*product((None, *places), partitions)], other)):
        own = [] if principal.account is None else [principal.account]
        for place in dict.fromkeys((owner, *own, *owners)):
            callers.setdefault((principal, place), TypicalCaller(principal, place, account, arns))
    if len(callers) > MAX_CALLERS:
        raise Undecided(f"the principals need more than {MAX_CALLERS:,} typical callers")
    return list(callers.values())


def _entries(form: StatementForm) -> Iterator[PrincipalEntry]:
    yield from form.statement.principals or ()
    yield from form.statement.not_principals or ()


_Represented: TypeAlias = tuple[Principal, str | None, tuple[str, ...]]
"""The fields of a `TypicalCaller` except its owner."""


def _special(entries: set[PrincipalEntry], services: Iterable[str], provider: str) -> Iterator[_Represented]:
    """Yield callers without an account: of all services and identity providers that are named, and of further ones."""
    yield Principal.anonymous(), None, ()
    services = {*services, *(value for kind, value in entries if kind == "Service")}
    providers = {provider, *(value for kind, value in entries if kind == "Federated")}
    for service in sorted(services):
        yield Principal.service(service), None, ()
    for provider in sorted(providers):
        if provider.count(":") >= ARN_FIELDS - 1:
            yield Principal.federated(provider, userid="example", keys={}), None, ()


def _service_names(documents: Iterable[DocumentForm]) -> Iterator[str]:
    """Yield the services that conditions on their names require, and one that is not named."""
    tests = [test for document in documents for test, _ in document.tests.get("aws:principalservicename", ())]
    values = {value for test in tests for value in test.values}
    yield next(name for number in count() if (name := f"example{number or ''}.amazonaws.com") not in values)
    yield from (value.replace("*", EXAMPLE).replace("?", "e") for value in values if value.strip("*?"))


def _with_account(
    entries: set[PrincipalEntry], places: Iterable[tuple[str | None, str]], unnamed: str
) -> Iterator[_Represented]:
    """Yield users, sessions of roles, federated sessions and root users: the named ones, and others of each place.

    A place is an account, None for an unnamed one, and a partition.
    """
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
    for place in places:
        yield from _of_place(*place, unnamed, user_ids, role_ids)


def _of_place(
    account: str | None, partition: str, unnamed: str, user_ids: list[str | None], role_ids: list[str | None]
) -> Iterator[_Represented]:
    """Yield callers of an account, None for the unnamed one, whose names are in no policy."""
    person, session = _user_in(partition, account or unnamed), _session_in(partition, account or unnamed)
    yield from ((replace(person, userid=userid), account, _any_name(person, account)) for userid in user_ids)
    for role_id in role_ids:
        yield _session(session.arn, None, role_id), account, _any_name(session, account)
    for kind in ("sts::{}:federated-user/example", "iam::{}:root"):
        principal = Principal.from_arn(f"arn:{partition}:{kind.format(account or unnamed)}")
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
