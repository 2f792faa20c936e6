"""Signed notes (c2sp.org/signed-note): text, a blank line, and a line for each signature.

A signature names its key by a name and four bytes, so one note may carry several: of the key before a rotation and of
the one after, of witnesses. Those of keys that nobody here knows are passed over; at least one must be known and good,
and one that is known and not good spoils the note. Only Ed25519 (type 1) is spoken. Keys are written as Go's note
package writes them: `name+id+base64` the public one, `PRIVATE+KEY+name+id+base64` the private one.

Reading is strict: whatever is not exactly as it would be written is refused, so that no byte of a note can change
without being seen.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from iam_guard.errors import ConfigurationError, InvalidInput

MAX_NOTE = 1024 * 1024
MAX_SIGNATURES = 64
"""More than the 16 that everybody must take; a note of more is refused."""

_ED25519 = b"\x01"
_KEY_ID = 4
_PRIVATE = "PRIVATE+KEY+"
_MARK = "— "


class Trust(StrEnum):
    """What the signatures of a note are worth."""

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
        """Read `name+id+base64`; raise `ConfigurationError` for anything else."""
        name, id_, encoded = ([*text.split("+", 2), "", ""])[:3]
        key = cls._of(name, _decode(encoded) or b"")
        if key is None or key.id.hex() != id_:
            raise ConfigurationError("expected a verifier key such as `name+1a2b3c4d+AX…`", place=place)
        return key

    @classmethod
    def _of(cls, name: str, encoded: bytes) -> VerifierKey | None:
        if not is_key_name(name) or len(encoded) != 33 or not encoded.startswith(_ED25519):
            return None
        digest = hashlib.sha256(name.encode() + b"\n" + encoded).digest()
        return cls(name, digest[:_KEY_ID], encoded[1:])

    @classmethod
    def of_public(cls, name: str, public: bytes) -> VerifierKey:
        """Name a public key."""
        key = cls._of(name, _ED25519 + public)
        if key is None:
            raise ConfigurationError("expected a name without spaces and `+` for a key of 32 bytes", place="name")
        return key

    def __str__(self) -> str:
        """Write the key as `name+id+base64`."""
        return f"{self.name}+{self.id.hex()}+{_encode(_ED25519 + self.public)}"

    def is_signed(self, text: bytes, signature: bytes) -> bool:
        """Return whether the signature over the text is of this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


class SignerKey:
    """A private key with its name; shows neither in its repr nor anywhere else what it is."""

    __slots__ = ("_private", "_seed", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != 32:
            raise ConfigurationError("expected a signing key of 32 bytes", place="audit_key_file")
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey.of_public(name, self._private.public_key().public_bytes_raw())

    @classmethod
    def new(cls, name: str) -> SignerKey:
        """Make a random key."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str, *, place: str = "audit_key_file") -> SignerKey:
        """Read `PRIVATE+KEY+name+id+base64`; raise `ConfigurationError`, which never repeats it."""
        name, id_, encoded = ([*text.removeprefix(_PRIVATE).split("+", 2), "", ""])[:3]
        decoded = _decode(encoded) or b""
        if text.startswith(_PRIVATE) and is_key_name(name) and len(decoded) == 33 and decoded.startswith(_ED25519):
            key = cls(name, decoded[1:])
            if key.verifier.id.hex() == id_:
                return key
        raise ConfigurationError("expected a signing key such as `PRIVATE+KEY+name+1a2b3c4d+…`", place=place)

    @property
    def name(self) -> str:
        return self.verifier.name

    def secret_text(self) -> str:
        """Write the key as its file has it."""
        return f"{_PRIVATE}{self.name}+{self.verifier.id.hex()}+{_encode(_ED25519 + self._seed)}"

    def signature_line(self, text: str) -> str:
        """Sign a text: the line that belongs below it."""
        return f"{_MARK}{self.name} {_encode(self.verifier.id + self._private.sign(text.encode()))}\n"

    def __repr__(self) -> str:
        return f"SignerKey(<{self.name}, {self.verifier.id.hex()}>)"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of a note, of whatever key."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note that was read, and not yet believed."""

    text: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys that are believed, found by name and id together."""

    keys: tuple[VerifierKey, ...]
    _found: dict[tuple[str, bytes], VerifierKey] = field(init=False, repr=False, compare=False)

    def __init__(self, keys: Iterable[VerifierKey]) -> None:
        object.__setattr__(self, "keys", tuple(keys))
        object.__setattr__(self, "_found", {(key.name, key.id): key for key in self.keys})

    def trust(self, note: Note) -> Trust:
        """Judge the signatures of a note."""
        known = [
            (key, each.signature) for each in note.signatures if (key := self._found.get((each.name, each.key_id)))
        ]
        text = note.text.encode()
        if not all(key.is_signed(text, signature) for key, signature in known):
            return Trust.BAD_SIGNATURE
        return Trust.GOOD if known else Trust.UNKNOWN_KEY


def is_key_name(name: str) -> bool:
    """Return whether a key may have this name."""
    return bool(name) and name.isprintable() and not any(each == "+" or each.isspace() for each in name)


def sign_note(text: str, signers: Sequence[SignerKey]) -> str:
    """Put signatures below a text."""
    if not text.endswith("\n") or not _is_clean(text) or not signers:
        raise ValueError("expected a text that ends with a line break, and a key")
    return text + "\n" + "".join(signer.signature_line(text) for signer in signers)


def parse_note(note: bytes) -> Note:
    """Take a note apart; raise `InvalidInput` for what is not exactly one."""
    if len(note) > MAX_NOTE:
        raise InvalidInput(f"the signed note is longer than {MAX_NOTE} bytes")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise InvalidInput("the signed note is not UTF-8") from None
    text, _, below = whole.rpartition("\n\n")
    lines = below.removesuffix("\n").split("\n")
    if not text or not below.endswith("\n") or not _is_clean(whole) or len(lines) > MAX_SIGNATURES:
        raise InvalidInput("expected a signed note: text, a blank line, signatures")
    return Note(text + "\n", tuple(_signature(line) for line in lines))


def _signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_MARK).partition(" ")
    decoded = _decode(encoded)
    if not line.startswith(_MARK) or not is_key_name(name) or decoded is None or len(decoded) <= _KEY_ID:
        raise InvalidInput("expected a signature line: `— name base64`")
    return Signature(name, decoded[:_KEY_ID], decoded[_KEY_ID:])


def _is_clean(text: str) -> bool:
    return all(each >= " " or each == "\n" for each in text)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes | None:
    """Read base64 that is written in the one way that it is written; None for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _encode(data) == text else None
