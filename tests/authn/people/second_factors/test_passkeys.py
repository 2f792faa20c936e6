"""Passkeys and security keys: what is accepted once, and what never is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import cycle, islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.authn.people.own_credentials import EnabledDevice
from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords.stored_passwords import delete_password, find_profile
from iam_guard.authn.people.second_factors.passkey_challenges import Ceremony, Kind, RelyingParty, relying_party
from iam_guard.authn.people.second_factors.passkey_steps import NewPasskey
from iam_guard.authn.people.second_factors.passkeys import MAX_TEXT, read_answer, use_passkey, user_handle
from iam_guard.authn.people.second_factors.recovery_codes import left
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.schema import identities, login_profiles, passkeys
from iam_guard.store.sealing import Sealer, new_key
from tests.authn.people.authenticator import (
    ATTESTED,
    BACKED_UP,
    ELIGIBLE,
    PRESENT,
    VERIFIED,
    Key,
    decode,
    encode,
)
from tests.authn.people.passkey_world import CALL, FORM, PARTY, START, World, opened_world
from tests.tables import table

EVIL = "https://evil.example"


@pytest.fixture
def world() -> Iterator[World]:
    with opened_world() as made:
        yield made


# --- the site ----------------------------------------------------------------------------------------------------


@table(
    ("site_url", "secure", "host", "expected"),
    [
        (
            "https://app.example.com",
            True,
            "app.example.com",
            RelyingParty("app.example.com", "https://app.example.com"),
        ),
        ("https://a.example:8443", True, "a.example:8443", RelyingParty("a.example", "https://a.example:8443")),
        ("https://app.example.com", True, "evil.example", None),
        ("https://app.example.com", True, "app.example.com.evil.example", None),
        ("https://app.example.com", False, "app.example.com", None),
        ("https://app.example.com", False, "localhost", None),
        ("", True, "evil.example", None),
        ("", True, "localhost", None),
        ("", False, "localhost", PARTY),
        ("", False, "localhost:8000", RelyingParty("localhost", "http://localhost:8000")),
        ("", False, "127.0.0.1:8000", None),
        ("", False, "localhost.evil.example", None),
        ("", False, "localhost:8000@evil.example", None),
        ("", False, None, None),
    ],
)
def test_site_comes_from_the_settings(site_url: str, secure: bool, host: str | None, expected: object) -> None:
    """A client can send any `Host`, and gets no passkeys for it."""
    assert relying_party(site_url, Call("1", secure=secure, host=host)) == expected


# --- challenges --------------------------------------------------------------------------------------------------

SEALER = Sealer([new_key()])
MADE_FOR = Ceremony(PARTY, "sign in", FORM)


@table(
    "asked",
    [
        *(replace(MADE_FOR, purpose=purpose) for purpose in ("passkey", "security key", "second factor")),
        replace(MADE_FOR, binding="another form"),
        replace(MADE_FOR, binding=""),
        replace(MADE_FOR, party=RelyingParty("localhost", "http://localhost:8000")),
    ],
)
def test_challenge_counts_for_its_purpose_only(asked: Ceremony) -> None:
    """And for its site, session or form."""
    assert asked.issued(SEALER, MADE_FOR.challenge(SEALER, START), START) is None


@table(("seconds", "is_valid"), [(-2, True), (0, True), (299, True), (300, True), (300.000001, False), (86400, False)])
def test_challenge_is_valid_for_five_minutes(seconds: float, is_valid: bool) -> None:
    issued = MADE_FOR.issued(SEALER, MADE_FOR.challenge(SEALER, START), START + timedelta(seconds=seconds))
    assert issued == (START.timestamp() * 1_000_000 if is_valid else None)


@given(st.binary(max_size=200))
def test_made_up_challenge_is_not_valid(challenge: bytes) -> None:
    assert MADE_FOR.issued(SEALER, challenge, START) is None


def test_challenges_differ() -> None:
    assert len({MADE_FOR.challenge(SEALER, START) for _ in range(100)}) == 100


# --- a passkey alone ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ada", "root", "eve"])
def test_passkey_signs_in_alone(world: World, name: str) -> None:
    """It counts as multi-factor; the browser is a known one from now on."""
    key = world.add(name)
    signed_in = world.sign_in(world.answer(key))
    assert signed_in is not None
    session = signed_in.session
    assert (session.principal.arn, session.methods) == (world.people[name].arn, ("passkey",))
    assert (session.mfa_at, session.task) == (world.now, None)
    assert signed_in.browser
    assert world.last_check() == (True, None, "passkey")
    login = world.events[-1]
    row = world.row(key)
    assert row is not None
    assert login.name == "ConsoleLogin"
    assert (login.facts["MFAUsed"], login.facts["MFAIdentifier"]) == ("Yes", row["serial"])
    assert (row["used"], row["sign_count"]) == (int(world.now.timestamp()), 1)


def other_handle(text: str) -> str:
    answer = json.loads(text)
    answer["response"]["userHandle"] = encode(b"another person")
    return json.dumps(answer)


def changed(text: str, *path: str, to: Any) -> str:
    answer = json.loads(text)
    *outer, last = path
    place = answer
    for member in outer:
        place = place[member]
    place[last] = to
    return json.dumps(answer)


def of_other_key(world: World, key: Key) -> str:
    """Sign with another key, under the id of the right one."""
    other = Key(id=key.id, user_handle=key.user_handle)
    return world.answer(other)


def late(world: World, key: Key) -> str:
    text = world.answer(key)
    world.pass_time(minutes=5, seconds=1)
    return text


def for_other_form(world: World, key: Key) -> str:
    return key.get(world.steps.sign_in_options(PARTY, "another form"))


def for_second_factor(world: World, key: Key) -> str:
    return key.get(world.steps.factor_options(world.session(), PARTY))


def for_enrolment(world: World, key: Key) -> str:
    return key.get(world.steps.creation_options(world.session(), PARTY, "passkey"))


def with_flags(flags: int) -> Callable[[World, Key], str]:
    def answer(world: World, key: Key) -> str:
        key.flags = flags
        return world.answer(key)

    return answer


def with_key(**members: Any) -> Callable[[World, Key], str]:
    def answer(world: World, key: Key) -> str:
        return world.answer(replace(key, **members))

    return answer


MISTAKES: dict[str, tuple[Callable[[World, Key], str], str]] = {
    "origin": (lambda w, k: w.answer(k, origin=EVIL), "InvalidAnswer"),
    "port": (lambda w, k: w.answer(k, origin="http://localhost:81"), "InvalidAnswer"),
    "no origin": (lambda w, k: w.answer(k, origin=None), "InvalidAnswer"),
    "site": (with_key(rp_id="evil.example"), "InvalidAnswer"),
    "frame of another site": (lambda w, k: w.answer(k, crossOrigin=True), "OtherOrigin"),
    "frame with its site": (lambda w, k: w.answer(k, topOrigin=EVIL), "OtherOrigin"),
    "type": (lambda w, k: w.answer(k, type="webauthn.create"), "InvalidAnswer"),
    "made-up challenge": (lambda w, k: w.answer(k, challenge=encode(b"0" * 94)), "InvalidChallenge"),
    "no challenge": (lambda w, k: w.answer(k, challenge=""), "InvalidChallenge"),
    "challenge of another form": (for_other_form, "InvalidChallenge"),
    "challenge of a second factor": (for_second_factor, "InvalidChallenge"),
    "challenge of an enrolment": (for_enrolment, "InvalidChallenge"),
    "old challenge": (late, "InvalidChallenge"),
    "not verified": (with_flags(PRESENT), "InvalidAnswer"),
    "not present": (with_flags(VERIFIED), "InvalidAnswer"),
    "backed up, but can't be": (with_flags(PRESENT | VERIFIED | BACKED_UP), "InvalidAnswer"),
    "could be backed up": (with_flags(PRESENT | VERIFIED | ELIGIBLE), "BackupEligibilityChanged"),
    "cut data": (with_flags(PRESENT | VERIFIED | ATTESTED), "InvalidAnswer"),
    "key": (of_other_key, "InvalidAnswer"),
    "unknown key": (with_key(id=b"unknown"), "UnknownKey"),
    "owner": (lambda w, k: other_handle(w.answer(k)), "NotAPasskey"),
    "no owner": (with_key(user_handle=None), "NotAPasskey"),
    "raw id": (lambda w, k: changed(w.answer(k), "rawId", to=encode(b"other")), "InvalidAnswer"),
    "kind": (lambda w, k: changed(w.answer(k), "type", to="password"), "InvalidAnswer"),
    "signature": (lambda w, k: changed(w.answer(k), "response", "signature", to="AAAA"), "InvalidAnswer"),
}


@table("mistake", MISTAKES)
def test_wrong_answer_signs_in_nowhere(mistake: str) -> None:
    """The right one does, afterwards."""
    answer, reason = MISTAKES[mistake]
    with opened_world() as world:
        key = world.add()
        assert world.sign_in(answer(world, replace(key))) is None
        assert world.last_check() == (False, reason, "passkey")
        assert all(event.name != "ConsoleLogin" for event in world.events[2:])
        world.pass_time(seconds=1)
        assert world.sign_in(world.answer(key)) is not None


@pytest.mark.parametrize("step", [0, 1])
def test_answer_counts_once(world: World, step: int) -> None:
    """Also an answer to an earlier challenge than the last one, and of a key that does not count."""
    key = world.add(step=step)
    earlier = world.steps.sign_in_options(PARTY, FORM)
    world.pass_time(seconds=1)
    text = world.answer(key)
    assert world.sign_in(text) is not None
    for late_text in (text, key.get(earlier)):
        assert world.sign_in(late_text) is None
    assert world.last_check() == (False, "UsedChallenge", "passkey")
    row = world.row(key)
    assert row is not None
    assert row["sign_count"] == step


def test_row_that_was_read_before_is_used_once(world: World) -> None:
    """Two uses at the same time have both read it."""
    key, ada = world.add(step=0), world.people["ada"]
    row = world.row(key)
    assert row is not None
    for expected in (None, "UsedChallenge"):
        answer = read_answer(world.answer(key))
        assert answer is not None
        ceremony, now = Ceremony(PARTY, "sign in", FORM), int(world.now.timestamp())
        issued = ceremony.issued(world.guard.store.sealer, answer.challenge, world.now)
        assert issued is not None
        with world.guard.store.write_transaction() as records:
            assert use_passkey(records, row, ceremony, answer, issued=issued, owner=ada, now=now) == expected
        world.pass_time(seconds=1)


@table(
    ("stored", "sent", "is_accepted"),
    [(0, 0, True), (0, 1, True), (0, 900, True), (5, 6, True), (5, 5, False), (5, 4, False), (5, 0, False)],
)
def test_counter_must_grow_once_it_counts(stored: int, sent: int, is_accepted: bool) -> None:
    """Else the key was copied: its failures have a reason of their own in the trail."""
    with opened_world() as world:
        key = world.add(counter=stored, step=0)
        key.counter = sent
        assert (world.sign_in(world.answer(key)) is not None) is is_accepted
        assert world.last_check() == (is_accepted, None if is_accepted else "CounterDidNotGrow", "passkey")
        if not is_accepted:
            assert "MFAIdentifier" in world.events[-1].facts


@pytest.mark.parametrize("flags", [PRESENT, PRESENT | VERIFIED])
def test_security_key_never_signs_in_alone(world: World, flags: int) -> None:
    """Not even if it could, and verifies its owner now."""
    key = world.add(kind="security key", flags=flags)
    key.flags = PRESENT | VERIFIED
    assert world.sign_in(world.answer(key)) is None
    assert world.last_check() == (False, "NotAPasskey", "security key")


def test_person_without_password_does_not_sign_in(world: World) -> None:
    key = world.add()
    with world.guard.store.write_transaction() as records:
        delete_password(records, world.people["ada"])
    assert world.sign_in(world.answer(key)) is None
    assert world.last_check() == (False, "MayNotSignIn", "passkey")


def test_password_that_must_be_changed_is_left_out(world: World) -> None:
    """It is not used; it has to be changed when it is."""
    key, ada = world.add(), world.people["ada"]
    with world.guard.store.write_transaction() as records:
        records.update(login_profiles, {"reset_required": True}, owner=ada.owner)
    signed_in = world.sign_in(world.answer(key))
    assert signed_in is not None
    assert signed_in.session.task is None
    with world.guard.store.read_transaction() as records:
        profile = find_profile(records, ada)
    assert profile is not None
    assert profile["reset_required"]


def test_failures_of_passkeys_are_limited(world: World) -> None:
    """Those of a password and of codes are counted apart, so they don't lock a passkey out."""
    key, ada = world.add(), world.people["ada"]
    with world.guard.store.write_transaction() as records:
        for secret in ("password", "code", "recovery"):
            for _ in range(attempts.FREE):
                attempts.is_open(records, attempts.guess_subject(ada, "", secret), int(world.now.timestamp()))
    assert world.sign_in(world.answer(key)) is not None
    for _ in range(attempts.FREE):
        assert world.sign_in(of_other_key(world, key)) is None
    world.pass_time(seconds=1)
    assert world.sign_in(world.answer(key)) is None
    assert world.last_check() == (False, "TooManyTries", "passkey")
    world.pass_time(seconds=attempts.FIRST_WAIT)
    assert world.sign_in(world.answer(key)) is not None


