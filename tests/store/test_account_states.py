"""Suspended and closed accounts: every kind of credential is refused, and every decision denies, in every process.

Another process changes the state; this one has accepted the credential before, so that everything is cached.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from iam_guard import Principal
from iam_guard.analysis.access.who_can import who_can
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import (
    AccountNotActive,
    AccountStateConflict,
    CacheMiss,
    CredentialError,
    ExpiredToken,
    InvalidClientTokenId,
    SignatureDoesNotMatch,
)
from iam_guard.guard.principal_queries import PrincipalQuestion
from iam_guard.model.account import AccountState
from iam_guard.model.principal import CredentialKind
from iam_guard.model.request import Resource
from tests.store.account_world import (
    ACME,
    ADA,
    EDITOR,
    EVE,
    EVE_KEY,
    GLOBEX,
    KEY,
    OWN,
    ROOT,
    ROOT_KEY,
    SECRET,
    SHARED,
    Changer,
    World,
    opened,
)

Make = Callable[[World], HttpRequest]


def _user_session(world: World, **more: Any) -> HttpRequest:
    return world.with_session(world.ada, parent_key_id=KEY, **more)


def _federated(world: World, by: str, key: str, userid: str | None) -> HttpRequest:
    arn = f"arn:aws:sts::{ACME}:federated-user/bob"
    caller = Principal.from_arn(arn, user_arn=by, session_policies=())
    return world.with_session(caller, parent_key_id=key, parent_user_id=userid)


def _assumed_root(world: World) -> HttpRequest:
    keys = {"aws:AssumedRoot": "true"}
    return world.with_session(replace(Principal.from_arn(ROOT, userid=ACME), session=keys))


def _of_tool(world: World) -> HttpRequest:
    keys = {"aws:SignInSessionArn": f"arn:aws:signin:us-east-1:{ACME}:session/1"}
    return world.with_session(replace(world.ada, session=keys))


CREDENTIALS: dict[str, tuple[CredentialKind, Make]] = {
    "access key of a user": ("sigv4", lambda world: world.signed()),
    "access key of the root user": ("sigv4", lambda world: world.signed(ROOT_KEY)),
    "presigned URL": ("sigv4", lambda world: world.signed(query=True)),
    "API key of a user": ("api-key", lambda world: world.with_api_key(ADA)),
    "API key of a role": ("api-key", lambda world: world.with_api_key(EDITOR)),
    "service-specific credential": ("api-key", lambda world: world.with_service_credential()),
    "AssumeRole": ("sts", lambda world: world.with_session(world.role_session())),
    "GetSessionToken": ("sts", _user_session),
    "GetFederationToken": ("sts", lambda world: _federated(world, ADA, KEY, world.ada.userid)),
    "GetFederationToken of root": ("sts", lambda world: _federated(world, ROOT, ROOT_KEY, ACME)),
    "AssumeRoot": ("sts", _assumed_root),
    "aws login": ("sts", _of_tool),
}
ELSEWHERE: dict[CredentialKind, str] = {
    "oidc": "tests/guard/test_bearer_tokens.py",
    "x509": "tests/authn/federation/test_certificate_session.py",
    "session": "tests/authn/people/test_account_sessions_end.py",
    "none": "anonymous: decided below",
    "unknown": "never accepted",
}


@pytest.fixture
def changer(database: str) -> Iterator[Changer]:
    made = Changer(database)
    yield made
    made.close()


@pytest.fixture
def world(database: str) -> Iterator[World]:
    with opened(database, epoch_poll=3600.0) as made:
        yield made


def test_every_kind_of_credential_is_tested() -> None:
    """A new kind needs a row here, or a test beside its own ones."""
    assert {kind for kind, _ in CREDENTIALS.values()} | ELSEWHERE.keys() == set(get_args(CredentialKind))


@pytest.mark.parametrize("change", ["suspend", "close"])
def test_credentials_of_the_account_are_refused(world: World, changer: Changer, change: str) -> None:
    """With AWS's code and the reason, from the cache too; they are accepted again after it was resumed."""
    state = "suspended" if change == "suspend" else "closed"
    requests = {name: make(world) for name, (_, make) in CREDENTIALS.items()}
    for name, request in requests.items():
        assert world.enter(request) == world.enter(request), name
        assert world.enters_from_cache(request), name
    changer.change(change)
    world.guard.refresh()
    for name, request in requests.items():
        for options in ({}, {}, {"cache_only": True}):
            with pytest.raises(AccountNotActive, match=f"^the account of this credential is {state}$") as refused:
                world.enter(request, **options)
            assert (refused.value.code, refused.value.status) == ("InvalidClientTokenId", 401), name
    assert world.enter(world.signed(EVE_KEY)).arn == EVE
    changer.change("resume")
    world.guard.refresh()
    for name, request in requests.items():
        assert world.enter(request).account == ACME, name
        assert world.enters_from_cache(request), name


