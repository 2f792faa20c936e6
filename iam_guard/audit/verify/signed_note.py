"""Signed notes (c2sp.org/signed-note): text, a blank line, and a line for each signature.

A signature names its key by a name and four bytes, so one note may have several: of the keys before and after a
rotation, of cosigners. Signatures by unknown keys are ignored; at least one must be by a known key and valid, and one
invalid signature by a known key invalidates the note. Only Ed25519 (type 1) is supported. Keys have the format of Go's
note package: `name+id+base64` for a public key, `PRIVATE+KEY+name+id+base64` for a private one.

Parsing is strict: only the canonical encoding is accepted, so that no byte of a note can change undetected.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from iam_guard.errors import ConfigurationError, InvalidInput

MAX_NOTE = 1024 * 1024
MAX_SIGNATURES = 64
"""The specification requires support for 16; a note with more than this is rejected."""

_ED25519 = b"\x01"
_KEY_ID = 4
_KEY_BYTES = 32
_PRIVATE = "PRIVATE+KEY+"
_SIGNATURE_MARK = "— "


class Trust(StrEnum):
    """The result of checking the signatures of a note."""

    GOOD = "good"
    UNKNOWN_KEY = "unknown key"
    BAD_SIGNATURE = "bad signature"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name."""

    name: str
    id: bytes
    public: bytes

    @classmethod
    def parse(cls, text: str, *, place: str = "audit_verifier_keys") -> VerifierKey:
        """Parse `name+id+base64`; raise `ConfigurationError` for anything else."""
        name, id_, public = _key_parts(text)
        if public:
            key = cls.of_public(name, public)
            if key.id.hex() == id_:
                return key
        raise ConfigurationError("expected a verifier key such as `name+1a2b3c4d+AX…`", place=place)

    @classmethod
    def of_public(cls, name: str, public: bytes) -> VerifierKey:
        """Return the verifier key for a public key; raise `ConfigurationError` for an invalid name or length."""
        if not is_key_name(name) or len(public) != _KEY_BYTES:
            raise ConfigurationError("expected a name without spaces and `+` for a key of 32 bytes", place="name")
        digest = hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()
        return cls(name, digest[:_KEY_ID], public)

    def __str__(self) -> str:
        """Return the key as `name+id+base64`."""
        return f"{self.name}+{self.id.hex()}+{_encode(_ED25519 + self.public)}"

    def is_signed(self, text: bytes, signature: bytes) -> bool:
        """Return whether the signature over the text is valid for this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


class SignerKey:
    """A private key with its name; its repr does not contain the key."""

    __slots__ = ("_private", "_seed", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != _KEY_BYTES:
            raise ConfigurationError("expected a signing key of 32 bytes", place="audit_key_file")
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey.of_public(name, self._private.public_key().public_bytes_raw())

    @classmethod
    def new(cls, name: str) -> SignerKey:
        """Generate a random key."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str, *, place: str = "audit_key_file") -> SignerKey:
        """Parse `PRIVATE+KEY+name+id+base64`; raise `ConfigurationError`, whose message never contains the input."""
        name, id_, seed = _key_parts(text.removeprefix(_PRIVATE))
        if seed and text.startswith(_PRIVATE):
            key = cls(name, seed)
            if key.verifier.id.hex() == id_:
                return key
        raise ConfigurationError("expected a signing key such as `PRIVATE+KEY+name+1a2b3c4d+…`", place=place)

    @property
    def name(self) -> str:
        """The name of the key, as signatures have it."""
        return self.verifier.name

    def secret_text(self) -> str:
        """Return the private key as the key file stores it."""
        return f"{_PRIVATE}{self.name}+{self.verifier.id.hex()}+{_encode(_ED25519 + self._seed)}"

    def signature_line(self, text: str) -> str:
        """Sign a text and return the signature line to append."""
        return f"{_SIGNATURE_MARK}{self.name} {_encode(self.verifier.id + self._private.sign(text.encode()))}\n"

    def __repr__(self) -> str:
        return f"SignerKey(<{self.name}, {self.verifier.id.hex()}>)"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of a note, not yet checked."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note, whose signatures are not yet checked."""

    text: str
    signatures: tuple[Signature, ...]


class KeyRing:
    """The trusted keys, found by name and id together."""

    def __init__(self, keys: Iterable[VerifierKey]) -> None:
        self.keys = tuple(keys)
        self._by_id = {(key.name, key.id): key for key in self.keys}

    def trust(self, note: Note) -> Trust:
        """Check the signatures of a note."""
        known = [
            (key, each.signature) for each in note.signatures if (key := self._by_id.get((each.name, each.key_id)))
        ]
        text = note.text.encode()
        if not all(key.is_signed(text, signature) for key, signature in known):
            return Trust.BAD_SIGNATURE
        return Trust.GOOD if known else Trust.UNKNOWN_KEY


def _key_parts(text: str) -> tuple[str, str, bytes]:
    """Split `name+id+base64` into name, id and key; the key is empty if the text is malformed."""
    name, id_, encoded = ([*text.split("+", 2), "", ""])[:3]
    decoded = _decode(encoded) or b""
    is_key = is_key_name(name) and decoded[:1] == _ED25519 and len(decoded) == 1 + _KEY_BYTES
    return name, id_, decoded[1:] if is_key else b""


def is_key_name(name: str) -> bool:
    """Return whether this is a valid key name: printable, without spaces and `+`."""
    return bool(name) and name.isprintable() and not any(char == "+" or char.isspace() for char in name)


def sign_note(text: str, signers: Sequence[SignerKey]) -> str:
    """Return the text with a signature by each signer; raise `ValueError` for an unsignable text or no signer."""
    if not text.endswith("\n") or not _is_clean(text) or not signers:
        raise ValueError("expected a text that ends with a line break, and at least one signer")
    return text + "\n" + "".join(signer.signature_line(text) for signer in signers)


def parse_note(note: bytes) -> Note:
    """Parse a note without checking its signatures; raise `InvalidInput` for anything else."""
    if len(note) > MAX_NOTE:
        raise InvalidInput(f"expected a signed note of at most {MAX_NOTE} bytes, got {len(note)}")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise InvalidInput("expected a signed note in UTF-8") from None
    text, _, below = whole.rpartition("\n\n")
    lines = below.removesuffix("\n").split("\n")
    if not text or not below.endswith("\n") or not _is_clean(whole) or len(lines) > MAX_SIGNATURES:
        raise InvalidInput("expected a signed note: text, a blank line, signatures")
    return Note(text + "\n", tuple(_signature(line) for line in lines))


def _signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_SIGNATURE_MARK).partition(" ")
    decoded = _decode(encoded)
    if not line.startswith(_SIGNATURE_MARK) or not is_key_name(name) or decoded is None or len(decoded) <= _KEY_ID:
        raise InvalidInput("expected a signature line: `— name base64`")
    return Signature(name, decoded[:_KEY_ID], decoded[_KEY_ID:])


def _is_clean(text: str) -> bool:
    return all(char >= " " or char == "\n" for char in text)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes | None:
    """Decode canonical base64; return None for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return data if _encode(data) == text else None
