"""An application with the sign-in pages on a small seed, and a clock that the test sets."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, Service, current_principal
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.person import Person, PersonRef, find_person
from iam_guard.authn.people.second_factors.factors import devices_of
from iam_guard.authn.people.second_factors.one_time_codes import _generator
from iam_guard.authn.tokens.session_cookie import csrf_token
from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import login_profiles
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.passwords import set_password

ACCOUNT = "111122223333"
PASSWORD, NEW_PASSWORD = "correct horse battery", "another staple entirely"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
TRUST = {
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ada"},
    "Action": "sts:AssumeRole",
}
SEED = {
    "version": 1,
    "accounts": [
        {
            "id": ACCOUNT,
            "name": "acme",
            "alias": "acme",
            "root": {"email": "root@acme.example"},
            "users": [{"name": "ada", "inline": {"all": EVERYTHING}}, {"name": "bob"}],
            "roles": [{"name": "auditor", "trust": {"Version": "2012-10-17", "Statement": [TRUST]}}],
        }
    ],
}
docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(request: Request) -> Response:
    principal = current_principal()
    return PlainTextResponse(f"{principal.arn} {principal.key('aws:multifactorauthpresent')}")


@docs.requires("GetDocument", resource="document/{document_id}", conceal=True)
async def get_concealed(request: Request) -> Response:
    return PlainTextResponse(f"{current_principal().arn}")


class Site:
    """An application with the pages, and a browser. `send_reset` is the parameter of `sign_in_pages`."""

    def __init__(self, folder: Path, send_reset: Callable[[str, str], None] | None = None, **more: Any) -> None:
        self.now = START
        self.store: SqlStore = create_store(f"sqlite:///{folder}/iam.db", Settings())
        apply_seed(self.store, load_seed_text(json.dumps(SEED)))
        settings = Settings(
            epoch_poll=3600,
            password_memory=8,
            password_passes=1,
            sign_in_url="/signin",
            audit=str(folder / "audit.jsonl"),
            **{"sign_in_links": "root", **more},
        )
        self.guard: Guard = guard_with_store(self.store, settings, services=[docs])
        self.guard.clock = lambda: self.now
        for person in (self.person("ada"), self.person("bob"), self.root()):
            with self.store.write_transaction() as records:
                hasher = PasswordHasher(8, 1)
                assert set_password(records, hasher, person, PASSWORD, int(START.timestamp())) is None
        self.guard.refresh()
        self.pages = sign_in_pages(self.guard, send_reset=send_reset)
        routes = [
            Route("/documents/{document_id}", get_document),
            Route("/concealed/{document_id}", get_concealed),
            Mount("/signin", self.pages),
        ]
        self.app = GuardMiddleware(Starlette(routes=routes), guard=self.guard)
        self.folder = folder
        self.browser = self.new_browser()
        self.page = ""
        """The page after a device was added."""

    def new_browser(self, url: str = "http://localhost") -> TestClient:
        return TestClient(self.app, base_url=url, follow_redirects=False)

    def person(self, name: str) -> Person:
        with self.store.read_transaction() as records:
            found = find_person(records, "aws", account=ACCOUNT, name=name)
        assert found is not None
        return found

    def root(self) -> Person:
        with self.store.read_transaction() as records:
            found = find_person(records, "aws", email="root@acme.example")
        assert found is not None
        return found

    def require_new_password(self, name: str) -> None:
        """Let a user choose a new password at the next sign-in."""
        with self.store.write_transaction() as records:
            records.update(login_profiles, {"reset_required": True}, owner=self.person(name).owner)

    def reset_link(self, name: str) -> str:
        """Return a link with which a user chooses another password, as an administrator makes it."""
        administrator = f"arn:aws:iam::{ACCOUNT}:user/ada"
        token = self.guard.people.own_credentials.make_reset(PersonRef(ACCOUNT, name), administrator)
        return f"/signin/reset?token={token}"

    def send(self, path: str, browser: TestClient | None = None, **fields: str) -> Any:
        """Fill in the form of a page, as a browser does: with its hidden fields."""
        browser = browser or self.browser
        page = browser.get(path)
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text)
        hidden = {name: unescape(value) for name, value in found}
        return browser.post(path, data={**hidden, **fields}, headers={"origin": str(browser.base_url).rstrip("/")})

    def sign_in(self, name: str = "ada", password: str = PASSWORD, path: str = "/signin/", **more: Any) -> Any:
        return self.send(path, account="acme", username=name, password=password, **more)

    def code(self, name: str) -> str:
        """Return the present code of a person's device."""
        person = self.root() if name == "root" else self.person(name)
        with self.store.read_transaction() as records:
            [row] = devices_of(records, person)
        return _generator(row, self.store.sealer).generate(int(self.now.timestamp())).decode()

    def codes(self, seed: str) -> tuple[str, str]:
        """Return two codes in a row of a key."""
        before, now = (code_of(seed, self.now + timedelta(seconds=30 * step)) for step in (-1, 0))
        return before, now

    def enrol(self, path: str = "/signin/factors") -> list[str]:
        """Add an authenticator app by the page, and return the recovery codes."""
        page = self.send(path)
        seed = re.search(r"<code[^>]*>([A-Z2-7]+)</code>", page.text)
        serial = re.search(r'name="device" value="([^"]+)"', page.text)
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        assert seed is not None
        assert serial is not None
        assert token is not None
        codes = self.codes(seed[1])
        next = re.search(r'name="next" value="([^"]*)"', page.text)
        assert next is not None
        fields = {"csrf_token": token[1], "device": serial[1], "mfa_code": codes[0], "mfa_code_2": codes[1]}
        fields["next"] = next[1]
        answer = self.browser.post("/signin/factors", data=fields)
        assert answer.status_code == 200, answer.text
        self.page = answer.text
        assert csrf_token(str(self.browser.cookies["iam-guard-dev"])) in answer.text  # its forms are of the new session
        return re.findall(r"<li>([0-9A-Z-]{27})</li>", answer.text)

    def records(self) -> list[dict[str, Any]]:
        lines = (self.folder / "audit.jsonl").read_text(encoding="utf-8").splitlines()
        return [record for line in lines if (record := json.loads(line))["eventSource"] == "signin.amazonaws.com"]


def code_of(seed: str, at: datetime) -> str:
    return TOTP(base64.b32decode(seed), 6, SHA1(), 30).generate(int(at.timestamp())).decode()  # noqa: S303
