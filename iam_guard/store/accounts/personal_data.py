"""What the store has of a person: read for an export, and erased.

An erasure is one transaction, which ends everything that the person could use. Policies of others that name the person
are changed after it (`policy_mentions`): from then on none can name it again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import BigInteger

from iam_guard.store.accounts.personal_tables import PERSONAL_TABLES, StoredPerson, conditions_of
from iam_guard.store.database.records import Records, Row, Table, row_arn
from iam_guard.store.identifiers import fold, iam_arn, identity_of_arn, root_arn, session_arn
from iam_guard.store.people.sign_on_rows import names_at_provider
from iam_guard.store.schema import (
    accounts,
    credential_reports,
    federated_sessions,
    identities,
    metadata,
    password_resets,
    pending_sign_ins,
    policies,
    service_credentials,
    sign_in_failures,
    tool_sessions,
)
from iam_guard.store.schema.facts import facts_of

PAGE: Final = 1000
"""Rows of one query where all rows of a table are searched."""

Exported: TypeAlias = dict[str, list[dict[str, Any]]]
"""The exported rows by table."""

_ABOUT: Final = tuple(table for table in metadata.tables.values() if facts_of(table).about)
"""The tables whose rows may be about a person."""

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


def personal_rows(records: Records, person: StoredPerson, table: Table) -> list[Row]:
    """Return the person's rows of one table, each once."""
    rows = [row for where in conditions_of(records, person, table) for row in records.all(table, **where)]
    return list({tuple(row[column] for column in _key_of(table)): row for row in rows}.values())


def export_rows(records: Records, partition: str, person: StoredPerson, failures: Collection[str]) -> Exported:
    """Return what the store has of a person, by table; `failures` are the subjects of its failed sign-ins."""
    found = {
        name: [_exported(table, row) for row in personal_rows(records, person, table)]
        for name, table in PERSONAL_TABLES.items()
    }
    for row in [*found["memberships"], *found["attachments"], *found["identities"]]:
        _name_references(records, partition, row)
    if person.id is None:
        found["accounts"] = [_exported(accounts, row) for row in records.all(accounts, id=person.account)]
    counted = records.all(sign_in_failures, subject=sorted(failures))
    found["sign_in_failures"] = [_exported(sign_in_failures, row) for row in counted]
    for table in _ABOUT:
        found[table.name] = [_exported(table, row) for row in _rows_about(records, table, person)]
    report = records.one(credential_reports, account=person.account)
    lines = [] if report is None else csv.DictReader(io.StringIO(report["content"]))
    found["credential_reports"] = [line for line in lines if line.get("arn") == person.arn]
    return {name: rows for name, rows in found.items() if rows}


def erase_rows(records: Records, person: StoredPerson, failures: Collection[str]) -> dict[str, int]:
    """Delete a user and everything of it; return the number of rows by table."""
    counts = {
        name: sum(records.delete(table, **where) for where in conditions_of(records, person, table))
        for name, table in PERSONAL_TABLES.items()
    }
    counts["sign_in_failures"] = records.delete(sign_in_failures, subject=sorted(failures))
    counts["password_resets"] += records.update(password_resets, {"made_by": person.id}, made_by=person.arn)
    counts["credential_reports"] = records.delete(credential_reports, account=person.account)
    for table in _ABOUT:
        ids = [row["id"] for row in _rows_about(records, table, person)]
        counts[table.name] = records.delete(table, id=ids) if ids else 0
    return {name: count for name, count in counts.items() if count}


def values_of_user(records: Records, partition: str, person: StoredPerson) -> PersonalValues:
    """Return what identifies a user."""
    name, unique = str(person.name), {person.arn, str(person.id)}
    names = {name, f"{person.account}:{name}"}
    for table in PERSONAL_TABLES.values():
        if column := facts_of(table).recorded:
            unique |= {row[column] for row in personal_rows(records, person, table)}
    for row in personal_rows(records, person, tool_sessions):
        unique.add(f"arn:{partition}:signin:{row['region']}:{row['account']}:session/{row['id']}")
    for row in personal_rows(records, person, service_credentials):
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

    Those of its tools are found by the browser session that approved them; if that has ended, by their subject or name.
    """
    where = {} if subject is None else {"provider": arn, "subject": subject}
    browser = records.all(federated_sessions, account=account, **where)
    if subject is None:
        browser = [row for row in browser if _arn_of(row) == arn]
    ids, userids = {row["id"] for row in browser}, {row["userid"] for row in browser}
    digests = _subject_digests(arn, subject, browser)
    others = {row["id"] for row in records.all(federated_sessions, columns=("id",), account=account)} - ids
    tools = [
        row
        for row in records.all(tool_sessions, account=account, person_account=None)
        if row["approved_by"] in ids
        or row["subject_digest"] in digests
        or (row["approved_by"] not in others and (_arn_of(row) == arn or _userid_of(row) in userids))
    ]
    return {federated_sessions: browser, tool_sessions: tools}


def delete_pending_sign_ins(records: Records, arn: str, subject: str) -> None:
    """Delete the sign-ins of the person that an OIDC provider calls `subject`, who is still choosing a role."""
    for digest in _subject_digests(arn, subject, ()):
        records.delete(pending_sign_ins, subject_digest=digest)


def _subject_digests(arn: str, subject: str | None, sessions: Iterable[Row]) -> set[str]:
    """Return the digests of a person's subject, by the issuer in a provider's ARN, and those of its sessions."""
    url = arn.partition(":oidc-provider/")[2]
    issuers = {row["issuer"] for row in sessions} | ({f"https://{url}"} if url else set())
    found = (names_at_provider(issuer, subject, None)["subject_digest"] for issuer in issuers)
    return {digest for digest in found if digest is not None}


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
    return {table.name: [_exported(table, row, *more[table]) for row in rows] for table, rows in found.items() if rows}


def _arn_of(row: Row) -> str | None:
    """Return the ARN of the principal in the terms of a session (`session_tokens`)."""
    return row["terms"][5] if len(row["terms"]) > 5 else None


def _userid_of(row: Row) -> str | None:
    return row["terms"][9] if len(row["terms"]) > 9 else None


# --- rows ------------------------------------------------------------------------------------------------------------


def _rows_about(records: Records, table: Table, person: StoredPerson) -> list[Row]:
    """Return the rows that say that they are about a person, by exactly its ARN or unique id."""
    identifying = {person.arn, person.id}
    return [
        row
        for row in all_pages(records, table)
        if any(not identifying.isdisjoint(_strings_in(row[column])) for column in facts_of(table).about.split())
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


def _exported(table: Table, row: Row, *more: str) -> dict[str, Any]:
    """Return the exported columns of a row, and more, as JSON; instants, which are big integers, in ISO 8601."""
    return {
        column: datetime.fromtimestamp(row[column], UTC).isoformat()
        if isinstance(table.c[column].type, BigInteger) and row[column] is not None
        else row[column]
        for column in (*facts_of(table).exported.split(), *more)
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
