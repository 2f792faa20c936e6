"""Browser sessions without a stored person: what they are, whose they are, and that they are never a root user's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from iam_guard.authn.people.person import PersonRef, owner_of, person_of, person_of_caller
from iam_guard.authn.people.sessions.browser_sessions import MAX_SESSIONS
from iam_guard.authn.people.sessions.federated_sessions import MAX_HINT, FederatedSignIn, end_of_providers
from iam_guard.errors import AccessDenied
from iam_guard.model.credential import BrowserSession, FederatedOrigin, Session
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.store.credentials.session_tokens import session_row
from iam_guard.store.schema import federated_sessions, identities
from tests.authn.people.federated_parts import KEY, OIDC, ROOT_KEY, SAML, FederatedWorld
from tests.authn.people.role_parts import ACME, ADA, AUDITOR, CALL, HOUR, MINUTE, START, SUPPORT_ARN, UMBRELLA
from tests.authn.people.test_switched_roles import OWN
from tests.tables import table


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FederatedWorld]:
    made = FederatedWorld(tmp_path)
    yield made
    made.guard.close()


# --- what the session is ----------------------------------------------------------------------------------------------


def test_session_is_that_of_the_credentials(world: FederatedWorld) -> None:
    """The same principal with the same condition keys, but for the credential."""
    policy = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    session = replace(world.opened(world.assumed(Policy=policy)), source_identity="ada")
    world.now += MINUTE
    entered = world.enter(session)
    found = world.find(entered)
    assert found is not None
    assert replace(found, epoch=None) == replace(entered, epoch=None)
    assert found.principal == found.person == session.principal
    assert (found.principal.type, found.principal.account) == (PrincipalType.ASSUMED_ROLE, UMBRELLA)
    assert found.principal.session_policies == (policy,)
    assert found.principal.key("aws:sourceidentity") == "ada"
    assert found.principal.key("aws:tokenissuetime") == "2026-03-01T12:00:00Z"
    assert found.principal.key("aws:multifactorauthpresent") is None
    assert found.principal.credential is not None
    assert (found.principal.credential.kind, found.principal.credential.id) == ("session", found.id)
    assert (found.role, found.task, found.methods) == (None, None, ("credentials",))
    assert found.federation == FederatedOrigin("credentials")
    assert world.may(found.principal, "docs:GetDocument")
    assert not world.may(found.principal, "docs:PutDocument")


@table("key, arn", [(KEY, ADA), (ROOT_KEY, f"arn:aws:iam::{ACME}:root")])
def test_federated_user_has_the_present_arn_of_its_parent(world: FederatedWorld, key: str, arn: str) -> None:
    found = world.find(world.as_federated_user(key))
    assert found is not None
    assert found.principal.arn == f"arn:aws:sts::{ACME}:federated-user/eve"
    assert found.principal.user_arn == arn
    assert found.federation is not None
    assert found.federation.parent_key_id == key
    if key == KEY:
        with world.guard.store.write_transaction() as records:
            records.update(identities, {"name": "eva", "folded": "eva"}, id=world.person().user_id)
        renamed = world.find(found)
        assert renamed is not None
        assert renamed.principal.user_arn == f"arn:aws:iam::{ACME}:user/eva"
        with world.guard.store.write_transaction() as records:
            records.update(identities, {"name": "ada", "folded": "ada"}, id=found.federation.parent_user_id)


def test_second_factor_of_a_trusted_provider_counts(world: FederatedWorld) -> None:
    session = world.opened(world.assumed())
    plain = world.enter(session, method="saml", provider=SAML)
    strong = world.enter(replace(session, mfa_at=START), method="saml", provider=SAML)
    assert (plain.mfa_at, plain.principal.mfa_at) == (None, None)
    assert (strong.mfa_at, strong.principal.mfa_at) == (START, START)
    assert plain.principal.key("aws:multifactorauthpresent") is None
    assert strong.principal.key("aws:multifactorauthpresent") == "true"


DURATIONS = [  # seconds that the role's browser sessions, and the session itself, may last; how long it lasts
    (None, 3600, HOUR),
    (None, 86_400, 12 * HOUR),
    (7200, 86_400, 2 * HOUR),
    (86_400, 86_400, 12 * HOUR),
]


@table("limit, seconds, expected", DURATIONS)
def test_session_ends_at_the_earliest_end(limit: int | None, seconds: int, expected: timedelta) -> None:
    world = FederatedWorld()
    with world.guard.store.write_transaction() as records:
        records.update(identities, {"max_signin_session_duration": limit}, name="Support")
    session = world.opened(world.assumed())
    entered = world.enter(replace(session, expires=START + timedelta(seconds=seconds)))
    assert entered.expires == START + expected
    assert entered.principal.credential is not None
    assert entered.principal.credential.issued is not None
    assert entered.principal.credential.issued.expires == entered.expires
    world.guard.close()


# --- who gets one -----------------------------------------------------------------------------------------------------


def test_secrets_of_the_credentials_are_not_stored(world: FederatedWorld) -> None:
    session = world.opened(world.assumed())
    world.enter(session, method="oidc", provider=OIDC, logout_hint="header.claims.signature")
    with world.guard.store.read_transaction() as records:
        [row] = records.all(federated_sessions)
    text = repr({name: bytes(value).hex() if isinstance(value, bytes) else value for name, value in row.items()})
    for secret in (session.secret, session.access_key_id, "header.claims.signature"):
        assert secret not in text


def test_other_principals_do_not_sign_in(world: FederatedWorld) -> None:
    """A user or root user signs in with a password, even with credentials of GetSessionToken."""
    user = world.opened(world.issued(world.caller(), "GetSessionToken"))
    session = world.opened(world.assumed())
    anonymous = replace(session, principal=Principal.anonymous())
    root = replace(user, principal=Principal.from_arn(f"arn:aws:iam::{ACME}:root", userid=ACME))
    for refused in (user, root, anonymous, replace(session, expires=START), _other_arn(session)):
        with pytest.raises(AccessDenied):
            world.enter(refused)
    with world.guard.store.read_transaction() as records:
        assert records.all(federated_sessions) == []


def _other_arn(session: Session) -> Session:
    arn = session.principal.arn.replace("Support", "Auditor")
    return replace(session, principal=replace(session.principal, arn=arn))


def test_token_that_counts_once_gives_one_session(world: FederatedWorld) -> None:
    session = world.opened(world.assumed())
    terms: dict[str, Any] = {"used": ("saml", "issuer", "id"), "used_until": int(START.timestamp()) + 60}
    world.enter(session, **terms)
    with pytest.raises(AccessDenied, match="used before"):
        world.enter(session, **terms)
    with world.guard.store.read_transaction() as records:
        assert records.count(federated_sessions) == 1


def test_refused_sign_in_leaves_the_token_unused(world: FederatedWorld) -> None:
    """Both are one transaction."""
    session = world.opened(world.assumed())
    terms: dict[str, Any] = {"used": ("saml", "issuer", "id"), "used_until": int(START.timestamp()) + 60}
    with pytest.raises(AccessDenied):
        world.enter(_other_arn(session), **terms)
    world.enter(session, **terms)


def test_caller_has_a_limited_number_of_sessions(world: FederatedWorld) -> None:
    session = world.opened(world.assumed())
    other = world.as_federated_user()
    first = world.enter(session)
    world.now += MINUTE
    last = [world.enter(session) for _ in range(MAX_SESSIONS)][-1]
    assert world.find(first) is None
    assert world.find(last) is not None
    assert world.find(other) is not None
    world.now += 12 * HOUR
    world.in_role()
    with world.guard.store.read_transaction() as records:
        assert records.count(federated_sessions, account=UMBRELLA) <= 2
    assert world.find(last) is None


def test_role_has_a_limited_number_of_sessions(world: FederatedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever names their callers choose; the one that was not used for the longest time ends."""
    monkeypatch.setattr("iam_guard.authn.people.sessions.federated_sessions.MAX_SESSIONS_OF_ROLE", 3)
    others = [world.as_federated_user(), world.as_federated_user(ROOT_KEY)]
    entered = []
    for number in range(5):
        world.now += MINUTE
        entered.append(world.enter(world.opened(world.assumed(RoleSessionName=f"name{number}"))))
    assert [world.find(session) is not None for session in entered] == [False, False, True, True, True]
    assert all(world.find(other) is not None for other in others)


