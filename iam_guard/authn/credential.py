"""Parse the credential of a request from its headers and query. Nothing is verified here.

A request without a credential has `NoCredential`. Anything else but exactly one well-formed credential of a supported
kind is refused, never ignored. To add a kind, add a parser here, a type to `AnyCredential`, and a branch to
`credential_verifier`.
"""

from __future__ import annotations

import re
from itertools import chain

from iam_guard.authn import api_key
from iam_guard.authn.certificates.client_certificate import ROLE_HEADER, read_client_certificate
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import (
    ALGORITHM,
    ASYMMETRIC,
    AnyCredential,
    Claim,
    NoCredential,
    SigV4Credential,
    TokenCredential,
)
from iam_guard.authn.signatures.signature_parts import printable
from iam_guard.authn.signatures.signed_header import MAX_SIGNATURE, TOKEN_HEADER, parse_signed_header, signed_header
from iam_guard.authn.signatures.signed_query import (
    MAX_PARAMETERS,
    MAX_TARGET,
    NOT_SUPPORTED,
    claimed,
    has_signature,
    is_too_long,
    signed_query,
)
from iam_guard.errors import IncompleteSignature, MissingAuthenticationToken, RequestTooLarge

MAX_SIGNED_HEADERS = 24 * 1024
"""Maximum bytes of the values of signed headers, which are copied before the caller is authenticated."""
_TOKEN_DOTS = 2
_MAX_CLAIM = 64 * 1024
_CLAIMED_ACCESS_KEY_ID = re.compile(rb"Credential=(\w{3,128})/")
_CLAIMED_API_KEY_ID = re.compile(rb"^igk_([A-Za-z0-9]{4,32})_")
_SIGNED = (ALGORITHM.encode("ascii"), ASYMMETRIC.encode("ascii"))


def extract(request: HttpRequest, *, max_header: int) -> AnyCredential:
    """Return the credential of a request.

    Raises `RequestTooLarge` for more than `max_header` bytes of headers, and for a signed request with too long a path
    and query, or signed headers; a `CredentialError` for several credentials, an unknown kind or a malformed one.
    """
    if sum(map(len, chain.from_iterable(request.headers))) > max_header:
        raise RequestTooLarge(f"expected at most {max_header} bytes of headers")
    by_name, certificates = request.by_name, request.certificates
    authorizations, api_keys = by_name.get(b"authorization", ()), by_name.get(b"x-api-key", ())
    in_query = bool(request.query_string) and has_signature(request.query_string)
    if len(authorizations) + len(api_keys) + in_query + bool(certificates) > 1:
        raise IncompleteSignature("expected one credential in a header, the query or a client certificate, got several")
    if in_query:
        _check_target(request)
        if TOKEN_HEADER in by_name:
            message = "expected the session token in the query, like the signature"
            raise IncompleteSignature(message, place="x-amz-security-token")
        return _with_short_headers(request, signed_query(request))
    if authorizations:
        credential = signed_header(request, authorizations[0]) or _authorization(request, authorizations[0])
        if isinstance(credential, SigV4Credential):
            _check_target(request)
            return _with_short_headers(request, credential)
        if TOKEN_HEADER not in by_name:
            return credential
    if TOKEN_HEADER in by_name:
        raise IncompleteSignature("expected a signature with the session token", place="x-amz-security-token")
    if api_keys:
        return api_key.parse(printable(api_keys[0], "x-api-key"))
    if certificates:
        return read_client_certificate(certificates, request.values(ROLE_HEADER))
    return NoCredential()


def _check_target(request: HttpRequest) -> None:
    """Refuse a long path and query: canonicalizing them costs time before the caller is authenticated."""
    if is_too_long(request.raw_path, request.query_string):
        message = f"expected a signed path and query of at most {MAX_TARGET} bytes and {MAX_PARAMETERS} parameters"
        raise RequestTooLarge(message, place="query")


def _with_short_headers(request: HttpRequest, credential: SigV4Credential) -> SigV4Credential:
    """Return a signature. Raises `RequestTooLarge` for long signed headers."""
    values = (value for name in credential.signed_headers for value in request.values(name.encode("latin-1")))
    if sum(map(len, values)) > MAX_SIGNED_HEADERS:
        raise RequestTooLarge(f"expected at most {MAX_SIGNED_HEADERS} bytes of signed headers")
    return credential


def claimed_credential(request: HttpRequest) -> Claim:
    """Return the kind and id of the credential that a request claims to carry, unverified, for the audit trail.

    Never raises. Whatever `extract` parses as a signature has the kind `sigv4` here too.
    """
    for value in request.values(b"authorization"):
        claim = value.lstrip()[:_MAX_CLAIM].replace(b"\t", b" ")
        if claim.startswith(_SIGNED):
            return Claim("sigv4", _claimed_id(_CLAIMED_ACCESS_KEY_ID, claim))
        if claim[:7].lower() == b"bearer ":
            if claim.count(b".") == _TOKEN_DOTS:
                return Claim("oidc", None)
            return Claim("api-key", _claimed_id(_CLAIMED_API_KEY_ID, claim[7:].lstrip()))
        return Claim("unknown", None)
    for value in request.values(b"x-api-key"):
        return Claim("api-key", _claimed_id(_CLAIMED_API_KEY_ID, value.lstrip()[:_MAX_CLAIM]))
    return claimed(request.query_string) or Claim("x509" if request.certificates else "none", None)


def _claimed_id(pattern: re.Pattern[bytes], claim: bytes) -> str | None:
    match = pattern.search(claim)
    return match[1].decode("ascii") if match else None


def _authorization(request: HttpRequest, value: bytes) -> AnyCredential:
    """Parse every Authorization header but the common form of a signature."""
    if value.startswith(b"Bearer ") and value.count(b".") == _TOKEN_DOTS:
        return TokenCredential(value[7:].strip(b" ").decode("latin-1"))  # `oidc_token` parses it strictly
    if len(value) > MAX_SIGNATURE and not value[:7].lower() == b"bearer ":
        raise IncompleteSignature(f"expected at most {MAX_SIGNATURE} bytes", place="authorization")
    text = printable(value, "authorization")
    scheme, _, rest = text.partition(" ")
    if scheme in (ALGORITHM, ASYMMETRIC):
        return parse_signed_header(request, rest, scheme)
    if scheme.lower() == "bearer":
        text = rest.strip(" ")
        return TokenCredential(text) if text.count(".") == _TOKEN_DOTS else api_key.parse(text)  # a key has no dot
    if scheme == "AWS" or scheme.startswith("AWS4-"):
        raise IncompleteSignature(NOT_SUPPORTED, place="authorization")
    message = f"expected an Authorization header of the scheme {ALGORITHM} or Bearer"
    raise MissingAuthenticationToken(message, place="authorization")
