"""What a guess costs where digests have several costs: after an import, or when the settings have changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from iam_guard.authn.people.passwords import passwords
from iam_guard.authn.people.sign_in import TypedName
from iam_guard.model.request import Call
from iam_guard.store.database.records import Records
from iam_guard.store.identifiers import derived_id
from iam_guard.store.schema import accounts, identities, login_profiles, sign_in_failures
from tests.console.site import PASSWORD, Site

OURS, HIGH = 8, 64
IMPORTED = "222233334444"
CALL = Call("1")
WRONG = "wrong"


def digest_of(password: str, cost: int) -> str:
    """Return a digest as another system has made it."""
    kdf = Argon2id(salt=b"s" * 16, length=32, iterations=1, lanes=1, memory_cost=cost)
    return kdf.derive_phc_encoded(password.encode())


HIGH_DIGEST, OUR_DIGEST = digest_of("an imported one", HIGH), digest_of("an imported one", OURS)


def add_users(records: Records, account: str, names: list[str], digest: str) -> None:
    """Add users with ids that are always the same."""
    for name in names:
        id = derived_id("AIDA", name)
        user = {"id": id, "account": account, "kind": "user", "path": "/", "name": name, "folded": name}
        records.insert(identities, **user, description="", tags={}, trust_bindings={}, created=0)
        profile = {"owner": id, "account": account, "user_id": id, "digest": digest, "reset_required": False}
        records.insert(login_profiles, **profile, created=0, changed=0)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Have an account in which all passwords were imported, beside that of the site, in which none was."""
    made = Site(tmp_path)
    with closing(made.guard):
        with made.store.write_transaction() as records:
            records.insert(accounts, id=IMPORTED, name="imported", alias="imported", folded="imported", created=0)
            add_users(records, IMPORTED, ["ann", "ben", "cid"], HIGH_DIGEST)
        made.guard.refresh()
        yield made


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the memory in KiB times passes of all hashes."""
    spent: Counter[str] = Counter()
    derive: Callable[..., str] = passwords._derive

    def counting(text: str, salt: bytes, memory: int, passes: int, lanes: int) -> str:
        spent["cost"] += memory * passes
        return derive(text, salt, memory, passes, lanes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_derive", counting)
        yield spent


def cost_of(site: Site, password: str = WRONG, **typed: Any) -> int:
    """Return what a refused guess costs."""
    with site.store.write_transaction() as records:
        records.delete(sign_in_failures)
    with counted() as spent:
        assert site.guard.people.sign_in.with_password(TypedName(**typed), password, CALL) is None
    return spent["cost"]


def test_unknown_names_cost_what_known_ones_do(site: Site) -> None:
    """In an account with one cost, all names cost that; so does the name of a user without a password."""
    with site.store.write_transaction() as records:
        add_users(records, IMPORTED, ["dan"], HIGH_DIGEST)
        records.delete(login_profiles, owner=derived_id("AIDA", "dan"))
    for account, names, expected in (("imported", ("ann", "ben", "dan"), HIGH), ("acme", ("ada", "bob"), OURS)):
        unknown = [f"eve{number}" for number in range(20)]
        assert {cost_of(site, account=account, username=name) for name in (*names, *unknown)} == {expected}


def test_unknown_names_cost_as_often_much_as_known_ones(site: Site) -> None:
    """Where costs differ; a name always costs the same."""
    with site.store.write_transaction() as records:
        add_users(records, IMPORTED, [f"user{number}" for number in range(21)], OUR_DIGEST)  # 21 beside 3
    costs = [cost_of(site, account=IMPORTED, username=f"eve{number}") for number in range(200)]
    assert set(costs) == {OURS, HIGH}
    assert 5 < costs.count(HIGH) < 50  # of 200; 25 is an eighth
    assert costs[:20] == [cost_of(site, account=IMPORTED, username=f"eve{number}") for number in range(20)]


def test_unknown_accounts_cost_what_known_ones_do(site: Site) -> None:
    costs = {cost_of(site, account=f"unknown{number}", username="eve") for number in range(20)}
    assert costs == {OURS, HIGH}


def test_unknown_addresses_cost_what_root_users_do(site: Site) -> None:
    """Whose passwords may have had a higher cost before."""
    with site.store.write_transaction() as records:
        records.update(login_profiles, {"digest": HIGH_DIGEST}, user_id=None)
        records.delete(accounts, id=IMPORTED)
    for email in ("root@acme.example", "eve@acme.example", ""):
        assert cost_of(site, email=email) == HIGH


def test_password_of_another_person_is_not_the_one_of_an_unknown_name(site: Site) -> None:
    """Only its cost counts."""
    for number in range(5):
        cost_of(site, "an imported one", account="imported", username=f"eve{number}")
        cost_of(site, PASSWORD, account="acme", username=f"eve{number}")


def test_password_of_a_higher_cost_is_hashed_again(site: Site) -> None:
    """At the first sign-in, with the cost of the settings."""
    typed = TypedName(account="imported", username="ann")
    for before, after in ((HIGH, OURS), (OURS, 0)):
        with counted() as spent:
            assert site.guard.people.sign_in.with_password(typed, "an imported one", CALL) is not None
        assert spent["cost"] == before + after
    assert cost_of(site, account="imported", username="ann") == OURS
