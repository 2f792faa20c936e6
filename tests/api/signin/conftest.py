"""An API with people who can sign in, and their tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from iam_guard import Guard, Service
from iam_guard.api.protocol.app import aws_api
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.person import Person, find_person
from iam_guard.console.sign_in_app import beside_api
from iam_guard.factory import guard_with_store
from iam_guard.model.credential import BrowserSession
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.api.signin.tool import Tool
from tests.passwords import set_password
from tests.serving import serving
from tests.signed_in import issue_session

ACME, GLOBEX = "111122223333", "444455556666"
PASSWORD, NEW_PASSWORD = "correct horse battery", "another staple entirely"
ADMIN_KEY = ("AKIAADMINKEY00000001", "admin-secret")
OTHER_KEY = ("AKIAOTHERKEY00000001", "other-secret")
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACME}:user/ada"}, "Action": "sts:AssumeRole"}
    ],
}
SEED: dict[str, Any] = {
    "version": 1,
    "accounts": [
        {
            "id": ACME,
            "name": "acme",
            "alias": "acme",
            "root": {"email": "root@acme.example"},
            "users": [
                {"name": "ada", "attached": ["AdministratorAccess"]},
                {"name": "bob"},
                {"name": "cleo", "attached": ["SignInLocalDevelopmentAccess"]},
                {
                    "name": "admin",
                    "attached": ["AdministratorAccess"],
                    "access_keys": [{"id": ADMIN_KEY[0], "secret": ADMIN_KEY[1]}],
                },
            ],
            "roles": [{"name": "auditor", "path": "/team/", "trust": TRUST, "attached": ["AdministratorAccess"]}],
        },
        {
            "id": GLOBEX,
            "name": "globex",
            "users": [
                {
                    "name": "admin",
                    "attached": ["AdministratorAccess"],
                    "access_keys": [{"id": OTHER_KEY[0], "secret": OTHER_KEY[1]}],
                }
            ],
        },
    ],
}
CALL = Call("request-1", "http", "POST", "/v1/authorize", "localhost", "192.0.2.7", "Firefox", None, False, "us-east-1")


class Office:
    """A server of the API, its people, and a clock that the test sets."""

    def __init__(self, folder: Path, url: str = "", **settings: Any) -> None:
        self.folder = folder
        self.clock_offset = timedelta(0)
        sealing = {name: settings[name] for name in ("sealing_keys",) if name in settings}
        self.store: SqlStore = create_store(url or f"sqlite:///{folder}/iam.db", Settings(**sealing))
        apply_seed(self.store, load_seed_text(json.dumps(SEED)))
        made = Settings(password_memory=8, password_passes=1, audit=str(folder / "audit.jsonl"), **settings)
        self.guard: Guard = guard_with_store(self.store, made, services=[Service("docs")])
        self.guard.clock = self.now
        for name in ("ada", "bob", "cleo", None):
            self.set_password(self.person(name))
        self.guard.refresh()
        self.app = beside_api(self.guard, aws_api(self.guard))
        self.url = ""

    def now(self) -> datetime:
        return datetime.now(UTC) + self.clock_offset

    def pass_time(self, **time: float) -> None:
        self.clock_offset += timedelta(**time)

    def person(self, name: str | None) -> Person:
        """Return a user of acme; None for the root user."""
        with self.store.read_transaction() as records:
            if name is None:
                found = find_person(records, "aws", email="root@acme.example")
            else:
                found = find_person(records, "aws", account=ACME, name=name)
        assert found is not None
        return found

    def set_password(self, person: Person, password: str = PASSWORD) -> None:
        with self.guard.store.write_transaction() as records:
            now = int(self.now().timestamp())
            assert set_password(records, PasswordHasher(8, 1), person, password, now) is None

    def browser(self, name: str | None = "ada", mfa_at: datetime | None = None) -> BrowserSession:
        """Return a browser session of a person."""
        terms = {"mfa_at": mfa_at, "address": "192.0.2.7", "user_agent": "Firefox"}
        return issue_session(self.guard, self.person(name), **terms)[1]

    def tool(self, **parts: Any) -> Tool:
        return Tool(self.url, **parts)

    def code(self, tool: Tool, browser: BrowserSession | None = None) -> str:
        """Return a code that a person approved for a tool."""
        return self.guard.people.tool_sessions.approve(browser or self.browser(), tool.request, CALL)

    def signed_in(self, name: str | None = "ada", **parts: Any) -> tuple[Tool, dict[str, Any]]:
        """Return a tool with its first credentials."""
        tool = self.tool(**parts)
        answer = tool.redeem(self.code(tool, self.browser(name)), now=self.now().timestamp())
        assert answer.status_code == 200, answer.text
        return tool, answer.json()

    def client(self, service: str, token: dict[str, Any] | tuple[str, str]) -> Any:
        """Return a client with the credentials of an answer, or with a key."""
        if isinstance(token, tuple):
            key = dict(zip(("aws_access_key_id", "aws_secret_access_key"), token, strict=True))
        else:
            names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
            given = token["accessToken"]
            key = dict(zip(names, (given["accessKeyId"], given["secretAccessKey"], given["sessionToken"]), strict=True))
        config = Config(retries={"max_attempts": 1, "mode": "standard"})
        client = boto3.client(service, endpoint_url=self.url, region_name="us-east-1", config=config, **key)
        if service == "signin":
            client.meta.events.register("before-call.signin", self.at_own_address)
        return client

    def at_own_address(self, params: dict[str, Any], **_: Any) -> None:
        """Send operations about sessions to this server; botocore would send them to AWS."""
        params["url"] = self.url + params["url_path"]

    def records(self, name: str = "") -> list[dict[str, Any]]:
        lines = (self.folder / "audit.jsonl").read_text(encoding="utf-8").splitlines()
        return [record for line in lines if (record := json.loads(line))["eventName"] == name or not name]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    with serving(made.app) as url:
        made.url = url
        yield made
    made.guard.close()
