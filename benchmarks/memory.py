"""The memory of a guard for each principal with a decision, in KiB, when policies are shared.

A real guard on an embedded store; each user has some of the account's policies attached. The figure is the memory that
Python allocates (`tracemalloc`) for a thousand more users, after every policy is cached. The memory of the
policies is in `load`.
"""

from __future__ import annotations

import gc
import json
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.row import Row
from benchmarks.world import ACCOUNT, ADDRESS, ARN, CLASS, MAX_OF_TYPICAL, documents, typical
from iam_guard import Principal, Resource, open_guard
from iam_guard.guard.guard import Guard

USERS = 1_000
USERS_BEFORE = 200
POOL = 50
ATTACHED = 5


def measure() -> Iterator[Row]:
    """Compare a thousand users of one account with the minimum that Python could keep of each: its name and ARN."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "iam.json")
        path.write_text(json.dumps(_seed()), encoding="utf-8")
        with closing(open_guard(str(path))) as guard:
            _come(guard, range(USERS_BEFORE))
            tracemalloc.start()
            held = _bytes_of(guard)
            least = _bytes_of_names()
            tracemalloc.stop()
    yield Row(f"a user with {ATTACHED} of {POOL} policies", held / 1024, "KiB", held / least, "a dict of name and ARN")


def _bytes_of(guard: Guard) -> float:
    before = _held()
    _come(guard, range(USERS_BEFORE, USERS_BEFORE + USERS))
    return (_held() - before) / USERS


def _bytes_of_names() -> float:
    before = _held()
    names = [{"name": f"user{number}", "arn": _arn(number)} for number in range(USERS)]
    found = (_held() - before) / USERS
    del names
    return found


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _come(guard: Guard, numbers: range) -> None:
    """Decide a request of each user that its first policy allows."""
    context = {"aws:SourceIp": ADDRESS}
    for number in numbers:
        policy = number % POOL
        wanted = Resource(f"{ARN}:document/{policy}/draft", ACCOUNT, {"class": CLASS})
        decision = guard.decide(Principal.from_arn(_arn(number)), f"docs:Get{policy}", wanted, context)
        if not decision.allowed:
            raise SystemExit(f"expected user {number} to be allowed, got {decision.outcome}: {decision.error}")


def _arn(number: int) -> str:
    return f"arn:aws:iam::{ACCOUNT}:user/user{number}"


def _seed() -> dict[str, Any]:
    pool = documents(typical(POOL), MAX_OF_TYPICAL)
    policies = [{"name": f"Policy{number}", "document": document} for number, document in enumerate(pool)]
    users = [
        {"name": f"user{number}", "attached": [f"Policy{(number + step) % POOL}" for step in range(ATTACHED)]}
        for number in range(USERS_BEFORE + USERS)
    ]
    return {"version": 1, "accounts": [{"id": ACCOUNT, "policies": policies, "users": users}]}
