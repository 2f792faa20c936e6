"""Which credential a request carries, read from its headers and query: form only, nothing is verified here.

Absent is not invalid: a request without any credential gives `NoCredential`. Everything else that is not exactly one
well-formed credential of a kind we speak is refused, never skipped and never taken for anonymous. A further kind is a
further reader here, a further value in `AnyCredential`, and a branch in `credential_verifier`.
"""

from __future__ import annotations

import re
from itertools import chain

from iam_guard.authn import api_key
from iam_guard.authn.client_certificate import ROLE_HEADER, read_client_certificate
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import (
    ALGORITHM,
    ASYMMETRIC,
    AnyCredential,
    ApiKeyCredential,
    Claim,
    NoCredential,
    SigV4Credential,
    TokenCredential,
)
from iam_guard.authn.signature_parts import printable
from iam_guard.authn.signed_header import TOKEN_HEADER, signed_header, signed_otherwise
from iam_guard.authn.signed_query import (
    MAX_PARAMETERS,
    MAX_TARGET,
    NOT_SUPPORTED,
    claimed,
    has_signature,
    is_too_long,
    signed_query,
)
from iam_guard.errors import IncompleteSignature, MissingAuthenticationToken, RequestTooLarge

_DOTS_OF_A_TOKEN = 2
_SEVERAL = "expected one credential, got several: only one header, query or client certificate may be one"
_UNSIGNED = "a session token came without a signature"
_CLAIM_LENGTH = 64 * 1024
_LONGEST_SIGNATURE = 8 * 1024
_CLAIMED_ACCESS_KEY_ID = re.compile(rb"Credential=(\w{3,128})/")
_CLAIMED_API_KEY_ID = re.compile(rb"^igk_([A-Za-z0-9]{4,32})_")
_SIGNED = (ALGORITHM.encode("ascii"), ASYMMETRIC.encode("ascii"))


def extract(request: HttpRequest, *, max_header: int) -> AnyCredential:
    """Read the one credential of a request.

    Raises `RequestTooLarge` when all headers together are over `max_header` bytes, and when a signed request has a
    longer path and query than a signature is checked for; a `CredentialError` for two credentials at once, for an
    unknown kind, and for a malformed one.
    """
    if _size_of(request) > max_header:
        raise RequestTooLarge(f"expected at most {max_header} bytes of headers")
    by_name, certificates = request.by_name, request.certificates
    authorizations, api_keys = by_name.get(b"authorization", ()), by_name.get(b"x-api-key", ())
    in_query = bool(request.query_string) and has_signature(request.query_string)
    if len(authorizations) + len(api_keys) + in_query + bool(certificates) > 1:
        raise IncompleteSignature(_SEVERAL)
    if in_query:
        _check_target(request)
        if TOKEN_HEADER in by_name:
            message = "expected the session token where the signature is, in the query"
            raise IncompleteSignature(message, place="x-amz-security-token")
        return signed_query(request)
    if authorizations:
        found = _authorization(request, authorizations[0])
        if isinstance(found, SigV4Credential):
            _check_target(request)
            return found
        if TOKEN_HEADER not in by_name:
            return found
    if TOKEN_HEADER in by_name:
        raise IncompleteSignature(_UNSIGNED, place="x-amz-security-token")
    if api_keys:
        return _api_key(printable(api_keys[0], "x-api-key"))
    if certificates:
        return read_client_certificate(certificates, request.values(ROLE_HEADER))
    return NoCredential()


def _size_of(request: HttpRequest) -> int:
    return sum(map(len, chain.from_iterable(request.headers)))


def _check_target(request: HttpRequest) -> None:
    """Refuse what is long to canonicalize, for a signature is checked on behalf of unknown callers too."""
    if is_too_long(request.raw_path, request.query_string):
        message = f"expected a signed path and query of at most {MAX_TARGET} bytes and {MAX_PARAMETERS} parameters"
        raise RequestTooLarge(message, place="query")


def credential_of(request: HttpRequest) -> Claim:
    """Return what kind of credential a request claims to carry, and the id it claims, for a record of its refusal.

    Nothing is checked and nothing raised. Whatever `extract` takes for a signature has the kind `sigv4` here too.
    """
    for value in request.values(b"authorization"):
        claim = value.lstrip()[:_CLAIM_LENGTH].replace(b"\t", b" ")
        if claim.startswith(_SIGNED):
            return Claim("sigv4", _claimed_id(_CLAIMED_ACCESS_KEY_ID, claim))
        if claim[:7].lower() == b"bearer ":
            if claim.count(b".") == _DOTS_OF_A_TOKEN:
                return Claim("oidc", None)
            return Claim("api-key", _claimed_id(_CLAIMED_API_KEY_ID, claim[7:].lstrip()))
        return Claim("unknown", None)
    for value in request.values(b"x-api-key"):
        return Claim("api-key", _claimed_id(_CLAIMED_API_KEY_ID, value.lstrip()[:_CLAIM_LENGTH]))
    return claimed(request.query_string) or Claim("x509" if request.certificates else "none", None)


def _claimed_id(pattern: re.Pattern[bytes], claim: bytes) -> str | None:
    found = pattern.search(claim)
    return found[1].decode("ascii") if found else None


def _authorization(request: HttpRequest, value: bytes) -> AnyCredential:
    if value.startswith(b"Bearer ") and value.count(b".") == _DOTS_OF_A_TOKEN:
        return TokenCredential(value[7:].strip(b" ").decode("latin-1"))  # at a glance; whoever reads it is strict
    if len(value) > _LONGEST_SIGNATURE and not value[:7].lower() == b"bearer ":
        raise IncompleteSignature(f"expected at most {_LONGEST_SIGNATURE} bytes", place="authorization")
    usual = signed_header(request, value)
    if usual is not None:
        return usual
    text = printable(value, "authorization")
    scheme, _, rest = text.partition(" ")
    if scheme in (ALGORITHM, ASYMMETRIC):
        return signed_otherwise(request, rest, scheme)
    if scheme.lower() == "bearer":
        return _bearer(rest.strip(" "))
    if scheme == "AWS" or scheme.startswith("AWS4-"):
        raise IncompleteSignature(NOT_SUPPORTED, place="authorization")
    message = f"expected an Authorization header of the scheme {ALGORITHM} or Bearer"
    raise MissingAuthenticationToken(message, place="authorization")


def _bearer(text: str) -> ApiKeyCredential | TokenCredential:
    """Tell the two kinds apart by their form: a token has two dots, an API key has none."""
    return TokenCredential(text) if text.count(".") == _DOTS_OF_A_TOKEN else _api_key(text)


def _api_key(text: str) -> ApiKeyCredential:
    parsed = api_key.parse(text)
    return ApiKeyCredential(parsed.id, parsed.digest)