def test_failures_of_others_do_not_lock_a_known_browser(world: World) -> None:
    """Though they know the id of the key, and the password."""
    key = world.add()
    signed_in = world.sign_in(world.answer(key))
    assert signed_in is not None
    for _ in range(attempts.FREE + 1):
        world.sign_in(of_other_key(world, key))
    world.pass_time(seconds=1)
    assert world.sign_in(world.answer(key)) is None
    assert world.steps.sign_in(PARTY, FORM, world.answer(key), CALL, browser=signed_in.browser) is not None


# --- hostile answers ---------------------------------------------------------------------------------------------

HOSTILE: dict[str, str] = {
    "empty": "",
    "no JSON": "{",
    "list": "[]",
    "number": "1",
    "deep": "[" * 8000,
    "deep object": '{"response":' * 1300,
    "no response": '{"id": "a"}',
    "response is text": '{"id": "a", "response": "b"}',
    "long": '"' + "a" * MAX_TEXT + '"',
    "surrogate": '{"id": "\\ud800", "response": {"clientDataJSON": "\\ud800"}}',
    "client data is a list": json.dumps({"id": "a", "response": {"clientDataJSON": encode(b"[]")}}),
    "client data is deep": json.dumps({"id": "a", "response": {"clientDataJSON": encode(b"[" * 9000)}}),
    "huge number": json.dumps({"id": "a", "response": {"clientDataJSON": encode(b'{"challenge":' + b"9" * 9000)}}),
    "infinite": '{"id": Infinity, "response": {"clientDataJSON": NaN}}',
}


