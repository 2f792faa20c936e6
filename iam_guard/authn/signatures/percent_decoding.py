"""Fast percent-decoding: `unquote_to_bytes` of the standard library takes a microsecond for every escape, and requests
are decoded before they are authenticated.

Quoted-printable is the same encoding with `=` for `%` and has a decoder in C. The two differ only for percent signs
that are no escapes; the length of the result reveals whether there are any, and then those are encoded first.
"""

from __future__ import annotations

import codecs
import re
from binascii import a2b_qp

_NO_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})")


def unescaped(text: bytes) -> bytes:
    """Return the decoded text; a percent sign without two hexadecimal digits is kept."""
    if b"%" not in text:
        return text
    decoded = strictly_unescaped(text)
    return _decoded(_NO_ESCAPE.sub(b"%25", text)) if decoded is None else decoded


def strictly_unescaped(text: bytes) -> bytes | None:
    """Return the decoded text; None if a percent sign is not followed by two hexadecimal digits."""
    escapes = text.count(b"%")
    if not escapes:
        return text
    if b"%\n" in text or b"%\r" in text:
        return None  # a soft line break of quoted-printable, which would be dropped
    decoded = _decoded(text)
    return decoded if len(decoded) == len(text) - 2 * escapes else None


def is_escaped_utf8(text: bytes, piece: int = 4096) -> bool:
    """Return whether each percent sign is followed by two hexadecimal digits.

    Raises `UnicodeDecodeError` if the decoded text is not UTF-8. It is decoded in pieces, so that a long text is never
    held twice.
    """
    decoder, start = codecs.getincrementaldecoder("utf-8")(), 0
    while start < len(text):
        end = start + piece
        end -= 1 if text[end - 1 : end] == b"%" else 2 if text[end - 2 : end - 1] == b"%" else 0
        decoded = strictly_unescaped(text[start:end] if end < len(text) else text[start:])
        if decoded is None:
            return False
        decoder.decode(decoded, final=end >= len(text))
        start = end
    return True


def roughly_unescaped(text: bytes) -> bytes:
    """Return the decoded text, inexact for invalid escapes: for finding names, which contain none."""
    return _decoded(text.replace(b"%\r", b"\r").replace(b"%\n", b"\n"))


def _decoded(text: bytes) -> bytes:
    return a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"="))
