"""Two accounts with users and roles, behind a guard with a test clock, for tests of people who switch to roles."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from iam_guard import Guard
from iam_guard.api.call import ApiServer
from iam_guard.api.operation import OperationRequest, Permission, run
from iam_guard.api.sts.operations import STS
from iam_guard.authn.people.person import Person, find_person
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.authn.people.sessions.role_switch import TypedRole
from iam_guard.factory import guard_with_store
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call, Resource
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import accounts
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.signed_in import give_password, issue_session

ACME, UMBRELLA = "111122223333", "444455556666"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CALL = Call("1", path="/signin/switchrole")
ADA = f"arn:aws:iam::{ACME}:user/ada"
AUDITOR, SUPPORT = TypedRole(ACME, "team/Auditor"), TypedRole("umbrella", "Support")
SUPPORT_ARN = f"arn:aws:iam::{UMBRELLA}:role/Support"
Json = dict[str, Any]


def policy(effect: str, action: str, resource: str = "*", **more: Any) -> Json:
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def trust(principal: str, **condition: Any) -> Json:
    statement: Json = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}


ASSUMES = policy("Allow", "sts:AssumeRole")


def seed(**more: Any) -> Json:
    """Return two accounts; `user` and `role` replace what Ada and the role of the other account have."""
    user = {"name": "ada", "inline": {"Assumes": ASSUMES}, **more.get("user", {})}
    role = {
        "name": "Support",
        "trust": trust(f"arn:aws:iam::{ACME}:root"),
        "inline": {"Reads": policy("Allow", "docs:Get*")},
        "tags": {"team": "blue"},
        "max_session_duration": 7200,
        **more.get("role", {}),
    }
    auditor = {
        "name": "Auditor",
        "path": "/team/",
        "trust": trust(ADA),
        "inline": {"Lists": policy("Allow", "docs:List*")},
    }
    names = [user, {"name": "bob"}, {"name": "x", "inline": {"Assumes": ASSUMES}}]
    return {
        "version": 1,
        "accounts": [
            {"id": ACME, "name": "acme", "users": names, "roles": [auditor], **more.get("account", {})},
            {"id": UMBRELLA, "name": "umbrella", "alias": "umbrella", "roles": [role]},
        ],
        **more.get("top", {}),
    }


class World:
    """A guard with a test clock, on a database."""

    def __init__(self, folder: Path | None = None, *, idle: timedelta = HOUR, **more: Any) -> None:
        self.now = START
        self.folder = folder
        self.url = "sqlite://" if folder is None else f"sqlite:///{folder}/iam.db"
        store = create_store(self.url, Settings())
        apply_seed(store, load_seed_text(json.dumps(seed(**more))))
        with store.write_transaction() as records:
            records.update(accounts, {"email": "root@acme.example"}, id=ACME)
        audit: dict[str, Any] = {} if folder is None else {"audit": f"{folder}/audit.jsonl"}
        audit |= more.get("settings", {})
        self.guard = self.on(
            guard_with_store(store, Settings(epoch_poll=3600, session_idle=idle.total_seconds(), **audit))
        )
        for name in ("ada", "bob", "x", "root"):
            give_password(self.guard, self.person(name))

    def on(self, guard: Guard) -> Guard:
        guard.clock = lambda: self.now
        return guard

    def person(self, name: str = "ada") -> Person:
        email = "root@acme.example" if name == "root" else None
        with self.guard.store.read_transaction() as records:
            found = find_person(records, "aws", email=email, account=ACME, name=name)
        assert found is not None
        return found

    def sign_in(self, name: str = "ada", **more: Any) -> BrowserSession:
        terms = {"address": "192.0.2.1", "user_agent": "Browser/1", **more}
        return issue_session(self.guard, self.person(name), **terms)[1]

    def switch(self, session: BrowserSession, typed: TypedRole = SUPPORT) -> BrowserSession:
        signed_in = self.guard.people.role_switch.switch(session, typed, CALL, to="/documents/7")
        assert signed_in is not None
        return signed_in.session

    def leave(self, session: BrowserSession) -> BrowserSession:
        signed_in = self.guard.people.role_switch.leave(session, CALL)
        assert signed_in is not None
        return signed_in.session

    def find(self, session: BrowserSession) -> BrowserSession | None:
        return self.guard.people.browser_sessions.find_by_digest(session.digest)

    def may(self, principal: Principal, action: str) -> bool:
        account = principal.account
        return self.guard.decide(principal, action, Resource(f"arn:aws:docs:::{account}/7", account)).allowed

    def trail(self) -> list[Json]:
        assert self.folder is not None
        self.guard.trail.close()
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text("utf-8").splitlines()]

    def assume(self, caller: Principal, role: str, **parameters: Any) -> Principal:
        """Return the session that STS's AssumeRole gives the same caller. Raises `AccessDenied`."""

        def authorize(permission: Permission) -> object:
            return self.guard.authorize(caller, permission.action, permission.resource, permission.context, call=CALL)

        asked = {"RoleArn": role, "RoleSessionName": caller.name, **parameters}
        now = int(self.now.timestamp())
        token = run(
            OperationRequest(ApiServer(self.guard.store), STS, "AssumeRole", asked, caller, now), authorize
        ).output
        session = self.guard.store.open_session(token["Credentials"]["SessionToken"])
        assert session is not None
        return session.principal
