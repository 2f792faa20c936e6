"""The QR code from which an authenticator app reads the seed of an MFA device."""

from __future__ import annotations

import io
from urllib.parse import quote, urlencode

from iam_guard.imports import requires_extra

with requires_extra("console", "a QR code"):
    import segno


ISSUER = "IAM Guard"
_PIXELS = 4


def provisioning_uri(device: str, account: str, seed: str) -> str:
    """Return the URI for the QR code. It contains the seed, and is as secret."""
    label = f"{quote(ISSUER)}:{quote(device)}@{account}"
    return f"otpauth://totp/{label}?{urlencode({'secret': seed, 'issuer': ISSUER}, quote_via=quote)}"


def qr_code(text: str) -> bytes:
    """Return a QR code as PNG."""
    png = io.BytesIO()
    segno.make(text, micro=False).save(png, kind="png", scale=_PIXELS)
    return png.getvalue()


def qr_drawing(text: str) -> str:
    """Return a QR code as SVG, for a page."""
    drawing: str = segno.make(text, micro=False).svg_inline(scale=_PIXELS, light="white", dark="black")
    return drawing
