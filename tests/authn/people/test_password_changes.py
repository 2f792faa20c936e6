"""A password is compared and hashed outside of write transactions, and set only for what it was hashed for.

Argon2 takes a while by design, and a transaction that writes holds the lock of the whole store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from iam_guard.api.call import ApiServer
from iam_guard.api.iam.operations import IAM
from iam_guard.api.operation import OperationRequest, OperationResult, run
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.passwords.stored_passwords import delete_password
from iam_guard.authn.people.sign_in import TypedName
from iam_guard.cli import main
from iam_guard.errors import AccessDenied, ConcurrentModification, IamGuardError
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.database.records import Records
from iam_guard.store.opening import create_store
from iam_guard.store.schema import login_profiles, password_policies, sign_in_failures
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.authn.people.test_admission import ACCOUNT, CALL, NEW_PASSWORD, PASSWORD, SEED, World
from tests.authn.people.test_admission import world as world  # a fixture
from tests.passwords import set_password

ROOT = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:root")
POLICY = {
    "AllowUsersToChangePassword": True,
    "MinimumPasswordLength": 8,
    "PasswordReusePrevention": 3,
    **{f"Require{kind}": False for kind in ("Symbols", "Numbers", "UppercaseCharacters", "LowercaseCharacters")},
}


def call(world: World, name: str, caller: Principal, **parameters: Any) -> OperationResult:
    """Call an operation of IAM that is allowed."""
    store, hasher = world.guard.store, PasswordHasher(8, 1)
    request = OperationRequest(ApiServer(store, passwords=hasher), IAM, name, parameters, caller, now=100)
    return run(request, lambda permission: None)


def change(world: World, old: str = PASSWORD, new: str = NEW_PASSWORD) -> object:
    return call(world, "ChangePassword", world.person.principal(), OldPassword=old, NewPassword=new)


def update(world: World, password: str = NEW_PASSWORD) -> object:
    return call(world, "UpdateLoginProfile", ROOT, UserName="ada", Password=password)


def create(world: World) -> object:
    with world.guard.store.write_transaction() as records:
        delete_password(records, world.person)
    return call(world, "CreateLoginProfile", ROOT, UserName="ada", Password=NEW_PASSWORD)


def require_other_passwords(world: World) -> None:
    with world.guard.store.write_transaction() as records:
        records.insert(password_policies, account=ACCOUNT, policy=POLICY)


def reuse(world: World, act: Callable[[World], object]) -> object:
    require_other_passwords(world)
    return act(world)


def typed(world: World, password: str) -> object:
    return world.people.sign_in.with_password(TypedName(account=ACCOUNT, username="ada"), password, CALL)


def on_page(world: World, old: str = PASSWORD, new: str = NEW_PASSWORD) -> object:
    return world.people.own_credentials.change_password(world.session, old, new, CALL)


def by_link(world: World, new: str = NEW_PASSWORD) -> object:
    return world.people.own_credentials.reset_password(world.reset, new, CALL)


HASHED: dict[str, Callable[[World], object]] = {
    "page": on_page,
    "page, wrong password": lambda world: on_page(world, old="wrong password here"),
    "page, used before": lambda world: reuse(world, lambda world: on_page(world, new=PASSWORD)),
    "link": by_link,
    "link, used before": lambda world: reuse(world, lambda world: by_link(world, new=PASSWORD)),
    "ChangePassword": change,
    "ChangePassword, wrong password": lambda world: change(world, old="wrong password here"),
    "ChangePassword, used before": lambda world: reuse(world, lambda world: change(world, new=PASSWORD)),
    "UpdateLoginProfile": update,
    "UpdateLoginProfile, used before": lambda world: reuse(world, lambda world: update(world, PASSWORD)),
    "CreateLoginProfile": create,
    "sign-in": lambda world: typed(world, PASSWORD),
    "sign-in, wrong password": lambda world: typed(world, "wrong password here"),
    "new account": lambda world: world.guard.accounts.create("new", email="root@new.example", password=NEW_PASSWORD),
}
NOT_HASHED: dict[str, Callable[[World], object]] = {
    "page, short": lambda world: on_page(world, new="short"),
    "link, short": lambda world: by_link(world, new="short"),
    "UpdateLoginProfile, short": lambda world: update(world, "short"),
    "ChangePassword, short": lambda world: change(world, new="short"),
}
"""What is refused by the rules, which cost no hash; an old password is compared."""


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A list that gets, for each hash, whether this thread was in a transaction that writes."""
    inside, found = threading.local(), list[bool]()
    derive, write = PasswordHasher._derive_all, SqlStore.write_transaction

    def deriving(self: PasswordHasher, hashes: Any) -> list[str]:
        found.extend([getattr(inside, "count", 0) > 0] * len(hashes))
        return derive(self, hashes)

    @contextmanager
    def writing(self: SqlStore) -> Iterator[Records]:
        with write(self) as records:
            inside.count = getattr(inside, "count", 0) + 1
            try:
                yield records
            finally:
                inside.count -= 1

    monkeypatch.setattr(PasswordHasher, "_derive_all", deriving)
    monkeypatch.setattr(SqlStore, "write_transaction", writing)
    return found


