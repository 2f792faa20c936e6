"""Tenants that several processes create at once: none is lost or half made, and names, addresses and ids are unique."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import closing
from subprocess import Popen

import pytest

from iam_guard import Guard, open_guard
from iam_guard.model.principal import Principal
from iam_guard.store.schema import accounts, api_keys, attachments, identities, login_profiles, memberships, policies
from tests.store.databases import SEALING_KEY, start

PROCESSES = int(os.environ.get("IAM_GUARD_TEST_TENANT_PROCESSES", "4"))
TENANTS = int(os.environ.get("IAM_GUARD_TEST_TENANTS", "10"))
"""The number of processes, and of tenants that each creates; besides these, all want the same `CONTESTED` names."""
CONTESTED = 3

CREATOR = """
import sys
from iam_guard.errors import EntityAlreadyExists
from iam_guard import open_guard

url, process, tenants, contested = sys.argv[1], *map(int, sys.argv[2:5])
guard = open_guard(url, password_memory=64)
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:*", "Resource": "*"}]}

def create(name, email):
    key = {"id": f"key{process}x{name.replace(' ', '')}", "secret": "S" * 40}
    seed = {
        "policies": [{"name": "EditDocs", "document": ALL}],
        "groups": [{"name": "admins", "attached": ["AdministratorAccess", "EditDocs"]}],
        "users": [{"name": "admin", "groups": ["admins"], "api_keys": [key]}],
    }
    passwords = {"admin": f"a long password of {process}"}
    created = guard.accounts.create(name, email=email, seed=seed, passwords=passwords)
    print(created.id, created.name, sep="\\t", flush=True)

def contest(name, email):
    try:
        create(name, email)
    except EntityAlreadyExists:
        pass

print("ready", flush=True)
sys.stdin.readline()
for number in range(contested):
    contest(("shared %d", "SHARED %d")[process % 2] % number, None)
    contest(f"of process {process} and {number}", f"root@shared{number}.example")
for number in range(tenants):
    create(f"tenant {process} {number}", f"root@tenant{process}x{number}.example")
guard.close()
"""


def begin(url: str, processes: int, tenants: int, contested: int) -> list[Popen[str]]:
    """Start the processes together."""
    arguments = str(tenants), str(contested)
    creators = [start(CREATOR, url, str(process), *arguments) for process in range(processes)]
    for creator in creators:
        assert creator.stdout is not None
        assert creator.stdout.readline() == "ready\n"
    for creator in creators:
        assert creator.stdin is not None
        creator.stdin.write("go\n")
        creator.stdin.flush()
    return creators


def check_complete(guard: Guard) -> list[str]:
    """Check that each account has everything its seed declares; return the names of the accounts."""
    with guard.store.read_transaction() as records:
        rows = records.all(accounts)
        users = records.all(identities, kind="user")
        owners = Counter(row["account"] for row in users)
        assert owners == Counter(row["account"] for row in records.all(identities, kind="group"))
        assert owners == Counter(row["account"] for row in records.all(login_profiles))
        assert owners == Counter(row["account"] for row in records.all(policies) if row["account"].isdigit())
        keys = {row["identity_id"] for row in records.all(api_keys)}
        assert keys == {row["id"] for row in users} == {row["user_id"] for row in records.all(memberships)}
        assert records.count(attachments) == 2 * len(users)
    assert owners == Counter(row["id"] for row in rows)
    assert set(owners.values()) <= {1}
    for column in ("folded", "email"):
        values = [row[column] for row in rows if row[column] is not None]
        assert len(values) == len(set(values)), column
    return [row["name"] for row in rows]


@pytest.mark.slow
def test_tenants_created_at_once_are_complete(database: str) -> None:
    """Of several processes that want one name or address, exactly one gets it."""
    made: dict[str, str] = {}
    for creator in begin(database, PROCESSES, TENANTS, CONTESTED):
        output, _ = creator.communicate(timeout=600)
        assert creator.returncode == 0
        made |= dict(line.split("\t") for line in output.splitlines())
    with closing(open_guard(database, sealing_keys=(SEALING_KEY,))) as guard:
        names = check_complete(guard)
        assert sorted(made.values()) == sorted(names)
        assert len(names) == PROCESSES * TENANTS + 2 * CONTESTED
        assert Counter(name.lower() for name in names if name.lower().startswith("shared")) == {
            f"shared {number}": 1 for number in range(CONTESTED)
        }
        assert [account.id for account in guard.accounts.list(limit=10_000)] == sorted(made)
        for id in sorted(made)[:10]:
            admin = Principal.from_arn(f"arn:aws:iam::{id}:user/admin")
            assert guard.decide(admin, "docs:Get", f"arn:aws:docs:us-east-1:{id}:document/1").allowed


@pytest.mark.slow
def test_killed_processes_leave_nothing_half_made(database: str) -> None:
    """Those whose creation was reported are there; at most one more of each process."""
    creators = begin(database, 2, 1000, 0)
    made = []
    for creator in creators:
        assert creator.stdout is not None
        made += [creator.stdout.readline() for _ in range(5)]
    for creator in creators:
        creator.send_signal(signal.SIGKILL)
    for creator in creators:
        assert creator.stdout is not None
        made += creator.stdout.read().splitlines()
        assert creator.wait(60) == -signal.SIGKILL
        creator.communicate()
    reported = {line.partition("\t")[2].strip() for line in made if "\t" in line}
    with closing(open_guard(database, sealing_keys=(SEALING_KEY,))) as guard:
        names = check_complete(guard)
        assert reported <= set(names)
        assert len(names) <= len(reported) + len(creators)
        assert guard.accounts.create("afterwards").name == "afterwards"
