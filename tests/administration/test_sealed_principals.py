"""Sealed principals: what they keep, when they end, and what is refused (administration/sealed_principals.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from iam_guard import Principal
from iam_guard.administration.sealed_principals import MAX_LENGTH, MAX_SEALED_SECONDS
from iam_guard.audit.export.ocsf import ocsf_event
from iam_guard.audit.record.redaction import mask
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.people.sessions.federated_sessions import FederatedSignIn
from iam_guard.errors import (
    ContextError,
    CredentialError,
    ExpiredToken,
    InvalidClientTokenId,
    InvalidInput,
    StoreIsReadOnly,
    StoreUnavailable,
)
from iam_guard.model.credential import Session
from iam_guard.model.principal import Credential
from iam_guard.model.request import Call
from iam_guard.store.schema import access_keys, api_keys, browser_sessions, identities, used_tokens
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.web.body_verification import EMPTY_HASH
from tests.guard.test_sessions import ACME, ADA, EDITOR, KEY, NOW, World, allow, document, seed
from tests.model.test_principal_json import assert_same, principals
from tests.signed_in import ADAS_KEY, SEED, SignedIn, signed_in
from tests.signed_in import RITA as RITA_ARN

ACTIONS = ("Get", "List", "Put", "Delete", "Old", "New")
ADA_ARN = f"arn:aws:iam::{ACME}:user/ada"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "iam.json")
    yield made
    made.guard.close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SignedIn]:
    with signed_in(tmp_path) as found:
        yield found


def passed_on(world: World, principal: Principal, **options: Any) -> Principal:
    """Return the principal that a worker opens."""
    return world.guard.sealed_principals.open(world.guard.sealed_principals.seal(principal, **options))


def reason(guard: Any, text: Any, **options: Any) -> str:
    """Return the code and the message of a refusal."""
    with pytest.raises(CredentialError) as caught:
        guard.sealed_principals.open(text, **options)
    assert not isinstance(text, str) or len(text) < 10 or text not in str(caught.value)
    return f"{caught.value.code}: {caught.value.message}"


# --- what is kept -------------------------------------------------------------------------------------------------


def sessions(world: World) -> dict[str, Principal]:
    """Return callers of each kind, as authentication returns them."""
    role = world.role(
        source_identity="ada@example.com",
        transitive_tag_keys=("team",),
        principal=replace(
            world.role().principal,
            tags={"team": "blue"},
            session_policies=(json.dumps(document(allow("docs:Get*"), allow("docs:Put*"))),),
        ),
    )
    return {
        "user": Principal.from_arn(ADA_ARN),
        "root": Principal.from_arn(f"arn:aws:iam::{ACME}:root"),
        "role": world.enter(role),
        "older role": world.enter(world.role(issued=NOW - timedelta(hours=2))),
        "user with MFA": world.enter(world.user(mfa_at=NOW - timedelta(seconds=200))),
        "user without MFA": world.enter(world.user()),
        "federated user": world.enter(world.federated(ADA_ARN, document(allow("docs:Get*")))),
    }


def test_opened_principal_is_the_sealed_one(world: World) -> None:
    """Tags, policies, keys and terms of the session: all fields, but for the envelope and a unique id that was open."""
    for kind, principal in sessions(world).items():
        opened = passed_on(world, principal)
        assert opened.credential is not None
        assert opened.credential.envelope is not None
        bare = replace(opened, credential=replace(opened.credential, envelope=None))
        for field in fields(Principal):
            if field.init and not (field.name == "userid" and principal.userid is None):
                expected = getattr(principal, field.name)
                if field.name == "credential" and expected is None:
                    expected = Credential("none")
                assert getattr(bare, field.name) == expected, (kind, field.name)


def test_caller_made_from_its_arn_is_bound_to_its_unique_id(world: World) -> None:
    """So later decisions of a long job deny another user with the same name, too."""
    assert passed_on(world, Principal.from_arn(ADA_ARN)).userid == world.ada.userid


def test_any_content_is_kept(world: World) -> None:
    """Odd tags, keys, policies and terms go through the text unchanged; what can't be read back raises at once."""

    @given(principals())
    def check(drawn: Principal) -> None:
        credential = drawn.credential
        if credential is not None and credential.kind in ("sigv4", "api-key", "session"):
            credential = replace(credential, kind="oidc")
        if credential is not None and credential.issued is not None:
            credential = replace(credential, issued=replace(credential.issued, expires=NOW + timedelta(hours=1)))
        content = {name: getattr(drawn, name) for name in ("tags", "session", "session_policies")}
        principal = replace(world.ada, **content, credential=credential)
        try:
            text = world.guard.sealed_principals.seal(principal)
        except ContextError:
            return
        opened = world.guard.sealed_principals.open(text)
        assert opened.credential is not None
        assert_same(
            replace(opened, credential=replace(opened.credential, envelope=None)),
            replace(principal, credential=credential or Credential("none")),
        )

    check()