def test_sign_in_is_recorded_as_in_cloudtrail(world: FederatedWorld) -> None:
    session = world.opened(world.assumed())
    world.enter(session, method="saml", provider=SAML, subject="ada", logout_hint="a.b.c")
    world.guard.people.sign_in.sign_out(world.enter(session), Call("2", path="/signin/out"))
    login, again, out = world.trail()[-3:]
    assert [record["eventName"] for record in (login, again, out)] == ["ConsoleLogin", "ConsoleLogin", "ExitSession"]
    assert login["eventSource"] == "signin.amazonaws.com"
    assert login["additionalEventData"] == {
        "LoginTo": CALL.path,
        "MobileVersion": "No",
        "MFAUsed": "No",
        "SamlProviderArn": SAML,
    }
    assert "SamlProviderArn" not in again["additionalEventData"]
    identity = login["userIdentity"]
    assert (identity["type"], identity["arn"]) == ("AssumedRole", session.principal.arn)
    assert identity["sessionContext"]["sessionIssuer"]["arn"] == SUPPORT_ARN
    assert identity["credentialId"].startswith("fs-")
    assert out["userIdentity"]["arn"] == session.principal.arn


# --- who it belongs to ------------------------------------------------------------------------------------------------


def test_session_has_no_person(world: FederatedWorld) -> None:
    for session in (world.in_role(), world.as_federated_user(), world.as_federated_user(ROOT_KEY)):
        for person in (person_of, owner_of):
            with pytest.raises(AccessDenied):
                person(session)
        with pytest.raises(AccessDenied):
            person_of_caller(session.principal)
        with pytest.raises(AccessDenied):
            world.guard.people.browser_sessions.switch(session, None)
        assert world.guard.people.role_switch.switch(session, AUDITOR, CALL) is None
        assert world.guard.people.role_switch.leave(session, CALL) is None


