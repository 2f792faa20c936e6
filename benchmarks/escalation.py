"""The CPU time of `iam-guard analyze escalation` on accounts of growing size.

`python -m benchmarks.escalation [PRINCIPALS …]` prints a row for each size; the default is 250, 500 and 1,000.
Half are users, in twenty teams; the rest are roles, which their team can assume or pass to services. Some users may
change roles or policies. Not part of `make bench`: there is no peer that answers the same question here.
"""

from __future__ import annotations

import json
import sys
import time
from random import Random
from typing import Any

from iam_guard.analysis.escalation.escalation_path import ADMINISTRATOR
from iam_guard.analysis.escalation.escalation_search import escalation_paths
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text

ACCOUNT = "111122223333"
TEAMS = [f"team{number}" for number in range(20)]
_SIZES = (250, 500, 1000)


def allow(*actions: str, on: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": on}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:{name}"


def group(team: str) -> dict[str, Any]:
    """Return a team, whose members use its service, their own credentials and its roles."""
    own = allow("iam:ChangePassword", "iam:CreateAccessKey", on=arn("user/${aws:username}"))
    roles = allow("sts:AssumeRole", on=arn(f"role/{team}-*"))
    return {"name": team, "inline": {"Own": document(allow(f"{team}:*"), own, roles)}}


def user(number: int) -> dict[str, Any]:
    """Return a user: the first is an administrator, twenty others are not far from one."""
    own = document(allow("docs:Get*", on=f"arn:aws:docs:*:*:document/u{number}/*"))
    found: dict[str, Any] = {"name": f"u{number}", "groups": [TEAMS[number % 20]], "inline": {"Own": own}}
    if number == 0:
        found["attached"] = ["AdministratorAccess"]
    elif number <= 10:
        iam = allow("iam:AttachRolePolicy", "iam:UpdateAssumeRolePolicy", on=arn(f"role/team{number}-*"))
        found["inline"]["Iam"] = document(iam)
    elif number <= 20:
        found["attached"] = ["IAMFullAccess"]
    return found


def role(number: int, choose: Random) -> dict[str, Any]:
    """Return a role that the account or a service may assume; each tenth passes roles to functions."""
    team = TEAMS[number % 20]
    principal = choose.choice(
        [{"AWS": ACCOUNT}, {"Service": f"{team}.example.com"}, {"Service": "lambda.amazonaws.com"}]
    )
    passing = [allow("iam:PassRole", on=arn(f"role/{team}-*")), allow("lambda:*")] if number % 10 == 0 else []
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {
        "name": f"{team}-r{number}",
        "trust": document(trust),
        "inline": {"Own": document(allow(f"{team}:*"), *passing)},
    }


def measure(principals: int) -> tuple[float, int, int]:
    """Return seconds of CPU, and the number of paths and of those to an administrator."""
    choose, half = Random(1), principals // 2
    account = {
        "id": ACCOUNT,
        "groups": [group(team) for team in TEAMS],
        "users": [user(number) for number in range(half)],
        "roles": [role(number, choose) for number in range(principals - half)],
    }
    store = create_store("sqlite://", Settings())
    try:
        apply_seed(store, load_seed_text(json.dumps({"version": 1, "accounts": [account]})))
        start = time.process_time()
        paths = escalation_paths(store)
        return time.process_time() - start, len(paths), sum(path.target == ADMINISTRATOR for path in paths)
    finally:
        store.close()


def main() -> None:
    sizes = [int(text) for text in sys.argv[1:]] or _SIZES
    print(f"{'principals':>10} {'seconds':>8} {'paths':>8} {'to administrator':>16}")
    for size in sizes:
        seconds, paths, most = measure(size)
        print(f"{size:>10,} {seconds:>8.2f} {paths:>8,} {most:>16,}")


if __name__ == "__main__":
    main()