def test_worker_decides_as_the_web_process(world: World) -> None:
    """The same answers for all kinds of callers and actions, now and with the policies of later."""
    callers = sessions(world)
    opened = {kind: passed_on(world, principal) for kind, principal in callers.items()}

    def answers(principals: dict[str, Principal]) -> dict[str, list[bool]]:
        return {kind: [world.may(principal, action) for action in ACTIONS] for kind, principal in principals.items()}

    found = answers(opened)
    assert found == answers(callers)
    assert found["role"] == [True, False, True, False, False, False]
    assert found["older role"] == [True, False, False, False, True, False]
    assert found["user with MFA"] == [True, False, True, True, False, False]
    assert found["federated user"] == [True, False, False, False, False, False]
    world.now += timedelta(seconds=150)  # the second factor is too old for Delete
    assert answers(opened) == answers(callers)
    assert answers(opened)["user with MFA"] == [True, False, True, False, False, False]
    denied = {"Effect": "Deny", "Action": "docs:Get*"}
    world.edit(seed({**ADA, "inline": {"P": document(denied)}}, roles=({**EDITOR, "inline": {}},)))
    assert answers(opened) == answers(callers)
    assert not any(any(row) for kind, row in answers(opened).items() if kind != "root")


def test_audit_record_names_caller_and_envelope(world: World) -> None:
    """Who acted, and that a worker did: CloudTrail's `invokedBy`."""
    opened = passed_on(world, world.enter(world.role(source_identity="ada@example.com")))
    assert opened.credential is not None
    assert opened.credential.envelope is not None
    assert world.may(opened, "Put")
    identity: Any = world.sink.records[-1]["userIdentity"]
    assert identity["invokedBy"] == f"sealed-principal/{opened.credential.envelope.id}"
    assert identity["arn"] == opened.arn
    assert identity["sessionContext"]["sourceIdentity"] == "ada@example.com"
    assert ocsf_event(world.sink.records[-1])["actor"]["user"]["name"] == "s1"
    world.may(world.enter(world.role()), "Get")
    assert "invokedBy" not in str(world.sink.records[-1])


def test_audit_records_of_one_user_name_their_own_envelopes(world: World) -> None:
    """Serialized parts of records are cached, per envelope."""
    for _ in range(2):
        opened = passed_on(world, Principal.from_arn(ADA_ARN))
        assert opened.credential is not None
        assert opened.credential.envelope is not None
        assert world.may(opened, "Get")
        identity: Any = world.sink.records[-1]["userIdentity"]
        assert identity["invokedBy"] == f"sealed-principal/{opened.credential.envelope.id}"


# --- until when ---------------------------------------------------------------------------------------------------


def test_envelope_ends_after_its_seconds(world: World) -> None:
    """An hour, or what was asked for."""
    ada = Principal.from_arn(ADA_ARN)
    hour, short = world.guard.sealed_principals.seal(ada), world.guard.sealed_principals.seal(ada, expires_in=60)
    world.now += timedelta(seconds=59)
    assert world.guard.sealed_principals.open(short).arn == ADA_ARN
    world.now += timedelta(seconds=1)
    assert reason(world.guard, short) == "ExpiredToken: the sealed principal has expired"
    assert world.guard.sealed_principals.open(hour).arn == ADA_ARN


