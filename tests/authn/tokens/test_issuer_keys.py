"""Token signatures and issuers' keys: discovery, rotation, outages (jws, issuer_keys, https_fetch, token_verifier)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iam_guard.authn.tokens.https_fetch import MAX_BODY, Fetcher
from iam_guard.authn.tokens.issuer_keys import MAX_WAITING, MAX_WAITING_FOR_ALL, Intervals, IssuerKeys
from iam_guard.authn.tokens.jws import is_signed, read_key_set
from iam_guard.authn.tokens.oidc_token import ALGORITHMS, Token, read_token
from iam_guard.authn.tokens.token_verifier import TokenVerifier
from iam_guard.errors import ConfigurationError, IamGuardError, IdentityProviderUnavailable, InvalidIdentityToken
from iam_guard.settings import Settings
from tests.audit.pipelines import eventually
from tests.authn.issuer import NAME, Issuer, SigningKey, encoded, publishing, signed
from tests.tables import table

RSA, EC, ED = SigningKey("RS256", "rsa"), SigningKey("ES256", "ec"), SigningKey("EdDSA", "ed")


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with publishing(Issuer()) as made:
        yield made


def reading(text: str, algorithms: Collection[str] = ALGORITHMS) -> Token:
    return read_token(text, algorithms=algorithms)


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def is_good(text: str, *keys: dict[str, Any]) -> bool:
    try:
        token = reading(text)
    except InvalidIdentityToken:
        return False
    return is_signed(token, read_key_set(key_set(*keys)).candidates(token))


CLAIMS = Issuer().claims(iat=1_795_521_600, exp=1_795_522_200)

# --- signatures --------------------------------------------------------------------------------------------------


@table("algorithm", sorted(ALGORITHMS))
def test_every_algorithm_verifies(algorithm: str) -> None:
    """RFC 7518, 8037: signed by `cryptography`; another key is refused."""
    key, other = SigningKey(algorithm), SigningKey(algorithm)
    text = signed(key, CLAIMS)
    assert is_good(text, key.jwk())
    assert not is_good(text, other.jwk())
    assert is_good(text, other.jwk(kid="other"), key.jwk())
    assert is_good(text, other.jwk(), key.jwk())  # two keys with one id: each is tried


def test_settings_have_all_algorithms() -> None:
    """The lists of settings and verifier are equal; no algorithm is symmetric."""
    assert set(Settings().oidc_algorithms) <= ALGORITHMS.keys()
    assert not any(name.startswith("HS") for name in ALGORITHMS)


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=lambda key: key.algorithm)
@settings(max_examples=150, suppress_health_check=[HealthCheck.differing_executors])
@given(data=st.data())
def test_token_with_flipped_bit_is_refused(key: SigningKey, data: st.DataObject) -> None:
    """In the sent text, so in header, claims, signature and dots."""
    text = signed(key, CLAIMS).encode()
    bit = data.draw(st.integers(0, 8 * len(text) - 1))
    flipped = bytearray(text)
    flipped[bit // 8] ^= 1 << bit % 8
    assert is_good(text.decode(), key.jwk())
    assert not is_good(flipped.decode("latin-1"), key.jwk())


def hmac_signed(header: dict[str, Any], secret: bytes) -> str:
    text = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(CLAIMS).encode())}"
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def public_forms(key: SigningKey) -> list[bytes]:
    """Return the bytes that a verifier which confuses algorithms could use as secret."""
    public = key.private.public_key()
    forms = [(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)]
    forms.append((serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    found: list[bytes] = [public.public_bytes(*form) for form in forms]
    return [*found, json.dumps(key.jwk()).encode(), base64.urlsafe_b64decode(key.jwk()["n"] + "=="), b""]


@table("algorithm", ["HS256", "hs256", "none", "RS256", "ES256"])
def test_hmac_with_public_key_is_refused(algorithm: str) -> None:
    """RFC 8725 2.1: signed by HMAC with the public key, under this name or another."""
    for secret in public_forms(RSA):
        assert not is_good(hmac_signed({"alg": algorithm, "kid": "rsa"}, secret), RSA.jwk())


@table("algorithm", sorted(ALGORITHMS.keys() - {"RS256"}))
def test_token_cannot_choose_its_algorithm(algorithm: str) -> None:
    """A signature of one algorithm is not valid for another, whatever the header says."""
    assert not is_good(signed(RSA, CLAIMS, {"alg": algorithm}), RSA.jwk(), EC.jwk(kid="rsa"), ED.jwk(kid="rsa"))


def test_symmetric_key_in_the_set_is_skipped() -> None:
    """A published secret is no secret."""
    secret = {"kty": "oct", "k": encoded(b"s" * 32), "kid": "oct"}
    assert read_key_set(key_set(secret)).keys == ()
    for algorithm in ("HS256", "RS256"):
        assert not is_good(hmac_signed({"alg": algorithm, "kid": "oct"}, b"s" * 32), secret)


def test_empty_signature_is_refused() -> None:
    """CVE-2022-21449 and similar: zeros are no signature."""
    text = signed(EC, CLAIMS).rpartition(".")[0]
    for zeros in (bytes(64), bytes(63), bytes(65), bytes(1), b"\x00" * 63 + b"\x01"):
        assert not is_good(f"{text}.{encoded(zeros)}", EC.jwk())


PRIVATE = {"d": encoded(b"d" * 32)}
LEFT_OUT = {
    "for encryption": (RSA, RSA.jwk(use="enc")),
    "for something else": (RSA, RSA.jwk(key_ops=["encrypt"])),
    "for another algorithm": (RSA, RSA.jwk(alg="RS512")),
    "another id": (RSA, RSA.jwk(kid="other")),
    "no id": (RSA, {name: value for name, value in RSA.jwk().items() if name != "kid"}),
    "a number as id": (RSA, RSA.jwk(kid=7)),
    "a private one": (EC, EC.jwk(**PRIVATE)),
    "another curve": (EC, EC.jwk(crv="P-384")),
    "a point that is not on the curve": (EC, EC.jwk(x=encoded(b"x" * 32))),
    "no curve": (EC, {name: value for name, value in EC.jwk().items() if name != "crv"}),
    "another kind": (RSA, RSA.jwk(kty="EC")),
    "no numbers": (RSA, {"kty": "RSA", "kid": "rsa"}),
    "an even exponent": (RSA, RSA.jwk(e="Ag")),
    "numbers as numbers": (RSA, RSA.jwk(n=7)),
}


@table(("key", "jwk"), LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_unsuitable_key_is_skipped(key: SigningKey, jwk: dict[str, Any]) -> None:
    """RFC 7517: `use`, `key_ops`, `alg`, `kid`; and malformed keys."""
    assert is_good(signed(key, CLAIMS), key.jwk())
    assert not is_good(signed(key, CLAIMS), jwk)


def test_short_keys_are_skipped() -> None:
    """NIST SP 800-131A: at least 2048 bits."""
    short = SigningKey("RS256", bits=1024)
    assert not is_good(signed(short, CLAIMS), short.jwk())


def test_token_without_key_id_needs_a_single_key() -> None:
    """OpenID Connect Core 10.1: several keys would be ambiguous."""
    text = signed(RSA, CLAIMS, {"kid": None})
    assert is_good(text, RSA.jwk(), EC.jwk())
    assert not is_good(text, RSA.jwk(), SigningKey("RS256").jwk(kid="other"))


@table(
    "content", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[1]}', b"\xff", key_set(*[RSA.jwk()] * 101), b'{"keys":1}']
)
def test_invalid_key_set_is_refused(content: bytes) -> None:
    """RFC 7517 5; also one with too many keys."""
    with pytest.raises(ValueError, match=r"."):
        read_key_set(content)


# --- where keys come from ----------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def keys_of(issuer: Issuer, clock: Callable[[], float] = time.monotonic, **more: Any) -> IssuerKeys:
    fetcher = Fetcher({issuer.name: issuer.address}, timeout=more.pop("timeout", 60.0))
    return IssuerKeys(fetcher.fetch, Intervals(**more), clock=clock)


def check(keys: IssuerKeys, text: str, account: str | None = None) -> str:
    """Return `good` for a verified token, else the error code."""
    try:
        keys.check_signature(reading(text), account)
    except IamGuardError as refusal:
        return refusal.code
    return "good"


def test_keys_are_fetched_once(issuer: Issuer) -> None:
    """Discovery, then the keys, then nothing more."""
    keys = keys_of(issuer)
    assert [check(keys, issuer.token()) for _ in range(5)] == ["good"] * 5
    assert issuer.asked == {"/tenant/.well-known/openid-configuration": 1, "/tenant/jwks": 1}


def test_rotated_key_is_fetched_and_old_one_dropped(issuer: Issuer) -> None:
    """An unknown key is fetched; a withdrawn one is refused after that."""
    clock = Clock()
    keys = keys_of(issuer, clock)
    old = issuer.token()
    assert check(keys, old) == "good"
    issuer.rotate()
    clock.now += 20
    assert check(keys, issuer.token()) == "good"
    assert check(keys, old) == "InvalidIdentityToken"
    assert issuer.count() == 2
    issuer.rotate(keep_old=True)
    clock.now += 20
    assert check(keys, issuer.token()) == "good"
    assert issuer.count() == 3


def test_withdrawn_key_is_dropped_at_next_refresh(issuer: Issuer) -> None:
    """Also without a token with an unknown key."""
    clock = Clock()
    keys = keys_of(issuer, clock, refresh=900)
    old = issuer.token()
    assert check(keys, old) == "good"
    issuer.rotate()
    clock.now += 899
    assert check(keys, old) == "good"
    clock.now += 2
    assert check(keys, old) == "InvalidIdentityToken"


def test_flood_of_unknown_keys_is_bounded(issuer: Issuer) -> None:
    """One attempt within the cooldown, however many tokens name unknown keys."""
    clock = Clock()
    keys = keys_of(issuer, clock, cooldown=15)
    assert check(keys, issuer.token()) == "good"
    for number in range(200):
        assert check(keys, issuer.token({"kid": f"made-up-{number}"})) == "InvalidIdentityToken"
    assert issuer.count() == 1
    clock.now += 15
    for number in range(200):
        assert check(keys, issuer.token({"kid": f"made-up-{number}"})) == "InvalidIdentityToken"
    assert issuer.count() == 2
    assert check(keys, issuer.token()) == "good"


def test_unavailable_issuer_is_polled_once_per_cooldown(issuer: Issuer) -> None:
    """Also one that never responded."""
    clock = Clock()
    keys = keys_of(issuer, clock, cooldown=15)
    issuer.is_down = True
    assert {check(keys, issuer.token()) for _ in range(50)} == {"IDPCommunicationError"}
    assert issuer.count("openid") == 1
    issuer.is_down = False
    assert check(keys, issuer.token()) == "IDPCommunicationError"
    clock.now += 15
    assert check(keys, issuer.token()) == "good"


def test_cached_keys_are_used_while_issuer_is_unavailable(issuer: Issuer) -> None:
    """Up to a limit; then refused, and accepted again once the issuer is back."""
    clock = Clock()
    keys = keys_of(issuer, clock, refresh=900, cooldown=15, max_staleness=86400)
    assert check(keys, issuer.token()) == "good"
    issuer.is_down = True
    clock.now += 86399
    assert check(keys, issuer.token()) == "good"
    assert issuer.count("openid") == 2
    assert check(keys, issuer.token({"kid": "new"})) == "InvalidIdentityToken"
    clock.now += 2
    assert check(keys, issuer.token()) == "IDPCommunicationError"
    clock.now += 15
    issuer.is_down = False
    assert check(keys, issuer.token()) == "good"


def test_one_thread_fetches_for_all(issuer: Issuer) -> None:
    """The others wait for it and use its result."""
    issuer.answers.clear()
    keys = keys_of(issuer)
    with ThreadPoolExecutor(16) as pool:
        checking = [pool.submit(check, keys, issuer.token()) for _ in range(16)]
        eventually(lambda: issuer.count("openid"))
        issuer.answers.set()
        assert {each.result() for each in checking} == {"good"}
    assert issuer.count() == 1


def test_threads_do_not_wait_for_a_refresh(issuer: Issuer) -> None:
    """A thread with a cached key uses it while another thread fetches."""
    clock = Clock()
    keys = keys_of(issuer, clock, refresh=900)
    assert check(keys, issuer.token()) == "good"
    clock.now += 1000
    issuer.answers.clear()
    with ThreadPoolExecutor(1) as pool:
        refreshing = pool.submit(check, keys, issuer.token())
        eventually(lambda: issuer.count("openid") == 2)
        assert check(keys, issuer.token()) == "good"
        assert not refreshing.done()
        issuer.answers.set()
        assert refreshing.result() == "good"


def test_slow_issuer_does_not_block_all_threads(issuer: Issuer) -> None:
    """The queue is bounded; further threads are refused at once."""
    issuer.answers.clear()
    keys, token = keys_of(issuer), issuer.token()
    with ThreadPoolExecutor(MAX_WAITING + 10) as pool:
        checking = [pool.submit(check, keys, token) for _ in range(MAX_WAITING + 10)]
        eventually(lambda: sum(each.done() for each in checking) == 10)
        issuer.answers.set()
        found = [each.result() for each in checking]
    assert found.count("good") == MAX_WAITING
    assert found.count("IDPCommunicationError") == 10
    assert check(keys, issuer.token()) == "good"


def test_several_slow_issuers_do_not_block_all_threads() -> None:
    """However many issuers are registered."""
    started = threading.Semaphore(0)
    release = threading.Event()

    def fetch(url: str, name: str) -> bytes:
        started.release()
        release.wait(60)
        raise IdentityProviderUnavailable("away")

    keys = IssuerKeys(fetch)
    texts = [signed(RSA, {**CLAIMS, "iss": f"https://{number}.example"}) for number in range(MAX_WAITING_FOR_ALL + 1)]
    with ThreadPoolExecutor(MAX_WAITING_FOR_ALL) as pool:
        waiting = [pool.submit(check, keys, text) for text in texts[:-1]]
        for _ in waiting:
            started.acquire()
        with pytest.raises(IdentityProviderUnavailable, match="too many requests are waiting"):
            keys.check_signature(reading(texts[-1]))
        release.set()
        assert {each.result() for each in waiting} == {"IDPCommunicationError"}


def test_slow_issuers_of_an_account_leave_places_to_others() -> None:
    """However many it has, and however many accounts do so: a further one has what these leave."""
    release = threading.Event()
    published = json.dumps({"keys": [RSA.jwk()]}).encode()

    def fetch(url: str, name: str) -> bytes:
        if name.startswith("https://slow"):
            release.wait(60)
            raise IdentityProviderUnavailable("away")
        return json.dumps({"issuer": name, "jwks_uri": f"{name}/jwks"}).encode() if "well-known" in url else published

    def token(name: str) -> str:
        return signed(RSA, {**CLAIMS, "iss": f"https://{name}.example"})

    keys = IssuerKeys(fetch)
    with ThreadPoolExecutor(3 * MAX_WAITING_FOR_ALL) as pool:
        waiting: list[Future[str]] = []
        for account, places in (("1" * 12, 15), ("2" * 12, 8), ("3" * 12, 4)):
            asked = [
                pool.submit(check, keys, token(f"slow{account}-{number % 2}"), account)
                for number in range(MAX_WAITING_FOR_ALL)
            ]
            refused = MAX_WAITING_FOR_ALL - places
            eventually(lambda asked=asked, refused=refused: sum(one.done() for one in asked) == refused)
            assert {one.result() for one in asked if one.done()} == {"IDPCommunicationError"}
            assert [check(keys, token(f"quick{account}"), other) for other in ("4" * 12, None)] == ["good"] * 2
            waiting += [one for one in asked if not one.done()]
        release.set()
        assert {one.result() for one in waiting} == {"IDPCommunicationError"}
    assert check(keys, token("quick"), "1" * 12) == "good"
    assert keys._waiting_of == {}


def test_unavailable_issuer_is_logged_once(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the issuer and the reason, and no token."""
    issuer.is_down = True
    keys, text = keys_of(issuer), issuer.token()
    assert {check(keys, text) for _ in range(5)} == {"IDPCommunicationError"}
    (message,) = [record.message for record in caplog.records]
    assert message.startswith(f"cannot fetch the keys of {NAME}: the identity provider cannot be reached")


