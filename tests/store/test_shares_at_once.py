"""Shares of one resource by eight threads of two processes at once: none is lost, and other statements stay."""

from __future__ import annotations

import json
from contextlib import closing
from subprocess import Popen

from iam_guard.settings import Settings
from iam_guard.store.opening import open_database
from iam_guard.store.policies.resource_policies import ResourcePolicies
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.store.databases import start

PROCESSES, THREADS, TURNS = 2, 4, 3
ACME, GLOBEX = "111122223333", "444455556666"
PLAN = f"arn:aws:docs:us-east-1:{ACME}:document/plan"
BY_HAND = {"Sid": "ByHand", "Effect": "Deny", "Principal": "*", "Action": "docs:Purge*", "Resource": "*"}

SHARER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from iam_guard.factory import open_guard

url, process, threads, turns, plan = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
guard = open_guard(url)

def share(thread):
    number = process * threads + thread
    user = f"arn:aws:iam::444455556666:user/u{number}"
    for turn in range(turns):
        guard.sharing.share(plan, with_account="444455556666", actions=[f"docs:Do{number}x{turn}"])
        guard.sharing.share(plan, with_principal=user, actions=["docs:Get", f"docs:Put{turn}"])
    guard.sharing.unshare(plan, with_principal=user, actions=["docs:Get"])

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(threads) as pool:
    list(pool.map(share, range(threads)))
guard.close()
"""


def run_together(sharers: list[Popen[str]]) -> None:
    """Start the processes together, and wait for their ends."""
    for sharer in sharers:
        assert sharer.stdout is not None
        assert sharer.stdout.readline() == "ready\n"
    for sharer in sharers:
        assert sharer.stdin is not None
        sharer.stdin.write("go\n")
        sharer.stdin.flush()
    for sharer in sharers:
        sharer.communicate(timeout=300)
        assert sharer.returncode == 0


def test_concurrent_shares_lose_nothing(database: str, settings: Settings) -> None:
    """Neither those of one grantee, in one statement, nor those of several."""
    sharers = range(PROCESSES * THREADS)
    users = [{"name": f"u{number}"} for number in sharers]
    accounts = [{"id": ACME, "name": "acme"}, {"id": GLOBEX, "name": "globex", "users": users}]
    with closing(open_database(database, settings)) as store:
        apply_seed(store, load_seed_text(json.dumps({"version": 1, "accounts": accounts})))
        policies = ResourcePolicies(store)
        policies.put(PLAN, {"Version": "2012-10-17", "Statement": [BY_HAND]})
        arguments = str(THREADS), str(TURNS), PLAN
        run_together([start(SHARER, database, str(process), *arguments) for process in range(PROCESSES)])
        first, *shares = json.loads(policies.current(PLAN) or "")["Statement"]
    assert first == BY_HAND
    found = {share["Principal"]["AWS"]: set(share["Action"]) for share in shares}
    assert len(shares) == len(found) == len(sharers) + 1
    assert found.pop(GLOBEX) == {f"docs:Do{number}x{turn}" for number in sharers for turn in range(TURNS)}
    assert {frozenset(actions) for actions in found.values()} == {frozenset(f"docs:Put{turn}" for turn in range(TURNS))}