def test_envelope_ends_with_temporary_credentials(world: World) -> None:
    """A role session's expiry bounds it, however long it was asked for."""
    caller = world.enter(world.role(expires=NOW + timedelta(minutes=20)))
    text = world.guard.sealed_principals.seal(caller, expires_in=MAX_SEALED_SECONDS)
    world.now += timedelta(minutes=20) - timedelta(seconds=1)
    assert world.guard.sealed_principals.open(text).arn == caller.arn
    world.now += timedelta(seconds=1)
    assert reason(world.guard, text) == "ExpiredToken: the sealed principal has expired"
    with pytest.raises(ExpiredToken, match="credential of the sealed principal has expired"):
        world.guard.sealed_principals.seal(caller)


def test_opened_principal_cannot_extend_its_envelope(world: World) -> None:
    """A worker that seals again, for the next job, keeps the end of the first."""
    opened = passed_on(world, Principal.from_arn(ADA_ARN), expires_in=60)
    text = world.guard.sealed_principals.seal(opened, expires_in=3600)
    world.now += timedelta(seconds=60)
    assert reason(world.guard, text).startswith("ExpiredToken")
    with pytest.raises(ExpiredToken):
        world.guard.sealed_principals.seal(opened)


def test_deleted_user_or_role_ends_the_envelope(world: World) -> None:
    """Each kind of session depends on its user or role."""
    texts = {
        kind: world.guard.sealed_principals.seal(caller) for kind, caller in sessions(world).items() if kind != "root"
    }
    world.edit(seed(roles=()))
    gone = "InvalidClientTokenId: the user or role of the sealed principal does not exist any more"
    assert {reason(world.guard, text) for text in texts.values()} == {gone}


def test_reused_name_does_not_open_the_envelope(here: SignedIn) -> None:
    """Unique ids are compared (P-6): of the user, and of the user who federated another one."""
    arn = f"arn:aws:sts::{ACME}:federated-user/bob"
    callers = [Principal.from_arn(ADA_ARN), Principal.from_arn(arn, user_arn=ADA_ARN)]
    texts = [here.guard.sealed_principals.seal(caller) for caller in callers]
    assert [here.guard.sealed_principals.open(text).arn for text in texts] == [ADA_ARN, arn]
    with here.guard.store.write_transaction() as records:
        records.delete(identities, account=ACME, kind="user", folded="ada")
    apply_seed(here.guard._store.behind, load_seed_text(json.dumps(SEED)))
    here.guard.refresh()
    assert here.guard.decide(callers[0], "docs:GetDocument").allowed
    for text in texts:
        assert "does not exist any more" in reason(here.guard, text)


def test_renamed_user_is_refused(here: SignedIn) -> None:
    """The sealed ARN names no user any more; nothing is decided for a caller that is not found."""
    text = here.guard.sealed_principals.seal(Principal.from_arn(ADA_ARN))
    with here.guard.store.write_transaction() as records:
        records.update(identities, {"name": "eda", "folded": "eda"}, account=ACME, kind="user", folded="ada")
    assert "does not exist any more" in reason(here.guard, text)


def test_parent_key_ends_sessions_of_users(world: World) -> None:
    """S-51: what ends temporary credentials ends their envelope; role sessions outlive the key."""
    callers = sessions(world)
    texts = {
        kind: world.guard.sealed_principals.seal(callers[kind]) for kind in ("user with MFA", "federated user", "role")
    }
    keys = [{**ADA["access_keys"][0], "status": "Inactive"}]
    world.edit(seed({**ADA, "access_keys": keys}))
    assert not any(key.active for key in [world.store.access_key(KEY)] if key)
    for kind in ("user with MFA", "federated user"):
        assert "access key of the sealed principal is not active" in reason(world.guard, texts[kind])
    assert world.guard.sealed_principals.open(texts["role"]).arn == callers["role"].arn