ANSWERS: dict[str, tuple[Callable[[Issuer], Any], str]] = {
    "another issuer": (lambda it: it.document.update(issuer="https://evil.example"), "InvalidIdentityToken"),
    "a slash more": (lambda it: it.document.update(issuer=it.name + "/"), "InvalidIdentityToken"),
    "no issuer": (lambda it: it.document.update(issuer=None), "InvalidIdentityToken"),
    "no keys": (lambda it: it.document.update(jwks_uri=None), "InvalidIdentityToken"),
    "keys in a file": (lambda it: it.document.update(jwks_uri="file:///etc/passwd"), "InvalidIdentityToken"),
    "keys without TLS": (lambda it: it.document.update(jwks_uri="http://id.example.com/jwks"), "InvalidIdentityToken"),
    "keys with a password": (
        lambda it: it.document.update(jwks_uri="https://a:b@id.example.com/"),
        "InvalidIdentityToken",
    ),
    "keys at no address": (lambda it: it.document.update(jwks_uri="https://"), "InvalidIdentityToken"),
    "keys at a bad port": (lambda it: it.document.update(jwks_uri="https://a.example:99999/"), "InvalidIdentityToken"),
    "no JSON": (lambda it: setattr(it, "body", b"<html>"), "InvalidIdentityToken"),
    "a name twice": (lambda it: setattr(it, "body", b'{"issuer":"a","issuer":"b"}'), "InvalidIdentityToken"),
    "no key set": (lambda it: setattr(it, "jwks", {"keys": "x"}), "InvalidIdentityToken"),
    "too much": (lambda it: setattr(it, "body", b"x" * (MAX_BODY + 1)), "IDPCommunicationError"),
    "an error": (lambda it: setattr(it, "status", 500), "IDPCommunicationError"),
    "not found": (lambda it: setattr(it, "status", 404), "IDPCommunicationError"),
    "elsewhere": (lambda it: setattr(it, "redirects_to", it.address + "/jwks"), "IDPCommunicationError"),
    "hanging up": (lambda it: setattr(it, "is_down", True), "IDPCommunicationError"),
}


