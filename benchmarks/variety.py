"""The time that the whole guard adds to a request when documents or callers vary, and for each kind of caller.

Like `guarded`: no server, CPU time, less that of the application alone with the same requests; signed with SigV4, with
a trail. The peer of *in turn* is the same request repeated, that of a kind of caller a user without any of these.
The last rows are of `Guard.decide`, without a trail: the time of a decision about another resource each time, less that
of a decision about the same one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from benchmarks.apps import (
    ACCESS_KEY,
    CLIENT,
    CLIENTS,
    bare,
    behind,
    find_document,
    guard_with_trail,
    make_guard,
    seed,
    signed,
)
from benchmarks.clock import Call, least, seconds_of, undisturbed
from benchmarks.guarded import BARE, HOST, REQUESTS, App, Scope, calls_of, scope_of
from benchmarks.row import Row
from benchmarks.world import ACCOUNT, CLASS, folder
from iam_guard import Principal, Resource
from iam_guard.guard.guard import Guard
from iam_guard.model.credential import Session

DOCUMENTS, CALLERS, RESOURCES = 10_000, 1_000, 1_000_000
ROUNDS, SECONDS_OF_A_ROUND = 20, 0.03
CHUNK = 10_000
"""Decisions in one of the alternating rounds of `Guard.decide`."""
USER, DOCUMENT, CALLER, SESSION = "a user", "one document", "one caller", "one role session"
TEMPLATE = "document/{folder}/{name}"

Seed = dict[str, Any]


def measure() -> Iterator[Row]:
    """Measure documents in turn, callers in turn, kinds of callers, and a million resources."""
    with closing(asyncio.new_event_loop()) as loop:
        yield from _documents(loop)
        yield from _callers(loop)
        yield from _kinds(loop)
    yield from _resources()


# --- requests ----------------------------------------------------------------------------------------------------


class _Added:
    """Applications with the cycles of their requests, measured together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: dict[str, Call] = {}
        self._alone: dict[str, str] = {}

    def add(self, name: str, app: App, scopes: Sequence[Scope]) -> None:
        """Add an application, and the one without a guard for as many requests."""
        alone = f"{BARE} {len(scopes)}"
        if alone not in self._calls:
            self._calls[alone] = calls_of(self._loop, bare(), scopes)
        self._calls[name] = calls_of(self._loop, app, scopes)
        self._alone[name] = alone

    def rows(self, peers: Mapping[str, str], label: Callable[[str], str] = str) -> Iterator[Row]:
        """Measure, and return a row for each name beside its peer."""
        taken = least(self._calls, ROUNDS, SECONDS_OF_A_ROUND)
        added = {name: (taken[name] - taken[alone]) / REQUESTS for name, alone in self._alone.items()}
        for name, peer in peers.items():
            yield Row(f"added to a request: {name}", added[name] * 1e6, "us", added[name] / added[peer], label(peer))


def _documents(loop: asyncio.AbstractEventLoop) -> Iterator[Row]:
    """Measure with the application's loader and with a template; the store has records of no document, or of all."""
    names = [f"draft{number}" for number in range(DOCUMENTS)]
    paths = [f"/documents/40/{name}" for name in names]
    scopes = [scope_of(signed(HOST, path), path) for path in paths]
    records = [{"arn": f"{folder(40)}{name}", "tags": {"class": CLASS}} for name in names]
    measured, peers = _Added(loop), {}
    with ExitStack() as stack:
        ways: dict[str, tuple[list[Seed], str, Callable[..., Resource] | str]] = {
            "a loader, no records": ([], "Get40", find_document),
            "a loader, a record of each": (records, "Get40", find_document),
            "a template, no records": ([], "Read40", TEMPLATE),
            "a template, a record of each": (records, "Get40", TEMPLATE),
        }
        for way, (resources, action, resource) in ways.items():
            guard = stack.enter_context(closing(guard_with_trail(_seed(resources=resources))))  # with caches of its own
            app = behind(guard, action, resource)
            one, many = f"{DOCUMENT}, {way}", f"{DOCUMENTS:,} documents in turn, {way}"
            measured.add(one, app, scopes[:1])
            measured.add(many, app, scopes)
            peers[many] = one
        yield from measured.rows(peers, lambda _: DOCUMENT)


def _callers(loop: asyncio.AbstractEventLoop) -> Iterator[Row]:
    """Measure users in turn, and sessions of one role in turn."""
    numbers = range(CALLERS)
    users = [_user(f"user{number}", _key(number)) for number in numbers]
    measured = _Added(loop)
    with closing(guard_with_trail(_seed(users=users))) as guard:
        app = behind(guard)
        keys = {
            (CALLER, f"{CALLERS:,} callers in turn"): [_key(number) for number in numbers],
            (SESSION, f"{CALLERS:,} role sessions in turn"): [_session(guard, number) for number in numbers],
        }
        for (one, many), credentials in keys.items():
            scopes = [_scope(key) for key in credentials]
            measured.add(one, app, scopes[:1])
            measured.add(many, app, scopes)
        yield from measured.rows({many: one for one, many in keys})


