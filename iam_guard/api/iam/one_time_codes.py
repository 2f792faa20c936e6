"""One-time codes of MFA devices: RFC 6238 with SHA-1, six digits, 30 seconds (rule R-32).

A step is the number of a 30-second span since 1970; each has its code. Devices have clocks of their own: how far one is
ahead of ours is found when it is enabled or synchronised, over a wide window, for two consecutive codes are hard to
guess. A single code is then looked for one step around where the device must be. No step is taken twice.

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
from iam_guard.store.records import Row
from iam_guard.store.sealing import Sealer

STEP_SECONDS = 30
DIGITS = 6
SEED_BYTES = 40
"""Makes 64 base-32 characters, as AWS's seeds have."""
PAIR_WINDOW = 20
"""Steps around ours in which two consecutive codes are looked for: ten minutes."""
CODE_WINDOW = 1
USUAL_DELAY = 3
"""Steps that typing two codes may take: within them a device counts as on time."""


class Pair(NamedTuple):
    """Where two consecutive codes were found: the later one's step, and how far the device's clock is ahead."""

    step: int
    drift: int


def new_seed() -> str:
    """Make a secret seed, in base 32."""
    return base64.b32encode(secrets.token_bytes(SEED_BYTES)).decode("ascii")


def seed_context(serial: str) -> bytes:
    """Return what a seed is sealed to."""
    return b"mfa-device:" + serial.encode()


def check_code(row: Row, code: str, now: int, sealer: Sealer) -> int | None:
    """Find the step of a code of an enabled device; None for one that is wrong, too old, or not newer than the last.

    Whoever takes the code must write the step into `last_step`, in the transaction in which the row was read.
    """
    expected = now // STEP_SECONDS + (row["drift"] or 0)
    generator = _generator(row, sealer)
    good = [step for step in _around(expected, CODE_WINDOW, row) if _is_code(generator, step, code)]
    return good[-1] if good else None


def check_pair(row: Row, codes: tuple[str, str], now: int, sealer: Sealer) -> Pair | None:
    """Find two consecutive codes of a device; None where there are none, or the first is not newer than the last."""
    present = now // STEP_SECONDS
    first, second = codes
    generator = _generator(row, sealer)
    good = [
        step
        for step in _around(present, PAIR_WINDOW, row)
        if _is_code(generator, step, first) & _is_code(generator, step + 1, second)
    ]
    if not good:
        return None
    step = good[-1] + 1
    ahead = step - present
    return Pair(step, 0 if -USUAL_DELAY <= ahead <= CODE_WINDOW else ahead)


def _around(step: int, window: int, row: Row) -> Iterable[int]:
    last = row["last_step"]
    return range(max(step - window, 0 if last is None else last + 1), step + window + 1)


def _generator(row: Row, sealer: Sealer) -> TOTP:
    seed = base64.b32decode(sealer.open(row["sealed"], seed_context(row["serial"])))
    return TOTP(seed, DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303  what authenticator apps know


def _is_code(generator: TOTP, step: int, code: str) -> bool:
    return same(code, generator.generate(step * STEP_SECONDS))
