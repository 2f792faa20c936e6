"""Known signers: the result is that of the authenticator for every request, or None."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import ReceivedCertificate
from iam_guard.authn.signatures.accepted_scope import AcceptedScope
from iam_guard.authn.signatures.sigv4 import signing_key
from iam_guard.errors import IamGuardError, RequestTooLarge
from iam_guard.model.credential import AccessKey, Session
from iam_guard.model.principal import Credential, Principal
from tests.authn.known_records import KnownFirst, MemoryRecords, outcome
from tests.authn.signing import ACCESS_KEY, ALICE, EMPTY_HASH, KEY_ID, NOW, STAMP, Received, send, sign, with_header
from tests.authn.signing import SECRET as SECRET_KEY
from tests.tables import table

URL = "http://127.0.0.1:8000/documents/42"
PLAIN = send(sign())
WITH_QUERY = send(sign(url=f"{URL}?b=2&a-b=3&a=1"))
WITH_BODY = send(sign("PUT", headers=[("X-Custom", "a b"), ("Content-Type", "text/plain")], body=b"some text"))
WITH_HASH = send(sign(headers=[("X-Amz-Content-SHA256", EMPTY_HASH)]))

TOKEN, SESSION_ID, SECRET = "token-of-the-session", "ASIAIOSFODNN7EXAMPLE", "secret-of-the-session"
ROLE = Principal.from_arn(
    "arn:aws:sts::123456789012:assumed-role/Auditor/ada",
    role_arn="arn:aws:iam::123456789012:role/Auditor",
    userid="AROAEXAMPLE:ada",
)
ROLE_SESSION = Session(SESSION_ID, SECRET, ROLE, NOW, NOW + timedelta(seconds=60))
USER_SESSION = replace(ROLE_SESSION, principal=ALICE, parent_key_id=KEY_ID)
IN_SESSION = send(sign(key_id=SESSION_ID, secret=SECRET, token=TOKEN))

TITLE_CASE = tuple((name.title(), value) for name, value in PLAIN.request.headers)
SIGNED = [PLAIN, WITH_QUERY, WITH_BODY, WITH_HASH, IN_SESSION]


def knowing(session: Session = ROLE_SESSION) -> KnownFirst:
    return KnownFirst(MemoryRecords(ACCESS_KEY), open_session=lambda token: session if token == TOKEN else None)


# --- known -------------------------------------------------------------------------------------------------------


@table("received", SIGNED, ids=["plain", "query", "body", "hash", "session"])
def test_repeated_request_has_identical_principal(received: Received) -> None:
    """Policies are cached by its identity."""
    verifier = knowing()
    principal = verifier.learn(received)
    assert principal.credential is not None
    assert verifier.attempt(received) is principal
    assert verifier.verify(received) is principal


def test_values_of_next_request_may_differ() -> None:
    """Method, path, query, body, values and time are those of each request."""
    verifier = knowing()
    principal = verifier.learn(WITH_BODY)
    headers = [("X-Custom", "other"), ("Content-Type", "application/json")]
    later = NOW + timedelta(seconds=10)
    other = send(sign("POST", f"{URL}/lines/7?z=1&y", headers=headers, body=b"other text", now=later))
    assert verifier.attempt(other, later) is principal


def test_unrelated_change_of_store_keeps_signer_known() -> None:
    """The generations of its records are current."""
    records = MemoryRecords(ACCESS_KEY)
    verifier = KnownFirst(records)
    principal = verifier.learn(PLAIN)
    records.touch()
    assert verifier.attempt(PLAIN) is principal


# --- left to the authenticator -----------------------------------------------------------------------------------


@table(
    "received",
    [
        send(sign(url="http://127.0.0.1:8000/a%20b")),
        send(sign(url="http://127.0.0.1:8000/a//b")),
        send(sign(url="http://127.0.0.1:8000/.well-known/a")),
        send(sign(url="http://127.0.0.1:8000/a:b")),
        send(sign(url="http://127.0.0.1:8000/" + "a" * 8192)),
        send(sign(url=f"{URL}?X-Amz-Signature=a")),
        send(sign(url=f"{URL}?a=1&AWSAccessKeyId=a")),
        send(sign(url=f"{URL}?a={'a' * 8192}")),
        send(sign(url=f"{URL}?{'a&' * 250}")),
        with_header(PLAIN, b"x-amz-date", b" 20261124T123015Z"),
        with_header(PLAIN, b"host", b" 127.0.0.1:8000"),
        Received(HttpRequest("GET", PLAIN.request.raw_path, b"", TITLE_CASE)),
    ],
)
def test_unusual_form_is_left_to_authenticator(received: Received) -> None:
    """Even if it is good, and was verified before."""
    verifier = knowing()
    verifier.learn(PLAIN)
    before = len(verifier.known.signers)
    outcome(lambda: verifier.verify(received))
    assert verifier.attempt(received) is None
    assert len(verifier.known.signers) <= before + 1


def signed_by_hand(received: Received, *lines: bytes, payload_hash: str = EMPTY_HASH) -> Received:
    """Sign other lines of headers, or another hash of the body, than those of the request."""
    request = received.request
    [authorization] = request.values(b"authorization")
    names = authorization.partition(b"SignedHeaders=")[2].partition(b",")[0]
    canonical = [request.method.encode(), request.raw_path, b"", *lines, b"", names, payload_hash.encode()]
    digest = hashlib.sha256(b"\n".join(canonical)).hexdigest()
    [stamp] = request.values(b"x-amz-date")
    text = f"AWS4-HMAC-SHA256\n{stamp.decode()}\n20261124/eu-west-1/docs/aws4_request\n{digest}"
    signature = signing_key(SECRET_KEY, "20261124", "eu-west-1", "docs").signature(text.encode())
    return in_place(received, b"authorization", authorization[:-64] + signature.encode())


def test_signature_of_another_form_is_left_to_authenticator() -> None:
    """A client with the key that signs header values as sent, no path, or two hashes of the body is refused."""
    host, date = b"host:127.0.0.1:8000", b"x-amz-date:" + STAMP.encode()
    verifier = knowing()
    principal = verifier.learn(PLAIN)
    assert verifier.attempt(signed_by_hand(PLAIN, host, date)) is principal
    verifier.learn(WITH_HASH)
    other_hash, without_path = b"0" * 64, replace(PLAIN.request, raw_path=b"")
    for wrong in (
        signed_by_hand(in_place(PLAIN, b"host", b"127.0.0.1:8000 "), host + b" ", date),
        signed_by_hand(replace(PLAIN, request=without_path), host, date),
        signed_by_hand(
            in_place(WITH_HASH, b"x-amz-content-sha256", other_hash), host, b"x-amz-content-sha256:" + other_hash, date
        ),
    ):
        assert verifier.attempt(wrong) is None
        with pytest.raises(IamGuardError):
            verifier.verify(wrong)


def test_scope_of_another_day_is_left_to_authenticator() -> None:
    """Around midnight, the time of a signature is valid in a scope of its own day only."""
    now = NOW.replace(hour=23, minute=59, second=58)
    verifier, late = knowing(), send(sign(now=now))
    verifier.learn(late, now)
    tomorrow = in_place(late, b"x-amz-date", b"20261125T000003Z")
    wrong = signed_by_hand(tomorrow, b"host:127.0.0.1:8000", b"x-amz-date:20261125T000003Z")
    assert verifier.attempt(wrong, now) is None
    with pytest.raises(IamGuardError, match="Date in Credential scope does not match"):
        verifier.verify(wrong, now)


def in_place(received: Received, name: bytes, value: bytes) -> Received:
    """Replace the value of a header, which keeps its place."""
    headers = tuple([(each, value if each == name else old) for each, old in received.request.headers])
    return replace(received, request=replace(received.request, headers=headers))


def test_signed_public_host_is_left_to_authenticator() -> None:
    """The application routes by it, so its principal is not that of the received host."""
    verifier = KnownFirst(MemoryRecords(ACCESS_KEY), public_hosts=("docs.example.com",))
    rewritten = in_place(send(sign(url="http://docs.example.com/documents/42")), b"host", b"127.0.0.1:8000")
    assert [name for name, _ in rewritten.request.headers] == [name for name, _ in PLAIN.request.headers]
    for _ in range(2):
        assert verifier.attempt(rewritten) is None
        public = verifier.verify(rewritten).credential
        assert public is not None
        assert public.host == "docs.example.com"
        known = verifier.attempt(PLAIN)
        assert known is None or known is verifier.verify(PLAIN)
        received = verifier.learn(PLAIN).credential
        assert received is not None
        assert received.host is None


def test_signer_with_header_of_another_form_is_not_added() -> None:
    """The signature must be the end of the header."""
    [authorization] = PLAIN.request.values(b"authorization")
    verifier = knowing()
    for other in (authorization.replace(b", ", b","), authorization + b" "):
        received = in_place(PLAIN, b"authorization", other)
        assert verifier.verify(received) == ALICE
        assert verifier.attempt(received) is None
    assert len(verifier.known.signers) == 0


def test_client_certificate_is_left_to_authenticator() -> None:
    """It is a second credential."""
    verifier = knowing()
    verifier.learn(PLAIN)
    certificates = (ReceivedCertificate("tls", (b"certificate",)),)
    both = replace(PLAIN, request=replace(PLAIN.request, certificates=certificates))
    assert verifier.attempt(both) is None
    with pytest.raises(IamGuardError, match="expected one credential"):
        verifier.verify(both)


def test_due_poll_leaves_all_to_authenticator() -> None:
    """The store's freshness is its own matter."""
    records = MemoryRecords(ACCESS_KEY)
    verifier = KnownFirst(records)
    principal = verifier.learn(PLAIN)
    records.is_due = True
    assert verifier.attempt(PLAIN) is None
    records.is_due = False
    assert verifier.attempt(PLAIN) is principal