@pytest.mark.parametrize(("spoil", "code"), ANSWERS.values(), ids=ANSWERS.keys())
def test_invalid_issuer_response_is_refused(issuer: Issuer, spoil: Callable[[Issuer], Any], code: str) -> None:
    """OpenID Connect Discovery 4.3: its own name, keys over TLS, no redirect, limited size."""
    spoil(issuer)
    assert check(keys_of(issuer), issuer.token()) == code


@pytest.mark.parametrize("way", ["no answer", "drips"])
def test_slow_response_times_out(issuer: Issuer, way: str) -> None:
    """The limit is for the whole response: single bytes do not extend it."""
    if way == "drips":
        issuer.body, issuer.drips = b"x" * 16_000, 0.2
    else:
        issuer.answers.clear()
    started = time.monotonic()
    assert check(keys_of(issuer, timeout=0.5), issuer.token()) == "IDPCommunicationError"
    issuer.answers.set()
    assert time.monotonic() - started < 60, "the whole answer takes 200 s"


# --- who is spoken to --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::ffff:127.0.0.1]"]
)
def test_private_addresses_are_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts register issuers, and must not reach internal addresses through them."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was made"))
    with pytest.raises(IdentityProviderUnavailable, match="cannot be reached"):
        Fetcher({}, timeout=1).fetch(f"https://{host}/jwks", f"https://{host}")


