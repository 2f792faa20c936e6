"""Password digests: argon2id in PHC form, one salt per owner, compared in NFKC, few at a time."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from iam_guard.authn.people.passwords import passwords
from iam_guard.authn.people.passwords.passwords import (
    MAX_CHARACTERS,
    PasswordHasher,
    normalized,
    shared_hasher,
    unmatchable,
)
from iam_guard.errors import InvalidInput, ServerBusy, StoreUnavailable
from tests.tables import table

HASHER = PasswordHasher(64, 1)


def raw_digest(text: str, memory: int = 64, passes: int = 1) -> str:
    """Return a digest of exactly this text, as they were stored before passwords were normalized."""
    kdf = Argon2id(salt=b"0" * 16, length=32, iterations=passes, lanes=1, memory_cost=memory)
    return kdf.derive_phc_encoded(text.encode())


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The arguments of all hashes."""
    calls: list[tuple[Any, ...]] = []
    derive = passwords._derive
    monkeypatch.setattr(passwords, "_derive", lambda *arguments: calls.append(arguments) or derive(*arguments))
    return calls


def test_digest_matches_only_its_password() -> None:
    """Case-sensitive; beyond ASCII too."""
    digest = HASHER.digest("Grüße, Welt 1")
    assert re.fullmatch(r"\$argon2id\$v=19\$m=64,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}", digest)
    assert HASHER.matches("Grüße, Welt 1", digest)
    assert not HASHER.matches("grüße, Welt 1", digest)
    assert not HASHER.matches("", digest)


def test_digests_of_different_owners_have_different_salts() -> None:
    assert HASHER.digest("the same") != HASHER.digest("the same")


def test_digests_of_one_owner_share_a_salt(derived: list[Any]) -> None:
    """So the digest of a new password is compared with all former ones."""
    former = [HASHER.digest("0")]
    former += [HASHER.digest(str(number), same_salt_as=former[0]) for number in range(1, 5)]
    assert len({digest.rsplit("$", 1)[0] for digest in former}) == 1
    third, fifth = (HASHER.digest(password, same_salt_as=former[-1]) for password in ("3", "5"))
    derived.clear()
    assert HASHER.matches_any("3", third, former)
    assert not HASHER.matches_any("5", fifth, former)
    assert derived == []


def test_digest_with_other_cost_is_still_compared() -> None:
    """Changed cost parameters don't invalidate old digests."""
    old = raw_digest("old", 128, 2)
    new = HASHER.digest("new", same_salt_as=old)
    assert new.split("$")[3] != old.split("$")[3]
    assert new.split("$")[4] == old.split("$")[4]
    assert HASHER.matches("old", old)
    for password, expected in (("old", True), ("new", True), ("neither", False)):
        digest = HASHER.digest(password, same_salt_as=new)
        assert HASHER.matches_any(password, digest, [new, old]) is expected
        assert HASHER.matches_any(password, digest, []) is False


@table(
    "damaged",
    [
        "",
        "$argon2id$",
        "plain",
        "$argon2i$v=19$m=64,t=1,p=1$MDAwMA$MDAwMA",
        "$argon2id$v=19$m=64,t=1,p=1$MDAwM$MDAwMA",
        "$argon2id$v=19$m=64,t=1,p=1$MDAwMA$MDAwMA",
        "$argon2id$v=19$m=1,t=1,p=1$MDAwMDAwMDAwMDAwMDAwMA$MDAwMA",
        "$argon2id$v=19$m=64,t=0,p=1$MDAwMDAwMDAwMDAwMDAwMA$MDAwMA",
        "$argon2id$v=19$m=99999999999,t=1,p=1$MDAwMDAwMDAwMDAwMDAwMA$MDAwMA",
    ],
)
def test_damaged_digest_raises_store_unavailable(damaged: str) -> None:
    """It never matches."""
    new = HASHER.digest("plain")
    for ask in (lambda: HASHER.matches("plain", damaged), lambda: HASHER.matches_any("plain", new, [damaged])):
        with pytest.raises(StoreUnavailable) as caught:
            ask()
        assert "plain" not in str(caught.value)


def test_default_cost_is_owasps_minimum() -> None:
    """The digest contains its cost."""
    assert "$m=19456,t=2,p=1$" in PasswordHasher().digest("password")


@table(
    ("cost", "expected"),
    [((64, 1), False), ((63, 1), True), ((65, 1), True), ((64, 2), True), ((32, 2), True)],
)
def test_digest_with_another_cost_is_outdated(cost: tuple[int, int], expected: bool) -> None:
    assert HASHER.is_outdated(raw_digest("old", *cost)) is expected


# --- Unicode and size --------------------------------------------------------------------------------------------


@table(
    ("stored", "typed"),
    [
        ("Ångström", "Ångström"),
        ("ﬁve ½ ª", "five 1⁄2 a"),
        ("no\u00a0break", "no break"),
        ("ＦＵＬＬ", "FULL"),
    ],
)
def test_password_matches_in_every_form(stored: str, typed: str) -> None:
    """Also as former ones."""
    for first, second in ((stored, typed), (typed, stored)):
        digest = HASHER.digest(first)
        assert HASHER.matches(second, digest)
        assert HASHER.matches_any(second, HASHER.digest(second, same_salt_as=digest), [digest])


