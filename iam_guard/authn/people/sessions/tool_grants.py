"""What a session of a tool is still worth: whether its person or role may have it, and as whom it acts now.

Both are computed from the rows each time the tool redeems a code or renews its credentials, so a changed password, a
deleted login profile, user or role, or a lock-out ends the session at the next renewal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from iam_guard.authn.people.passwords.stored_passwords import find_profile
from iam_guard.authn.people.person import Person, load_person
from iam_guard.authn.people.sessions.session_admission import may_have_session, person_session
from iam_guard.model.credential import Session
from iam_guard.model.principal import PrincipalType
from iam_guard.store.credentials.session_tokens import session_of_array
from iam_guard.store.database.records import Records, Row
from iam_guard.store.people.federated_session_rows import with_present_owner

_Columns: TypeAlias = Mapping[str, Any] | Row


def keeps_credentials(records: Records, partition: str, row: _Columns, now: int) -> bool:
    """Return whether the principal of a session may still have it, and its person has the same password.

    A session of a role that a person has switched to depends on both.
    """
    if not may_have_session(records, partition, current_terms(records, partition, row), now):
        return False
    if row["person_account"] is None:
        return True
    person = _person(records, partition, row)
    profile = None if person is None else find_profile(records, person)
    if person is None or profile is None or profile["changed"] != row["password_changed"]:
        return False
    own = person_session(person.principal(), row["created"], row["expires"])
    return may_have_session(records, partition, own, now)


def current_terms(records: Records, partition: str, row: _Columns) -> Session:
    """Return what credentials are made from: as approved, with the present name of a user who was renamed (P-10)."""
    terms = session_of_array(row["terms"])
    if terms.principal.type is PrincipalType.FEDERATED_USER:
        return with_present_owner(records, partition, terms) or terms
    if terms.principal.type is not PrincipalType.USER:
        return terms
    person = _person(records, partition, row)
    return terms if person is None else replace(terms, principal=replace(terms.principal, arn=person.arn))


def _person(records: Records, partition: str, row: _Columns) -> Person | None:
    return load_person(records, partition, row["person_account"], row["person_id"])