def _kinds(loop: asyncio.AbstractEventLoop) -> Iterator[Row]:
    """Measure a role session of STS, a session policy, a boundary, SCPs of an organization, and all of them."""
    key = _key(1)
    content = _seed(users=[_user("bounded", key, boundary="Boundary")])
    policy = json.dumps(_document("docs:Get*"))
    measured = _Added(loop)
    with ExitStack() as stack:
        plain = stack.enter_context(closing(guard_with_trail(content)))
        member = stack.enter_context(closing(guard_with_trail(content | {"organization": _organization()})))
        kinds: dict[str, tuple[Guard, tuple[str, ...]]] = {
            USER: (plain, ACCESS_KEY),
            "a role session": (plain, _session(plain)),
            "a role session with a session policy": (plain, _session(plain, policy=policy)),
            "a user with a boundary": (plain, key),
            "a user below SCPs at two levels": (member, ACCESS_KEY),
            "a role session with all of these": (member, _session(member, role="Bounded", policy=policy)),
        }
        for name, (guard, credentials) in kinds.items():
            measured.add(name, behind(guard), [_scope(credentials)])
        yield from measured.rows({name: USER for name in kinds if name != USER})


def _scope(key: tuple[str, ...]) -> Scope:
    return scope_of(signed(HOST, key=key))


# --- decisions ---------------------------------------------------------------------------------------------------


def _resources() -> Iterator[Row]:
    """Measure resources that never come again, named by their ARN or described by the application.

    The store has records of other resources.
    """
    caller = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada")
    others = [{"arn": f"{folder(40)}other{number}", "tags": {"class": CLASS}} for number in range(DOCUMENTS)]
    with closing(make_guard(_seed(resources=others))) as guard:

        def decide(action: str, resource: str | Resource) -> None:
            decision = guard.decide(caller, action, resource, {"aws:SourceIp": CLIENT})
            if not decision.allowed:
                raise SystemExit(f"expected an Allow, got {decision.outcome}: {decision.error}")

        def by_arn(number: int) -> None:
            decide("docs:Read40", f"{folder(40)}draft{number}")

        def by_description(number: int) -> None:
            decide("docs:Get40", find_document("40", f"report{number}"))

        yield _row("ARNs", by_arn)
        yield _row("`Resource` objects", by_description)


def _row(what: str, decide: Callable[[int], None]) -> Row:
    numbers, many, one = count(1), 0.0, 0.0
    decide(0)
    with undisturbed():
        for _ in range(max(1, RESOURCES // CHUNK)):
            many += seconds_of(lambda: decide(next(numbers)), CHUNK)
            one += seconds_of(lambda: decide(0), CHUNK // 10) * 10
    name = f"added to `Guard.decide`: {RESOURCES:,} {what} in turn"
    return Row(name, (many - one) / RESOURCES * 1e6, "us", many / one, "the same one again")


# --- the content of the store ------------------------------------------------------------------------------------


def _seed(*, users: Sequence[Seed] = (), resources: Sequence[Seed] = ()) -> Seed:
    """Return the seed of `apps` with further users and resources, two roles, a boundary and a policy for templates."""
    content = seed()
    (account,) = content["accounts"]
    (ada,) = account["users"]
    read = _document("docs:Read40", f"{folder(40)}*", {"IpAddress": {"aws:SourceIp": CLIENTS}})
    account["policies"] += [{"name": "Read", "document": read}, {"name": "Boundary", "document": _document("docs:*")}]
    role = {"name": "Editor", "attached": ada["attached"], "trust": _trust()}
    account["roles"] = [role, {**role, "name": "Bounded", "boundary": "Boundary"}]
    account["users"] = [{**ada, "attached": [*ada["attached"], "Read"]}, *users]
    account["resources"] = list(resources)
    content["accounts"].append({"id": MANAGEMENT_ACCOUNT})
    return content


MANAGEMENT_ACCOUNT = "999900000000"


def _organization() -> Seed:
    """Return an organization whose root and unit have a policy each, besides the one that allows everything."""
    scps = {"NoExports": "docs:Export*", "NoImports": "docs:Import*"}
    return {
        "id": "o-exampleorg1",
        "management_account": MANAGEMENT_ACCOUNT,
        "policies": [
            {"name": name, "type": "SCP", "document": _document(action, effect="Deny")} for name, action in scps.items()
        ],
        "scps": ["FullAWSAccess", "NoExports"],
        "units": [{"name": "trial", "scps": ["FullAWSAccess", "NoImports"], "accounts": [ACCOUNT]}],
    }


def _document(
    action: str, resource: str = "*", condition: Mapping[str, Any] | None = None, effect: str = "Allow"
) -> Seed:
    statement = {"Effect": effect, "Action": action, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}


def _trust() -> Seed:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _user(name: str, key: tuple[str, ...], **more: Any) -> Seed:
    """Return a user with the policies of the caller of `apps`."""
    ada = seed()["accounts"][0]["users"][0]
    return {"name": name, "attached": ada["attached"], "access_keys": [{"id": key[0], "secret": key[1]}], **more}


def _key(number: int) -> tuple[str, ...]:
    return f"AKIABENCH{number:011}", f"bench-secret-{number:027}"


def _session(guard: Guard, number: int = 0, role: str = "Editor", policy: str | None = None) -> tuple[str, ...]:
    """Return temporary credentials of a role as STS issues them."""
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/session{number}"
    policies = None if policy is None else (policy,)
    caller, now = Principal.from_arn(arn, session_policies=policies), datetime.now(UTC)
    id, secret = f"ASIABENCH{number:011}", f"bench-session-{number:026}"
    session = Session(id, secret, caller, now, now + timedelta(hours=1))
    return id, secret, guard._store.seal_session(session)