@table("text", HOSTILE.values(), ids=list(HOSTILE))
def test_text_that_is_no_answer_is_refused(text: str) -> None:
    assert read_answer(text) is None
    with opened_world() as world:
        assert world.sign_in(text) is None
        session = world.session()
        assert world.steps.with_passkey(world.session(task="factor"), PARTY, text, CALL) is None
        assert world.steps.add(session, PARTY, NewPasskey("passkey", "a", text), CALL) == "refused"


HOSTILE_IDS: dict[str, Any] = {
    "null": None,
    "number": 1,
    "list": ["a"],
    "empty": "",
    "long": "a" * 2000,
    "zero": "\x00",
    "surrogate": "\ud800",
    "quote": "' OR 1=1 --",
}


@table("id", HOSTILE_IDS.values(), ids=list(HOSTILE_IDS))
def test_hostile_credential_id_is_refused(id: Any) -> None:
    """It reaches the store as a value, if at all."""
    with opened_world() as world:
        key = world.add()
        assert world.sign_in(changed(world.answer(key), "id", to=id)) is None


HOSTILE_CBOR: dict[str, bytes] = {
    "deep": b"\x81" * 9000,
    "long array": b"\x9b" + b"\xff" * 8,
    "long text": b"\x7b" + b"\x7f" + b"\xff" * 7,
    "endless": b"\x9f",
    "tags": b"\xc1" * 9000,
    "shared": b"\xd8\x1c\x81\xd8\x1d\x00",
    "empty": b"",
    "list": b"\x80",
    "no members": b"\xa0",
    "key of 2,000 bytes": b"",
}