def test_access_key_ends_its_envelope(here: SignedIn) -> None:
    """A key that is deactivated or deleted."""
    caller = replace(Principal.from_arn(ADA_ARN), credential=Credential("sigv4", ADAS_KEY[0], "us-east-1", "docs"))
    text = here.guard.sealed_principals.seal(caller)
    assert here.guard.sealed_principals.open(text).credential is not None
    with here.guard.store.write_transaction() as records:
        records.update(access_keys, {"status": "Inactive"}, id=ADAS_KEY[0])
    assert "access key of the sealed principal is not active" in reason(here.guard, text)
    with pytest.raises(InvalidClientTokenId):
        here.guard.sealed_principals.seal(caller)


def test_api_key_ends_its_envelope(here: SignedIn) -> None:
    """By its expiry, and when it is deleted; its restriction goes with it."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    key = here.guard.api_keys.create(
        ADA_ARN, expires=datetime(2030, 1, 1, 0, 10, tzinfo=UTC), session_policy=document(allow("docs:Get*"))
    )
    here.guard.clock = lambda: now
    request = HttpRequest("GET", b"/", b"", ((b"host", b"h"), (b"authorization", f"Bearer {key.text}".encode())))
    caller = here.guard.authenticate(request, payload_hash=lambda: EMPTY_HASH)
    text = here.guard.sealed_principals.seal(caller, expires_in=86_400)
    opened = here.guard.sealed_principals.open(text)
    assert here.guard.decide(opened, "docs:GetDocument").allowed
    assert not here.guard.decide(opened, "docs:PutDocument").allowed
    now += timedelta(minutes=10)
    assert reason(here.guard, text).startswith("ExpiredToken")
    now -= timedelta(minutes=1)
    here.guard.api_keys.update(key.id, "Inactive")
    assert "API key of the sealed principal is not active" in reason(here.guard, text)
    with here.guard.store.write_transaction() as records:
        records.delete(api_keys, id=key.id)
    assert "API key of the sealed principal is not active" in reason(here.guard, text)


def test_browser_session_ends_its_envelope(here: SignedIn) -> None:
    """Signed out, ended by an administrator, idle, or with something to do first; not with `after_sign_out`."""
    sessions = here.guard.people.browser_sessions
    session = sessions.find(here.token)
    assert session is not None
    text, lasting = (
        here.guard.sealed_principals.seal(session.principal, after_sign_out=after) for after in (False, True)
    )
    assert here.guard.sealed_principals.open(text).arn == RITA_ARN
    ended = "InvalidClientTokenId: the browser session of the sealed principal has ended"
    changes = [{"task": "mfa"}, {"task": None, "seen": 0}, {"seen": 2**40, "expires": 1}]
    for change in changes:
        with here.guard.store.write_transaction() as records:
            records.update(browser_sessions, change, id=session.id)
        assert reason(here.guard, text) == ended
    sessions.end_session(session)
    assert reason(here.guard, text) == ended
    assert here.guard.sealed_principals.open(lasting).arn == RITA_ARN
    start = here.guard.clock()
    here.guard.clock = lambda: start + timedelta(seconds=here.guard.settings.session_duration)
    assert reason(here.guard, lasting).startswith("ExpiredToken")  # never longer than the session would have lasted


def test_federated_browser_session_ends_its_envelope(here: SignedIn) -> None:
    """A session without a stored person ends with its row, and with the parent key of a federated user (S-51)."""
    ada, now = here.guard.store.access_key(ADAS_KEY[0]), here.guard.clock().replace(microsecond=0)
    assert ada is not None
    caller = Principal.from_arn(f"arn:aws:sts::{ACME}:federated-user/bob", user_arn=ADA_ARN, userid=f"{ACME}:bob")
    session = Session("", "", caller, now, now + timedelta(hours=1), ADAS_KEY[0], ada.principal.userid)
    federated = FederatedSignIn(
        session=session,
        method="credentials",
        provider=None,
        evidence=(),
        used=("t", "1"),
        used_until=int(now.timestamp()) + 60,
    )
    token = here.guard.people.federated_sessions.sign_in(federated, Call("request-1")).token
    found = here.guard.people.browser_sessions.find(token)
    assert found is not None
    texts = [here.guard.sealed_principals.seal(found.principal, after_sign_out=after) for after in (False, True)]
    assert [here.guard.sealed_principals.open(text).arn for text in texts] == [caller.arn, caller.arn]
    here.guard.people.browser_sessions.end_session(found)
    assert "browser session of the sealed principal has ended" in reason(here.guard, texts[0])
    assert here.guard.sealed_principals.open(texts[1]).arn == caller.arn
    with here.guard.store.write_transaction() as records:
        records.update(access_keys, {"status": "Inactive"}, id=ADAS_KEY[0])
    assert "access key of the sealed principal is not active" in reason(here.guard, texts[1])


def test_deleted_person_ends_a_lasting_envelope(here: SignedIn) -> None:
    """`after_sign_out` is about the session only."""
    session = here.guard.people.browser_sessions.find(here.token)
    assert session is not None
    text = here.guard.sealed_principals.seal(session.principal, after_sign_out=True)
    with here.guard.store.write_transaction() as records:
        records.delete(browser_sessions, id=session.id)
        records.delete(identities, id=here.person.user_id)
    assert "does not exist any more" in reason(here.guard, text)


# --- once ---------------------------------------------------------------------------------------------------------


def test_envelope_with_once_opens_once(here: SignedIn) -> None:
    """The second opening is refused; a refused one, for another reason, does not count."""
    text = here.guard.sealed_principals.seal(Principal.from_arn(ADA_ARN), once=True, audience="exports")
    assert "another audience" in reason(here.guard, text)
    assert here.guard.sealed_principals.open(text, audience="exports").arn == ADA_ARN
    opened_before = "InvalidClientTokenId: the sealed principal was opened before, and opens once"
    assert reason(here.guard, text, audience="exports") == opened_before
    many = here.guard.sealed_principals.seal(Principal.from_arn(ADA_ARN))
    assert here.guard.sealed_principals.open(many) == here.guard.sealed_principals.open(many)
    with here.guard.store.read_transaction() as records:
        [row] = records.all(used_tokens)
    assert row["expires"] >= here.guard.clock().timestamp() + 3600 + 500  # longer than a slow clock accepts the text


def test_once_needs_a_store_that_can_be_written(world: World) -> None:
    """A store that follows a file can't remember it, and refuses."""
    text = world.guard.sealed_principals.seal(Principal.from_arn(ADA_ARN), once=True)
    with pytest.raises(StoreIsReadOnly):
        world.guard.sealed_principals.open(text)


