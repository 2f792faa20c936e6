"""Which callers the policies of resources name: an index for lists, a row for each statement and principal.

A list asks for the statements that name its caller, of all resources of a service at once; decisions read the whole
policy. A row has a digest of the statement with that one principal: resources that are shared in the same way have rows
of the same digest. The statement itself is read from the policy of one such resource. A policy that can't be read names
everyone, in a Deny.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from iam_guard.errors import NotFilterable, PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal
from iam_guard.policy.parser import parse
from iam_guard.store.database.records import Records, Row, row_arn
from iam_guard.store.policies.principal_bindings import current_text
from iam_guard.store.schema import UNLISTABLE, identities, resource_statements, resources

EVERYONE: Final = "*"
MAX_NAMING: Final = 1_000
"""Maximum number of rows that a filter can have: one for each statement, principal, and resource (joined: account)."""
_PAGE: Final = 1_000
_UNREADABLE: Final = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "*"}]}


class NamedStatement(NamedTuple):
    """A statement of a resource's policy with one of its principals, as a policy of its own.

    `principal` is how callers are looked up: an account, a unique id, an ARN, a service, or `*`. The resource's own ARN
    and `*` are left out as resources.
    """

    principal: str
    digest: str
    document: Mapping[str, Any]
    bindings: Mapping[str, str]

    @property
    def denies(self) -> bool:
        """Whether the statement is a Deny."""
        return bool(self.document["Statement"][0]["Effect"] == "Deny")


def named_statements(arn: str, text: str, bindings: Mapping[str, str]) -> list[NamedStatement]:
    """Return the statements of a resource's policy, each for one principal."""
    try:
        parse(text, PolicyType.RESOURCE)
        document = json.loads(text)
    except (PolicyError, ValueError):
        return [_named(EVERYONE, _UNREADABLE, {})]
    version, statements = document.get("Version"), document["Statement"]
    found = [
        named
        for statement in (statements if isinstance(statements, list) else [statements])
        for named in _of_statement(arn, version, statement, bindings)
    ]
    return list({named.digest: named for named in found}.values())


def _of_statement(
    arn: str, version: str | None, statement: Mapping[str, Any], bindings: Mapping[str, str]
) -> Iterator[NamedStatement]:
    elements = dict(statement)
    if "$" not in arn and not {arn, EVERYONE}.isdisjoint(_values(elements.get("Resource", ()))):
        del elements["Resource"]
    base = {} if version is None else {"Version": version}
    principals = elements.get("Principal")
    if principals is None:
        yield _named(EVERYONE, {**base, "Statement": [elements]}, bindings)
        return
    for kind, values in (principals if isinstance(principals, Mapping) else {"AWS": principals}).items():
        for value in _values(values):
            bound = {value: bindings[value]} if value in bindings else {}
            narrowed = {**elements, "Principal": {kind: value}}
            yield _named(_lookup_key(value, bound), {**base, "Statement": [narrowed]}, bound)


