"""Temporary credentials at a guard: sealed by the store, signed by botocore, decided, recorded (S-1 to S-51)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, Principal, Service, current_principal
from iam_guard.audit.trail import Trail
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import CacheMiss, ExpiredToken, InvalidClientTokenId, StoreUnavailable
from iam_guard.model.credential import Session
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import open_store
from iam_guard.web.body_verification import EMPTY_HASH
from tests.audit.list_sink import ListSink

ACME = "111122223333"
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
SECRET = "session-secret-0123456789abcdefghijklmno"
ID = "ASIATESTSESSION00001"
KEY, ROOT_KEY = "AKIATESTADA000000001", "AKIATESTROOT00000001"
DOCUMENT = f"arn:aws:docs:us-east-1:{ACME}:document/7"


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Resource": "*", **statement} for statement in statements]}


def allow(action: str, **condition: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, **({"Condition": condition} if condition else {})}


ADA: dict[str, Any] = {
    "name": "ada",
    "tags": {"team": "red", "floor": "3"},
    "inline": {
        "P": document(
            allow("docs:Get*"),
            allow("docs:Delete*", NumericLessThan={"aws:MultiFactorAuthAge": "300"}),
            allow("docs:Put*", Bool={"aws:MultiFactorAuthPresent": "true"}),
        )
    },
    "access_keys": [{"id": KEY, "secret": "ada-secret-0123456789abcdefghijklmnopqrs"}],
}
EDITOR: dict[str, Any] = {
    "name": "Editor",
    "path": "/team/",
    "trust": {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACME}}],
    },
    "inline": {
        "P": document(
            allow("docs:Get*"),
            allow("docs:List*", StringEquals={"aws:PrincipalTag/team": "blue"}),
            allow("docs:Put*", StringEquals={"aws:SourceIdentity": "ada@example.com"}),
            allow("docs:Old*", DateLessThan={"aws:TokenIssueTime": "2026-11-24T12:00:00Z"}),
            allow("docs:New*", DateGreaterThan={"aws:TokenIssueTime": "2026-11-24T12:00:00Z"}),
        )
    },
}


def seed(*users: dict[str, Any], roles: tuple[dict[str, Any], ...] = (EDITOR,)) -> str:
    root = {"email": "root@acme.example", "access_keys": [{"id": ROOT_KEY, "secret": "root-secret"}]}
    account = {"id": ACME, "name": "acme", "root": root, "users": users, "roles": roles}
    return json.dumps({"version": 1, "accounts": [account]})


class World:
    """A guard on a seed file, whose time is `now`, with its records in memory."""

    def __init__(self, path: Path, settings: Settings | None = None) -> None:
        self.path = path
        self.now = NOW
        path.write_text(seed(ADA))
        settings = Settings() if settings is None else settings
        self.inner = open_store(str(path), settings)
        self.store = CachedStore(self.inner, settings)
        self.sink = ListSink()
        self.guard = Guard(
            self.store, Trail(self.sink), settings, catalogues=[Service("docs").catalogue], clock=lambda: self.now
        )
        ada = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
        self.ada = replace(ada, userid=self.store.principal(ada).principal.userid)

    def edit(self, text: str) -> None:
        self.path.write_text(text)
        self.guard.refresh()

    def request(self, session: Session, secret: str = SECRET) -> HttpRequest:
        return request_with(self.store.seal_session(session), secret, self.now)

    def enter(self, session: Session) -> Principal:
        """Authenticate with a session's credentials."""
        return self.guard.authenticate(self.request(session), payload_hash=lambda: EMPTY_HASH)

    def may(self, principal: Principal, action: str) -> bool:
        return self.guard.decide(principal, f"docs:{action}", DOCUMENT, call=Call("request-1")).allowed

    def role(self, **more: Any) -> Session:
        arn = f"arn:aws:sts::{ACME}:assumed-role/Editor/s1"
        caller = Principal.from_arn(arn, role_arn=f"arn:aws:iam::{ACME}:role/team/Editor")
        return replace(Session(ID, SECRET, caller, NOW, NOW + timedelta(hours=1)), **more)

    def user(self, **more: Any) -> Session:
        return replace(self.role(), principal=self.ada, parent_key_id=KEY, **more)

    def federated(self, by: str, *policies: dict[str, Any]) -> Session:
        arn = f"arn:aws:sts::{ACME}:federated-user/bob"
        caller = Principal.from_arn(arn, user_arn=by, session_policies=tuple(map(json.dumps, policies)))
        key, userid = (ROOT_KEY, ACME) if by.endswith(":root") else (KEY, self.ada.userid)
        return replace(self.role(), principal=caller, parent_key_id=key, parent_user_id=userid)


def request_with(token: str, secret: str = SECRET, now: datetime = NOW, key_id: str = ID) -> HttpRequest:
    request = AWSRequest("GET", "http://testserver/documents/7", data=b"")
    with mock.patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
        botocore.auth.SigV4Auth(Credentials(key_id, secret, token), "docs", "us-east-1").add_auth(request)
    headers = [(b"host", b"testserver")]
    headers += [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
    return HttpRequest("GET", b"/documents/7", b"", tuple(headers))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "iam.json")
    yield made
    made.guard.close()