@table("name", OWN)
def test_session_can_not_act_for_a_person(world: FederatedWorld, name: str) -> None:
    for session in (world.in_role(), world.as_federated_user(ROOT_KEY)):
        with pytest.raises(AccessDenied):
            OWN[name](world.guard, session)


def test_sessions_of_one_subject_belong_together(world: FederatedWorld) -> None:
    """Of the same provider; without a subject, each is alone, whatever the name of the role session."""
    session, sessions = world.opened(world.assumed()), world.guard.people.federated_sessions
    company = {"method": "oidc", "provider": OIDC}
    first, second = (world.enter(session, **company, subject="ada") for _ in range(2))
    others = [
        world.enter(session, **company, subject="bob"),
        world.enter(session, method="saml", provider=SAML, subject="ada"),
        world.enter(session),
        world.enter(session),
    ]
    assert {found.id for found in sessions.of(first)} == {first.id, second.id}
    for other in others:
        assert [found.id for found in sessions.of(other)] == [other.id]
        assert not sessions.end(first.id, other)
    assert sessions.end(second.id, first)
    assert not sessions.end(second.id, first)
    assert [found.id for found in sessions.of(first)] == [first.id]


PROVIDER_ENDS = [  # what the provider names, which of the sessions below are left
    ({"subject": "ada", "provider_session": None}, {"b1", "other"}),
    ({"subject": None, "provider_session": "1"}, {"a2", "b1", "other"}),
    ({"subject": "ada", "provider_session": "2"}, {"a1", "b1", "other"}),
    ({"subject": "eve", "provider_session": None}, {"a1", "a2", "b1", "other"}),
    ({"subject": None, "provider_session": None}, {"a1", "a2", "b1", "other"}),
]


@table("named, left", PROVIDER_ENDS)
def test_provider_ends_sessions(named: dict[str, str | None], left: set[str]) -> None:
    world = FederatedWorld()
    session = world.opened(world.assumed())
    company = {"method": "oidc", "provider": OIDC}
    entered = {
        "a1": world.enter(session, **company, subject="ada", provider_session="1"),
        "a2": world.enter(session, **company, subject="ada", provider_session="2"),
        "b1": world.enter(session, **company, subject="bob"),
        "other": world.enter(session, method="oidc", provider=f"{OIDC}.other", subject="ada", provider_session="1"),
    }
    with world.guard.store.write_transaction() as records:
        ended = end_of_providers(records, [OIDC, f"{OIDC}.none"], **named)
    assert ended == ({OIDC: len(entered) - len(left)} if len(entered) > len(left) else {})
    assert {name for name, found in entered.items() if world.find(found) is not None} == left
    world.guard.close()


def test_logout_hint_is_that_of_the_session(world: FederatedWorld) -> None:
    session, sessions = world.opened(world.assumed()), world.guard.people.federated_sessions
    company = {"method": "oidc", "provider": OIDC}
    first = world.enter(session, **company, logout_hint="a.b.c")
    assert sessions.logout_hint(first) == "a.b.c"
    for hint in (None, "x" * (MAX_HINT + 1)):
        assert sessions.logout_hint(world.enter(session, **company, logout_hint=hint)) is None
    other = world.enter(session, **company, logout_hint="d.e.f")
    with world.guard.store.write_transaction() as records:
        row = records.one(federated_sessions, id=first.id)
        assert row is not None
        records.update(federated_sessions, {"sealed_hint": row["sealed_hint"]}, id=other.id)
    assert sessions.logout_hint(other) is None
    assert "a.b.c" not in repr(
        FederatedSignIn(session=session, method="oidc", provider=OIDC, evidence=(), logout_hint="a.b.c")
    )


# --- a row is never a root user's -------------------------------------------------------------------------------------


def _terms(session: Session, **changes: Any) -> list[object]:
    return session_row(replace(session, principal=replace(session.principal, **changes)))


