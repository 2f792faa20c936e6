"""Fast percent-decoding: `unquote_to_bytes` of the standard library takes a microsecond for every escape, and requests
are decoded before they are authenticated.

Quoted-printable is the same encoding with `=` for `%` and has a decoder in C. The two differ only for percent signs
that are no escapes; the length of the result reveals whether there are any, and then those are encoded first.
"""

from __future__ import annotations

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


def roughly_unescaped(text: bytes) -> bytes:
    """Return the decoded text, inexact for invalid escapes: for finding names, which contain none."""
    return _decoded(text.replace(b"%\r", b"\r").replace(b"%\n", b"\n"))


def _decoded(text: bytes) -> bytes:
    return a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"="))
