"""Serialize a record to its line, masking secrets and truncating long strings; the only place that does so.

Every string of every record, at any depth, passes through here before any sink. Secrets are recognized by their form
(`_ROWS`; secret access keys by their randomness), because callers put them in unexpected places: a path, a user agent,
an access key id. `iamGuard.redacted` and `iamGuard.truncated` list the affected members as JSON pointers.

Two steps, so that an ordinary record costs one search: serialize the line and search it for the markers of all rows;
only if one is found, or the line is long, process the record string by string. This is sound because JSON writes every
character of a marker unchanged. Masking depends on a single string only, not on its neighbours or position, so the
parts of a line can be searched separately, and unchanged parts only once (`line`).

The line is pure ASCII with escapes, so that no input can forge a line, move a terminal's cursor or reverse the reading
direction. Privacy rules (`privacy`) are applied first, because the line is what is hashed and stored.
"""

from __future__ import annotations

import hashlib
import json
import re
import string
from dataclasses import dataclass, field
from itertools import pairwise

from iam_guard.audit.record.privacy import MASK, PrivacyRules, with_marks
from iam_guard.policy.grammar import shown

MAX_LINE = 60 * 1024
"""Bytes of one line; a Merkle tree entry allows 65,535."""

MAX_TEXT = 4096
"""Bytes of one string in the line."""

_TEXT_LIMITS = (MAX_TEXT, 1024, 512)
"""Bytes of one string, tried in turn until the line fits; with the last limit it always does."""

MAX_BRIEF_TEXT = 512
"""Bytes of one string in a record of an unauthenticated caller whose line would be longer than `MAX_TEXT`."""

_MARGIN = 256
"""Characters after a cut that are searched for secrets but never stored: a cut may split a secret."""

_VALUE = r"""[^\s&;,"'<>]+"""


@dataclass(frozen=True, slots=True)
class _Row:
    """A form of secrets. `marker` and `also`, in lower case, occur in every string that `pattern` matches."""

    marker: str
    pattern: re.Pattern[str]
    replacement: str = MASK
    also: str = ""


_SHAPE = re.IGNORECASE | re.ASCII

_ROWS = (
    _Row("igk_", re.compile(rf"igk_{_VALUE}", _SHAPE)),  # our API keys
    _Row("igst_", re.compile(r"igst_[\w-]{16,}", _SHAPE)),  # our session tokens
    _Row("igsi_", re.compile(r"igsi_[\w-]{16,}", _SHAPE)),  # our sign-in tokens
    _Row("igpr_", re.compile(r"igpr_[\w-]{16,}", _SHAPE)),  # our sealed principals
    _Row("authorization", re.compile(r"(authorization[\"']?\s*[:=])[^\r\n]*", _SHAPE), rf"\1{MASK}"),
    _Row("bearer", re.compile(rf"(bearer(?:[\s:=+\"']|%20)+){_VALUE}", _SHAPE), rf"\1{MASK}"),
    # JSON Web Tokens: base64 of `{"`; in another case, as in condition keys, only with their dot
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
_DIGEST_MEMBER = '"digest":"'  # quotes inside strings are escaped, so no string can contain this
_DIGEST = re.compile(rf'{_DIGEST_MEMBER}[0-9a-f]{{64}}"')

write = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
"""Serialize a value as JSON on one line, in ASCII."""


def to_line(record: dict[str, object], rules: PrivacyRules | None = None, *, is_brief: bool = False) -> bytes:
    """Serialize a record as one line of masked JSON, at most `MAX_LINE` bytes including its line break.

    `rules` drop, mask or pseudonymise further members. `is_brief` truncates strings earlier.
    """
    if rules is not None:
        record = rules.apply(record)
    line = write(record)
    if len(line) < MAX_TEXT and not is_suspect(line):
        return line.encode("ascii") + b"\n"  # INVARIANT: no string is longer than its line
    for limit in (MAX_BRIEF_TEXT,) if is_brief and len(line) >= MAX_TEXT else _TEXT_LIMITS:
        line = write(_Scrubber(limit).record(record))
        if len(line) < MAX_LINE:
            return line.encode("ascii") + b"\n"
    raise ValueError(f"expected an audit record of at most {MAX_LINE} bytes, got a longer one")


def clip(text: str) -> str:
    """Return the part of a string that can affect the line; the rest would be cut and is not searched."""
    return text[: MAX_TEXT + _MARGIN + 1]


def mask(text: str) -> str:
    """Replace what looks like a secret; keep the rest of the string."""
    lowered = text.lower()
    for row in _ROWS:
        if row.marker in lowered and row.also in lowered:
            text = row.pattern.sub(row.replacement, text)
    return _mask_secret_keys(text) if len(text) >= _KEY_LENGTH else text


def loggable(text: object) -> str:
    """Return a value for a log message: on one line, with secrets masked."""
    return shown(mask(str(text)))


def is_suspect(written: str) -> bool:
    """Return whether a line, or complete strings of one, may need masking."""
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

    The fingerprint keeps a name that was mistaken for a key distinguishable, and reveals nothing about a real key,
    whose 240 random bits cannot be guessed.
    """
    parts: list[str] = []
    end = 0
    for match in _KEY.finditer(text):
        if match.start() >= end and _is_random(match[1]):
            fingerprint = hashlib.sha256(match[1].encode()).hexdigest()[:12]
            parts += text[end : match.start()], f"[redacted:{fingerprint}]"
            end = match.start() + _KEY_LENGTH
    return "".join([*parts, text[end:]])


def _is_random(text: str) -> bool:
    """Return whether a string is random, unlike words, digests and paths: its character class changes often.

    A random key changes class at 25 of 39 places on average, and at fewer than 14 once in ten thousand keys.
    """
    kinds = ["a" if c.islower() else "A" if c.isupper() else "0" if c.isdigit() else c for c in text]
    changes = sum(one != other for one, other in pairwise(kinds))
    return {"a", "A"} <= set(kinds) and changes >= 14 and text.count("/") <= 4


@dataclass(slots=True)
class _Scrubber:
    """Mask and truncate the strings of one record and collect the affected pointers."""

    limit: int
    redacted: list[str] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)

    def record(self, record: dict[str, object]) -> dict[str, object]:
        clean = {name: self._value(value, f"/{name}") for name, value in record.items()}
        return with_marks(clean, {"redacted": self.redacted, "truncated": self.truncated})

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
        """Clean the names too: in a map, they come from the caller."""
        clean: dict[str, object] = {}
        for name, member in members.items():
            clean_name = self._text(name, pointer)
            clean[clean_name] = self._value(member, f"{pointer}/{clean_name}")
        return clean

    def _text(self, text: str, pointer: str) -> str:
        window = text[: self.limit + _MARGIN]
        masked = mask(window)
        if masked != window:
            self.redacted.append(pointer)
        masked = _SURROGATE.sub("\ufffd", masked)  # strict readers reject a line with a lone surrogate
        is_whole = len(window) == len(text)
        if is_whole and _size(masked) <= self.limit:
            return masked
        self.truncated.append(pointer)
        kept = masked[: self.limit] if is_whole else masked[:-_MARGIN][: self.limit]
        # an escaped character has up to 12 bytes
        return kept if _size(kept) <= self.limit else kept[: self.limit // 12]


def _size(text: str) -> int:
    return len(write(text)) - 2