# --- refusals -----------------------------------------------------------------------------------------------------


def test_altered_envelope_is_refused(world: World) -> None:
    """Every character counts, and so does the prefix; a changed name of the key is as one of an unknown key."""
    text = world.guard.sealed_principals.seal(Principal.from_arn(ADA_ARN))
    altered = "InvalidClientTokenId: the sealed principal is altered, or of another store"
    for place in range(len(text)):
        other = "A" if text[place] != "A" else "B"
        with suppress(StoreUnavailable):
            assert reason(world.guard, text[:place] + other + text[place + 1 :]) == altered
    others = ["", " ", text[5:], text[:-1], text + "A", f"{text} ", f"igst_{text[5:]}", "igpr_", "ä" * 50, "\x00"]
    assert {reason(world.guard, other) for other in others} == {altered}
    refused = world.sink.records[-1]
    assert (refused["errorCode"], refused["eventName"]) == ("InvalidClientTokenId", "Authenticate")


def test_other_secrets_of_the_store_do_not_open(world: World) -> None:
    """The seal is for this purpose: a session token with the prefix of a sealed principal is none."""
    token = world.store.seal_session(world.role())
    assert "altered" in reason(world.guard, "igpr_" + token[5:])
    text = world.guard.sealed_principals.seal(Principal.from_arn(ADA_ARN))
    assert world.store.open_session("igst_" + text[5:]) is None


def test_envelope_of_another_guard_is_refused(world: World, tmp_path: Path) -> None:
    """Another store has other keys. A worker must not drop the text: its own key may be the older one."""
    other = World(tmp_path / "other.json")
    text = other.guard.sealed_principals.seal(Principal.from_arn(ADA_ARN))
    other.guard.close()
    with pytest.raises(StoreUnavailable, match="a key that is not among the sealing keys"):
        world.guard.sealed_principals.open(text)


