from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from iam_guard.authn.caller_cache import CallerCache
from iam_guard.authn.constant_time import same
from iam_guard.authn.credential_verifier import Authenticator
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import (
    CredentialError,
    ExpiredToken,
    InvalidClientTokenId,
    RequestTooLarge,
    SignatureDoesNotMatch,
    StoreUnavailable,
)
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.principal import Credential, Principal
from tests.authn.signing import (
    ACCESS_KEY,
    ALICE,
    API_KEY,
    API_TEXT,
    EMPTY_HASH,
    KEY_ID,
    NOW,
    SECRET,
    Received,
    active_account,
    authenticated,
    send,
    sign,
    with_header,
)
from tests.tables import table

BAD_TOKEN = "The security token included in the request is invalid."


def bearing(text: str = API_TEXT) -> Received:
    return Received(HttpRequest("GET", b"/", b"", ((b"authorization", b"Bearer " + text.encode()),)))


def test_request_without_credential_is_anonymous() -> None:
    """The audit trail records it as `none`."""
    principal = authenticated(Received(HttpRequest("GET", b"/", b"", ((b"host", b"h"),))))
    assert principal == Principal.anonymous()
    assert principal.credential == Credential("none")


def test_signature_authenticates_owner_of_key() -> None:
    """The stored principal with its `credential` set."""
    principal = authenticated(send(sign(service="docs", region="eu-west-1")))
    assert principal == ALICE
    assert principal.credential == Credential("sigv4", KEY_ID, "eu-west-1", "docs")
    assert ALICE.credential is None


def test_api_key_authenticates_its_owner() -> None:
    """The stored principal with its `credential` set."""
    principal = authenticated(bearing(), api_key=API_KEY)
    assert principal == ALICE
    assert principal.credential == Credential("api-key", "K7Q2EXAMPLE")


INACTIVE = replace(ACCESS_KEY, active=False)


@table("secret", [SECRET, "another secret"])
@table("stored", [None, INACTIVE], ids=["unknown", "inactive"])
def test_unknown_and_inactive_key_have_same_error(stored: AccessKey | None, secret: str) -> None:
    """An attacker cannot find out which keys exist (rule R-31)."""
    with pytest.raises(InvalidClientTokenId) as caught:
        authenticated(send(sign(secret=secret)), access_key=stored)
    assert str(caught.value) == BAD_TOKEN


def test_unknown_key_costs_as_much_as_wrong_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature is computed for a key that does not exist, too."""
    from iam_guard.authn.signatures import sigv4

    computed: list[bytes] = []
    real = sigv4.SigningKey.signature
    monkeypatch.setattr(sigv4.SigningKey, "signature", lambda key, text: computed.append(text) or real(key, text))
    received = send(sign(secret="another secret"))
    for stored in (ACCESS_KEY, None, INACTIVE):
        with pytest.raises(CredentialError):
            authenticated(received, access_key=stored)
    assert len(computed) == 3
    assert len(set(computed)) == 1


def test_cached_key_is_refused_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many hashes are computed with a cached key as with an unknown one."""
    from iam_guard.authn.signatures import sigv4

    hashed: list[int] = []
    real = sigv4.hmac.digest
    monkeypatch.setattr(sigv4.hmac, "digest", lambda key, text, name: hashed.append(1) or real(key, text, name))
    signed = sigv4.SigningKey.signature
    monkeypatch.setattr(sigv4.SigningKey, "signature", lambda key, text: hashed.append(1) or signed(key, text))
    callers = CallerCache()
    counts = []
    for received in (send(sign(secret="another secret")), send(sign(url="http://127.0.0.1:8000/a?b=c+d", secret="x"))):
        assert authenticated(send(sign()), callers=callers) == ALICE
        for stored in (ACCESS_KEY, None, INACTIVE, replace(ACCESS_KEY)):
            hashed.clear()
            with pytest.raises(CredentialError):
                authenticated(received, access_key=stored, callers=callers)
            counts.append(len(hashed))
    assert counts == [5, 5, 5, 5, 6, 6, 6, 6]