@table("name", HOSTILE_CBOR)
def test_hostile_attestation_is_refused(name: str) -> None:
    """Neither memory nor stack are filled."""
    with opened_world() as world:
        session = world.session()
        key = Key(id=b"i" * 1024) if name == "key of 2,000 bytes" else Key()
        text = key.create(world.steps.creation_options(session, PARTY, "passkey"))
        if HOSTILE_CBOR[name] or name == "empty":
            text = changed(text, "response", "attestationObject", to=encode(HOSTILE_CBOR[name]))
        assert world.steps.add(session, PARTY, NewPasskey("passkey", "a", text), CALL) == "refused"


PARTS = ("clientDataJSON", "authenticatorData", "signature")


@pytest.fixture(scope="module")
def mutated_world() -> Iterator[tuple[World, Key]]:
    with opened_world() as made:
        yield made, made.add()


@given(
    part=st.sampled_from(PARTS),
    place=st.floats(0, 1, exclude_max=True),
    to=st.binary(max_size=3),
    cut=st.integers(0, 3),
)
def test_changed_answer_is_never_accepted(
    mutated_world: tuple[World, Key], part: str, place: float, to: bytes, cut: int
) -> None:
    """Each part is signed, or the signature: bytes are replaced, inserted or cut out."""
    world, key = mutated_world
    world.pass_time(hours=2)  # past each wait
    with world.guard.store.write_transaction() as records:
        attempts.clear(records, attempts.guess_subject(world.people["ada"], "", "passkey"))
    text = world.answer(replace(key))
    before = decode(json.loads(text)["response"][part])
    at = int(place * len(before))
    after = before[:at] + to + before[at + cut :]
    if after != before:
        assert world.sign_in(changed(text, "response", part, to=encode(after))) is None


