"""Strict parsing of OIDC tokens, and their times (oidc_token)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.authn.tokens.oidc_token import MAX_LENGTH, check_times, read_members, read_token
from iam_guard.errors import ExpiredIdentityToken, IamGuardError, InvalidIdentityToken
from tests.authn.issuer import encoded
from tests.tables import table

ALLOWED = frozenset({"RS256", "ES256"})
HEADER = {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
CLAIMS = {"iss": "https://id.example.com", "sub": "ann", "aud": "app", "iat": 1000, "exp": 2000}


def written(header: Any = None, claims: Any = None, signature: str = "c2ln") -> str:
    parts = [
        part if isinstance(part, bytes) else json.dumps(part).encode()
        for part in (HEADER if header is None else header, CLAIMS if claims is None else claims)
    ]
    return ".".join([*map(encoded, parts), signature])


def test_token_is_parsed() -> None:
    """S-30: each claim in its field, the others in `claims`."""
    claims = {**CLAIMS, "aud": ["app", "web"], "azp": "app", "email": "a@b"}
    token = read_token(written(claims=claims), algorithms=ALLOWED)
    assert (token.issuer, token.subject, token.audiences) == ("https://id.example.com", "ann", ("app", "web"))
    assert (token.authorized_party, token.issued, token.expires) == ("app", 1000, 2000)
    assert (token.algorithm, token.key_id, token.claims["email"]) == ("RS256", "key-1", "a@b")
    assert token.text not in repr(token)
    assert "a@b" not in repr(token)


@table("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", None])
def test_token_types_are_accepted(kind: str | None) -> None:
    """RFC 9068, RFC 7519: access tokens name their type; it is optional."""
    header = {**HEADER, "typ": kind} if kind else {"alg": "RS256"}
    assert read_token(written(header), algorithms=ALLOWED).issuer == CLAIMS["iss"]


BAD_HEADERS: dict[str, Any] = {
    "alg none": {**HEADER, "alg": "none"},
    "alg None": {**HEADER, "alg": "None"},
    "alg NONE": {**HEADER, "alg": "nOnE"},
    "alg empty": {**HEADER, "alg": ""},
    "alg null": {**HEADER, "alg": None},
    "alg list": {**HEADER, "alg": ["RS256"]},
    "no alg": {"typ": "JWT"},
    "HMAC": {**HEADER, "alg": "HS256"},
    "not enabled": {**HEADER, "alg": "ES384"},
    "another case": {**HEADER, "alg": "rs256"},
    "crit": {**HEADER, "crit": ["exp"], "exp": 1},
    "b64": {**HEADER, "b64": False},
    "jku": {**HEADER, "jku": "https://evil.example/jwks"},
    "x5u": {**HEADER, "x5u": "https://evil.example/cert"},
    "jwk": {**HEADER, "jwk": {"kty": "RSA"}},
    "x5c": {**HEADER, "x5c": ["MII"]},
    "nested": {**HEADER, "cty": "JWT"},
    "compressed": {**HEADER, "zip": "DEF"},
    "encrypted": {**HEADER, "enc": "A256GCM"},
    "a logout token": {**HEADER, "typ": "logout+jwt"},
    "a proof of possession": {**HEADER, "typ": "dpop+jwt"},
    "typ number": {**HEADER, "typ": 1},
    "kid number": {**HEADER, "kid": 1},
    "kid empty": {**HEADER, "kid": ""},
    "kid null": {**HEADER, "kid": None},
    "twice": b'{"alg":"none","alg":"RS256"}',
    "twice by escape": b'{"\\u0061lg":"none","alg":"RS256"}',
    "a list": b"[]",
    "a text": b'"RS256"',
    "two values": b'{"alg":"RS256"}{}',
    "no JSON": b"{alg:RS256}",
    "not UTF-8": b'{"alg":"RS256","x":"\xff"}',
    "UTF-16": '{"alg":"RS256"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"alg":"RS256"}',
}
BAD_CLAIMS: dict[str, Any] = {
    **{f"no {name}": {key: value for key, value in CLAIMS.items() if key != name} for name in CLAIMS},
    **{f"{name} empty": {**CLAIMS, name: ""} for name in CLAIMS},
    **{f"{name} null": {**CLAIMS, name: None} for name in CLAIMS},
    **{f"{name} object": {**CLAIMS, name: {}} for name in CLAIMS},
    "iss list": {**CLAIMS, "iss": ["https://id.example.com"]},
    "sub number": {**CLAIMS, "sub": 7},
    "sub too long": {**CLAIMS, "sub": "x" * 256},
    "aud no members": {**CLAIMS, "aud": []},
    "aud mixed": {**CLAIMS, "aud": ["app", 7]},
    "azp null": {**CLAIMS, "azp": None},
    "azp list": {**CLAIMS, "azp": ["app"]},
    "exp text": {**CLAIMS, "exp": "2000"},
    "exp true": {**CLAIMS, "exp": True},
    "exp fraction": {**CLAIMS, "exp": 2000.5},
    "exp huge": {**CLAIMS, "exp": 10**30},
    "exp below 0": {**CLAIMS, "exp": -1},
    "iat text": {**CLAIMS, "iat": "now"},
    "twice": json.dumps(CLAIMS).encode()[:-1] + b',"sub":"root"}',
    "twice inside": json.dumps(CLAIMS).encode()[:-1] + b',"x":{"a":1,"a":2}}',
    "NaN": json.dumps(CLAIMS).encode()[:-1] + b',"x":NaN}',
    "infinite": json.dumps(CLAIMS).encode()[:-1] + b',"x":1e999}',
    "half a surrogate": json.dumps(CLAIMS).encode()[:-1] + b',"x":"\\ud800"}',
    "deep": json.dumps(CLAIMS).encode()[:-1] + b',"x":' + b"[" * 7000 + b"]" * 7000 + b"}",
    "over the maximum depth": json.dumps(CLAIMS).encode()[:-1] + b',"x":' + b"[" * 16 + b"]" * 16 + b"}",
    "many digits": json.dumps(CLAIMS).encode()[:-1] + b',"x":' + b"9" * 5000 + b"}",
    "a token": b"eyJhbGciOiJub25lIn0.e30.",
}


@table("header", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
def test_header_that_changes_verification_is_refused(header: Any) -> None:
    """RFC 8725 3.1, 3.2, 3.10, 3.11; and ambiguous headers."""
    with pytest.raises(InvalidIdentityToken):
        read_token(written(header), algorithms=ALLOWED)


@table("claims", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
def test_invalid_claims_are_refused(claims: Any) -> None:
    """S-30."""
    with pytest.raises(InvalidIdentityToken):
        read_token(written(claims=claims), algorithms=ALLOWED)


GOOD = written()
HEAD, BODY, SIGNATURE = GOOD.split(".")
BAD_TEXTS = {
    "nothing": "",
    "dots": "..",
    "one part": HEAD,
    "two parts": f"{HEAD}.{BODY}",
    "no signature": f"{HEAD}.{BODY}.",
    "four parts": f"{GOOD}.x",
    "five parts, as an encrypted token has": f"{HEAD}.{BODY}.{BODY}.{BODY}.{SIGNATURE}",
    "padding": f"{HEAD}.{BODY}.{SIGNATURE}=",
    "padding in the header": f"{HEAD}==.{BODY}.{SIGNATURE}",
    "white space": f"{HEAD}.{BODY}.{SIGNATURE} ",
    "a line break": f"{HEAD}.{BODY}.{SIGNATURE}\n",
    "the other alphabet": f"{HEAD}.{BODY}.ab+/",
    "no base64": f"{HEAD}.{BODY}.a",
    "unused bits set": f"{HEAD}.{BODY}.c2ln" + "AB",
    "not ASCII": f"{HEAD}.{BODY}.äöü",
    "too long": written(claims={**CLAIMS, "x": "x" * MAX_LENGTH}),
}


@table("text", BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_malformed_token_is_refused(text: str) -> None:
    """S-30, RFC 7515: canonical base64url, three parts, at most 20,000 characters."""
    with pytest.raises(InvalidIdentityToken):
        read_token(text, algorithms=ALLOWED)


@given(st.one_of(st.text(), st.lists(st.binary().map(encoded), min_size=3, max_size=3).map(".".join)))
def test_any_text_is_refused_with_our_error(text: str) -> None:
    """No other exception."""
    with pytest.raises(IamGuardError):
        read_token(text, algorithms=ALLOWED)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values))
def test_json_object_is_parsed_unchanged(members: dict[str, Any]) -> None:
    """Strict, but not too strict."""
    try:
        content = json.dumps(members, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    if max(map(content.count, (b"[", b"{"))) > 15:
        return
    assert read_members(content) == members


@table(
    ("now", "more", "error"),
    [
        (1500, {}, None),
        (1000, {}, None),
        (941, {}, None),
        (940, {}, None),
        (939, {}, InvalidIdentityToken),
        (2059, {}, None),
        (2060, {}, ExpiredIdentityToken),
        (1500, {"nbf": 1560}, None),
        (1500, {"nbf": 1561}, InvalidIdentityToken),
        (1500, {"nbf": "1"}, InvalidIdentityToken),
        (1500, {"nbf": None}, InvalidIdentityToken),
        (1500, {"nbf": True}, InvalidIdentityToken),
    ],
)
def test_token_is_valid_within_its_times(now: int, more: dict[str, Any], error: type[IamGuardError] | None) -> None:
    """S-4: with a leeway of 60 seconds either way."""
    token = read_token(written(claims={**CLAIMS, **more}), algorithms=ALLOWED)
    if error is None:
        check_times(token, now=now, leeway=60)
    else:
        with pytest.raises(error):
            check_times(token, now=now, leeway=60)