def test_placeholder_secret_is_refused() -> None:
    """A signature with the placeholder's secret and an unknown key is refused."""
    with pytest.raises(InvalidClientTokenId):
        authenticated(send(sign(secret="0" * 40)), access_key=None)
    assert authenticated(send(sign(secret="0" * 40)), access_key=replace(ACCESS_KEY, secret="0" * 40)) == ALICE


def test_wrong_secret_has_aws_message() -> None:
    """Without the canonical request or anything else that helps to guess."""
    with pytest.raises(SignatureDoesNotMatch) as caught:
        authenticated(send(sign(secret="another secret")))
    assert caught.value.message.startswith(
        "The request signature we calculated does not match the signature you provided."
    )


def test_session_token_with_long_term_key_is_refused() -> None:
    """An unknown token is not ignored, signed or not."""
    for received in (send(sign(token="token")), with_header(send(sign()), b"x-amz-security-token", b"token")):
        with pytest.raises(InvalidClientTokenId):
            authenticated(received)


@table("stored", [None, replace(API_KEY, active=False), replace(API_KEY, digest=bytes(32))])
def test_invalid_api_keys_have_same_error(stored: ApiKey | None) -> None:
    """Unknown, inactive and mismatched: an attacker cannot find out which keys exist."""
    with pytest.raises(InvalidClientTokenId) as caught:
        authenticated(bearing(), api_key=stored)
    assert str(caught.value) == BAD_TOKEN


@pytest.mark.parametrize(
    "stored",
    [None, replace(API_KEY, active=False), replace(API_KEY, digest=bytes(32)), API_KEY],
    ids=["-", "i", "m", "g"],
)
def test_every_api_key_costs_one_comparison(monkeypatch: pytest.MonkeyPatch, stored: ApiKey | None) -> None:
    """Unknown, inactive, mismatched and valid keys cost the same."""
    compared: list[tuple[int, int]] = []

    def counting(actual: str | bytes, expected: str | bytes) -> bool:
        compared.append((len(actual), len(expected)))
        return same(actual, expected)

    monkeypatch.setattr("iam_guard.authn.credential_verifier.same", counting)
    with suppress(CredentialError):
        authenticated(bearing(), api_key=stored)
    assert compared == [(32, 32)]


def test_api_key_expires() -> None:
    """At its expiry; only with the right secret the error says so."""
    expiring = replace(API_KEY, expires=NOW)
    assert authenticated(bearing(), api_key=expiring, now=NOW - timedelta(seconds=1)) == ALICE
    with pytest.raises(ExpiredToken):
        authenticated(bearing(), api_key=expiring)
    with pytest.raises(InvalidClientTokenId):
        authenticated(bearing(), api_key=replace(expiring, digest=bytes(32)))
    with pytest.raises(InvalidClientTokenId):
        authenticated(bearing(), api_key=replace(expiring, active=False))


def test_signature_of_public_host_is_accepted() -> None:
    """Behind a proxy that rewrites Host, the configured names are tried after the received one."""
    received = with_header(send(sign(url="https://docs.example.com/a")), b"host", b"10.0.0.7:8000")
    principal = authenticated(received, public_hosts=("other.example.com", "docs.example.com"))
    assert principal == ALICE
    assert principal.credential is not None
    assert principal.credential.host == "docs.example.com"  # by which the application is to route
    for hosts in ((), ("other.example.com",)):
        with pytest.raises(SignatureDoesNotMatch):
            authenticated(with_header(received, b"x-forwarded-host", b"docs.example.com"), public_hosts=hosts)


