"""Checkpoints (c2sp.org/tlog-checkpoint): the size and the root of a shard's tree, in a signed note.

The text has three lines: the origin, the number of leaves, the root in base64. The origin is `<key name>/<shard>`: the
specification uses one name for key and origin, but one key signs for every shard here.
A checkpoint file is a sequence of notes, each followed by an empty line.
"""

from __future__ import annotations

import base64
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
    """The origin, size (number of leaves) and root of a tree."""

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
        """Parse the text of a note; as the specification requires, ignore lines after the third."""
        lines = text.removesuffix("\n").split("\n")
        origin, size, encoded = lines[:3] if len(lines) >= 3 else ("", "", "")
        try:
            root = base64.b64decode(encoded, validate=True)
        except ValueError:
            root = b""
        if not all(lines) or not _SIZE.fullmatch(size) or len(root) != HASH_BYTES:
            raise InvalidInput("expected a checkpoint: origin, size, root")
        checkpoint = cls(origin, int(size), root)
        if not text.startswith(checkpoint.text):
            raise InvalidInput("expected a checkpoint with its root in canonical base64")
        return checkpoint


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with its note and the result of the signature check."""

    checkpoint: Checkpoint
    trust: Trust
    note: Note


def sign_checkpoint(shard: str, size: int, root: bytes, key: SignerKey) -> str:
    """Return the signed note for a shard's tree of this size and root."""
    return sign_note(Checkpoint(f"{key.name}/{shard}", size, root).text, (key,))


def open_checkpoint(note: bytes, ring: KeyRing) -> SignedCheckpoint:
    """Parse a note and check its signatures; raise `InvalidInput` if it is not a checkpoint."""
    parsed = parse_note(note)
    return SignedCheckpoint(Checkpoint.parse(parsed.text), ring.trust(parsed), parsed)


class NoteSlice(NamedTuple):
    """A note in a file: its number from 1, its byte offset, its bytes; `torn` if it is incomplete."""

    number: int
    begin: int
    note: bytes
    torn: bool = False


def split_notes(content: bytes) -> Iterator[NoteSlice]:
    """Split a checkpoint file into notes; malformed parts are yielded too, so that parsing them fails."""
    begin, number, text = 0, 0, b""
    text_begin = 0
    while begin < len(content):
        end = content.find(_END, begin)
        block = content[begin : len(content) if end < 0 else end]
        next_begin = len(content) if end < 0 else end + len(_END)
        if block.startswith(_SIGNATURE_BLOCK) or end < 0:
            number += 1
            start = text_begin if text else begin
            yield NoteSlice(number, start, text + block + (b"" if end < 0 else b"\n"), torn=end < 0)
            text = b""
        else:
            if text:
                number += 1
                yield NoteSlice(number, text_begin, text)
            text, text_begin = block + _END, begin
        begin = next_begin
    if text:  # an incomplete note has no signature; a note with merged parts was modified
        yield NoteSlice(number + 1, text_begin, text, torn=_SIGNATURE_BLOCK not in text)
