"""Known callers of a guard: they end with what the store says, and a refusal shows nothing of them."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from iam_guard import Guard, Principal, Service
from iam_guard.audit.trail import Trail
from iam_guard.authn.api_key import format_api_key
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.signatures import sigv4
from iam_guard.errors import CredentialError, IamGuardError, InvalidClientTokenId
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.web.body_verification import EMPTY_HASH
from tests.audit.list_sink import ListSink
from tests.guard.test_sessions import ADA, ID, KEY, NOW, World, request_with, seed
from tests.tables import table

SECRET = ADA["access_keys"][0]["secret"]
UNUSED, UNUSED_SECRET = "AKIATESTUNUSED000001", "unused-secret-0123456789abcdefghijklmnop"
API_ID, API_SECRET = "ADASKEY1", "adasApiSecret0123456789abcdefghijklmnopq"
UNUSED_API_ID = "ADASKEY2"
USER = {
    **ADA,
    "access_keys": [*ADA["access_keys"], {"id": UNUSED, "secret": UNUSED_SECRET}],
    "api_keys": [{"id": id, "secret": API_SECRET} for id in (API_ID, UNUSED_API_ID)],
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "iam.json", Settings(epoch_poll=3600))  # no poll, however slow the machine is
    made.edit(seed(USER))
    yield made
    made.guard.close()


def signed(key_id: str = KEY, secret: str = SECRET, *, now: Any = NOW) -> HttpRequest:
    request = AWSRequest("GET", "http://testserver/documents/7", data=b"")
    with mock.patch("botocore.auth.get_current_datetime", return_value=now.replace(tzinfo=None)):
        botocore.auth.SigV4Auth(Credentials(key_id, secret), "docs", "us-east-1").add_auth(request)
    headers = [(b"host", b"testserver")]
    headers += [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
    return HttpRequest("GET", b"/documents/7", b"", tuple(headers))


def bearing(id: str = API_ID, secret: str = API_SECRET) -> HttpRequest:
    return HttpRequest("GET", b"/", b"", ((b"authorization", f"Bearer {format_api_key(id, secret)}".encode()),))


def authenticate(guard: Guard, request: HttpRequest) -> Principal:
    return guard.authenticate(request, payload_hash=lambda: EMPTY_HASH)


def is_known(guard: Guard, request: HttpRequest) -> bool:
    assert guard.known_credentials is not None
    now = guard.clock()
    return guard.known_credentials.principal(request, lambda: EMPTY_HASH, now, any_scope=False) is not None


def outcome(guard: Guard, request: HttpRequest) -> object:
    try:
        principal = authenticate(guard, request)
    except IamGuardError as error:
        return type(error), str(error)
    return principal, principal.credential, principal.session_policies


# --- known -------------------------------------------------------------------------------------------------------


def test_second_request_of_each_kind_is_known(world: World) -> None:
    """A key, a user's and a role's session, an API key; it counts and marks the key as used like the first."""
    for request in (signed(), world.request(world.user()), world.request(world.role()), bearing()):
        assert not is_known(world.guard, request)
        first = authenticate(world.guard, request)
        assert is_known(world.guard, request)
        with (
            mock.patch.object(world.guard.trail, "count_authentication") as count,
            mock.patch.object(world.guard.uses, "track_key") as track,
        ):
            assert authenticate(world.guard, request) is first
        assert first.credential is not None
        count.assert_called_once_with(first.credential.kind)
        track.assert_called_once_with(first.credential)


@table(
    "settings",
    [Settings(cache_size=0), Settings(replay_memory=100), Settings(client_certificates=("tls",))],
    ids=["no cache", "replay protection", "client certificates"],
)
def test_settings_leave_every_request_to_the_authenticator(world: World, settings: Settings) -> None:
    """The fast path is off."""
    guard = guard_on(world, settings)
    assert guard.known_credentials is None
    assert authenticate(guard, bearing()) == authenticate(world.guard, bearing())


def guard_on(world: World, settings: Settings) -> Guard:
    store = CachedStore(world.inner, settings)
    return Guard(store, Trail(ListSink()), settings, catalogues=[Service("docs").catalogue], clock=lambda: world.now)


# --- it ends with what the store says ----------------------------------------------------------------------------

INACTIVE = {**USER, "access_keys": [{"id": KEY, "secret": SECRET, "status": "Inactive"}], "api_keys": []}
ROTATED = {
    **USER,
    "access_keys": [{"id": KEY, "secret": SECRET[::-1]}],
    "api_keys": [{"id": API_ID, "secret": API_SECRET[::-1]}],
}
RECREATED = {**USER, "name": "eve"}


@table("users", [[], [INACTIVE], [ROTATED], [RECREATED]], ids=["deleted", "inactive", "rotated", "recreated"])
def test_change_of_the_store_has_result_of_full_verification(world: World, users: list[dict[str, Any]]) -> None:
    """At once, for known and for unknown callers."""
    in_full = guard_on(world, Settings(cache_size=0))
    requests = [signed(), world.request(world.user()), world.request(world.role()), bearing()]
    for request in requests:
        authenticate(world.guard, request)
    for text in (seed(*users), seed(USER)):
        world.edit(text)
        in_full.refresh()
        for _ in range(2):
            for request in requests:
                assert outcome(world.guard, request) == outcome(in_full, request)


def test_known_session_expires(world: World) -> None:
    """Though its signature is still valid."""
    request = request_with(world.store.seal_session(world.role(expires=NOW + timedelta(seconds=10))))
    principal = authenticate(world.guard, request)
    world.now = NOW + timedelta(seconds=9)
    assert authenticate(world.guard, request) is principal
    for seconds in (10, 11, 200):
        world.now = NOW + timedelta(seconds=seconds)
        assert not is_known(world.guard, request)


def test_unreachable_store_is_noticed(world: World) -> None:
    """A poll that is due is not skipped."""
    clock = [0.0]
    store = CachedStore(world.inner, Settings(), clock=lambda: clock[0])
    guard = Guard(store, Trail(ListSink()), Settings(), clock=lambda: world.now)
    for request in (signed(), bearing()):
        authenticate(guard, request)
        assert is_known(guard, request)
    clock[0] += Settings().epoch_poll
    for request in (signed(), bearing()):
        assert not is_known(guard, request)


def test_changed_key_is_noticed_by_all_threads(world: World) -> None:
    """A request that starts after the change has its result, while threads use the key all the time."""
    requests, users = [signed(), bearing()], ([USER], [INACTIVE])
    phase, last = 0, 40  # odd while the store changes; every fourth one has inactive keys
    answers: list[dict[int, set[bool]]] = [defaultdict(set) for _ in range(4)]  # one of each thread, by phase

    def use(number: int) -> None:
        while phase < last:
            before = phase
            refused = is_refused(world.guard, requests[number % 2])
            if phase == before and not before % 2:
                answers[number][before].add(refused)
            time.sleep(0.0001)

    with ThreadPoolExecutor(4) as pool:
        threads = [pool.submit(use, number) for number in range(4)]
        while phase < last and not any(thread.done() for thread in threads):
            if phase % 2 or all(phase in found for found in answers):
                phase += 1
            if phase % 2:
                world.edit(seed(*users[(phase + 1) // 2 % 2]))
            time.sleep(0.0001)
        phase = last
    for thread in threads:
        thread.result()
    assert answers == [{at: {bool(at // 2 % 2)} for at in range(0, last, 2)}] * 4


def is_refused(guard: Guard, request: HttpRequest) -> bool:
    try:
        authenticate(guard, request)
    except InvalidClientTokenId:
        return True
    return False


# --- a refusal takes the same work -------------------------------------------------------------------------------


class Work:
    """The hashes that were computed, and the answers that the store was asked for."""

    def __init__(self) -> None:
        self.hashes = 0
        self.lookups = 0

    @property
    def counts(self) -> tuple[int, int]:
        return self.hashes, self.lookups


@contextmanager
def counted(guard: Guard) -> Iterator[Work]:
    work = Work()
    sha256, digest, signature = hashlib.sha256, hmac.digest, sigv4.SigningKey.signature

    def count_sha256(data: bytes = b"") -> Any:
        work.hashes += 1
        return sha256(data)

    def count_digest(key: bytes, text: bytes, name: str) -> bytes:
        work.hashes += 1
        return digest(key, text, name)

    def count_signature(key: sigv4.SigningKey, text: bytes) -> str:
        work.hashes += 1
        return signature(key, text)

    before = lookups(guard)
    with (
        mock.patch.object(hashlib, "sha256", count_sha256),
        mock.patch.object(hmac, "digest", count_digest),
        mock.patch.object(sigv4.SigningKey, "signature", count_signature),
    ):
        yield work
    work.lookups = lookups(guard) - before


def lookups(guard: Guard) -> int:
    caches = guard.usage().caches
    return sum(caches[kind].hits + caches[kind].misses for kind in ("access_key", "api_key"))


def work_of(guard: Guard, request: HttpRequest, *, cache_only: bool = False) -> tuple[int, int]:
    with counted(guard) as work, pytest.raises(CredentialError):
        guard.authenticate(request, payload_hash=lambda: EMPTY_HASH, cache_only=cache_only)
    return work.counts


def test_refused_signatures_take_the_same_work(world: World) -> None:
    """A known key, one that was never used, an inactive and an unknown one; the first time, and again (R-31)."""
    world.edit(
        seed(
            USER,
            {
                **INACTIVE,
                "name": "old",
                "access_keys": [{"id": "AKIATESTOLD000000001", "secret": "x", "status": "Inactive"}],
            },
        )
    )
    authenticate(world.guard, signed())
    assert is_known(world.guard, signed())
    ids = (KEY, UNUSED, "AKIATESTOLD000000001", "AKIATESTMISSING00001")
    requests = [signed(id, "guess") for id in ids]
    assert len({work_of(world.guard, request) for request in requests}) == 1
    assert len({work_of(world.guard, request, cache_only=True) for request in requests}) == 1
    assert is_known(world.guard, signed())


def test_refused_sessions_take_the_same_work(world: World) -> None:
    """A known session, one that was never used, an expired and an unknown one, each with a wrong signature."""
    requests = []
    for session in (world.user(), replace(world.user(), access_key_id=f"{ID[:-1]}2")):
        token = world.store.seal_session(session)
        if not requests:
            authenticate(world.guard, request_with(token))
            assert is_known(world.guard, request_with(token))
        requests.append(request_with(token, "guess", key_id=session.access_key_id))
    requests.append(request_with("igst_unknown", "guess"))
    hashes = []
    for request in requests:
        work_of(world.guard, request)
        hashes.append(work_of(world.guard, request)[0])
    assert len(set(hashes)) == 1


def test_refused_api_keys_take_the_same_work(world: World) -> None:
    """A known key, one that was never used, and an unknown one, each with a wrong secret."""
    authenticate(world.guard, bearing())
    assert is_known(world.guard, bearing())
    requests = [bearing(id, API_SECRET[::-1]) for id in (API_ID, UNUSED_API_ID, "MISSINGKEY")]
    assert len({work_of(world.guard, request) for request in requests}) == 1
    assert len({work_of(world.guard, request, cache_only=True) for request in requests}) == 1


def test_known_key_that_was_deactivated_takes_the_same_work(world: World) -> None:
    """As an unknown one, with the right secret too."""
    for request in (signed(), bearing()):
        authenticate(world.guard, request)
    world.edit(seed(INACTIVE))
    for request in (signed("AKIATESTMISSING00001"), bearing("MISSINGKEY")):
        work_of(world.guard, request)
    assert work_of(world.guard, signed()) == work_of(world.guard, signed("AKIATESTMISSING00001"))
    assert work_of(world.guard, bearing()) == work_of(world.guard, bearing("MISSINGKEY"))
