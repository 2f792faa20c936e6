"""From a record to the line that leaves: the one place where text is masked and cut.

Every string of every record, at any depth, passes here; no sink sees anything else. Secrets are recognised by how they
look (`_ROWS`, and secret access keys by their randomness), since callers put them where nobody expects them: into a
path, a user agent, the place of an access key id. What was masked or cut is named in `iamGuard.redacted` and
`iamGuard.truncated` as JSON pointers.

Two steps, so that an ordinary record costs one search: the line is written and searched for the markers of all rows;
only when there is one, or the line is long, is the record gone through string by string. This is sound because JSON
writes every character of a marker as itself. What is masked is a matter of one string alone, never of its neighbours or
its place: so the parts of a line can be searched one by one, and a part that stays the same need be searched only once
(`line`).

The line is pure ASCII: all else is written as escapes, so that no text can forge a line, move a terminal's cursor or
turn the direction of reading. What an operator chose to keep out (`privacy`) goes first, for what is hashed and kept is
what leaves here.
"""

from __future__ import annotations

import hashlib
import json
import re
import string
from dataclasses import dataclass, field
from itertools import pairwise

from iam_guard.audit.record.privacy import MASK, PrivacyRules
from iam_guard.policy.grammar import shown

MAX_LINE = 60 * 1024
"""Bytes of one line; a later Merkle tree has room for 65,535."""

MAX_TEXT = 4096
"""Bytes of one string in the line."""

_TEXT_LIMITS = (MAX_TEXT, 1024, 512)
"""SegmentLimits of one string, tried in turn until the line fits; with the last it always does."""

MAX_BRIEF_TEXT = 512
"""The same of a record whose line would be longer than `MAX_TEXT`, where its caller is not signed in."""

_MARGIN = 256
"""Characters after a cut that are read to recognise a secret, and never kept: the last may be the half of one."""

_VALUE = r"""[^\s&;,"'<>]+"""


@dataclass(frozen=True, slots=True)
class _Row:
    """A look of secrets. `marker` and `also`, in lower case, are in every text that `pattern` changes."""

    marker: str
    pattern: re.Pattern[str]
    replacement: str = MASK
    also: str = ""


_SHAPE = re.IGNORECASE | re.ASCII

_ROWS = (
    _Row("igk_", re.compile(rf"igk_{_VALUE}", _SHAPE)),  # our API keys
    _Row("igst_", re.compile(r"igst_[\w-]{16,}", _SHAPE)),  # our session tokens
    _Row("authorization", re.compile(r"(authorization[\"']?\s*[:=])[^\r\n]*", _SHAPE), rf"\1{MASK}"),
    _Row("bearer", re.compile(rf"(bearer(?:[\s:=+\"']|%20)+){_VALUE}", _SHAPE), rf"\1{MASK}"),
    # JSON Web Tokens, which are base64 of `{"`; in another case, as condition keys have them, only with their dot
    _Row("eyj", re.compile(r"(?:eyJ[\w-]{8,}|(?i:eyj)[\w-]{8,}\.[\w-]+)(?:\.[\w-]*)*", re.ASCII)),
    _Row(
        "=",
        re.compile(rf"((?:token|secret|password|passwd|signature|key|assertion)=[\"']?){_VALUE}", _SHAPE),
        rf"\1{MASK}",
    ),
    _Row(
        "private key-----",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:.*?-----END [A-Z0-9 ]*PRIVATE KEY-----|.*)", _SHAPE | re.DOTALL
        ),
    ),
    _Row("@", re.compile(r"(://)[^/\s@]+(?=@)"), rf"\1{MASK}", also="://"),  # user and password of a URL
)
_MARKERS = tuple((row.marker, row.also) for row in _ROWS)

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = "\\ud"

_KEY_LENGTH = 40
_KEY = re.compile(r"(?<![A-Za-z0-9])(?=([A-Za-z0-9+/]{40})(?![A-Za-z0-9]))")
_KEY_LETTERS = (string.ascii_letters + string.digits + "+/").encode()
_FLATTEN = bytes.maketrans(_KEY_LETTERS, b"A" * len(_KEY_LETTERS))
_KEY_RUN = b"A" * _KEY_LENGTH
_DIGEST_MEMBER = '"digest":"'  # a quote inside a string is escaped: no text can look like this
_DIGEST = re.compile(rf'{_DIGEST_MEMBER}[0-9a-f]{{64}}"')

write = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
"""Write a value as JSON on one line, in ASCII."""


