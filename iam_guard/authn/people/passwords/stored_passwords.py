"""The passwords of people in the store: set, renewed, expired, last used (R-20, R-24, R-25, R-33).

Former digests prevent the reuse of passwords, and are deleted with the login profile. A new password is hashed before
the transaction that sets it (`hash_password`), which compares what it was hashed for. All other functions run in the
caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords.password_rules import is_long_password, problem_of
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.person import Person
from iam_guard.authn.people.second_factors.factors import has_second_factor
from iam_guard.errors import ConcurrentModification, NoSuchEntity
from iam_guard.store.accounts.account_state_rows import is_active
from iam_guard.store.database.records import Records, Row
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import (
    accounts,
    browser_sessions,
    former_passwords,
    login_profiles,
    password_policies,
    password_resets,
    recovery_codes,
    tool_sessions,
)

MAX_FORMER: Final = 24
"""Former passwords that are stored: as many as a password policy can require (R-20)."""
USED_SECONDS: Final = 300
"""Seconds within which a further use of a password is not stored (R-33)."""

ANOTHER_PASSWORD: Final = -1
"""Stands for the time of a change in sessions of tools that began with another password."""

_DAY: Final = 24 * 60 * 60


class PasswordBasis(NamedTuple):
    """What a new password is hashed for: the digests that its person has or had, the latest last.

    `reuse_prevented` is how many of them it must not belong to.
    """

    digests: tuple[str, ...]
    reuse_prevented: int


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password that was hashed for a person, and what its person had then."""

    text: str = field(repr=False)
    digest: str = field(repr=False)
    basis: PasswordBasis = field(repr=False)


def hash_password(store: RecordStore, hasher: PasswordHasher, person: Person, password: str) -> NewPassword | str:
    """Hash a new password of a person; return what is wrong with it instead.

    It must be called outside of transactions: those that write hold the lock of the store. Raises `ServerBusy`.
    """
    with store.read_transaction() as records:
        problem, basis = password_problem(records, person, password), password_basis(records, person)
    return new_password(hasher, password, basis) if problem is None else problem


def new_password(hasher: PasswordHasher, password: str, basis: PasswordBasis) -> NewPassword | str:
    """Hash a password that has no problem; return that it was used before instead. Raises `ServerBusy`."""
    if not basis.digests:
        return NewPassword(password, hasher.digest(password), basis)
    digest = hasher.digest(password, same_salt_as=basis.digests[-1])
    prevented = basis.digests[-basis.reuse_prevented :] if basis.reuse_prevented else ()
    if prevented and hasher.matches_any(password, digest, prevented):
        return "Policy constraint violation with password reuse prevention during password change."
    return NewPassword(password, digest, basis)


def password_basis(records: Records, person: Person) -> PasswordBasis:
    """Return what a new password of a person is hashed for."""
    profile = find_profile(records, person)
    if profile is None:
        return PasswordBasis((), 0)
    former = records.all(former_passwords, order=("number",), owner=person.owner)
    prevented = (policy_of(records, person) or {}).get("PasswordReusePrevention") or 0
    return PasswordBasis((*(row["digest"] for row in former), profile["digest"]), prevented)


def set_password(
    records: Records, person: Person, new: NewPassword, now: int, *, reset_required: bool | None = None
) -> str | None:
    """Set a person's password, with a new login profile if it has none; return what is wrong with it instead.

    The person's browser sessions and links to reset it end, and guesses of the former password are forgotten.
    `reset_required` None leaves that as it is. Raises `ConcurrentModification` if the password was hashed for others
    than the person has now.
    """
    problem = password_problem(records, person, new.text)
    if problem is not None:
        return problem
    if password_basis(records, person) != new.basis:
        raise ConcurrentModification("The password was changed by another request at the same time, try again.")
    profile = find_profile(records, person)
    values: dict[str, Any] = {"digest": new.digest, "is_long": is_long_password(new.text), "changed": now}
    if profile is None:
        values |= {"reset_required": bool(reset_required), "created": now}
        records.insert(login_profiles, owner=person.owner, **person.where, **values)
    else:
        _store_former(records, profile)
        values |= {} if reset_required is None else {"reset_required": reset_required}
        records.update(login_profiles, values, owner=person.owner)
    _end_former(records, person)
    return None


def add_password(records: Records, person: Person, password: str, digest: str, now: int) -> str | None:
    """Add the login profile of a person who never had one; return what is wrong with the password instead.

    `digest` is that of the password, computed before the transaction, which holds the lock of the store.
    """
    problem = password_problem(records, person, password)
    if problem is None:
        values = {"digest": digest, "is_long": is_long_password(password), "changed": now, "created": now}
        records.insert(login_profiles, owner=person.owner, **person.where, reset_required=False, **values)
    return problem


def delete_password(records: Records, person: Person) -> None:
    """Delete a person's login profile, with its former passwords, browser sessions and links that would reset it."""
    records.delete(login_profiles, owner=person.owner)
    _end_sessions(records, person)