def test_suspension_is_seen_within_the_poll(database: str, changer: Changer) -> None:
    """Without `refresh`, within a second with the default settings."""
    with opened(database) as world:
        request, role = world.signed(), world.with_session(world.role_session())
        for _ in range(3):
            world.enter(request)
            world.enter(role)
        principal = world.enter(request)
        assert world.guard.decide(principal, "docs:Get", OWN).allowed
        changer.change("suspend")
        time.sleep(1.0)
        for found in (request, role):
            with pytest.raises(AccountNotActive):
                world.enter(found)
        assert not world.guard.decide(principal, "docs:Get", OWN).allowed


def test_unverified_credential_does_not_show_the_state(world: World, changer: Changer) -> None:
    """A wrong secret, an unknown key and an expired session get the same answer as before."""
    role = world.role_session()
    past = datetime(2026, 1, 1, tzinfo=UTC)
    api_key = world.with_api_key(ADA)
    name, text = api_key.headers[-1]
    other = text[:-1] + (b"B" if text.endswith(b"A") else b"A")
    wrong_digest = HttpRequest("GET", b"/", b"", (api_key.headers[0], (name, other)))
    attempts: dict[str, HttpRequest] = {
        "wrong secret": world.signed(KEY, "wrong"),
        "unknown key": world.signed("AKIAUNKNOWN000000001", SECRET),
        "wrong secret of a session": world.signed("ASIAX", "wrong", "token"),
        "expired session": world.with_session(role, expires=past),
        "another API key": wrong_digest,
    }
    answers = []
    for change in (None, "suspend", "close"):
        if change is not None:
            changer.change(change)
            world.guard.refresh()
        answers.append({name: _refusal(world, request) for name, request in attempts.items()})
    assert answers[0] == answers[1] == answers[2]
    assert {error for error, _ in answers[0].values()} <= {SignatureDoesNotMatch, InvalidClientTokenId, ExpiredToken}


def _refusal(world: World, request: HttpRequest) -> tuple[type[Exception], str]:
    with pytest.raises(CredentialError) as refused:
        world.enter(request)
    return type(refused.value), str(refused.value)


def test_body_is_verified_before_the_state_is_shown(world: World, changer: Changer) -> None:
    """Who replays a signature with another body learns nothing."""
    request = world.signed()
    assert world.enter(request)
    changer.change("suspend")
    world.guard.refresh()
    with pytest.raises(SignatureDoesNotMatch):
        world.guard.authenticate(request, payload_hash=lambda: hashlib.sha256(b"x").hexdigest(), any_scope=True)


def test_cache_alone_needs_the_account(world: World) -> None:
    """An event loop gets `CacheMiss` before anything happened; replays are recorded after that."""
    request = world.with_session(world.role_session())
    world.guard.refresh()
    with pytest.raises(CacheMiss):
        world.enter(request, cache_only=True)
    assert world.enter(request)
    assert world.enters_from_cache(request)