@table("text", ["½ and more", "no\u00a0break", "ª²³", "plain"])
def test_digest_of_the_text_as_typed_matches(text: str) -> None:
    """As stored before passwords were normalized; but not what has the same normalized form."""
    old = raw_digest(text)
    assert HASHER.matches(text, old)
    assert HASHER.matches_any(text, HASHER.digest(text, same_salt_as=old), [old])
    assert HASHER.matches(normalized(text), old) is (normalized(text) == text)


@table("hostile", ["\ud800", "a\udfffb", "\0", "\0" * 128, "e" + "\u0301" * 127, "\U0010ffff", "\ufdfa" * 128])
def test_hostile_text_never_matches_and_never_raises(hostile: str) -> None:
    digest = HASHER.digest("something else")
    assert not HASHER.matches(hostile, digest)
    assert not HASHER.matches(hostile, None)
    assert HASHER.matches(hostile, HASHER.digest(hostile))


def test_long_password_is_not_hashed(derived: list[Any]) -> None:
    """Nor normalized: ten million characters cost nothing."""
    digest = HASHER.digest("x" * MAX_CHARACTERS)
    derived.clear()
    for size in (MAX_CHARACTERS + 1, 10_000_000):
        assert not HASHER.matches("x" * size, digest)
        assert not HASHER.matches("x" * size, None)
        with pytest.raises(InvalidInput):
            HASHER.digest("x" * size)
    assert derived == []


# --- time --------------------------------------------------------------------------------------------------------


@table("text", ["guess", "½ guess"])
def test_unknown_person_costs_as_much_as_a_known_one(text: str, derived: list[tuple[Any, ...]]) -> None:
    """Matching or not, and whatever the cost of the digest."""
    hasher = PasswordHasher(96, 2)
    digests = [None, hasher.digest("other"), hasher.digest(text), *(raw_digest("other", *cost) for cost in COSTS)]
    spent = []
    for digest in digests:
        derived.clear()
        hasher.matches(text, digest)
        spent.append(sum(memory * passes for _, _, memory, passes, _ in derived))
    assert spent == [96 * 2 * len({text, normalized(text)})] * len(digests)


COSTS = [(96, 1), (64, 1), (32, 2)]
"""Lower than the current one."""


# --- concurrency -------------------------------------------------------------------------------------------------


class Gate:
    """Counts the hashes that run at the same time, and lets them wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.running = self.most = 0
        self.threads: set[int] = set()
        self.opened = threading.Event()
        self.lock = threading.Lock()
        derive: Callable[..., str] = passwords._derive

        def counted(*arguments: Any) -> str:
            with self.lock:
                self.running += 1
                self.most = max(self.most, self.running)
                self.threads.add(threading.get_ident())
            self.opened.wait(10)
            try:
                return derive(*arguments)
            finally:
                with self.lock:
                    self.running -= 1

        monkeypatch.setattr(passwords, "_derive", counted)


def test_few_hashes_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """In few threads, each of which keeps the memory of a hash."""
    hasher, digest, gate = PasswordHasher(64, 1, parallel=2), HASHER.digest("right"), Gate(monkeypatch)
    with ThreadPoolExecutor(12) as pool:
        results = [pool.submit(hasher.matches, "right", digest) for _ in range(12)]
        gate.opened.set()
        assert all(result.result() for result in results)
    assert gate.most <= 2
    assert len(gate.threads) <= 2


def test_comparison_that_waits_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a retry; afterwards the thread is free again."""
    monkeypatch.setattr(passwords, "MAX_WAIT", 0.05)
    hasher, digest, gate = PasswordHasher(64, 1, parallel=1), HASHER.digest("right"), Gate(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(hasher.matches, "right", digest)
        while not gate.running:
            pass
        with pytest.raises(ServerBusy):
            hasher.matches("right", digest)
        gate.opened.set()
        assert first.result()
    assert hasher.matches("right", digest)


def test_failed_hash_frees_its_thread() -> None:
    hasher = PasswordHasher(64, 1, parallel=1)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            hasher.matches("x", "$argon2id$v=19$m=1,t=1,p=1$MDAwMDAwMDAwMDAwMDAwMA$MDAwMA")


def test_forked_child_has_its_own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the parent don't exist there."""
    hasher, digest, gate = PasswordHasher(64, 1, parallel=1), HASHER.digest("right"), Gate(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hasher.matches, "right", digest)
        while not gate.running:
            pass
        child = os.fork()
        if child == 0:
            gate.opened = threading.Event()
            gate.opened.set()
            gate.lock = threading.Lock()
            os._exit(0 if hasher.matches("right", digest) else 1)
        gate.opened.set()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert held.result()


def test_process_shares_the_threads_of_a_cost() -> None:
    """Those of writers are their own: they hold the store's lock."""
    assert shared_hasher(64, 1) is shared_hasher(64, 1)
    assert shared_hasher(64, 1) is not shared_hasher(64, 1, for_writers=True)


def test_damaged_digest_gives_no_cost() -> None:
    """Else one damaged row would be an outage for names that no person has."""
    assert unmatchable(None) is None
    for damaged in ("", "x", "$argon2id$v=19$m=8,t=0,p=1$c2FsdA$eA", "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$eA"):
        assert unmatchable(damaged) is None, damaged
    like = unmatchable("$argon2id$v=19$m=16,t=2,p=1$c2FsdA$eA")
    assert like is not None
    assert not HASHER.matches("password", like)