def to_line(record: dict[str, object], rules: PrivacyRules | None = None, *, is_brief: bool = False) -> bytes:
    """Write a record as one line of JSON that is safe to keep, at most `MAX_LINE` bytes with its line break.

    `rules` say what is dropped, masked and made a pseudonym besides. `is_brief` cuts strings shorter.
    """
    if rules is not None:
        record = rules.applied(record)
    line = write(record)
    if len(line) < MAX_TEXT and not is_suspect(line):
        return line.encode("ascii") + b"\n"  # INVARIANT: a line shorter than the limit of one string has none over it
    for limit in (MAX_BRIEF_TEXT,) if is_brief and len(line) >= MAX_TEXT else _TEXT_LIMITS:
        line = write(_Scrubber(limit).record(record))
        if len(line) < MAX_LINE:
            return line.encode("ascii") + b"\n"
    raise ValueError("an audit record has more strings than its line has room for")


def clipped(text: str) -> str:
    """Return as much of a text as a record is made from: what is left out would be cut, and is searched for nothing."""
    return text[: MAX_TEXT + _MARGIN + 1]


def mask(text: str) -> str:
    """Replace what looks like a secret; the rest of the text stays."""
    lowered = text.lower()
    for row in _ROWS:
        if row.marker in lowered and row.also in lowered:
            text = row.pattern.sub(row.replacement, text)
    return _mask_secret_keys(text) if len(text) >= _KEY_LENGTH else text


def loggable(text: object) -> str:
    """Return a text as a log may have it: in one line, and without what looks like a secret."""
    return shown(mask(str(text)))


def is_suspect(written: str) -> bool:
    """Return whether a line, or whole strings of one, may hold something that must not leave as it is."""
    lowered = written.lower()
    for marker, also in _MARKERS:
        if marker in lowered and also in lowered:
            return True
    if _ESCAPED_SURROGATE in lowered:
        return True
    if _DIGEST_MEMBER in written:
        written = _DIGEST.sub("", written)
    return _KEY_RUN in written.encode("ascii").translate(_FLATTEN)


def _mask_secret_keys(text: str) -> str:
    """Replace what looks like a secret access key by a fingerprint.

    The fingerprint keeps a name that was taken for a key comparable with itself, and tells nothing about a key: nobody
    can try out 240 random bits.
    """
    parts: list[str] = []
    end = 0
    for found in _KEY.finditer(text):
        if found.start() >= end and _is_random(found[1]):
            fingerprint = hashlib.sha256(found[1].encode()).hexdigest()[:12]
            parts += text[end : found.start()], f"[redacted:{fingerprint}]"
            end = found.start() + _KEY_LENGTH
    return "".join([*parts, text[end:]])


def _is_random(text: str) -> bool:
    """Tell a random key from words, digests and paths of its length: it changes its kind of letter all the time.

    A random key does so at 25 of 39 places on average, and at fewer than 14 once in ten thousand keys.
    """
    kinds = ["a" if c.islower() else "A" if c.isupper() else "0" if c.isdigit() else c for c in text]
    changes = sum(one != other for one, other in pairwise(kinds))
    return {"a", "A"} <= set(kinds) and changes >= 14 and text.count("/") <= 4


@dataclass(slots=True)
class _Scrubber:
    """Goes through one record and remembers where it masked and cut."""

    limit: int
    redacted: list[str] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)

    def record(self, record: dict[str, object]) -> dict[str, object]:
        clean = {name: self._value(value, f"/{name}") for name, value in record.items()}
        marks = {"redacted": self.redacted, "truncated": self.truncated}
        extension = clean.get("iamGuard")
        known = extension if isinstance(extension, dict) else {}
        found = {name: [*known.get(name, ()), *places] for name, places in marks.items() if places}
        return clean | {"iamGuard": known | found} if found else clean

    def _value(self, value: object, pointer: str) -> object:
        match value:
            case str():
                return self._text(value, pointer)
            case dict():
                return self._members(value, pointer)
            case list() | tuple():
                return [self._value(member, f"{pointer}/{index}") for index, member in enumerate(value)]
            case _:
                return value

    def _members(self, members: dict[str, object], pointer: str) -> dict[str, object]:
        """Clean the names as well: where the members are a map, they are a caller's."""
        clean: dict[str, object] = {}
        for name, member in members.items():
            told = self._text(name, pointer)
            clean[told] = self._value(member, f"{pointer}/{told}")
        return clean

    def _text(self, text: str, pointer: str) -> str:
        window = text[: self.limit + _MARGIN]
        masked = mask(window)
        if masked != window:
            self.redacted.append(pointer)
        masked = _SURROGATE.sub("\ufffd", masked)  # half a character is no text: strict readers refuse the whole line
        whole = len(window) == len(text)
        if whole and _size(masked) <= self.limit:
            return masked
        self.truncated.append(pointer)
        kept = masked[: self.limit] if whole else masked[:-_MARGIN][: self.limit]
        return kept if _size(kept) <= self.limit else kept[: self.limit // 12]  # an escape has up to 12 bytes


def _size(text: str) -> int:
    return len(write(text)) - 2
