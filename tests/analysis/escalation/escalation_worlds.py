"""Small stores for tests of escalation, and their paths in short form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from iam_guard.analysis.escalation.escalation_search import escalation_paths
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import identities
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore

ACME, GLOBEX = "111122223333", "444455556666"
Json: TypeAlias = dict[str, Any]
Found: TypeAlias = dict[tuple[str, str], list[str]]
"""Start and target without `arn:aws:iam::ACME:` -> the actions of the path."""


def arn(name: str, account: str = ACME) -> str:
    return f"arn:aws:iam::{account}:{name}"


def document(*statements: Mapping[str, Any]) -> Json:
    """Return a policy; statements allow, on all resources, unless they say more."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Resource": "*", **given} for given in statements],
    }


def deny(*actions: str, **more: Any) -> Json:
    return {"Effect": "Deny", "Action": list(actions), **more}


def allow(*actions: str, on: str | list[str] = "*", **condition: Any) -> Json:
    """Return a statement; `condition` is operator -> key -> values."""
    found: Json = {"Action": list(actions), "Resource": on}
    return found | ({"Condition": condition} if condition else {})


EVERYTHING = allow("*")


def trust(*names: str, action: str = "sts:AssumeRole", kind: str = "AWS", **condition: Any) -> Json:
    """Return a trust policy for principals of a kind."""
    statement: Json = {"Effect": "Allow", "Principal": {kind: list(names)}, "Action": action}
    statement |= {"Condition": condition} if condition else {}
    return {"Version": "2012-10-17", "Statement": [statement]}


def user(name: str, *statements: Json, **more: Any) -> Json:
    return {"name": name, "inline": {"Own": document(*statements)} if statements else {}, **more}


def role(name: str, trusted: Json, *statements: Json, **more: Any) -> Json:
    return {**user(name, *statements, **more), "trust": trusted}


def policy(name: str, *statements: Json) -> Json:
    return {"name": name, "document": document(*statements)}


def account(*principals: Json, id: str = ACME, **more: Any) -> Json:
    """Return an account; principals with a trust policy are its roles."""
    users = [principal for principal in principals if "trust" not in principal]
    return {"id": id, "users": users, "roles": [entry for entry in principals if "trust" in entry], **more}


@contextmanager
def seeded(*accounts: Json, quotas: tuple[str, ...] = (), **more: Any) -> Iterator[SqlStore]:
    """Open a store in memory with these accounts; `more` are other keys of the seed."""
    store = create_store("sqlite://", Settings(quotas=quotas))
    try:
        apply_seed(store, load_seed_text(json.dumps({"version": 1, "accounts": list(accounts), **more})))
        yield store
    finally:
        store.close()


def found_in(store: SqlStore) -> Found:
    """Return the paths of a store."""
    return {
        (shortened(path.start), shortened(path.target)): [step.action for step in path.steps]
        for path in escalation_paths(store)
    }


def found(*accounts: Json, **more: Any) -> Found:
    """Return the paths of a seed."""
    with seeded(*accounts, **more) as store:
        return found_in(store)


def shortened(name: str) -> str:
    return name.removeprefix(f"arn:aws:iam::{ACME}:")


def id_of(store: SqlStore, name: str) -> str:
    """Return the unique id of a user or role."""
    with store.read_transaction() as records:
        row = records.one(identities, name=name)
    assert row is not None
    return str(row["id"])
