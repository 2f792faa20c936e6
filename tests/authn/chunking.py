"""A client that signs chunked bodies, written from AWS's documentation and not from our code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

Sign = Callable[[bytes], str]
EMPTY = hashlib.sha256(b"").hexdigest()


def by_hmac(secret: str, *scope: str) -> Sign:
    """Sign a text with SigV4."""
    key = b"AWS4" + secret.encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return lambda text: hmac.new(key, text, hashlib.sha256).hexdigest()


def by_ecdsa(key: ec.EllipticCurvePrivateKey) -> Sign:
    """Sign a text with SigV4A, padded to a fixed length."""
    return lambda text: key.sign(text, ec.ECDSA(SHA256())).hex().ljust(144, "*")


def crc32(content: bytes) -> str:
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


@dataclass
class Chunker:
    """The chunk signer of one request. `sign` is None for unsigned chunks."""

    timestamp: str
    scope: str
    seed: str
    sign: Sign | None
    algorithm: str = "AWS4-HMAC-SHA256"

    def encode(self, chunks: Sequence[bytes], trailer: Sequence[tuple[str, str]] = ()) -> bytes:
        """Return the encoded body; the empty chunk is added."""
        return b"".join([*self.pieces(chunks), self.ending(trailer)])

    def pieces(self, chunks: Sequence[bytes]) -> list[bytes]:
        return [self._head(chunk) + (chunk + b"\r\n" if chunk else b"") for chunk in [*chunks, b""]]

    def ending(self, trailer: Sequence[tuple[str, str]]) -> bytes:
        lines = [f"{name}:{value}" for name, value in trailer]
        if trailer and self.sign is not None:
            text = "".join(f"{line}\n" for line in lines).encode()
            lines.append(f"x-amz-trailer-signature:{self._signed('TRAILER', hashlib.sha256(text).hexdigest())}")
        return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"

    def _head(self, chunk: bytes) -> bytes:
        if self.sign is None:
            return f"{len(chunk):x}\r\n".encode()
        signature = self._signed("PAYLOAD", f"{EMPTY}\n{hashlib.sha256(chunk).hexdigest()}")
        return f"{len(chunk):x};chunk-signature={signature}\r\n".encode()

    def _signed(self, kind: str, rest: str) -> str:
        text = f"{self.algorithm}-{kind}\n{self.timestamp}\n{self.scope}\n{self.seed}\n{rest}"
        assert self.sign is not None
        signature = self.sign(text.encode())
        self.seed = signature.strip("*")
        return signature