def renew_digest(records: Records, person: Person, password: str, *, outdated: str, digest: str) -> None:
    """Replace the digest that a password was just compared with by one of the current cost, unless it was changed."""
    values = {"digest": digest, "is_long": is_long_password(password)}
    records.update(login_profiles, values, owner=person.owner, digest=outdated)


def record_sign_in(records: Records, person: Person, now: int) -> None:
    """Store the time at which a person's password was last used, at most once in five minutes."""
    profile = find_profile(records, person)
    if profile is not None and (profile["used"] is None or now - profile["used"] >= USED_SECONDS):
        records.update(login_profiles, {"used": now}, owner=person.owner)


def password_state(
    profile: Mapping[str, Any] | Row, policy: Mapping[str, Any] | None, now: int
) -> Literal["valid", "expired", "locked_out"]:
    """Return whether a password can still be used; an expired one only to choose another (R-24, R-25).

    `locked_out`: only an administrator can set another, since the policy has `HardExpiry`. `policy` is as `policy_of`
    returns it.
    """
    days = (policy or {}).get("MaxPasswordAge")
    if policy is None or not days or now < profile["changed"] + days * _DAY:
        return "valid"
    return "locked_out" if policy.get("HardExpiry") else "expired"


def may_sign_in(records: Records, person: Person, now: int) -> bool:
    """Return whether a person of an active account has a login profile, and is not locked out by its password's age."""
    profile = find_profile(records, person)
    if profile is None or not is_active(records, person.account):
        return False
    return password_state(profile, policy_of(records, person), now) != "locked_out"


def follow_removal_of_factor(records: Records, person: Person) -> None:
    """Do what follows the removal of a second factor, if it was the last one: its recovery codes end with it.

    Without a policy, a password may be short only together with a second factor: then it must be changed. Not known to
    be long is short.
    """
    if has_second_factor(records, person):
        return
    records.delete(recovery_codes, **person.where)
    profile = find_profile(records, person)
    if profile is not None and not profile["is_long"] and policy_of(records, person) is None:
        records.update(login_profiles, {"reset_required": True}, owner=person.owner)


def find_profile(records: Records, person: Person) -> Row | None:
    """Return a person's login profile."""
    return records.one(login_profiles, owner=person.owner)


def policy_of(records: Records, person: Person) -> Mapping[str, Any] | None:
    """Return the password policy that applies to a person: the account's own; None for the root user (R-24)."""
    row = None if person.user_id is None else records.one(password_policies, account=person.account)
    return None if row is None else row["policy"]


def requires_second_factor(records: Records, person: Person) -> bool:
    """Return whether a person's account requires a second factor of all its people."""
    row = records.one(accounts, id=person.account)
    return row is not None and bool(row["requires_mfa"])


def require_second_factor(records: Records, account: str, *, is_required: bool) -> None:
    """Set whether an account requires a second factor of all its people who sign in. Raises `NoSuchEntity`."""
    if not records.update(accounts, {"requires_mfa": is_required}, id=account):
        raise NoSuchEntity(f"the account {account[:64]} does not exist")


def password_problem(records: Records, person: Person, password: str) -> str | None:
    """Return why the rules refuse a new password of a person; None if they do not."""
    return problem_of(
        password,
        person_words=_words(records, person),
        policy=policy_of(records, person),
        has_second_factor=has_second_factor(records, person),
    )


def _words(records: Records, person: Person) -> list[str]:
    """Return what a password must not be: names of the person and of the account."""
    account = records.one(accounts, id=person.account)
    names = [person.name] if account is None else [person.name, *(account[name] for name in ("name", "alias", "email"))]
    found = [name for name in (person.account, *names) if name]
    return found + [name.partition("@")[0] for name in found]


def _end_former(records: Records, person: Person) -> None:
    """End what a former password, or a link to reset it, has opened."""
    _end_sessions(records, person)
    attempts.clear_all(records, person, "password")


def _end_sessions(records: Records, person: Person) -> None:
    """End the sessions of a person, and the links that reset its password; tools notice when they renew theirs."""
    records.delete(browser_sessions, **person.where)
    records.delete(password_resets, **person.where)
    outdated = {"password_changed": ANOTHER_PASSWORD}  # the time of the change may be in the same second
    records.update(tool_sessions, outdated, person_account=person.account, person_id=person.user_id, revoked=None)


def _store_former(records: Records, profile: Row) -> None:
    key = profile["owner"]
    former = records.all(former_passwords, order=("number",), columns=("number",), owner=key)
    number = former[-1]["number"] + 1 if former else 1
    records.insert(former_passwords, owner=key, number=number, digest=profile["digest"])
    outdated = [row["number"] for row in former if row["number"] <= number - MAX_FORMER]
    records.delete(former_passwords, owner=key, number=outdated)