# --- a second factor ---------------------------------------------------------------------------------------------


def second_factor(world: World, key: Key, name: str = "ada", **changes: Any) -> bool:
    session = world.session(name, mfa=False, task="factor")
    text = key.get(world.steps.factor_options(session, PARTY), **changes)
    return world.steps.with_passkey(session, PARTY, text, CALL) is not None


@pytest.mark.parametrize(("kind", "flags"), [("security key", PRESENT), ("passkey", PRESENT)])
def test_key_is_a_second_factor(world: World, kind: Kind, flags: int) -> None:
    """Without another verification of the owner, whose password was right."""
    key = world.add(kind=kind)
    key.flags = flags
    key.user_handle = None  # as of keys that don't store it
    session = world.session(mfa=False, task="factor")
    options = world.steps.factor_options(session, PARTY)
    assert options["allowCredentials"] == [
        {"type": "public-key", "id": encode(key.id), "transports": ["internal", "hybrid"]}
    ]
    text = key.get(options)
    signed_in = world.steps.with_passkey(session, PARTY, text, CALL)
    assert signed_in is not None
    assert (signed_in.session.methods, signed_in.session.task) == (("password", "passkey"), None)
    assert signed_in.session.mfa_at == world.now
    assert world.last_check() == (True, None, kind)
    again = world.session(mfa=False, task="factor")
    assert world.steps.with_passkey(again, PARTY, text, CALL) is None