# --- decisions ---------------------------------------------------------------------------------------------------


def _callers(world: World) -> dict[str, Principal]:
    return {
        "user": world.ada,
        "user by ARN": Principal.from_arn(ADA),
        "root": Principal.from_arn(ROOT),
        "role session": world.role_session(),
        "federated user": Principal.from_arn(
            f"arn:aws:sts::{ACME}:federated-user/bob",
            user_arn=ROOT,
            session_policies=('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}',),
        ),
    }


@pytest.mark.parametrize("change", ["suspend", "close"])
def test_principals_of_the_account_are_denied(world: World, changer: Changer, change: str) -> None:
    """By every way to decide, also those that were decided by a plan before."""
    guard, state = world.guard, AccountState.SUSPENDED if change == "suspend" else AccountState.CLOSED
    callers = _callers(world)
    asked = [("docs:Get", OWN), ("docs:List", "*")]
    for name, caller in callers.items():
        for _ in range(3):
            assert [guard.decide(caller, *pair).allowed for pair in asked] == [True, True], name
    changer.change(change)
    guard.refresh()
    for name, caller in callers.items():
        decisions = [guard.decide(caller, *pair) for pair in asked] + guard.decide_many(caller, asked)
        decisions += guard.ask(caller, asked)
        decisions += guard.principal_queries.ask(
            [PrincipalQuestion(caller, *pair) for pair in asked], Principal.service("x")
        )
        cached = [guard.decide_from_cache(caller, *pair) for pair in asked]
        decisions += [decision for decision in cached if decision is not None]
        assert not any(decision.allowed for decision in decisions), name
        notes = {reason.note for decision in decisions for reason in decision.reasons}
        assert notes == {f"the account of the principal is {state}"}, name
        assert state in str(guard.explain(caller, "docs:Get", OWN)), name
    allowed = {
        access.principal for access in who_can(world.store, "docs:Get", OWN) if access.verdict.startswith("allowed")
    }
    assert not any(f":{ACME}:" in arn for arn in allowed)
    changer.change("resume")
    guard.refresh()
    for name, caller in callers.items():
        assert [guard.decide(caller, *pair).allowed for pair in asked] == [True, True], name


def test_resources_of_a_closed_account_are_denied_to_all(world: World, changer: Changer) -> None:
    """Those of a suspended one are not: what it shares stays reachable."""
    eve = world.enter(world.signed(EVE_KEY))
    others = (eve, Principal.anonymous(), Principal.service("queue"), world.role_session(GLOBEX))
    assert [world.guard.decide(caller, "docs:Get", SHARED).allowed for caller in others] == [True] * 4
    for change, allowed in (("suspend", True), ("close", False), ("resume", True)):
        changer.change(change)
        world.guard.refresh()
        for caller in others:
            decision = world.guard.decide(caller, "docs:Get", SHARED)
            assert decision.allowed is allowed, (change, caller.arn)
            if not allowed:
                assert [reason.note for reason in decision.reasons] == ["the account of the resource is closed"]


def test_roles_of_the_account_are_not_assumed(world: World, changer: Changer) -> None:
    """From another account, by a federated identity, and by a service, whatever the trust policy says."""
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "sts:*"}
    role = Resource(EDITOR, account=ACME, policy={"Version": "2012-10-17", "Statement": [allowed]})
    provider = Principal.federated(f"arn:aws:iam::{ACME}:oidc-provider/id.example.com", userid="ann", keys={})
    others = (world.enter(world.signed(EVE_KEY)), provider, Principal.service("rolesanywhere.amazonaws.com"))
    actions = ("sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML", "sts:TagSession")
    asked = [(caller, action) for caller in others for action in actions]
    for change, outcome in ((None, True), ("suspend", False), ("close", False), ("resume", True)):
        if change is not None:
            changer.change(change)
            world.guard.refresh()
        for caller, action in asked:
            assert world.guard.decide(caller, action, role).allowed is outcome, (caller.arn, action, change)


