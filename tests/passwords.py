"""Passwords of people for tests: set in one transaction, which hashes them too."""

from __future__ import annotations

from typing import Any

from iam_guard.authn.people.passwords import stored_passwords as passwords
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.person import Person, PersonRef
from iam_guard.store.database.records import Records


def set_password(
    records: Records, hasher: PasswordHasher, person: Person, password: str, now: int, **options: Any
) -> str | None:
    """Set a person's password; return what is wrong with it instead."""
    problem = passwords.password_problem(records, person, password)
    if problem is not None:
        return problem
    hashed = passwords.new_password(hasher, password, passwords.password_basis(records, person))
    return hashed if isinstance(hashed, str) else passwords.set_password(records, person, hashed, now, **options)


def ref_of(person: Person) -> PersonRef:
    """Return the name of a person."""
    return PersonRef(person.account, person.name, is_root=person.name is None)