# --- what a session may -------------------------------------------------------------------------------------------


def test_role_session_has_current_permissions_of_its_role(world: World) -> None:
    """S-2: not those at issue; S-51: none after the role is deleted."""
    principal = world.enter(world.role())
    assert [world.may(principal, action) for action in ("Get", "List", "Put")] == [True, False, False]
    world.edit(seed(ADA, roles=({**EDITOR, "inline": {"P": document(allow("docs:Put*"))}},)))
    principal = world.enter(world.role())
    assert [world.may(principal, action) for action in ("Get", "List", "Put")] == [False, False, True]
    world.edit(seed(ADA, roles=()))
    assert not world.may(world.enter(world.role()), "Put")


def test_contents_of_the_token_apply(world: World) -> None:
    """S-2: session policies, session tags and source identity."""
    caller = world.role().principal
    tagged = world.enter(world.role(principal=replace(caller, tags={"team": "blue"})))
    assert world.may(tagged, "List")
    assert world.may(world.enter(world.role(source_identity="ada@example.com")), "Put")
    assert not world.may(world.enter(world.role(source_identity="eve@example.com")), "Put")
    limited = replace(caller, session_policies=(json.dumps(document(allow("docs:Put*"))),))
    principal = world.enter(world.role(principal=limited, source_identity="ada@example.com"))
    assert [world.may(principal, action) for action in ("Get", "Put")] == [False, True]


def test_sessions_are_revoked_by_issue_time(world: World) -> None:
    """S-50: `aws:TokenIssueTime` distinguishes otherwise equal sessions."""
    old = world.role(issued=NOW - timedelta(hours=1))
    for session, allowed in ((old, "Old"), (world.role(), "New"), (old, "Old")):
        principal = world.enter(session)
        assert [action for action in ("Old", "New") if world.may(principal, action)] == [allowed]


def test_mfa_age_grows_for_a_cached_principal(world: World) -> None:
    """E.2: computed at each decision."""
    session = world.user(mfa_at=NOW - timedelta(seconds=240))
    young = world.enter(session)
    assert world.may(young, "Delete")
    assert world.may(young, "Put")
    token = world.store.seal_session(session)
    before = world.guard.authenticate(request_with(token), payload_hash=lambda: EMPTY_HASH)
    world.now = NOW + timedelta(seconds=60)
    after = world.guard.authenticate(request_with(token, now=world.now), payload_hash=lambda: EMPTY_HASH)
    assert after is before
    assert not world.may(after, "Delete")
    assert world.may(after, "Put")
    assert not world.may(young, "Delete")


def test_session_without_mfa_has_no_mfa_age(world: World) -> None:
    """The key is absent and MFA conditions deny, as for long-term keys and role sessions."""
    principal = world.enter(world.user())
    assert [world.may(principal, action) for action in ("Get", "Put", "Delete")] == [True, False, False]
    long_term = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
    assert [world.may(long_term, action) for action in ("Get", "Put", "Delete")] == [True, False, False]


def test_federated_user_has_intersection_of_permissions(world: World) -> None:
    """S-32: of the user's permissions and the session policies; without any, nothing."""
    ada = f"arn:aws:iam::{ACME}:user/ada"
    principal = world.enter(world.federated(ada, document(allow("docs:*"))))
    assert [world.may(principal, action) for action in ("Get", "Put", "Any")] == [True, False, False]
    assert not world.may(world.enter(world.federated(ada)), "Get")


def test_federated_user_of_root_has_its_session_policies(world: World) -> None:
    """R-1, S-32: root may do everything; without session policies, nothing."""
    root = f"arn:aws:iam::{ACME}:root"
    principal = world.enter(world.federated(root, document(allow("docs:Get*"))))
    assert [world.may(principal, action) for action in ("Get", "Put")] == [True, False]
    assert not world.may(world.enter(world.federated(root)), "Get")


# --- how a session ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "users",
    [[], [{**ADA, "access_keys": []}], [{**ADA, "access_keys": [{**ADA["access_keys"][0], "status": "Inactive"}]}]],
    ids=["user gone", "key gone", "key inactive"],
)
def test_user_session_ends_with_its_key(world: World, users: list[dict[str, Any]]) -> None:
    """S-51: at once, for GetSessionToken and GetFederationToken, also with a cached token."""
    sessions = [world.user(), world.federated(f"arn:aws:iam::{ACME}:user/ada", document(allow("docs:*")))]
    requests = [world.request(session) for session in sessions]
    for request in requests:
        world.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH)
    world.edit(seed(*users))
    for request in requests:
        with pytest.raises(InvalidClientTokenId):
            world.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH)


def test_session_expires(world: World) -> None:
    """Cached or not."""
    token = world.store.seal_session(world.role(expires=NOW + timedelta(seconds=10)))
    world.guard.authenticate(request_with(token), payload_hash=lambda: EMPTY_HASH)
    world.now = NOW + timedelta(seconds=10)
    with pytest.raises(ExpiredToken):
        world.guard.authenticate(request_with(token), payload_hash=lambda: EMPTY_HASH)