def _tampered(world: FederatedWorld) -> dict[str, tuple[BrowserSession, dict[str, Any]]]:
    """Return changes of rows that must not be read as any session: by name, a session and the changed columns."""
    role, user = world.opened(world.assumed()), world.opened(world.federated(ROOT_KEY))
    root = Principal.from_arn(f"arn:aws:iam::{ACME}:root", userid=ACME)
    ada = Principal.from_arn(ADA, userid=world.person().user_id)
    with world.guard.store.read_transaction() as records:
        auditor = records.one(identities, kind="role", name="Auditor")
    assert auditor is not None
    changes: dict[str, tuple[Session, dict[str, Any]]] = {
        "without its role": (role, {"role_id": None}),
        "without its key": (user, {"parent_key_id": None}),
        "key instead of the role": (role, {"role_id": None, "parent_key_id": ROOT_KEY}),
        "role instead of the key": (user, {"role_id": auditor["id"], "parent_key_id": None}),
        "another role": (role, {"role_id": auditor["id"]}),
        "another key": (user, {"parent_key_id": KEY}),
        "another account": (role, {"account": ACME}),
        "terms of the root user": (role, {"terms": _terms(replace(role, principal=root)), "role_id": None}),
        "root with its key": (user, {"terms": _terms(replace(user, principal=root))}),
        "user with its key": (user, {"terms": _terms(replace(user, principal=ada))}),
        "role of another account": (role, {"terms": _terms(role, account=ACME), "account": ACME}),
        "another session name": (role, {"terms": _terms(role, arn=f"{role.principal.arn}x")}),
        "path of the role": (role, {"terms": _terms(role, role_arn=SUPPORT_ARN.replace("/", "/x/"))}),
        "another parent user": (user, {"terms": session_row(replace(user, parent_user_id=world.person().user_id))}),
        "no parent user": (user, {"terms": session_row(replace(user, parent_user_id=None))}),
        "no parent key": (user, {"terms": session_row(replace(user, parent_key_id=None)), "parent_key_id": None}),
        "anonymous": (role, {"terms": session_row(replace(role, principal=Principal.anonymous()))}),
        "no terms": (role, {"terms": []}),
        "terms of another version": (role, {"terms": [*session_row(role), "more"]}),
        "terms that are no list": (role, {"terms": {"0": "x"}}),
        "terms of another type": (role, {"terms": [None] * 18}),
    }
    return {name: (world.enter(session), columns) for name, (session, columns) in changes.items()}


def test_row_that_contradicts_itself_is_no_session(world: FederatedWorld) -> None:
    """Neither its own nor the root user's: not in a request, a list, or the list of the account."""
    people = world.guard.people
    for name, (session, columns) in _tampered(world).items():
        with world.guard.store.write_transaction() as records:
            assert records.update(federated_sessions, columns, id=session.id) == 1
        assert world.find(session) is None, name
        assert people.federated_sessions.of(session) == [], name
        for account in (ACME, UMBRELLA):
            assert session.id not in [found.id for found in people.account_sessions.list(account).sessions], name
        people.browser_sessions.end_session(session)


def test_row_is_not_listed_among_a_persons(world: FederatedWorld) -> None:
    """The root user, and the parent of a federated user, have neither its session nor its number."""
    federated = [world.as_federated_user(ROOT_KEY), world.as_federated_user()]
    sessions = world.guard.people.browser_sessions
    for name in ("root", "ada"):
        person = world.person(name)
        own = world.sign_in(name)
        assert [found.id for found in sessions.of(person)] == [own.id]
        assert not any(sessions.end(found.id, person) for found in federated)
        assert sessions.end_all(person) == 1
    assert all(world.find(found) is not None for found in federated)


def test_account_lists_and_ends_them(world: FederatedWorld) -> None:
    """Among those of its people, page by page; not among one person's."""
    accounts = world.guard.people.account_sessions
    root, federated = world.sign_in("root"), [world.as_federated_user(key) for key in (KEY, ROOT_KEY)]
    role = world.in_role()
    ids = sorted(found.id for found in (root, *federated))
    found: list[str] = []
    after = None
    while True:
        page = accounts.list(ACME, after=after, limit=1)
        found += [session.id for session in page.sessions]
        if (after := page.after) is None:
            break
    assert found == ids
    assert [session.id for session in accounts.list(PersonRef(ACME, is_root=True)).sessions] == [root.id]
    accounts.end(ACME, federated[0].id)
    assert world.find(federated[0]) is None
    assert accounts.end_all(PersonRef(ACME, is_root=True)) == 1
    assert world.find(federated[1]) is not None
    assert accounts.end_all(ACME) == 1
    assert world.find(federated[1]) is None
    assert world.find(role) is not None
