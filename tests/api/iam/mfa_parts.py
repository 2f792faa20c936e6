"""An authenticator app for tests: an independent implementation of RFC 6238."""

from __future__ import annotations

import base64
import hmac

from tests.api.clock import CLOCK

STEP_SECONDS = 30


def code_at(seed: str, step: int) -> str:
    """Return the code of a 30-second step."""
    digest = hmac.digest(base64.b32decode(seed), step.to_bytes(8), "sha1")
    offset = digest[-1] & 15
    return f"{(int.from_bytes(digest[offset : offset + 4]) & 0x7FFFFFFF) % 10**6:06}"


def step_now() -> int:
    """Return the current step of the server's clock."""
    return CLOCK.seconds() // STEP_SECONDS


def codes_at(seed: str, step: int) -> dict[str, str]:
    """Return the codes of a step and the next one, as parameters."""
    return {"AuthenticationCode1": code_at(seed, step), "AuthenticationCode2": code_at(seed, step + 1)}
