"""Proofs of possession: which are accepted, for which request, and how each invalid one is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.tokens.dpop import Possession, possession_of, verify_proof
from iam_guard.errors import InvalidInput
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from tests.api.signin.tool import Tool, encoded, part
from tests.tables import table

NOW = 1_790_000_000
URL = "https://iam.example/v1/token"
TOOL = Tool("https://iam.example")
OTHER = Tool("https://iam.example")


def checked(proof: str, *more: str) -> Any:
    proofs = tuple(one.encode("latin-1") for one in (proof, *more))
    return verify_proof(Possession(proofs, "POST", frozenset({URL})), NOW)


def made(header: dict[str, Any] | None = None, **claims: Any) -> str:
    return TOOL.proof(now=NOW, header=header, **claims)


def unsigned(text: str) -> str:
    """Return a token with an empty signature."""
    return f"{text.rpartition('.')[0]}."


def with_hmac() -> str:
    """Return a proof whose key is a secret that it contains itself."""
    head = {"typ": "dpop+jwt", "alg": "HS256", "jwk": {"kty": "oct", "k": encoded(b"secret")}}
    claims = {"htm": "POST", "htu": URL, "iat": NOW, "jti": "1"}
    text = ".".join(map(part, (head, claims)))
    return f"{text}.{encoded(hmac.digest(b'secret', text.encode(), 'sha256'))}"


def on_another_curve() -> str:
    key = ec.generate_private_key(ec.SECP384R1())
    numbers = key.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-384", "x": encoded(numbers.x.to_bytes(48)), "y": encoded(numbers.y.to_bytes(48))}
    head = {"typ": "dpop+jwt", "alg": "ES384", "jwk": jwk}
    text = ".".join(map(part, (head, {"htm": "POST", "htu": URL, "iat": NOW, "jti": "1"})))
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(SHA384())))
    return f"{text}.{encoded(r.to_bytes(48) + s.to_bytes(48))}"


def with_der_signature() -> str:
    text = made().rpartition(".")[0]
    return f"{text}.{encoded(TOOL.key.sign(text.encode(), ec.ECDSA(SHA256())))}"


def with_repeated_member() -> str:
    header, _, _ = made().split(".")
    claims = encoded(f'{{"htm":"GET","htm":"POST","htu":"{URL}","iat":{NOW},"jti":"1"}}'.encode())
    return signed(f"{header}.{claims}")


def signed(text: str) -> str:
    r, s = decode_dss_signature(TOOL.key.sign(text.encode(), ec.ECDSA(SHA256())))
    return f"{text}.{encoded(r.to_bytes(32) + s.to_bytes(32))}"


def zero_signature() -> str:
    return f"{made().rpartition('.')[0]}.{encoded(bytes(64))}"


def changed_claims() -> str:
    header, _, signature = made().split(".")
    return f"{header}.{part({'htm': 'POST', 'htu': URL, 'iat': NOW, 'jti': 'other'})}.{signature}"


def key(**changes: Any) -> dict[str, Any]:
    members = {**TOOL.jwk, **changes}
    return {"jwk": {name: value for name, value in members.items() if value is not None}}


FORM, KEY, HEAD, SIGNATURE = "three parts", "public key", "the header", "is signed with the key"
REFUSED: dict[str, tuple[Callable[[], str], str]] = {
    "no token": (lambda: "x", FORM),
    "two parts": (lambda: made().rpartition(".")[0], FORM),
    "four parts": (lambda: f"{made()}.x", FORM),
    "padded": (lambda: f"{made()}=", FORM),
    "not ascii": (lambda: made() + "\xe9", FORM),
    "too long": (lambda: made(jti="x" * 4096), "at most 4096"),
    "repeated member": (with_repeated_member, FORM),
    "algorithm none": (lambda: unsigned(made({"alg": "none"})), FORM),
    "algorithm none with a signature": (lambda: made({"alg": "none"}), HEAD),
    "hmac": (with_hmac, HEAD),
    "hmac by name": (lambda: made({"alg": "HS256"}), HEAD),
    "rsa by name": (lambda: made({"alg": "RS256"}), HEAD),
    "another curve": (on_another_curve, HEAD),
    "another curve by name": (lambda: made(key(crv="P-384")), "on the curve P-256"),
    "no algorithm": (lambda: made({"alg": None}), HEAD),
    "no type": (lambda: made({"typ": None}), HEAD),
    "type of a token": (lambda: made({"typ": "JWT"}), HEAD),
    "key by address": (lambda: made({"jwk": None, "jku": "https://evil.example/keys"}), HEAD),
    "key by id": (lambda: made({"jwk": None, "kid": "1"}), HEAD),
    "critical extension": (lambda: made({"crit": ["b64"], "b64": False}), HEAD),
    "certificate": (lambda: made({"x5c": ["MII"]}), HEAD),
    "private part": (lambda: made(key(d=encoded(bytes(32)))), "without a private part"),
    "key of another type": (lambda: made(key(kty="RSA")), "on the curve P-256"),
    "key as text": (lambda: made({"jwk": "x"}), KEY),
    "key with numbers": (lambda: made(key(x=1)), KEY),
    "key without y": (lambda: made(key(y=None)), "on the curve P-256"),
    "key for encryption": (lambda: made(key(use="enc")), "key for signatures"),
    "point off the curve": (lambda: made(key(x=encoded(bytes(31) + b"\1"))), SIGNATURE),
    "short coordinate": (lambda: made(key(x=encoded(bytes(31)))), SIGNATURE),
    "foreign key": (lambda: made({"jwk": OTHER.jwk}), SIGNATURE),
    "changed claims": (changed_claims, SIGNATURE),
    "zero signature": (zero_signature, SIGNATURE),
    "signature in DER": (with_der_signature, SIGNATURE),
    "method GET": (lambda: made(htm="GET"), "`htm`"),
    "no method": (lambda: made(htm=None), "`htm`"),
    "another host": (lambda: made(htu="https://evil.example/v1/token"), "`htu`"),
    "another scheme": (lambda: made(htu="http://iam.example/v1/token"), "`htu`"),
    "another port": (lambda: made(htu="https://iam.example:444/v1/token"), "`htu`"),
    "another path": (lambda: made(htu="https://iam.example/v1/tokens"), "`htu`"),
    "slash behind the path": (lambda: made(htu="https://iam.example/v1/token/"), "`htu`"),
    "path in upper case": (lambda: made(htu="https://iam.example/V1/TOKEN"), "`htu`"),
    "query": (lambda: made(htu="https://iam.example/v1/token?x=1"), "`htu`"),
    "fragment": (lambda: made(htu="https://iam.example/v1/token#x"), "`htu`"),
    "user information": (lambda: made(htu="https://iam.example@evil.example/v1/token"), "`htu`"),
    "user before the host": (lambda: made(htu="https://user@iam.example/v1/token"), "`htu`"),
    "relative": (lambda: made(htu="/v1/token"), "`htu`"),
    "broken": (lambda: made(htu="https://[iam.example/v1/token"), "`htu`"),
    "no address": (lambda: made(htu=None), "`htu`"),
    "old": (lambda: made(iat=NOW - 301), "`iat`"),
    "of the future": (lambda: made(iat=NOW + 301), "`iat`"),
    "time with a fraction": (lambda: made(iat=NOW + 0.5), "`iat`"),
    "time as text": (lambda: made(iat=str(NOW)), "`iat`"),
    "time that is true": (lambda: made(iat=True), "`iat`"),
    "no time": (lambda: made(iat=None), "`iat`"),
    "no id": (lambda: made(jti=None), "`jti`"),
    "empty id": (lambda: made(jti=""), "`jti`"),
    "long id": (lambda: made(jti="x" * 257), "`jti`"),
}


@table("name", REFUSED)
def test_invalid_proof_is_refused(name: str) -> None:
    make, sentence = REFUSED[name]
    with pytest.raises(InvalidInput, match="expected") as caught:
        checked(make())
    assert sentence in caught.value.message


def test_missing_or_repeated_proof_is_refused() -> None:
    with pytest.raises(InvalidInput, match="one DPoP header"):
        checked(made(), made())
    with pytest.raises(InvalidInput, match="one DPoP header"):
        verify_proof(Possession((), "POST", frozenset({URL})), NOW)


ACCEPTED: dict[str, Callable[[], str]] = {
    "as botocore makes it": made,
    "host in upper case": lambda: made(htu="HTTPS://IAM.example/v1/token"),
    "default port": lambda: made(htu="https://iam.example:443/v1/token"),
    "five minutes old": lambda: made(iat=NOW - 300),
    "five minutes ahead": lambda: made(iat=NOW + 300),
    "key with its purpose": lambda: made(key(use="sig", alg="ES256", kid="1")),
    "further claims": lambda: made(ath="x", nonce="y"),
}


@table("name", ACCEPTED)
def test_valid_proof_has_the_thumbprint_of_its_key(name: str) -> None:
    """RFC 7638: over the required members in order."""
    text = json.dumps({member: TOOL.jwk[member] for member in ("crv", "kty", "x", "y")}, separators=(",", ":"))
    expected = encoded(hashlib.sha256(text.encode()).digest())
    assert checked(ACCEPTED[name]()).thumbprint == expected
    assert base64.urlsafe_b64decode(expected + "=")


ADDRESSES = [
    ({}, {"secure": False}, "http://inside:8750/v1/token", True),
    ({}, {"secure": True}, "https://inside:8750/v1/token", True),
    ({}, {"secure": True}, "http://inside:8750/v1/token", False),
    ({}, {"secure": False}, "https://iam.example/v1/token", False),
    ({"public_hosts": ("iam.example",)}, {"secure": False}, "https://iam.example/v1/token", True),
    ({"public_hosts": ("iam.example",)}, {"secure": False}, "http://iam.example/v1/token", False),
    ({"site_url": "https://app.example"}, {"secure": False}, "https://app.example/v1/token", True),
]


@table("settings, received, address, is_ours", ADDRESSES)
def test_address_is_the_one_that_clients_use(settings: Any, received: Any, address: str, is_ours: bool) -> None:
    call = Call("r", "http", "POST", "/v1/token", "inside:8750", None, None, None, received["secure"], "us-east-1")
    request = HttpRequest("POST", b"/v1/token", b"", ())
    assert (address in possession_of(request, call, Settings(**settings)).addresses) is is_ours