# --- what it costs ------------------------------------------------------------------------------------------------


def test_role_session_authenticates_without_the_store(world: World) -> None:
    """S-1: the token has everything but the state of its account, so an event loop need not wait."""
    request = world.request(world.role())
    with pytest.raises(CacheMiss):
        world.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH, cache_only=True)
    world.guard.store.account(ACME)  # type: ignore[attr-defined]
    away = mock.Mock(side_effect=StoreUnavailable("away"))
    with mock.patch.multiple(world.inner, access_key=away, epoch=away, principal=away):
        principal = world.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH, cache_only=True)
    assert principal.arn == world.role().principal.arn
    away.assert_not_called()


def test_user_session_looks_up_its_key_on_cache_miss(world: World) -> None:
    """An event loop gets `CacheMiss`; for an invalid token there is no lookup."""
    request = world.request(world.user())
    world.guard.refresh()
    with pytest.raises(CacheMiss):
        world.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH, cache_only=True)
    known = world.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH)
    assert world.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH, cache_only=True) is known
    with pytest.raises(InvalidClientTokenId):
        world.guard.authenticate(request_with("unknown"), payload_hash=lambda: EMPTY_HASH, cache_only=True)


def test_cached_session_token_is_not_decrypted_again(world: World) -> None:
    """Its principal is the same object."""
    request = world.request(world.role())
    first = world.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH)
    sealer = mock.Mock(side_effect=AssertionError("opened again"))
    with mock.patch.object(type(world.store.sealer), "open", sealer):
        assert world.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH) is first


def _shown(identity: Any) -> dict[str, Any]:
    assert isinstance(identity, dict)
    return identity


# --- audit records ------------------------------------------------------------------------------------------------


def test_record_has_session_details(world: World) -> None:
    """As in CloudTrail: temporary key id, role, start, MFA, source identity."""
    world.may(world.enter(world.role(source_identity="ada@example.com")), "Get")
    world.may(world.enter(world.user(mfa_at=NOW)), "Get")
    role, user = (_shown(record["userIdentity"]) for record in world.sink.records[-2:])
    assert role["accessKeyId"] == user["accessKeyId"] == ID
    assert role["sessionContext"] == {
        "sessionIssuer": {
            "type": "Role",
            "principalId": role["sessionContext"]["sessionIssuer"]["principalId"],
            "arn": f"arn:aws:iam::{ACME}:role/team/Editor",
            "accountId": ACME,
            "userName": "Editor",
        },
        "attributes": {"creationDate": "2026-11-24T12:30:00Z", "mfaAuthenticated": "false"},
        "sourceIdentity": "ada@example.com",
    }
    assert user["type"] == "IAMUser"
    assert user["sessionContext"] == {
        "attributes": {"creationDate": "2026-11-24T12:30:00Z", "mfaAuthenticated": "true"}
    }


def test_record_has_neither_token_nor_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """For allowed, refused and denied requests."""
    caplog.set_level(logging.DEBUG, "iam_guard")
    token = world.store.seal_session(world.role())
    principal = world.guard.authenticate(request_with(token), payload_hash=lambda: EMPTY_HASH)
    world.may(principal, "Nothing")
    for request in (request_with(token, "wrong"), request_with(token[:-1]), request_with(token, key_id=f"{ID}X")):
        with pytest.raises(Exception, match=r"security token|signature"):
            world.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH)
    logged = json.dumps(world.sink.records) + caplog.text + repr(principal)
    assert logged.count(ID) >= 4
    assert token[:-1] not in logged
    assert SECRET not in logged


def test_last_use_of_temporary_key_is_not_stored(world: World) -> None:
    """R-34: it is stored for long-term keys only."""
    with mock.patch.object(world.guard.uses, "_record") as note:
        world.enter(world.role())
        world.enter(world.user())
    note.assert_not_called()


# --- over HTTP ----------------------------------------------------------------------------------------------------


def test_middleware_authenticates_session(world: World) -> None:
    """Refused without the token and with a changed one."""
    docs = Service("docs")

    @docs.requires("GetDocument", resource="document/{document_id}")
    async def show(request: Request) -> Response:
        return PlainTextResponse(current_principal().arn)

    app = Starlette(
        routes=[Route("/documents/{document_id}", show)], middleware=[Middleware(GuardMiddleware, guard=world.guard)]
    )
    token = world.store.seal_session(world.role())

    def ask(request: HttpRequest) -> tuple[int, str]:
        headers = {name.decode(): value.decode() for name, value in request.headers}
        answer = client.get("/documents/7", headers=headers)
        return answer.status_code, answer.text

    with TestClient(app) as client:
        for _ in range(2):
            assert ask(request_with(token)) == (200, world.role().principal.arn)
        for refused in (token[:-2], f"{token}A", token.swapcase(), ""):
            status, text = ask(request_with(refused))
            assert (status, "InvalidClientTokenId" in text) == (401, True)
        world.now = NOW + timedelta(hours=1)
        status, text = ask(request_with(token, now=world.now))
        assert (status, "ExpiredToken" in text) == (401, True)
