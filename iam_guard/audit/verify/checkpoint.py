"""Checkpoints (c2sp.org/tlog-checkpoint): the size and the root of a shard's tree, in a signed note.

The text has three lines: the origin, which says whose tree it is, the number of leaves, the root in base64. The origin
is the name of the key, a slash, the shard. (The specification would have key and origin share one name. Shards come and
go with processes while the key stays; so one key signs for the shards below its name.)

A file of checkpoints is notes one after the other, each with an empty line after it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from iam_guard.audit.verify.merkle import HASH_BYTES
from iam_guard.audit.verify.signed_note import KeyRing, Note, SignerKey, Trust, parse_note, sign_note
from iam_guard.errors import InvalidInput

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_SIGNATURE_BLOCK = "— ".encode()
_END = b"\n\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Whose tree it is, how many leaves it has, and its root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode('ascii')}\n"

    @property
    def shard(self) -> str:
        return self.origin.rpartition("/")[2]

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a note; lines after the third are another's affair, as the specification has it."""
        lines = text.removesuffix("\n").split("\n")
        origin, size, encoded = lines[:3] if len(lines) >= 3 else ("", "", "")
        try:
            root = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            root = b""
        if not all(lines) or not _SIZE.fullmatch(size) or len(root) != HASH_BYTES:
            raise InvalidInput("expected a checkpoint: origin, size, root")
        found = cls(origin, int(size), root)
        if not text.startswith(found.text):
            raise InvalidInput("expected a checkpoint with its root in canonical base64")
        return found


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with what its signatures are worth."""

    checkpoint: Checkpoint
    trust: Trust
    note: Note


def origin_of(shard: str, key: SignerKey) -> str:
    """Name the tree of a shard whose checkpoints this key signs."""
    return f"{key.name}/{shard}"


def sign_checkpoint(shard: str, size: int, root: bytes, key: SignerKey) -> str:
    """Make the note that says how the tree of a shard is now."""
    return sign_note(Checkpoint(origin_of(shard, key), size, root).text, (key,))


def open_checkpoint(note: bytes, ring: KeyRing) -> SignedCheckpoint:
    """Read a note and judge its signatures; raise `InvalidInput` where it is no checkpoint."""
    parsed = parse_note(note)
    return SignedCheckpoint(Checkpoint.parse(parsed.text), ring.trust(parsed), parsed)


class NotePlace(NamedTuple):
    """A note of a file: its number from 1, the byte where it begins, its bytes; `torn` where it has no end."""

    number: int
    begin: int
    note: bytes
    torn: bool = False


def notes_of(content: bytes) -> Iterator[NotePlace]:
    """Take a file of checkpoints apart; what is no note is given too, for whoever reads it to refuse it."""
    begin, number, text = 0, 0, b""
    text_begin = 0
    while begin < len(content):
        end = content.find(_END, begin)
        block = content[begin : len(content) if end < 0 else end]
        next_begin = len(content) if end < 0 else end + len(_END)
        if block.startswith(_SIGNATURE_BLOCK) or end < 0:
            number += 1
            start = text_begin if text else begin
            yield NotePlace(number, start, text + block + (b"" if end < 0 else b"\n"), torn=end < 0)
            text = b""
        elif text:
            number += 1
            yield NotePlace(number, text_begin, text)
            text, text_begin = block + _END, begin
        else:
            text, text_begin = block + _END, begin
        begin = next_begin
    if text:  # half a note has no signature; one whose parts run together was changed
        yield NotePlace(number + 1, text_begin, text, torn=_SIGNATURE_BLOCK not in text)