def test_second_factor_is_of_the_same_person(world: World) -> None:
    """Not of another one, in this account or another."""
    world.add("ada", "security key")
    for name in ("bob", "eve", "root"):
        key = world.add(name, "security key")
        session = world.session("ada", mfa=False, task="factor")
        options = world.steps.factor_options(session, PARTY)
        assert encode(key.id) not in {known["id"] for known in options["allowCredentials"]}
        assert world.steps.with_passkey(session, PARTY, key.get(options), CALL) is None
        assert world.last_check() == (False, "UnknownKey", "passkey")


def test_second_factor_is_of_the_same_session(world: World) -> None:
    """A challenge of another one, of the same person or another, and those of other purposes, are refused."""
    key = world.add()
    session = world.session(mfa=False, task="factor")
    foreign = [
        world.steps.factor_options(world.session(task="factor"), PARTY),
        world.steps.factor_options(world.session("bob", task="factor"), PARTY),
        world.steps.sign_in_options(PARTY, session.id),
        world.steps.creation_options(session, PARTY, "passkey"),
    ]
    for options in foreign:
        assert world.steps.with_passkey(session, PARTY, key.get(options), CALL) is None
        assert world.last_check() == (False, "InvalidChallenge", "passkey")


SECOND_MISTAKES = ("origin", "site", "frame of another site", "type", "not present", "key", "raw id", "signature")


@table("mistake", SECOND_MISTAKES)
def test_wrong_second_factor_is_refused(mistake: str) -> None:
    """The same mistakes as of a passkey alone."""
    with opened_world() as world:
        key = world.add()
        session = world.session(mfa=False, task="factor")
        alone = world.steps.sign_in_options
        world.steps.sign_in_options = lambda *_: world.steps.factor_options(session, PARTY)  # type: ignore[method-assign]
        text = MISTAKES[mistake][0](world, replace(key))
        world.steps.sign_in_options = alone  # type: ignore[method-assign]
        assert world.steps.with_passkey(session, PARTY, text, CALL) is None
        assert second_factor(world, key)


def test_guesses_of_second_factors_end_the_sign_in(world: World) -> None:
    """As those of codes."""
    key = world.add()
    session = world.session(mfa=False, task="factor")
    for _ in range(attempts.FREE + 1):
        text = replace(key, id=b"unknown").get(world.steps.factor_options(session, PARTY))
        assert world.steps.with_passkey(session, PARTY, text, CALL) is None
    assert world.guard.people.browser_sessions.find_by_digest(session.digest) is None


# --- enrolment ---------------------------------------------------------------------------------------------------


def enrol(world: World, key: Key, kind: Kind = "passkey", name: str = "laptop", **client: Any) -> Any:
    session = world.session()
    return world.steps.add(
        session,
        PARTY,
        NewPasskey(kind, name, key.create(world.steps.creation_options(session, PARTY, kind), **client)),
        CALL,
    )


def test_first_key_comes_with_recovery_codes(world: World) -> None:
    """The session goes on with a second factor."""
    first, second = enrol(world, Key()), enrol(world, Key(), "security key")
    assert isinstance(first, EnabledDevice)
    assert isinstance(second, EnabledDevice)
    assert (len(first.recovery_codes), second.recovery_codes) == (10, [])
    assert first.signed_in.session.mfa_at == world.now
    enrolled = [event.facts for event in world.events if event.name == "MfaEnrolled"]
    assert [facts["MfaType"] for facts in enrolled] == ["passkey", "security key"]
    assert enrolled[0]["MFAIdentifier"].startswith("arn:aws:iam::111122223333:u2f/user/ada/passkey-")


def test_serial_of_the_root_user_names_it(world: World) -> None:
    row = world.row(world.add("root"))
    assert row is not None
    assert row["serial"].startswith("arn:aws:iam::111122223333:u2f/root-account/passkey-")


