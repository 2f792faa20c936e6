"""One-time codes of MFA devices: RFC 6238 with SHA-1, six digits, 30 seconds (R-32).

A step is the number of a 30-second interval since 1970; each has its code. The drift of a device's clock is measured
when it is enabled or resynchronized, by two consecutive codes within a wide window, since a pair is hard to guess. A
single code must be within one step of the device's expected step. No step is accepted twice.

Pure: time, seed and row are arguments.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from iam_guard.authn.constant_time import same
from iam_guard.store.database.records import Row
from iam_guard.store.schema import mfa_devices, sealing_context
from iam_guard.store.sealing import Sealer

STEP_SECONDS = 30
DIGITS = 6
SEED_BYTES = 40
"""Encoded as 64 base-32 characters, as AWS's seeds."""
PAIR_WINDOW = 20
"""Maximum drift, in steps, for two consecutive codes: ten minutes."""
CODE_WINDOW = 1
MAX_TYPING_STEPS = 3
"""Steps that typing two codes may take: within them a device has no drift."""


class CodePair(NamedTuple):
    """Two consecutive codes: the step of the later one, and the drift of the device's clock in steps."""

    step: int
    drift: int


def new_seed() -> str:
    """Generate a secret seed, in base 32."""
    return base64.b32encode(secrets.token_bytes(SEED_BYTES)).decode("ascii")


def seed_context(serial: str) -> bytes:
    """Return the sealing context of a seed."""
    return sealing_context(mfa_devices.c.sealed, serial)


def check_code(row: Row, code: str, now: int, sealer: Sealer) -> int | None:
    """Return the step of an enabled device's code; None if it is wrong, too old, or not newer than the last one.

    The caller must write the step into `last_step`, in the transaction in which the row was read.
    """
    expected = now // STEP_SECONDS + (row["drift"] or 0)
    generator = _generator(row, sealer)
    matching = [step for step in _candidates(expected, CODE_WINDOW, row) if _is_code(generator, step, code)]
    return matching[-1] if matching else None


def check_pair(row: Row, codes: tuple[str, str], now: int, sealer: Sealer) -> CodePair | None:
    """Verify two consecutive codes; None if they are wrong, or the first is not newer than the last one."""
    present = now // STEP_SECONDS
    first, second = codes
    generator = _generator(row, sealer)
    matching = [
        step
        for step in _candidates(present, PAIR_WINDOW, row)
        if _is_code(generator, step, first) & _is_code(generator, step + 1, second)
    ]
    if not matching:
        return None
    step = matching[-1] + 1
    drift = step - present
    return CodePair(step, 0 if -MAX_TYPING_STEPS <= drift <= CODE_WINDOW else drift)


def _candidates(step: int, window: int, row: Row) -> Iterable[int]:
    last = row["last_step"]
    return range(max(step - window, 0 if last is None else last + 1), step + window + 1)


def _generator(row: Row, sealer: Sealer) -> TOTP:
    seed = base64.b32decode(sealer.open(row["sealed"], seed_context(row["serial"])))
    return TOTP(seed, DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303  the algorithm of authenticator apps


def _is_code(generator: TOTP, step: int, code: str) -> bool:
    return same(code, generator.generate(step * STEP_SECONDS))