PRIVATE_ADDRESSES = """
    0.0.0.0 100.64.0.1 224.0.0.1 255.255.255.255 :: ::ffff:10.0.0.1 fe80::1%eth0 fd00::1 ff02::1 64:ff9b::a00:1
    2002:a00:1:: 2001:0:1::
""".split()


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        *((each, False) for each in PRIVATE_ADDRESSES),
    ],
)
def test_public_addresses_are_recognised(address: str, is_public: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that embed an IPv4 address are classified by it, or refused."""
    connected: list[Any] = []

    def connect(target: Any, *_: Any, **__: Any) -> Any:
        connected.append(target)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (address, 443))])
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(IdentityProviderUnavailable):
        Fetcher({}, timeout=1).fetch("https://id.example.com/jwks", "https://id.example.com")
    assert connected == ([(address, 443)] if is_public else [])


def test_name_with_any_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: all addresses are checked, and the connection uses a checked one."""
    found = [(0, 0, 0, "", (each, 443)) for each in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("a connection was made"))
    with pytest.raises(IdentityProviderUnavailable):
        Fetcher({}, timeout=1).fetch("https://id.example.com/jwks", "https://id.example.com")


def test_fetch_ignores_proxy_and_addresses_of_others(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies of the environment are ignored; an address is for its own issuer only."""
    monkeypatch.setenv("HTTPS_PROXY", issuer.address)
    fetcher = Fetcher({issuer.name: issuer.address}, timeout=60)
    assert fetcher.fetch(f"{NAME}/jwks", NAME)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("127.0.0.1", 443))])
    for issuer_name in ("https://id.example.com", NAME + "2", "https://other.example"):
        with pytest.raises(IdentityProviderUnavailable):
            fetcher.fetch(f"{NAME}/jwks", issuer_name)
    assert issuer.count() == 1


@pytest.fixture
def certified(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """Create a certificate for `localhost`, and the TLS context of its server."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(7).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = tmp_path / "ca.pem"
    certificate.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = tmp_path / "key.pem"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return certificate, context


def test_issuer_certificates_are_verified(certified: tuple[Path, ssl.SSLContext]) -> None:
    """With the authority of the settings only, and for the right name only."""
    certificate, context = certified
    with publishing(Issuer(), lambda listener: context.wrap_socket(listener, server_side=True)) as issuer:
        port = issuer.address.rsplit(":", 1)[1]
        address = f"https://localhost:{port}"
        assert Fetcher({NAME: address}, ca_file=str(certificate), timeout=60).fetch(f"{NAME}/jwks", NAME)
        with pytest.raises(IdentityProviderUnavailable):
            Fetcher({NAME: address}).fetch(f"{NAME}/jwks", NAME)
        with pytest.raises(IdentityProviderUnavailable):
            Fetcher({NAME: f"https://127.0.0.1:{port}"}, ca_file=str(certificate)).fetch(f"{NAME}/jwks", NAME)


# --- by the settings ---------------------------------------------------------------------------------------------


def test_token_verifier_follows_the_settings(issuer: Issuer) -> None:
    """Addresses, leeway and algorithms."""
    verifier = TokenVerifier(
        Settings(oidc_addresses=(issuer.at,), oidc_algorithms=("RS256",), oidc_leeway=5, oidc_timeout=60.0)
    )
    verifier.verify(verifier.read(issuer.token()), time.time())
    old = verifier.read(issuer.token(exp=int(time.time()) - 6))
    with pytest.raises(IamGuardError, match="expired"):
        verifier.verify(old, time.time())
    with pytest.raises(InvalidIdentityToken, match="RS256"):
        verifier.read(signed(EC, CLAIMS))


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        ("oidc_algorithms", ("RS256", "none")),
        ("oidc_algorithms", ("HS256",)),
        ("oidc_addresses", ("https://id.example.com",)),
        ("oidc_addresses", ("http://id.example.com=https://10.0.0.1",)),
        ("oidc_addresses", ("https://id.example.com=http://10.0.0.1",)),
        ("oidc_addresses", ("https://id.example.com=ftp://127.0.0.1",)),
        ("oidc_ca_file", "/nowhere"),
    ],
)
def test_invalid_oidc_settings_are_refused(setting: str, wrong: Any, issuer: Issuer) -> None:
    """At the start, not with each token."""
    more = {} if setting == "oidc_addresses" else {"oidc_addresses": (issuer.at,)}
    with pytest.raises(ConfigurationError, match="expected"):
        TokenVerifier(Settings(**{**more, setting: wrong}))


def test_modules_are_loaded_with_the_first_token() -> None:
    """A guard without tokens does not import them."""
    code = (
        "import sys; from iam_guard.authn.tokens.token_verifier import TokenVerifier;"
        "from iam_guard.settings import Settings; TokenVerifier(Settings());"
        "print(sorted({'joserfc', 'httpcore2', 'ssl'} & sys.modules.keys()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_token_verifier_is_thread_safe(issuer: Issuer) -> None:
    """The modules are loaded once."""
    verifier = TokenVerifier(Settings(oidc_addresses=(issuer.at,), oidc_timeout=60.0))
    text, start = issuer.token(), threading.Barrier(8)

    def verify() -> None:
        start.wait()
        verifier.verify(verifier.read(text), time.time())

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(verify) for _ in range(8)]:
            future.result()
    assert issuer.count() == 1
