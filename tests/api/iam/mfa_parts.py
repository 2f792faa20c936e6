"""An authenticator app for tests: its own few lines of RFC 6238, not ours."""

from __future__ import annotations

import base64
import hmac

from tests.api.clock import CLOCK

STEP_SECONDS = 30


def code_at(seed: str, step: int) -> str:
    """Show what an app shows in a step of 30 seconds."""
    digest = hmac.digest(base64.b32decode(seed), step.to_bytes(8), "sha1")
    offset = digest[-1] & 15
    return f"{(int.from_bytes(digest[offset : offset + 4]) & 0x7FFFFFFF) % 10**6:06}"


def step_now() -> int:
    """Return the step of the server's time."""
    return CLOCK.seconds() // STEP_SECONDS


def codes_at(seed: str, step: int) -> dict[str, str]:
    """Show the code of a step and the next, as parameters."""
    return {"AuthenticationCode1": code_at(seed, step), "AuthenticationCode2": code_at(seed, step + 1)}