def test_session_in_another_account_goes_on(world: World, changer: Changer) -> None:
    """A role session has no link to the account that assumed it, as at AWS: its own account decides."""
    session = world.with_session(world.role_session(GLOBEX), source_identity="ada")
    assert world.enter(session)
    changer.change("suspend")
    world.guard.refresh()
    assert world.enter(session).account == GLOBEX
    changer.change("suspend", GLOBEX)
    world.guard.refresh()
    with pytest.raises(AccountNotActive):
        world.enter(session)


def test_sealed_principals_of_the_account_do_not_open(world: World, changer: Changer) -> None:
    """Nor are any sealed."""
    principal = world.enter(world.signed())
    text = world.guard.sealed_principals.seal(principal)
    assert world.guard.sealed_principals.open(text).arn == ADA
    changer.change("suspend")
    world.guard.refresh()
    with pytest.raises(AccountNotActive):
        world.guard.sealed_principals.open(text)
    with pytest.raises(AccountNotActive):
        world.guard.sealed_principals.seal(principal)
    changer.change("resume")
    world.guard.refresh()
    assert world.guard.sealed_principals.open(text).arn == ADA


def test_account_that_is_deleted_and_created_again_has_nothing_of_the_old_one(world: World, changer: Changer) -> None:
    """No credential, session, share or sealed principal gives anything with the account of the same name."""
    requests = {name: make(world) for name, (_, make) in CREDENTIALS.items()}
    principals = {name: world.enter(request) for name, request in requests.items()}
    text = world.guard.sealed_principals.seal(principals["access key of a user"])
    eve = world.enter(world.signed(EVE_KEY))
    changer.change("close")
    changer.change("delete")
    world.guard.refresh()
    created = world.guard.accounts.create("acme", email="root@acme.example", seed={"users": [{"name": "ada"}]})
    assert created.id != ACME
    for name, request in requests.items():
        with pytest.raises(InvalidClientTokenId):
            world.enter(request)
        for resource in (OWN, SHARED, OWN.replace(ACME, created.id)):
            assert not world.guard.decide(principals[name], "docs:Get", resource).allowed, name
    with pytest.raises(InvalidClientTokenId):
        world.guard.sealed_principals.open(text)
    for caller in (eve, Principal.anonymous(), Principal.service("queue")):
        assert not world.guard.decide(caller, "docs:Get", SHARED).allowed
        assert not world.guard.decide(caller, "sts:AssumeRole", EDITOR).allowed


CHANGES = [
    ("active", {"suspend": "suspended", "resume": None, "close": "closed"}),
    ("suspended", {"suspend": None, "resume": "active", "close": "closed"}),
    ("closed", {"suspend": None, "resume": "active", "close": None}),
]


@pytest.mark.parametrize(("state", "outcomes"), CHANGES)
def test_changes_from_a_state(world: World, state: str, outcomes: dict[str, str | None]) -> None:
    """Each gives its state and when it began, or is refused without effect."""
    enter = {"active": [], "suspended": ["suspend"], "closed": ["close"]}[state]
    for change, outcome in outcomes.items():
        for step in enter:
            getattr(world.guard.accounts, step)(GLOBEX)
        before = world.guard.accounts.get(GLOBEX)
        assert before.state == state
        if outcome is None:
            with pytest.raises(AccountStateConflict, match=f"got one that is {state}"):
                getattr(world.guard.accounts, change)(GLOBEX)
            assert world.guard.accounts.get(GLOBEX) == before
        else:
            after = getattr(world.guard.accounts, change)(GLOBEX)
            assert (after.state, after.state_since >= before.state_since) == (outcome, True)
        if world.guard.accounts.get(GLOBEX).state is not AccountState.ACTIVE:
            world.guard.accounts.resume(GLOBEX)