def test_headers_over_the_limit_are_left_to_authenticator() -> None:
    """The names count too."""
    size = sum(len(name) + len(value) for name, value in PLAIN.request.headers)
    padded = with_header(PLAIN, b"x-padding", b"p")
    for limit, is_known in ((size + len("x-padding") + 1, True), (size + len("x-padding"), False)):
        verifier = KnownFirst(MemoryRecords(ACCESS_KEY), max_header=limit)
        verifier.verify(padded)
        assert (verifier.attempt(padded) is not None) is is_known


def test_signer_for_any_scope_is_unknown_to_others() -> None:
    """The IAM API accepts services that the application does not; a later check serves both."""
    verifier = KnownFirst(MemoryRecords(ACCESS_KEY), accepted=AcceptedScope(("eu-west-1",), frozenset({"docs"})))
    other = send(sign(service="iam"))
    principal = verifier.verify(other, any_scope=True)
    assert verifier.attempt(other, any_scope=True) is principal
    assert verifier.attempt(other) is None
    accepted = verifier.verify(PLAIN, any_scope=True)
    assert verifier.attempt(PLAIN) is None
    assert verifier.verify(PLAIN) is accepted
    assert verifier.attempt(PLAIN) is verifier.attempt(PLAIN, any_scope=True) is accepted
    verifier.verify(PLAIN, any_scope=True)
    assert verifier.attempt(PLAIN) is accepted