def test_text_that_is_none_is_refused(world: World) -> None:
    """Wrong types and long texts, with the same class of error."""
    assert reason(world.guard, None) == "InvalidClientTokenId: expected a sealed principal, got `NoneType`"
    assert reason(world.guard, b"igpr_") == "InvalidClientTokenId: expected a sealed principal, got `bytes`"
    assert reason(world.guard, {}).endswith("got `dict`")
    assert f"at most {MAX_LENGTH} characters" in reason(world.guard, "igpr_" + "A" * MAX_LENGTH)


def test_refusal_of_a_known_envelope_names_it_in_the_trail(world: World) -> None:
    """So that the jobs of one envelope are found."""
    text = world.guard.sealed_principals.seal(Principal.from_arn(ADA_ARN), audience="a")
    opened = world.guard.sealed_principals.open(text, audience="a").credential
    assert opened is not None
    assert opened.envelope is not None
    reason(world.guard, text, audience="b")
    identity: Any = world.sink.records[-1]["userIdentity"]
    assert identity == {"type": "Unknown", "credentialId": opened.envelope.id}


def test_principal_that_cannot_act_later_is_not_sealed(world: World) -> None:
    """Anonymous callers, services, federated identities, callers of other stores, and what is no principal."""
    foreign = Principal.from_arn("arn:aws:iam::999999999999:user/eve")
    found: list[Any] = [
        Principal.anonymous(),
        Principal.service("s3.amazonaws.com"),
        Principal.federated(f"arn:aws:iam::{ACME}:saml-provider/p", userid="u", keys={}),
        foreign,
        replace(foreign, arn="arn:aws:iam::999999999999:root"),
        replace(Principal.from_arn(ADA_ARN), userid="AIDAOTHER"),
        None,
        ADA_ARN,
        Principal.from_arn(ADA_ARN).to_dict(),
    ]
    for principal in found:
        with pytest.raises(InvalidInput, match=r"expected a (user|principal)"):
            world.guard.sealed_principals.seal(principal)


def test_seal_arguments_out_of_range_are_refused(world: World) -> None:
    """Times and audiences have limits, and so has the text."""
    ada = Principal.from_arn(ADA_ARN)
    times: list[Any] = [0, 0.5, -1, MAX_SEALED_SECONDS + 1, float("nan"), float("inf"), True, "60", None]
    for seconds in times:
        with pytest.raises(InvalidInput, match="expected a number of seconds from 1"):
            world.guard.sealed_principals.seal(ada, expires_in=seconds)
    audiences: list[Any] = [None, 1, b"a", "a" * 257]
    for audience in audiences:
        with pytest.raises(InvalidInput, match="at most 256 characters"):
            world.guard.sealed_principals.seal(ada, audience=audience)
        with pytest.raises(InvalidInput, match="at most 256 characters"):
            world.guard.sealed_principals.open("igpr_", audience=audience)
    for odd in ({"tags": {"a": "1", "A": "2"}}, {"session": {"a:b": float("nan")}}):
        with pytest.raises(ContextError):
            world.guard.sealed_principals.seal(replace(ada, **odd))
    with pytest.raises(InvalidInput, match="expected the ARN of a role or user"):
        world.guard.sealed_principals.seal(replace(ada, role_arn=f"arn:aws:s3::{ACME}:role/r"))
    noise = "".join(f"{number * 7919 % 1_000_003:x}" for number in range(20_000))
    with pytest.raises(InvalidInput, match="when sealed"):
        world.guard.sealed_principals.seal(replace(ada, session={"a:noise": noise}))


def test_text_of_a_later_version_is_refused(world: World) -> None:
    """Another array, or a principal of another version, sealed with our keys."""
    seal = world.store.sealer.seal_text
    for content in (b"", b"x", b"\x78\x9c"):
        assert "by another version" in reason(world.guard, seal(content, b"sealed-principal:1", "igpr_"))


def test_envelope_is_masked_in_records() -> None:
    """A text in a path or an error is redacted."""
    assert "igpr_" not in mask("GET /jobs/igpr_AbCdEf0123456789_-xyz")
