"""What the store has of a person: read for an export, and erased.

An erasure is one transaction, which ends everything that the person could use. Policies of others that name the person
are changed after it (`policy_mentions`): from then on none can name it again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import BigInteger

from iam_guard.store.identifiers import fold, iam_arn, identity_of_arn, root_arn, session_arn
from iam_guard.store.personal_tables import PERSONAL_TABLES, PersonalTable, StoredPerson
from iam_guard.store.records import Records, Row, Table, row_arn
from iam_guard.store.schema import (
    access_previews,
    accounts,
    credential_reports,
    federated_sessions,
    findings,
    identities,
    jobs,
    password_resets,
    policies,
    sign_in_failures,
    tool_sessions,
)

PAGE: Final = 1000
"""Rows of one query where all rows of a table are searched."""

Exported: TypeAlias = dict[str, list[dict[str, Any]]]
"""The exported rows by table."""

_ABOUT: Final[Mapping[Table, tuple[str, ...]]] = {
    findings: ("resource", "content"),
    access_previews: ("configurations", "findings"),
    jobs: ("parameters", "result"),
}
"""Tables whose rows may be about a person -> the columns that say so."""

_NAMED_IN_RECORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("access_keys", "api_keys", "browser_sessions", "tool_sessions", "service_credentials"), "id"),
    **dict.fromkeys(("signing_certificates", "ssh_keys"), "id"),
    **dict.fromkeys(("mfa_devices", "passkeys"), "serial"),
}
"""Tables of what a person has -> the column that records of the trail name it by."""

ROLE_SESSION_NAME: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


class PersonalValues(NamedTuple):
    """What identifies a person in the trail: its names, of its account alone, and what is unique in all accounts."""

    names: frozenset[str]
    unique: frozenset[str]


def find_user(records: Records, partition: str, arn: str) -> StoredPerson | None:
    """Return the user with exactly this ARN; None if there is none."""
    named = identity_of_arn(arn)
    row = None if named is None else records.one(identities, account=named[0], kind="user", folded=fold(named[2]))
    return StoredPerson.of_user(partition, row) if row is not None and row_arn(partition, row) == arn else None


def personal_rows(records: Records, person: StoredPerson, entry: PersonalTable) -> list[Row]:
    """Return the person's rows of one table, each once."""
    rows = [row for where in entry.wheres(records, person) for row in records.all(entry.table, **where)]
    return list({tuple(row[column] for column in _key_of(entry.table)): row for row in rows}.values())


def export_rows(records: Records, partition: str, person: StoredPerson, failures: Collection[str]) -> Exported:
    """Return what the store has of a person, by table; `failures` are the subjects of its failed sign-ins."""
    found = {
        name: [_exported(entry.table, row, entry.columns) for row in personal_rows(records, person, entry)]
        for name, entry in PERSONAL_TABLES.items()
    }
    for row in [*found["memberships"], *found["attachments"], *found["identities"]]:
        _name_references(records, partition, row)
    if person.id is None:
        of_account = records.all(accounts, id=person.account)
        found["accounts"] = [
            _exported(accounts, row, ("id", "name", "email", "alias", "created")) for row in of_account
        ]
    counted = records.all(sign_in_failures, subject=sorted(failures))
    found["sign_in_failures"] = [_exported(sign_in_failures, row, ("failures", "last")) for row in counted]
    for table, columns in _ABOUT.items():
        rows = rows_about(records, table, columns, person)
        found[table.name] = [_exported(table, row, ("id", *columns, "created")) for row in rows]
    report = records.one(credential_reports, account=person.account)
    lines = [] if report is None else csv.DictReader(io.StringIO(report["content"]))
    found["credential_reports"] = [line for line in lines if line.get("arn") == person.arn]
    return {name: rows for name, rows in found.items() if rows}


def erase_rows(records: Records, person: StoredPerson, failures: Collection[str]) -> dict[str, int]:
    """Delete a user and everything of it; return the number of rows by table."""
    counts = {
        name: sum(records.delete(entry.table, **where) for where in entry.wheres(records, person))
        for name, entry in PERSONAL_TABLES.items()
    }
    counts["sign_in_failures"] = records.delete(sign_in_failures, subject=sorted(failures))
    counts["password_resets"] += records.update(password_resets, {"made_by": person.id}, made_by=person.arn)
    counts["credential_reports"] = records.delete(credential_reports, account=person.account)
    for table, columns in _ABOUT.items():
        ids = [row["id"] for row in rows_about(records, table, columns, person)]
        counts[table.name] = records.delete(table, id=ids) if ids else 0
    return {name: count for name, count in counts.items() if count}


def values_of_user(records: Records, partition: str, person: StoredPerson) -> PersonalValues:
    """Return what identifies a user."""
    name, unique = str(person.name), {person.arn, str(person.id)}
    names = {name, f"{person.account}:{name}"}
    for table, column in _NAMED_IN_RECORDS.items():
        unique |= {row[column] for row in personal_rows(records, person, PERSONAL_TABLES[table])}
    for row in personal_rows(records, person, PERSONAL_TABLES["tool_sessions"]):
        unique.add(f"arn:{partition}:signin:{row['region']}:{row['account']}:session/{row['id']}")
    for row in personal_rows(records, person, PERSONAL_TABLES["service_credentials"]):
        unique |= {row["user_name"], row["alias"]} - {None}
    return PersonalValues(frozenset(names), frozenset(unique))


