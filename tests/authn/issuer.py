"""An OIDC issuer that signs tokens and publishes its keys over real HTTP."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NAME = "https://id.example.com/tenant"
"""The issuer in its tokens; its server has another address."""
HASHES: Mapping[str, Any] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
CURVES: Mapping[str, tuple[Any, str, int]] = {
    "ES256": (ec.SECP256R1, "P-256", 32),
    "ES384": (ec.SECP384R1, "P-384", 48),
    "ES512": (ec.SECP521R1, "P-521", 66),
}


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def number(value: int, size: int | None = None) -> str:
    return encoded(value.to_bytes(size or (value.bit_length() + 7) // 8))


class SigningKey:
    """A private key for one algorithm, with its public half as a JWK."""

    def __init__(self, algorithm: str = "RS256", id: str = "key-1", *, bits: int = 2048) -> None:
        self.algorithm = algorithm
        self.id = id
        self.private: Any
        if algorithm in CURVES:
            self.private = ec.generate_private_key(CURVES[algorithm][0]())
        elif algorithm in ("EdDSA", "Ed25519"):
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = rsa.generate_private_key(65537, bits)

    def jwk(self, **more: Any) -> dict[str, Any]:
        public = self.private.public_key()
        if self.algorithm in CURVES:
            _, curve, size = CURVES[self.algorithm]
            numbers = public.public_numbers()
            found = {"kty": "EC", "crv": curve, "x": number(numbers.x, size), "y": number(numbers.y, size)}
        elif self.algorithm in ("EdDSA", "Ed25519"):
            found = {"kty": "OKP", "crv": "Ed25519", "x": encoded(public.public_bytes_raw())}
        else:
            numbers = public.public_numbers()
            found = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        return {**found, "kid": self.id, "use": "sig", **more}

    def sign(self, message: bytes) -> bytes:
        """Sign with `cryptography`, independent of the tested code."""
        if self.algorithm in ("EdDSA", "Ed25519"):
            return bytes(self.private.sign(message))
        hash = HASHES[self.algorithm[2:]]()
        match self.algorithm[:2]:
            case "ES":
                r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hash)))
                size = CURVES[self.algorithm][2]
                return r.to_bytes(size) + s.to_bytes(size)
            case "PS":
                salted = padding.PSS(padding.MGF1(hash), hash.digest_size)
                return bytes(self.private.sign(message, salted, hash))
            case _:
                return bytes(self.private.sign(message, padding.PKCS1v15(), hash))


def signed(key: SigningKey, claims: Mapping[str, Any] | bytes, header: Mapping[str, Any] | bytes | None = None) -> str:
    """Return a signed token; a header as bytes is used as it is, members are merged into the default header."""
    if not isinstance(header, bytes):
        members = {"alg": key.algorithm, "typ": "JWT", "kid": key.id} | dict(header or {})
        header = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    text = f"{encoded(header)}.{encoded(payload)}"
    return f"{text}.{encoded(key.sign(text.encode()))}"


class Issuer:
    """The content of the server, which may be changed while it runs. `asked` counts requests by path."""

    def __init__(self, name: str = NAME) -> None:
        self.name = name
        self.address = ""
        self.keys = [SigningKey()]
        self.jwks: Any = None
        self.document: dict[str, Any] = {}
        self.is_down = False
        self.status = 200
        self.answers = threading.Event()
        """If cleared, responses are delayed."""
        self.answers.set()
        self.body: bytes | None = None
        self.drips = 0.0
        self.redirects_to: str | None = None
        self.asked: dict[str, int] = {}
        self.clock: Callable[[], float] = time.time
        self._lock = threading.Lock()

    @property
    def at(self) -> str:
        """The issuer's entry in the setting `oidc_addresses`."""
        return f"{self.name}={self.address}"

    def count(self, part: str = "jwks") -> int:
        return sum(number for path, number in self.asked.copy().items() if part in path)

    def claims(self, **more: Any) -> dict[str, Any]:
        now = int(self.clock())
        usual = {"iss": self.name, "sub": "ann", "aud": "app", "iat": now, "exp": now + 600}
        return {name: value for name, value in (usual | more).items() if value is not None}

    def token(self, header: Mapping[str, Any] | bytes | None = None, **more: Any) -> str:
        return signed(self.keys[-1], self.claims(**more), header)

    def rotate(self, *, keep_old: bool = False) -> SigningKey:
        """Create a new key and sign with it."""
        new = SigningKey(self.keys[-1].algorithm, f"key-{len(self.asked)}-{time.monotonic_ns()}")
        self.keys = [*self.keys, new] if keep_old else [new]
        return new

    def answer(self, path: str) -> bytes:
        with self._lock:
            self.asked[path] = self.asked.get(path, 0) + 1
        self.answers.wait(300)
        if self.body is not None:
            return self.body
        if path.endswith("/.well-known/openid-configuration"):
            return json.dumps({"issuer": self.name, "jwks_uri": f"{self.name}/jwks", **self.document}).encode()
        return json.dumps(self.jwks or {"keys": [key.jwk() for key in self.keys]}).encode()


def _handler(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = issuer.answer(self.path)
            if issuer.is_down:
                self.close_connection = True
                return
            if issuer.redirects_to is not None:
                self.send_response(302)
                self.send_header("location", issuer.redirects_to)
                self.end_headers()
                return
            self.send_response(issuer.status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            for at in range(0, len(content), 16 if issuer.drips else len(content)):
                self.wfile.write(content[at : at + (16 if issuer.drips else len(content))])
                time.sleep(issuer.drips)

        def log_message(self, format: str, *args: Any) -> None: ...

    return Handler


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore disconnected clients."""


@contextmanager
def publishing(issuer: Issuer, wrap: Callable[[Any], Any] = lambda listener: listener) -> Iterator[Issuer]:
    """Serve an issuer at loopback; `wrap` may add TLS to the listener."""
    server = QuietServer(("127.0.0.1", 0), _handler(issuer))
    server.socket = wrap(server.socket)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    issuer.address = f"http://127.0.0.1:{server.server_address[1]}/tenant"
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
