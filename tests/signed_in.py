"""An application behind a guard on a database, with a user who is signed in, for tests of the session cookie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from iam_guard import Guard, GuardMiddleware, Resource, Service, current_principal, public
from iam_guard.authn.people.person import Person, find_person
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession, BrowserSessions
from iam_guard.authn.people.verified_steps import VerifiedStep, password_evidence
from iam_guard.authn.tokens.session_cookie import COOKIE, csrf_token
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import browser_sessions, inline_policies, login_profiles
from iam_guard.store.seed import apply_seed, load_seed_text

ACME = "111122223333"
RITA, ADA = f"arn:aws:iam::{ACME}:user/rita", f"arn:aws:iam::{ACME}:user/ada"
ADAS_KEY = ("AKIATESTADA000000001", "ada-secret-0123456789abcdefghijklmnopqrs")
DOCS: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "docs:*", "Resource": "*"}],
}
SEED: dict[str, Any] = {
    "version": 1,
    "accounts": [
        {
            "id": ACME,
            "name": "acme",
            "users": [
                {"name": "rita", "inline": {"Docs": DOCS}},
                {
                    "name": "ada",
                    "inline": {"Docs": DOCS},
                    "access_keys": [dict(zip(("id", "secret"), ADAS_KEY, strict=True))],
                },
            ],
        }
    ],
}
HOST = "docs.example"
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
PAGE = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "accept": "text/html"}

docs = Service("docs")


def open_to_all(name: str) -> Resource:
    """Load a document that everybody may read."""
    statement = {"Effect": "Allow", "Principal": "*", "Action": "docs:GetDocument", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return Resource(f"arn:aws:docs:us-east-1:{ACME}:document/{name}", ACME, {}, policy)


def caller() -> JSONResponse:
    return JSONResponse(current_principal().arn)


@public
async def front(request: Request) -> Response:
    return caller()


@public
async def sign_in(request: Request) -> Response:
    """Set the cookie of a new session, as the sign-in page does."""
    response = caller()
    response.set_cookie(COOKIE, "new", secure=True)
    return response


@public
async def by_hand(request: Request) -> Response:
    await docs.decide_async("PutDocument")
    docs.authorize("PutDocument")
    return caller()


@docs.requires("GetDocument", resource="document/{name}")
async def get_document(request: Request) -> Response:
    return caller()


@docs.requires("PutDocument", resource="document/{name}")
async def put_document(request: Request) -> Response:
    return caller()


@docs.requires("GetDocument", resource=open_to_all)
async def get_open(request: Request) -> Response:
    return caller()


@docs.requires("GetDocument", resource="document/{name}", conceal=True)
async def get_concealed(request: Request) -> Response:
    return caller()


@docs.requires("GetDocument", resource="document/{name}")
async def watch(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(current_principal().arn)
    await socket.close()


CHANGES = ["POST", "PUT", "PATCH", "DELETE", "FOO"]
ROUTES = [
    Route("/", front, methods=["GET", "POST"]),
    Route("/signin", sign_in, methods=["GET", "POST"]),
    Route("/by-hand", by_hand, methods=["GET", "POST"]),
    Route("/documents/{name}", get_document, methods=["GET", "OPTIONS"]),
    Route("/documents/{name}", put_document, methods=CHANGES),
    Route("/open/{name}", get_open),
    Route("/concealed/{name}", get_concealed),
    WebSocketRoute("/watch/{name}", watch),
]


def give_password(guard: Guard, person: Person) -> None:
    """Store a login profile of a person, which gets no session without it; no password belongs to its digest."""
    with guard.store.write_transaction() as records:
        if records.one(login_profiles, owner=person.owner) is None:
            values = {"digest": "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$ZGlnZXN0", "reset_required": False}
            records.insert(login_profiles, owner=person.owner, **person.where, **values, created=0, changed=0)


def issue_session(
    guard: Guard, person: Person, *, task: str | None = None, sessions: BrowserSessions | None = None, **terms: Any
) -> tuple[str, BrowserSession]:
    """Return a session of a person whose password was verified, and its token; `task` is what has to be done first."""
    with guard.store.read_transaction() as records:
        profile = records.one(login_profiles, owner=person.owner)
    assert profile is not None
    verified = VerifiedStep(person, password_evidence(profile), leaves_password_out=True)
    known = {"methods": ["password"], "mfa_at": None, "address": "", "user_agent": "", **terms}
    token, session = (sessions or guard.people.browser_sessions).issue(verified, **known)
    if task is None:
        return token, session
    with guard.store.write_transaction() as records:
        records.update(browser_sessions, {"task": task}, id=session.id)
    return token, replace(session, task=task)


class SignedIn:
    """The guard, its user `rita`, and her session."""

    def __init__(self, guard: Guard, folder: Path) -> None:
        self.guard = guard
        self.folder = folder
        with guard.store.read_transaction() as records:
            person = find_person(records, "aws", account=ACME, name="rita")
        assert person is not None
        self.person: Person = person
        give_password(guard, person)
        self.token = self.issue()

    def issue(self, *, task: str | None = None) -> str:
        """Return the token of a further session of hers."""
        return issue_session(self.guard, self.person, task=task)[0]

    def require_mfa(self) -> None:
        """Let her policies allow what they allow only with a second factor."""
        condition = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
        text = json.dumps({**DOCS, "Statement": [{**DOCS["Statement"][0], "Condition": condition}]})
        changed = {"text": text, "digest": hashlib.sha256(text.encode()).hexdigest()}
        with self.guard.store.write_transaction() as records:
            assert records.update(inline_policies, changed, identity_id=self.person.user_id)

    @property
    def cookie(self) -> dict[str, str]:
        return {"cookie": f"{COOKIE}={self.token}"}

    @property
    def csrf(self) -> dict[str, str]:
        return {"x-csrf-token": csrf_token(self.token)}

    def client(self, base: str = f"https://{HOST}", *, address: str = "192.0.2.7") -> TestClient:
        app = Starlette(routes=ROUTES, middleware=[Middleware(GuardMiddleware, guard=self.guard)])
        scheme, _, host = base.partition("://")
        is_address = host.startswith("[")  # which the clients of the lowest versions can't send a request to
        base = f"{scheme}://localhost" if is_address else base
        client = TestClient(app, base_url=base, follow_redirects=False, client=(address, 50_000))
        client.headers.clear()  # no `Accept` and `User-Agent` of its own
        if is_address:
            client.headers["host"] = host
        return client

    def answer(self, method: str, path: str, headers: Mapping[str, str], base: str = f"https://{HOST}") -> Any:
        """Return the response to a request with the cookie and these headers."""
        return self.client(base).request(method, path, headers={**self.cookie, **headers})

    def records(self) -> list[dict[str, Any]]:
        """Return the audit records until now."""
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]


@contextmanager
def signed_in(folder: Path, **settings: Any) -> Iterator[SignedIn]:
    """Open a guard in a folder, on which the user is signed in."""
    store = create_store(f"sqlite:///{folder}/iam.db", Settings())
    apply_seed(store, load_seed_text(json.dumps(SEED)))
    with closing(
        guard_with_store(store, Settings(audit=f"{folder}/audit.jsonl", **settings), services=[docs])
    ) as guard:
        yield SignedIn(guard, folder)
