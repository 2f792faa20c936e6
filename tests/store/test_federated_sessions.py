"""Browser sessions without a stored person, on each kind of database, and sign-ins at the same time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import Barrier
from typing import Any

import pytest

from iam_guard import Guard
from iam_guard.authn.people.sessions.browser_sessions import MAX_SESSIONS
from iam_guard.authn.people.sessions.federated_sessions import FederatedSignIn, end_of_providers
from iam_guard.errors import AccessDenied
from iam_guard.factory import guard_with_store
from iam_guard.model.credential import Session
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.people.browser_session_rows import role_principal
from iam_guard.store.schema import federated_sessions, identities
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.authn.people.role_parts import CALL, HOUR, START, UMBRELLA, seed
from tests.authn.people.sign_on_world import ACME, SAML, add_identity_providers

AT_ONCE = 6


@pytest.fixture
def guard(database: str, settings: Settings) -> Iterator[Guard]:
    store = create_store(database, settings)
    apply_seed(store, load_seed_text(json.dumps(seed())))
    made = guard_with_store(store, Settings(epoch_poll=3600))
    made.clock = lambda: START
    yield made
    made.close()


def role_session(guard: Guard) -> Session:
    with guard.store.read_transaction() as records:
        role = records.one(identities, kind="role", name="Support")
    assert role is not None
    principal = replace(role_principal("aws", role, "ada"), tags={"team": "blau é"}, session_policies=('{"é": 1}',))
    return Session("ASIA1", "secret", principal, START, START + HOUR, source_identity="ada", mfa_at=START)


def test_row_has_everything_of_a_session(guard: Guard) -> None:
    session, sessions = role_session(guard), guard.people.federated_sessions
    names: dict[str, Any] = {"method": "oidc", "provider": "arn:p", "subject": "é", "provider_session": "1"}
    signed_in = FederatedSignIn(session=session, evidence=(), logout_hint="a.b.c", **names)
    entered = [sessions.sign_in(signed_in, CALL).session for _ in range(MAX_SESSIONS + 1)]
    assert len(sessions.of(entered[-1])) == MAX_SESSIONS
    found = sessions.of(entered[-1])[0]
    assert guard.people.browser_sessions.find_by_digest(found.digest) == found
    assert (found.principal, found.principal.tags, found.mfa_at) == (session.principal, {"team": "blau é"}, START)
    assert sessions.logout_hint(found) == "a.b.c"
    with guard.store.write_transaction() as records:
        ended = end_of_providers(records, ["arn:p"], subject="é", provider_session="1")
    assert ended == {"arn:p": MAX_SESSIONS}
    guard.refresh()
    assert guard.people.browser_sessions.find_by_digest(found.digest) is None


def test_token_used_at_once_gives_one_session(guard: Guard) -> None:
    """Of the federation endpoint: its link was opened in several browsers."""
    session = role_session(guard)
    credentials = {
        "sessionId": session.access_key_id,
        "sessionKey": session.secret,
        "sessionToken": guard.store.seal_session(session),
    }
    links = guard.people.credential_sign_in
    token, start = links.sign_in_token(json.dumps(credentials), None, CALL), Barrier(AT_ONCE)

    def sign_in(_: int) -> bool:
        start.wait()
        return links.sign_in(token, CALL) is not None

    with ThreadPoolExecutor(AT_ONCE) as threads:
        assert sum(threads.map(sign_in, range(AT_ONCE))) == 1
    with guard.store.read_transaction() as records:
        assert records.count(federated_sessions) == 1


def test_sign_in_that_waits_is_used_once_or_ended(guard: Guard) -> None:
    """By choices of a role at once, or by an administrator who ends all sessions at that time."""
    add_identity_providers(guard.store.behind)
    session, people = role_session(guard), guard.people
    provider = people.sign_on_providers.add(ACME, "Acme", SAML).id
    signed_in, start = FederatedSignIn(session=session, method="saml", provider=SAML, evidence=()), Barrier(AT_ONCE)

    def choose(number: int, pending: str, *, ends: bool) -> bool:
        start.wait()
        if ends and number == 0:
            people.account_sessions.end_all(ACME)
            people.account_sessions.end_all(UMBRELLA)
            return False
        try:
            return bool(people.federated_sessions.sign_in(signed_in, CALL, pending=pending))
        except AccessDenied as error:
            assert error.message == "The sign-in has ended."  # noqa: PT017
            return False

    for ends in (False, True):
        pending = people.pending_sign_ins.put("saml", provider, "text")
        with ThreadPoolExecutor(AT_ONCE) as threads:
            sessions = sum(threads.map(partial(choose, pending=pending, ends=ends), range(AT_ONCE)))
        with guard.store.read_transaction() as records:
            assert records.count(federated_sessions) == (0 if ends else 1)
        assert sessions <= 1 if ends else sessions == 1
        assert people.pending_sign_ins.get(pending) is None