def role_sessions_of(records: Records, partition: str, account: str, names: Collection[str]) -> set[str]:
    """Return the ids and ARNs of sessions with these names of all roles of an account.

    A switch to a role, and mostly a company's sign-on too, names the session after the person.
    """
    sessions = {name for name in names if ROLE_SESSION_NAME.fullmatch(name)}
    return {
        text
        for role in records.all(identities, columns=("id", "name"), account=account, kind="role")
        for name in sessions
        for text in (f"{role['id']}:{name}", session_arn(partition, account, role["name"], name))
    }


def values_of_arn(arn: str) -> PersonalValues:
    """Return what identifies a user that is not in the store any more, as far as its ARN says."""
    named = identity_of_arn(arn)
    name = arn if named is None else named[2]
    return PersonalValues(frozenset({name} if named is None else {name, f"{named[0]}:{name}"}), frozenset({arn}))


# --- people without a row: sessions of a provider's person, or of a role -------------------------------------------


def sessions_of_federated(records: Records, account: str, arn: str, subject: str | None) -> dict[Table, list[Row]]:
    """Return the sessions of the person that a provider calls `subject`, or those with the ARN of a session.

    Those of its tools are found by the browser session that approved them; if that has ended, by their name.
    """
    where = {} if subject is None else {"provider": arn, "subject": subject}
    browser = records.all(federated_sessions, account=account, **where)
    if subject is None:
        browser = [row for row in browser if _arn_of(row) == arn]
    ids, userids = {row["id"] for row in browser}, {row["userid"] for row in browser}
    others = {row["id"] for row in records.all(federated_sessions, columns=("id",), account=account)} - ids
    tools = [
        row
        for row in records.all(tool_sessions, account=account, person_account=None)
        if row["approved_by"] in ids
        or (row["approved_by"] not in others and (_arn_of(row) == arn or _userid_of(row) in userids))
    ]
    return {federated_sessions: browser, tool_sessions: tools}


def values_of_federated(found: Mapping[Table, Sequence[Row]], arn: str, subject: str | None) -> PersonalValues:
    """Return what identifies the person of these sessions: the subject, the sessions' names and ids.

    Most sessions of roles and federated users have no row: then it is what the ARN says.
    """
    rows = [row for rows in found.values() for row in rows]
    names = {text for row in rows for text in (_userid_of(row), _arn_of(row)) if text is not None}
    names.add(arn if subject is None else subject)
    names |= {name.rpartition("/")[2] for name in names if name.startswith("arn:")}
    account, resource = arn.split(":", 5)[4:]
    if subject is None and resource.startswith("federated-user/"):
        names.add(f"{account}:{resource.partition('/')[2]}")
    own = {arn} if subject is None else set()
    return PersonalValues(frozenset(names), frozenset({row["id"] for row in rows} | own))


def exported_sessions(found: Mapping[Table, Sequence[Row]]) -> Exported:
    """Return what is exported of sessions without a stored person."""
    more = {federated_sessions: ("provider", "issuer", "subject"), tool_sessions: ()}
    return {
        table.name: [_exported(table, row, (*PERSONAL_TABLES[table.name].columns, *more[table])) for row in rows]
        for table, rows in found.items()
        if rows
    }


def _arn_of(row: Row) -> str | None:
    """Return the ARN of the principal in the terms of a session (`session_tokens`)."""
    return row["terms"][5] if len(row["terms"]) > 5 else None


def _userid_of(row: Row) -> str | None:
    return row["terms"][9] if len(row["terms"]) > 9 else None


# --- rows ------------------------------------------------------------------------------------------------------------


def rows_about(records: Records, table: Table, columns: Collection[str], person: StoredPerson) -> list[Row]:
    """Return the rows of which a column is or contains the ARN or the unique id of a person, exactly."""
    identifying = {person.arn, person.id}
    return [
        row
        for row in all_pages(records, table)
        if any(not identifying.isdisjoint(_strings_in(row[column])) for column in columns)
    ]


def all_pages(records: Records, table: Table, **where: Any) -> Iterator[Row]:
    """Yield all matching rows, a page at a time."""
    order = _key_of(table)
    rows = records.page(table, order=order, after=None, limit=PAGE, **where)
    while rows:
        yield from rows
        rows = records.page(table, order=order, after=[rows[-1][column] for column in order], limit=PAGE, **where)


def _key_of(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key.columns)


def _strings_in(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for member in value.values():
                yield from _strings_in(member)
        case list():
            for member in value:
                yield from _strings_in(member)


def _exported(table: Table, row: Row | Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """Return columns of a row as JSON; instants, which are all of the big integers, in ISO 8601."""
    return {
        column: datetime.fromtimestamp(row[column], UTC).isoformat()
        if isinstance(table.c[column].type, BigInteger) and row[column] is not None
        else row[column]
        for column in columns
    }


def _name_references(records: Records, partition: str, row: dict[str, Any]) -> None:
    """Replace the ids of groups and policies in an exported row by their ARNs."""
    if (group_id := row.pop("group_id", None)) is not None:
        row["group"] = row_arn(partition, records.all(identities, id=group_id)[0])
    for column, member in (("policy_id", "policy"), ("boundary_id", "boundary")):
        if (policy_id := row.pop(column, None)) is not None:
            policy = records.all(policies, id=policy_id)[0]
            row[member] = iam_arn(partition, policy["account"], "policy", policy["path"], policy["name"])


def root_of_account(records: Records, partition: str, arn: str) -> StoredPerson | None:
    """Return the root user with this ARN; None if the store has no such account."""
    account = arn.split(":")[4] if arn.count(":") == 5 else ""
    is_known = arn == root_arn(partition, account) and records.one(accounts, id=account) is not None
    return StoredPerson.of_root(partition, account) if is_known else None