def _values(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


def _named(principal: str, document: Mapping[str, Any], bindings: Mapping[str, str]) -> NamedStatement:
    [statement] = document["Statement"]
    meaning = {**document, "Statement": {name: value for name, value in statement.items() if name != "Sid"}}
    written = json.dumps([meaning, bindings], sort_keys=True)
    return NamedStatement(principal, hashlib.sha256(written.encode()).hexdigest(), document, bindings)


def _lookup_key(value: str, bindings: Mapping[str, str]) -> str:
    """Return the key of a principal in a policy, one of `lookup_names` each caller that it may name."""
    if value in bindings:
        return bindings[value]
    fields = value.split(":", 5)
    is_root = len(fields) == 6 and fields[2] == "iam" and fields[5] == "root"
    return fields[4] if is_root else value


def lookup_names(principal: Principal, identity_id: str | None) -> list[str]:
    """Return the keys under which statements may name a caller, whose user or role has a unique id."""
    own_id = (principal.userid or "").partition(":")[0]
    names = (EVERYONE, principal.arn, principal.account, principal.role_arn, principal.user_arn, identity_id, own_id)
    return sorted({name for name in names if name})


# --- rows --------------------------------------------------------------------------------------------------------


def statement_rows(resource: Mapping[str, Any] | Row) -> list[dict[str, str]]:
    """Return the rows of a resource with a policy, from its row in `resources`; none without a policy."""
    arn, text = resource["arn"], resource["text"]
    columns = {"arn": arn, "account": resource["account"], "service": arn.split(":", 3)[2]}
    return [
        {**columns, "digest": named.digest, "principal": named.principal}
        for named in ([] if text is None else named_statements(arn, text, resource["bindings"]))
    ]


def replace_statements(records: Records, resource: Mapping[str, Any]) -> None:
    """Replace the rows of a resource, which has the given row in `resources`."""
    records.delete(resource_statements, arn=resource["arn"])
    for row in statement_rows(resource):
        records.insert(resource_statements, **row)


def index_policies(connection: Connection) -> None:
    """Make the rows of all policies anew, after an upgrade of the schema."""
    connection.execute(resource_statements.delete())
    columns = resources.c
    found = select(columns.arn, columns.account, columns.text, columns.bindings).where(columns.text.is_not(None))
    for page in connection.execute(found).mappings().partitions(_PAGE):
        rows = [row for resource in page for row in statement_rows(resource)]
        if rows:
            connection.execute(resource_statements.insert(), rows)
    connection.execute(resources.update().values(listed_digest=columns.digest))


# --- the statements that name a caller ---------------------------------------------------------------------------


class SharedStatement(NamedTuple):
    """A statement that policies of several resources have, as a policy that names its principal by its present ARN.

    `resources` are the resources by account: their ARNs, or one of them where the rows are joined.
    """

    text: str
    denies: bool
    digests: tuple[str, ...]
    resources: Mapping[str, tuple[str, ...]]

    @property
    def arn(self) -> str:
        """The ARN of a resource with the statement."""
        return min(arn for arns in self.resources.values() for arn in arns)


def shared_statements(
    records: Records, names: Sequence[str], service: str, *, partition: str, joins: bool
) -> list[SharedStatement]:
    """Return the statements of the policies of a service's resources that may name a caller with these names.

    `joins`: rows will be joined, so one resource of each account is enough. Raises `NotFilterable` for more than a
    filter can have.
    """
    where: dict[str, Any] = {"service": service, "principal": names}
    if joins:
        rows = records.first_of_each(resource_statements, "arn", ("digest", "account"), MAX_NAMING + 1, **where)
    else:
        rows = records.page(resource_statements, order=("arn", "digest"), after=None, limit=MAX_NAMING + 1, **where)
    if len(rows) > MAX_NAMING:
        raise NotFilterable(f"more than {MAX_NAMING:,} statements of resources of `{service}` name the caller")
    examples = {row["digest"]: row["arn"] for row in rows}
    stored = {row["arn"]: row for row in records.all(resources, arn=sorted(set(examples.values())))}
    found = {digest: _statement_of(stored[arn], digest) for digest, arn in examples.items()}
    ids = sorted({id for named in found.values() for id in named.bindings.values()})
    arns = {row["id"]: row_arn(partition, row) for row in records.all(identities, id=ids)} if ids else {}
    texts = {
        digest: current_text(json.dumps(named.document), named.bindings, arns.get) for digest, named in found.items()
    }
    digests, holders = defaultdict[str, set[str]](set), defaultdict[str, dict[str, set[str]]](dict)
    for row in rows:
        text = texts[row["digest"]]
        digests[text].add(row["digest"])
        holders[text].setdefault(row["account"], set()).add(row["arn"])
    return [
        SharedStatement(
            text,
            found[min(digests[text])].denies,
            tuple(sorted(digests[text])),
            {account: tuple(sorted(arns)) for account, arns in holders[text].items()},
        )
        for text in sorted(digests)
    ]


def has_statements(records: Records, service: str) -> bool:
    """Return whether a resource of a service has a policy."""
    return bool(records.page(resource_statements, order=(), after=None, limit=1, service=service))


def _statement_of(resource: Row, digest: str) -> NamedStatement:
    for named in named_statements(resource["arn"], resource["text"] or "", resource["bindings"]):
        if named.digest == digest:
            return named
    raise NotFilterable(f"the policy of `{resource['arn']}` was not saved as it is; save it again")


def require_listable(records: Records, prefix: str, is_listed: Callable[[str], bool]) -> None:
    """Raise `NotFilterable` if a resource of a list has more than its statements; `prefix` is that of its ARNs."""
    rows = records.page(resources, order=("arn",), after=(prefix,), limit=MAX_NAMING + 1, condition=UNLISTABLE)
    listed = [row for row in rows if row["arn"].startswith(prefix) and is_listed(row["arn"])]
    tagged = [row["arn"] for row in listed if row["tags"]]
    if tagged:
        raise NotFilterable(f"`{tagged[0]}` has tags in the store, beside those of the model")
    if listed:
        raise NotFilterable(f"the policy of `{listed[0]['arn']}` was saved by an earlier version; save it again")
    if len(rows) > MAX_NAMING and rows[-1]["arn"].startswith(prefix):
        raise NotFilterable(f"more than {MAX_NAMING:,} resources have tags in the store")
