"""The picture from which an authenticator app takes the seed of an MFA device: the one file that draws."""

from __future__ import annotations

import io
from urllib.parse import quote, urlencode

import segno

ISSUER = "IAM Guard"
_PIXELS = 4


def provisioning_uri(device: str, account: str, seed: str) -> str:
    """Write the URI that the picture holds. It is as secret as the seed."""
    label = f"{quote(ISSUER)}:{quote(device)}@{account}"
    return f"otpauth://totp/{label}?{urlencode({'secret': seed, 'issuer': ISSUER}, quote_via=quote)}"


def qr_code(text: str) -> bytes:
    """Draw a QR code as PNG."""
    picture = io.BytesIO()
    segno.make(text, micro=False).save(picture, kind="png", scale=_PIXELS)
    return picture.getvalue()
