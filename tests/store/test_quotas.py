"""The setting `quotas`: its form, and how it reaches stores, their copies and seeds."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest

from iam_guard.errors import ConfigurationError, SeedError
from iam_guard.settings import Settings, load_settings
from iam_guard.store.opening import create_store, open_database, open_store
from iam_guard.store.quotas import FIXED_QUOTAS, QUOTAS, effective_quotas
from iam_guard.store.schema import policies, policy_versions
from iam_guard.store.seed import apply_seed, load_seed, load_seed_text
from iam_guard.store.snapshot import copy_to_memory
from tests.tables import table

HEAD = 'version: 1\naccounts:\n  - id: "111122223333"\n    name: acme\n'
GROUPS = "    users: [{name: ann, groups: [a, b]}]\n    groups: [{name: a}, {name: b}]\n"
ALLOW = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "docs:%s", "Resource": "*"}}'
ORGANIZATION = 'version: 1\norganization:\n  id: o-exampleorg\n  management_account: "111122223333"\n'


def test_default_quotas_are_those_of_aws() -> None:
    assert effective_quotas(()) is QUOTAS
    assert QUOTAS["accounts per store"] == sys.maxsize


def test_quotas_are_changed_by_the_setting() -> None:
    """Also by the environment, separated by commas; spaces around `=` don't matter."""
    settings = load_settings({}, {"IAM_GUARD_QUOTAS": "users per account = 10000, accounts per store=3"})
    found = effective_quotas(settings.quotas)
    assert (found["users per account"], found["accounts per store"]) == (10_000, 3)
    assert found["virtual MFA devices per account"] == 10_000
    assert (
        effective_quotas(["virtual MFA devices per account=1", "users per account=2"])[
            "virtual MFA devices per account"
        ]
        == 1
    )
    others = found.keys() - {"users per account", "accounts per store", "virtual MFA devices per account"}
    assert {name: found[name] for name in others} == {name: QUOTAS[name] for name in others}


@table(
    ("change", "message"),
    [
        ("users per acount=1", "unknown quota `users per acount`, did you mean `users per account`?"),
        ("nonsense=1", "unknown quota `nonsense`, expected one of "),
        ("Users per account=1", "unknown quota `Users per account`"),
        *(
            (f"users per account{number}", "expected a quota and a whole number above 0")
            for number in ("", "=", "=0", "=00", "=-1", "=1.5", "=1e3", "=٣", "= 1 0", "=1000000000000", "=1\n=2")
        ),
        ("=5", "expected a quota and a whole number above 0"),
        ("", "expected a quota and a whole number above 0"),
        *((f"{name}=9", f"the quota `{name}` cannot be changed: ") for name in FIXED_QUOTAS),
    ],
)
def test_invalid_quota_is_refused(change: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_database("sqlite://", Settings(quotas=(change,)))
    assert message in str(caught.value)
    assert caught.value.place == "quotas"


def test_repeated_quota_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="one number for `users per account`, got two"):
        effective_quotas(["users per account=1", "users per account=1"])


def test_every_kind_of_store_has_the_quotas(tmp_path: Path) -> None:
    """A database, a copy of it, and a store that follows a file; transactions carry them."""
    settings = Settings(quotas=("users per account=7",))
    file = tmp_path / "iam.yaml"
    file.write_text(HEAD)
    url = f"sqlite:///{tmp_path}/store.db"
    create_store(url, settings).close()
    for path in (url, str(file)):
        with closing(open_store(path, settings)) as opened, closing(copy_to_memory(opened)) as copy:
            for store in (opened, copy):
                with store.read_transaction() as records:
                    assert records.quotas["users per account"] == store.quotas["users per account"] == 7


@table(
    ("quota", "seed"),
    [
        ("groups per user", HEAD + GROUPS),
        ("groups per account", HEAD + GROUPS),
        ("SCPs per root, unit or account", ORGANIZATION + "  scps: [s, t]\n"),
        ("RCPs per root, unit or account", ORGANIZATION + "  rcps: [r]\n"),  # besides AWS's own
        ("users per account", HEAD + "    users: [{name: a}, {name: b}]\n"),
        (
            "policies attached to a user",
            HEAD + "    users: [{name: a, attached: [A, B]}]\n",
        ),
    ],
)
def test_seed_is_checked_with_the_quotas(quota: str, seed: str, tmp_path: Path) -> None:
    """Two of them are one too many."""
    file = tmp_path / "iam.yaml"
    file.write_text(seed)
    quotas = effective_quotas([f"{quota}=1"])
    for read in (lambda: load_seed_text(seed, quotas=quotas), lambda: load_seed(file, quotas=quotas)):
        with pytest.raises(SeedError, match=r"expected at most 1 .*, got 2"):
            read()
    with pytest.raises(SeedError, match=r"expected at most 1 .*, got 2"):
        open_store(str(file), Settings(quotas=(f"{quota}=1",)))
    load_seed_text(seed, quotas=effective_quotas([f"{quota}=2"]))


def test_raised_quota_admits_a_larger_seed() -> None:
    users = ", ".join(f"{{name: u{number}}}" for number in range(5001))
    seed = HEAD + f"    users: [{users}]\n"
    with pytest.raises(SeedError, match="expected at most 5000 users per account, got 5001"):
        load_seed_text(seed)
    assert load_seed_text(seed, quotas=effective_quotas(["users per account=5001"]))


@table("limit", [1, 2, 7])
def test_seed_drops_versions_beyond_the_quota(limit: int) -> None:
    """Each changed document is a new version; the oldest are deleted."""
    with closing(create_store("sqlite://", Settings(quotas=(f"managed policy versions={limit}",)))) as store:
        for number in range(9):
            policy = f"    policies: [{{name: p, document: {ALLOW % f'Get{number}'}}}]\n"
            apply_seed(store, load_seed_text(HEAD + policy, quotas=store.quotas))
        with store.read_transaction() as records:
            [policy] = records.all(policies, account="111122223333")
            versions = records.all(policy_versions, order=("version",), policy_id=policy["id"])
    assert [row["version"] for row in versions] == [*range(10 - limit, 10)]