def test_options_ask_for_what_the_kind_needs(world: World) -> None:
    """A passkey verifies its owner and is found without a name; the handle reveals no name."""
    known = world.add()
    session = world.session()
    passkey, security_key = (world.steps.creation_options(session, PARTY, kind) for kind in ("passkey", "security key"))
    selection = passkey["authenticatorSelection"]
    assert (selection["residentKey"], selection["userVerification"]) == ("required", "required")
    selection = security_key["authenticatorSelection"]
    assert (selection["residentKey"], selection["userVerification"]) == ("discouraged", "discouraged")
    assert [excluded["id"] for excluded in passkey["excludeCredentials"]] == [encode(known.id)]
    assert (passkey["attestation"], passkey["rp"]["id"]) == ("none", "localhost")
    handles = {user_handle(person) for person in world.people.values()}
    assert len(handles) == len(world.people)
    assert all(len(handle) == 32 and b"ada" not in handle for handle in handles)
    alone = world.steps.sign_in_options(PARTY, FORM)
    assert (alone["allowCredentials"], alone["userVerification"], alone["rpId"]) == ([], "required", "localhost")


ENROLMENT: dict[str, tuple[Key, Kind, dict[str, Any]]] = {
    "passkey, not verified": (Key(flags=PRESENT), "passkey", {}),
    "passkey, not present": (Key(flags=VERIFIED), "passkey", {}),
    "security key, not present": (Key(flags=0), "security key", {}),
    "site": (Key(rp_id="evil.example"), "passkey", {}),
    "origin": (Key(), "passkey", {"origin": EVIL}),
    "frame of another site": (Key(), "passkey", {"crossOrigin": True}),
    "type": (Key(), "passkey", {"type": "webauthn.get"}),
    "made-up challenge": (Key(), "passkey", {"challenge": encode(b"0" * 94)}),
    "backed up, but can't be": (Key(flags=PRESENT | VERIFIED | BACKED_UP), "passkey", {}),
}


@table("mistake", ENROLMENT)
def test_wrong_enrolment_is_refused(mistake: str) -> None:
    key, kind, client = ENROLMENT[mistake]
    with opened_world() as world:
        assert enrol(world, replace(key), kind, **client) == "refused"
        assert world.row(key) is None
        recorded = [(event.name, event.succeeded, event.facts) for event in world.events]
        assert recorded in ([], [("MfaEnrolled", False, {"MfaType": kind})])  # none without a challenge


def test_enrolment_is_of_the_same_session_and_kind(world: World) -> None:
    """A security key can't be declared a passkey afterwards."""
    session, other = world.session(), world.session("bob")
    for options in (
        world.steps.creation_options(other, PARTY, "passkey"),
        world.steps.creation_options(world.session(), PARTY, "passkey"),
        world.steps.creation_options(session, PARTY, "security key"),
    ):
        new = NewPasskey("passkey", "a", Key().create(options))
        assert world.steps.add(session, PARTY, new, CALL) == "refused"


@pytest.mark.parametrize("task", ["factor", "password"])
def test_session_with_a_task_adds_and_removes_nothing(world: World, task: str) -> None:
    """Else a password alone would replace the second factor that is asked for."""
    key = world.add()
    session = world.session(task=task)
    new = NewPasskey("passkey", "a", Key().create(world.steps.creation_options(session, PARTY, "passkey")))
    assert world.steps.add(session, PARTY, new, CALL) == "refused"
    row = world.row(key)
    assert row is not None
    assert world.own.remove_factor(session, row["serial"], CALL) == "refused"


def test_further_key_needs_the_first_factor(world: World) -> None:
    """A session from before it, or a stolen one, adds and removes nothing."""
    session = world.session(mfa=False)
    key = world.add()
    new = NewPasskey("passkey", "a", Key().create(world.steps.creation_options(session, PARTY, "passkey")))
    assert world.steps.add(session, PARTY, new, CALL) == "needs_factor"
    row = world.row(key)
    assert row is not None
    assert world.own.remove_factor(session, row["serial"], CALL) == "needs_factor"