# --- the law: as the authenticator, or None -----------------------------------------------------------------------

BYTES = st.sampled_from([*b"0aZ/=;,. \t%+&?-_~.\n\xff"])


@st.composite
def changed_bytes(draw: st.DrawFn, text: bytes) -> bytes:
    """Replace, insert or remove one byte, or flip one bit."""
    at = draw(st.integers(0, max(len(text) - 1, 0)))
    match draw(st.sampled_from(["replace", "insert", "remove", "flip"])):
        case "replace":
            return text[:at] + bytes([draw(BYTES)]) + text[at + 1 :]
        case "insert":
            return text[:at] + bytes([draw(BYTES)]) + text[at:]
        case "remove":
            return text[:at] + text[at + 1 :]
        case _:
            return text[:at] + bytes([text[at] ^ (1 << draw(st.integers(0, 7)))]) + text[at + 1 :] if text else b"x"


@st.composite
def changed_headers(draw: st.DrawFn, headers: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    items = list(headers)
    at = draw(st.integers(0, len(items) - 1))
    name, value = items[at]
    match draw(st.sampled_from(["value", "name", "case", "remove", "repeat", "order", "add", "swap"])):
        case "value":
            items[at] = name, draw(changed_bytes(value))
        case "name":
            items[at] = draw(changed_bytes(name)), value
        case "case":
            items[at] = name.upper(), value
        case "remove":
            del items[at]
        case "repeat":
            items.insert(draw(st.integers(0, len(items))), (name, draw(st.sampled_from([value, b"", b"other"]))))
        case "order":
            items = draw(st.permutations(items))
        case "add":
            further = [
                (b"x-api-key", b"igk_K7Q2EXAMPLE_x"),
                (b"authorization", value),
                (b"x-amz-security-token", TOKEN.encode()),
                (b"x-amz-content-sha256", EMPTY_HASH.encode()),
                (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
                (b"x-amz-target", b"a"),
                (b"X-Amz-Target", b"a"),
                (b"date", b"Tue, 24 Nov 2026 12:30:15 GMT"),
                (b"x-free", b"  anything "),
            ]
            items.insert(draw(st.integers(0, len(items))), draw(st.sampled_from(further)))
        case _:
            other = draw(st.integers(0, len(items) - 1))
            items[at], items[other] = (name, items[other][1]), (items[other][0], value)
    return tuple(items)


@st.composite
def changed(draw: st.DrawFn, received: Received) -> Received:
    request, body = received.request, received.body
    method, path, query, headers = request.method, request.raw_path, request.query_string, request.headers
    for part in draw(st.lists(st.sampled_from(["method", "path", "query", "headers", "headers", "body"]), max_size=2)):
        match part:
            case "method":
                method = draw(st.sampled_from(["GET", "HEAD", "PUT", "get", ""]))
            case "path":
                path = draw(changed_bytes(path))
            case "query":
                further = [b"a=1&a-b=3&b=2", b"X-Amz-Signature=a", b"x-amz-%63redential", b"&", b"a=1&b=2&a-b=3"]
                query = draw(st.sampled_from(further) | changed_bytes(query))
            case "body":
                body = draw(changed_bytes(body))
            case _:
                headers = draw(changed_headers(headers))
    return Received(HttpRequest(method, path, query, tuple(headers)), body)


@settings(max_examples=800)
@given(st.data(), st.sampled_from(range(len(SIGNED))), st.sampled_from([0, 0, 0, 59, 60, -299, -300, 298, 299, 300]))
def test_attempt_is_as_authenticator_or_none(data: st.DataObject, which: int, seconds: int) -> None:
    """Whatever was changed, added, moved or removed, and whenever it arrives."""
    verifier = knowing()
    for one in SIGNED:
        verifier.learn(one)
    received, now = data.draw(changed(SIGNED[which])), NOW + timedelta(seconds=seconds)
    attempted = verifier.attempt(received, now)
    in_full = outcome(lambda: knowing().verify(received, now))
    if attempted is not None:
        assert (attempted, attempted.credential) == in_full
    assert outcome(lambda: verifier.verify(received, now)) == in_full
    again = verifier.attempt(received, now)
    if again is not None:
        assert (again, again.credential) == in_full


@table("seconds", [0, 59, 60, -299, -300, 298.5, 299, 300, 301])
@table("received", [PLAIN, IN_SESSION], ids=["key", "session"])
def test_time_is_checked_for_each_request(received: Received, seconds: float) -> None:
    """Known until the session expires, or the signature is too old to be valid however it is rounded."""
    verifier, now = knowing(), NOW + timedelta(seconds=seconds)
    principal = verifier.learn(received)
    is_over = received is IN_SESSION and seconds >= 60
    assert verifier.attempt(received, now) is (principal if abs(seconds) < 299 and not is_over else None)


# --- it ends with the record --------------------------------------------------------------------------------------


@table("record", [None, replace(ACCESS_KEY, active=False), replace(ACCESS_KEY, secret="new"), replace(ACCESS_KEY)])
@table("received", [PLAIN, IN_SESSION], ids=["key", "session of the user"])
def test_changed_record_ends_known_signer(received: Received, record: AccessKey | None) -> None:
    """A deleted, deactivated, rotated and recreated key, also the parent key of a session (S-51)."""
    records = MemoryRecords(ACCESS_KEY)
    verifier = KnownFirst(records, open_session=lambda _: USER_SESSION)
    principal = verifier.learn(received)
    records.change(KEY_ID, record)
    assert verifier.attempt(received) is None
    assert len(verifier.known.signers) == 0
    records.change(KEY_ID, ACCESS_KEY)
    assert verifier.learn(received) == principal


def test_renamed_user_has_new_principal() -> None:
    """P-10: also in a session."""
    records = MemoryRecords(ACCESS_KEY)
    verifier = KnownFirst(records, open_session=lambda _: USER_SESSION)
    for received in (PLAIN, IN_SESSION):
        verifier.learn(received)
    renamed = replace(ALICE, arn=f"{ALICE.arn}-renamed")
    records.change(KEY_ID, replace(ACCESS_KEY, principal=renamed))
    for received in (PLAIN, IN_SESSION):
        assert verifier.attempt(received) is None
        assert verifier.learn(received).arn == renamed.arn


def test_record_that_changed_meanwhile_is_not_added() -> None:
    """The caller was derived from a record that is no longer the current one."""
    records = MemoryRecords(ACCESS_KEY)
    verifier = KnownFirst(records)
    old = replace(verifier.in_full, find_access_key=lambda _: replace(ACCESS_KEY))
    assert old.authenticate(PLAIN.request, payload_hash=lambda: EMPTY_HASH, now=NOW) == ALICE
    assert len(verifier.known.signers) == 0


def test_attempt_hashes_as_much_for_unknown_signer() -> None:
    """A client without a key can guess the headers of one, and send long values of them."""
    headers = [("Content-Type", "text/plain"), ("X-Custom", "a" * 20_000)]
    verifier, known, unknown = knowing(), sign(headers=headers), sign(headers=headers, key_id=KEY_ID[::-1])
    verifier.learn(send(known))
    sizes, sha256 = [], hashlib.sha256
    for signed in (known, unknown):
        wrong = send(signed)
        wrong = in_place(wrong, b"content-type", b"text/other")
        with mock.patch.object(hashlib, "sha256", lambda data: sizes.append(len(data)) or sha256(data)):
            assert verifier.known.signers.principal("GET", b"/", b"", dict(wrong.request.headers), b"", NOW) is None
    assert len(sizes) == 2
    assert sizes[0] == sizes[1] > 20_000


def test_long_signed_headers_are_refused() -> None:
    """Canonicalizing them copies them, before the caller is known; of a known one, too."""
    verifier = knowing()
    long = sign(headers=[("X-Custom", "a" * 25_000)])
    with pytest.raises(RequestTooLarge, match="24576 bytes of signed headers"):
        verifier.verify(send(long))
    assert verifier.known.signers.principal("GET", b"/", b"", dict(send(long).request.headers), b"", NOW) is None


# --- the cache ----------------------------------------------------------------------------------------------------


def test_only_verified_signers_are_added() -> None:
    """Clients without a key cannot fill the cache."""
    verifier = knowing()
    for number in range(20):
        with pytest.raises(IamGuardError):
            verifier.verify(send(sign(region=f"region-{number}", secret="guess")))
    assert len(verifier.known.signers) == 0


def test_cache_is_bounded() -> None:
    """The oldest entry leaves first; long and many names are not kept at all."""
    verifier = KnownFirst(MemoryRecords(ACCESS_KEY), size=2)
    variants = [with_header(PLAIN, f"x-{number}".encode(), b"a") for number in range(3)]
    for variant in variants:
        verifier.learn(variant)
    assert [verifier.attempt(variant) is not None for variant in variants] == [False, True, True]
    numbered = tuple([(f"x-{number}".encode(), b"a") for number in range(100)])
    many = replace(PLAIN, request=HttpRequest("GET", PLAIN.request.raw_path, b"", PLAIN.request.headers + numbered))
    for large in (with_header(PLAIN, b"x" * 4096, b"a"), many):
        verifier.verify(large)
        assert verifier.attempt(large) is None
    assert len(verifier.known.signers) == 2


def test_entries_do_not_show_secrets() -> None:
    """An entry can be logged: its repr has no secrets."""
    verifier = knowing()
    verifier.learn(IN_SESSION)
    shown = repr(vars(verifier.known.signers))
    assert TOKEN not in shown
    assert SECRET not in shown


def test_threads_are_not_confused() -> None:
    """Threads that add and evict each other's signers get their own principal, or none."""
    keys = [
        replace(ACCESS_KEY, id=f"AKIAEXAMPLE{number}", principal=replace(ALICE, userid=f"AIDA{number}"))
        for number in range(5)
    ]
    verifier = KnownFirst(MemoryRecords(*keys), size=3)
    requests = [send(sign(key_id=key.id)) for key in keys]

    def hammer(number: int) -> bool:
        at = number % len(keys)
        attempted = verifier.attempt(requests[at])
        principal = verifier.verify(requests[at]) if attempted is None else attempted
        return principal.userid == f"AIDA{at}" and principal.credential == Credential(
            "sigv4", keys[at].id, "eu-west-1", "docs"
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(hammer, range(3000)))
    assert len(verifier.known.signers) <= 3