@pytest.mark.parametrize("path", HASHED)
def test_password_is_hashed_outside_of_transactions(world: World, path: str, hashes: list[bool]) -> None:
    hashes.clear()
    with suppress(IamGuardError):
        HASHED[path](world)
    assert set(hashes) == {False}


@pytest.mark.parametrize("path", NOT_HASHED)
def test_password_that_the_rules_refuse_is_not_hashed(world: World, path: str, hashes: list[bool]) -> None:
    hashes.clear()
    with suppress(IamGuardError):
        NOT_HASHED[path](world)
    assert hashes == [False] * ("page" in path or "Change" in path)


def test_root_password_is_hashed_outside_of_transactions(
    tmp_path: Path, hashes: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IAM_GUARD_PASSWORD_MEMORY", "64")
    url = f"sqlite:///{tmp_path}/iam.db"
    store = create_store(url, Settings())
    apply_seed(store, load_seed_text(SEED))
    store.close()
    options = ["account", "root-password", ACCOUNT, "--stdin", "--store", url]
    assert CliRunner().invoke(main, options, input=f"{PASSWORD}\n").exit_code == 0
    assert hashes == [False]


def during_the_hash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an administrator set another password while the next new one is hashed."""
    digest = PasswordHasher.digest

    def digesting(hasher: PasswordHasher, password: str, same_salt_as: str | None = None) -> str:
        monkeypatch.setattr(PasswordHasher, "digest", digest)
        with world.guard.store.write_transaction() as records:
            assert set_password(records, hasher, world.person, "set by an administrator", 1) is None
        return hasher.digest(password, same_salt_as)

    monkeypatch.setattr(PasswordHasher, "digest", digesting)


OVER: dict[str, tuple[Callable[[World], object], object]] = {
    "page": (on_page, "refused"),
    "link": (by_link, "reset_over"),
    "ChangePassword": (change, AccessDenied),
    "UpdateLoginProfile": (update, ConcurrentModification),
}


@pytest.mark.parametrize("path", OVER)
def test_password_that_was_changed_meanwhile_stays(world: World, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old password, the link, or the digests that the new one was compared with are those of before."""
    during_the_hash(world, monkeypatch)
    act, expected = OVER[path]
    if isinstance(expected, str):
        assert act(world) == expected
    else:
        with pytest.raises(expected):  # type: ignore[call-overload]
            act(world)
    with world.guard.store.read_transaction() as records:
        profile = records.one(login_profiles, owner=world.person.owner)
    assert profile is not None
    assert PasswordHasher(8, 1).matches("set by an administrator", profile["digest"])


def test_right_old_password_forgets_guesses_though_the_new_one_is_refused(world: World) -> None:
    """And a wrong one counts, in spite of the error."""
    for old, new, count in (("wrong password here", NEW_PASSWORD, 1), (PASSWORD, "short", 0)):
        with pytest.raises(IamGuardError):
            change(world, old, new)
        with world.guard.store.read_transaction() as records:
            assert records.count(sign_in_failures) == count