def test_app_needs_the_first_factor_too(world: World) -> None:
    """Otherwise a session from before the first key would add an app, and be asked for that one."""
    session, own = world.session(mfa=False), world.guard.people.own_credentials
    device = own.new_device(session)
    world.add()
    assert own.enable_device(session, device.serial, ("1", "2"), CALL) == "needs_factor"


def test_key_may_be_the_required_factor(world: World) -> None:
    """It ends the task, but is not a second one for a session that has not used the first."""
    session, other = world.session(mfa=False, task="enrol"), world.session(mfa=False, task="enrol")
    new = [
        NewPasskey("passkey", "a", Key().create(world.steps.creation_options(asked, PARTY, "passkey")))
        for asked in (session, other)
    ]
    added = world.steps.add(session, PARTY, new[0], CALL)
    assert isinstance(added, EnabledDevice)
    assert added.signed_in.session.task is None
    assert added.signed_in.session.mfa_at == world.now
    assert world.steps.add(other, PARTY, new[1], CALL) == "needs_factor"


@table(("quotas", "limit"), [((), 8), (("MFA devices per user=3",), 3)])
def test_number_of_factors_has_a_quota(quotas: tuple[str, ...], limit: int) -> None:
    """Of each kind together."""
    with opened_world(settings=Settings(quotas=quotas)) as world:
        for kind in islice(cycle(("passkey", "security key")), limit):
            world.add(kind=kind)
        assert enrol(world, Key()) == "too_many_factors"


def test_key_belongs_to_one_person(world: World) -> None:
    """Its id can't be enrolled again, by its owner or another person."""
    key = world.add("eve")
    assert enrol(world, replace(key)) == "refused"
    row = world.row(key)
    assert row is not None
    assert row["user_id"] == world.people["eve"].user_id


@table(
    ("name", "stored"),
    [("Ada's key", "Ada's key"), ("", "passkey"), ("\x00\n\u202e", "passkey"), ("a" * 100, "a" * 64), ("<b>", "<b>")],
)
def test_name_is_stored_without_what_is_not_printable(name: str, stored: str) -> None:
    with opened_world() as world:
        key = Key()
        enrol(world, key, name=name)
        row = world.row(key)
        assert row is not None
        assert row["name"] == stored


def test_synced_key_keeps_its_counter_of_zero(world: World) -> None:
    key = world.add(flags=PRESENT | VERIFIED | ELIGIBLE | BACKED_UP, step=0)
    for _ in range(3):
        assert world.sign_in(world.answer(key)) is not None
        world.pass_time(seconds=1)


# --- removal -----------------------------------------------------------------------------------------------------


def test_removed_key_signs_in_no_more(world: World) -> None:
    """With the last factor, recovery codes end, and a short password must be changed; sessions go on."""
    key, ada = world.add(), world.people["ada"]
    with world.guard.store.write_transaction() as records:
        records.update(login_profiles, {"is_long": False}, owner=ada.owner)
    session = world.session()
    row = world.row(key)
    assert row is not None
    for name in ("bob", "eve", "root"):
        assert world.own.remove_factor(world.session(name), row["serial"], CALL) == "refused"
    assert not isinstance(world.own.remove_factor(session, row["serial"], CALL), str)
    assert world.sign_in(world.answer(key)) is None
    assert world.last_check() == (False, "UnknownKey", "passkey")
    assert world.guard.people.browser_sessions.find_by_digest(session.digest) is not None
    [event] = [event for event in world.events if event.name == "MfaRemoved"]
    assert event.facts == {"MfaType": "passkey", "MFAIdentifier": row["serial"]}
    with world.guard.store.read_transaction() as records:
        profile = find_profile(records, ada)
        assert left(records, ada) == 0
    assert profile is not None
    assert profile["reset_required"]
    assert world.own.remove_factor(session, row["serial"], CALL) == "refused"


def test_key_ends_with_its_person(world: World) -> None:
    key = world.add()
    with world.guard.store.write_transaction() as records:
        records.delete(identities, id=world.people["ada"].user_id)
        assert records.all(passkeys) == []
    assert world.sign_in(world.answer(key)) is None
