"""The time to authenticate a request, in microseconds of CPU time.

Each call starts with the headers of a server and the body, whose hash is part of the work; the keys are
in a dictionary. The peers are botocore signing the same request, which takes about the same steps, a verifier of
twenty lines, and only the hashes that every verifier needs: of the body, of the canonical request, and the two
of an HMAC.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.clock import Call, least
from benchmarks.oidc import token_rows
from benchmarks.row import Row
from iam_guard.authn import api_key
from iam_guard.authn.caller_cache import CallerCache
from iam_guard.authn.credential_verifier import Authenticator
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.signatures.sigv4 import derived_key
from iam_guard.errors import CredentialError, SignatureDoesNotMatch
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.principal import Principal
from iam_guard.store.protocol import AccountRecord

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
ACCESS_KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", active=True, principal=ADA)
API_SECRET = "s3cretS3cretS3cretS3cretS3cretS3cret"
API_KEY = ApiKey("K7Q2EXAMPLE", api_key.digest_of(API_SECRET), active=True, principal=ADA)
SIGNER = SigV4Auth(Credentials(ACCESS_KEY.id, ACCESS_KEY.secret), "docs", "eu-west-1")
HOST = b"docs.example.com"
FROM_CLIENT = (
    (b"host", HOST),
    (b"accept-encoding", b"identity"),
    (b"user-agent", b"Boto3/1.40 md/Botocore#1.40 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.13"),
)
OURS, FIRST = "ours", "first of its scope"
SIGNING, HASHING, MINIMAL = "botocore signing it", "its 4 hashes", "a minimal verifier"
_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d+)/([^/]+)/([^/]+)/aws4_request, SignedHeaders=(\S+), Signature=(\w+)"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as a server receives it."""

    method: str
    path: bytes
    query: bytes
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = FROM_CLIENT


PLAIN = Sent("GET", b"/documents/42", b"", b"")
SIGNED = {
    "GET, no body": PLAIN,
    "GET, a query of two": replace(PLAIN, query=b"version=7&format=short"),
    "POST, a body of 1 KiB": replace(PLAIN, method="POST", body=b"x" * 1024),
}


def measure() -> Iterator[Row]:
    """Measure signatures with a cached signing key, the first of a scope, a rejected one, and an API key."""
    for name, sent in SIGNED.items():
        signed = _signed(sent)
        yield from _rows(f"SigV4, {name}", sent, _verifying(signed), _verifying_minimally(signed))
        yield from _rows(f"SigV4, {name}, {FIRST}", sent, _verifying(signed, CallerCache(0)))
    yield from _rows("SigV4, refused", PLAIN, _refusing(replace(_signed(PLAIN), path=b"/documents/43")))
    key = b"Bearer " + api_key.format_api_key(API_KEY.id, API_SECRET).encode()
    yield from _rows("API key", PLAIN, _verifying(replace(PLAIN, headers=(*FROM_CLIENT, (b"authorization", key)))))
    yield from token_rows()


def _rows(name: str, sent: Sent, ours: Call, minimal: Call | None = None) -> Iterator[Row]:
    calls = {OURS: ours, SIGNING: lambda: SIGNER.add_auth(_aws_request(sent)), HASHING: _hashing(sent.body)}
    taken = least(calls if minimal is None else calls | {MINIMAL: minimal})
    for peer in [each for each in taken if each != OURS]:
        yield Row(name, taken[OURS] * 1e6, "us", taken[OURS] / taken[peer], peer)


def _verifying(sent: Sent, callers: CallerCache | None = None) -> Call:
    known, now = CallerCache() if callers is None else callers, datetime.now(UTC)
    access_keys, api_keys = {ACCESS_KEY.id: ACCESS_KEY}, {API_KEY.id: API_KEY}

    door = Authenticator(
        find_access_key=access_keys.get,
        find_api_key=api_keys.get,
        find_account=lambda principal: AccountRecord(0, principal.account or "", exists=True),
        skew=300,
        callers=known,
    )

    def verify() -> Principal:
        return door.authenticate(
            HttpRequest(sent.method, sent.path, sent.query, sent.headers),
            payload_hash=lambda: hashlib.sha256(sent.body).hexdigest(),
            now=now,
        )

    return verify


def _refusing(sent: Sent) -> Call:
    verify = _verifying(sent)

    def refuse() -> CredentialError:
        try:
            verify()
        except SignatureDoesNotMatch as refusal:
            return refusal
        raise SystemExit("expected a refusal")

    return refuse


# --- the peers ---------------------------------------------------------------------------------------------------


def _signed(sent: Sent) -> Sent:
    request = _aws_request(sent)
    SIGNER.add_auth(request)
    added = tuple((name.lower().encode(), value.encode()) for name, value in request.headers.items())
    return replace(sent, headers=(*sent.headers, *added))


def _aws_request(sent: Sent) -> AWSRequest:
    url = b"https://" + HOST + sent.path + (b"?" + sent.query if sent.query else b"")
    return AWSRequest(sent.method, url.decode(), data=sent.body)


def _verifying_minimally(sent: Sent) -> Call:
    """A minimal verifier: `host` signed, the time within the skew, one form of everything."""
    keys, now = {}, datetime.now(UTC)

    def verify() -> bool:
        headers = dict(sent.headers)
        found = _HEADER.fullmatch(headers[b"authorization"].decode())
        assert found is not None
        key_id, date, region, service, names, signature = found.groups()
        stamp = headers[b"x-amz-date"].decode()
        signed_at = datetime.fromisoformat(stamp)
        if "host" not in names.split(";") or abs((now - signed_at).total_seconds()) > 300 or stamp[:8] != date:
            return False
        key = keys.get((key_id, date, region, service))
        if key is None:
            key = keys[key_id, date, region, service] = derived_key(ACCESS_KEY.secret, date, region, service)
        query = b"&".join(sorted(sent.query.split(b"&")))
        signed = [b"%s:%s" % (name, headers[name].strip()) for name in names.encode().split(b";")]
        body = hashlib.sha256(sent.body).hexdigest().encode()
        request = b"\n".join([sent.method.encode(), sent.path, query, *signed, b"", names.encode(), body])
        digest = hashlib.sha256(request).hexdigest()
        scope = f"{date}/{region}/{service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode()
        return hmac.compare_digest(hmac.digest(key, text, "sha256").hex(), signature)

    assert verify()
    return verify


def _hashing(body: bytes) -> Call:
    key, text = bytes(32), b"x" * 150  # the length of a typical canonical request

    def hash_all() -> str:
        hashlib.sha256(body).hexdigest()
        hashlib.sha256(text).hexdigest()
        return hmac.digest(key, text, "sha256").hex()

    return hash_all