def test_caller_at_public_host_is_cached() -> None:
    """Policies are cached by this object; the caller at the received host is another one."""
    direct, callers = send(sign(url="https://docs.example.com/a")), CallerCache()
    behind = with_header(direct, b"host", b"10.0.0.7:8000")
    first, second = (authenticated(behind, callers=callers, public_hosts=("docs.example.com",)) for _ in range(2))
    assert first is second
    at_received = authenticated(direct, callers=callers, public_hosts=("docs.example.com",))
    assert at_received.credential is not None
    assert at_received.credential.host is None


@table(
    ("url", "host"),
    [("http://docs.example.com/a", b"docs.example.com:80"), ("https://docs.example.com/a", b"docs.example.com:443")],
)
def test_unsigned_default_port_is_accepted(url: str, host: bytes) -> None:
    """Clients sign the host without it and may send it."""
    assert authenticated(with_header(send(sign(url=url)), b"host", host)) == ALICE


def test_headers_over_the_limit_are_refused() -> None:
    """Before anything is parsed."""
    with pytest.raises(RequestTooLarge):
        authenticated(send(sign()), max_header=100)


class UnexpectedCall(Exception):
    """A function was called unexpectedly."""


def refuse(*_: object) -> None:
    raise UnexpectedCall


@table(
    "changed",
    [
        {"now": NOW + timedelta(hours=1)},
        {"region": "us east"},
        {"headers": [("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")]},
        {"token": "token"},
    ],
)
def test_invalid_request_is_refused_without_lookups(changed: dict[str, object]) -> None:
    """Form, time and coverage are checked before the store and the body are used."""
    received = send(sign(**changed))  # type: ignore[arg-type]
    with pytest.raises(CredentialError):
        Authenticator(
            find_access_key=refuse,
            find_api_key=refuse,
            find_account=active_account,
            skew=300,
            callers=CallerCache(),
        ).authenticate(
            received.request,
            payload_hash=refuse,  # type: ignore[arg-type]
            now=NOW,
        )


def test_body_hash_is_computed_once_for_signatures_only() -> None:
    """With a stated hash, only after the signature was verified."""
    declared = [("X-Amz-Content-SHA256", EMPTY_HASH)]
    for headers, secret, expected in (
        ([], SECRET, 1),
        ([], "another secret", 1),
        (declared, SECRET, 1),
        (declared, "another secret", 0),
    ):
        assert _times_asked(send(sign(headers=headers, secret=secret)).request) == expected
    assert _times_asked(bearing().request) == 0
    assert _times_asked(HttpRequest("GET", b"/", b"", ())) == 0


def _times_asked(request: HttpRequest) -> int:
    calls = []

    def payload_hash() -> str:
        calls.append(1)
        return EMPTY_HASH

    with suppress(CredentialError):
        Authenticator(
            find_access_key=lambda _: ACCESS_KEY,
            find_api_key=lambda _: API_KEY,
            find_account=active_account,
            skew=300,
            callers=CallerCache(),
        ).authenticate(
            request,
            payload_hash=payload_hash,
            now=NOW,
        )
    return len(calls)


def test_body_with_another_hash_is_refused() -> None:
    """The signature is valid, the body was changed."""
    headers = [("X-Amz-Content-SHA256", hashlib.sha256(b"one").hexdigest())]
    received = send(sign("PUT", headers=headers, body=b"one"))
    assert authenticated(received) == ALICE
    with pytest.raises(SignatureDoesNotMatch, match="does not match what was computed"):
        authenticated(replace(received, body=b"two"))


def test_store_error_is_no_credential_error() -> None:
    """Errors of the lookup propagate."""

    def unreachable(_: str) -> None:
        raise StoreUnavailable("the store cannot be reached")

    with pytest.raises(StoreUnavailable):
        Authenticator(
            find_access_key=unreachable,
            find_api_key=unreachable,
            find_account=active_account,
            skew=300,
            callers=CallerCache(),
        ).authenticate(
            send(sign()).request,
            payload_hash=lambda: EMPTY_HASH,
            now=NOW,
        )
