"""One-time codes: RFC 6238, the windows around the current step, single use of each step (R-32)."""

from __future__ import annotations

import base64
from typing import Any

from iam_guard.authn.people.second_factors.one_time_codes import (
    CODE_WINDOW,
    PAIR_WINDOW,
    STEP_SECONDS,
    check_code,
    check_pair,
    new_seed,
    seed_context,
)
from iam_guard.store.sealing import Sealer, new_key
from tests.api.iam.mfa_parts import code_at
from tests.tables import table

SEALER = Sealer([new_key()])
SERIAL = "arn:aws:iam::111122223333:mfa/phone"
SEED = base64.b32encode(b"12345678901234567890").decode()  # that of the RFC
STEP = 1_000_000
NOW = STEP * STEP_SECONDS + 7


def device(seed: str = SEED, **columns: Any) -> Any:
    sealed = SEALER.seal(seed.encode(), seed_context(SERIAL))
    return {"serial": SERIAL, "sealed": sealed, "last_step": None, "drift": None} | columns


def code(offset: int) -> str:
    """Return the code of a step relative to now."""
    return code_at(SEED, STEP + offset)


@table(
    ("now", "expected"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_rfc_6238_codes_are_verified(now: int, expected: str) -> None:
    """Appendix B, the last six of its eight digits."""
    assert check_code(device(), expected, now, SEALER) == now // STEP_SECONDS
    assert check_code(device(), f"{(int(expected) + 1) % 10**6:06}", now, SEALER) is None


@table("offset", range(-CODE_WINDOW - 2, CODE_WINDOW + 3))
def test_code_is_accepted_within_one_step(offset: int) -> None:
    """Neither older nor later."""
    found = check_code(device(), code(offset), NOW, SEALER)
    assert found == (STEP + offset if abs(offset) <= CODE_WINDOW else None)


@table("drift", [-15, 4, 20])
def test_code_window_follows_the_drift(drift: int) -> None:
    """The window moves with the device's clock."""
    row = device(drift=drift)
    assert check_code(row, code(drift), NOW, SEALER) == STEP + drift
    assert check_code(row, code(0), NOW, SEALER) is None


def test_code_is_accepted_once() -> None:
    """Nor one from before the last accepted step."""
    row = device(last_step=STEP)
    assert check_code(row, code(0), NOW, SEALER) is None
    assert check_code(row, code(-1), NOW, SEALER) is None
    assert check_code(row, code(1), NOW, SEALER) == STEP + 1


@table("wrong", ["", "0", "abcdef", "١٢٣٤٥٦", code(0) + "0", " " + code(0)])
def test_malformed_codes_are_wrong(wrong: str) -> None:
    """Without an exception."""
    assert check_code(device(), wrong, NOW, SEALER) is None
    assert check_pair(device(), (wrong, code(1)), NOW, SEALER) is None


@table("first", [-PAIR_WINDOW - 1, -PAIR_WINDOW, -5, -1, 0, 5, PAIR_WINDOW, PAIR_WINDOW + 1])
def test_consecutive_codes_are_accepted_with_drift(first: int) -> None:
    """Up to minutes away."""
    found = check_pair(device(), (code(first), code(first + 1)), NOW, SEALER)
    if abs(first) > PAIR_WINDOW:
        assert found is None
    else:
        assert found is not None
        assert found.step == STEP + first + 1


@table("codes", [(0, 0), (1, 0), (0, 2), (0, -1)], ids=["the same", "backwards", "with a gap", "before"])
def test_nonconsecutive_codes_are_rejected(codes: tuple[int, int]) -> None:
    """Two codes that were observed once don't suffice."""
    assert check_pair(device(), (code(codes[0]), code(codes[1])), NOW, SEALER) is None


@table(("later", "drift"), [(-5, -5), (-4, -4), (-3, 0), (0, 0), (1, 0), (2, 2), (9, 9)])
def test_slow_typing_is_no_drift(later: int, drift: int) -> None:
    """Codes that are a minute old don't mean that the clock is late."""
    found = check_pair(device(), (code(later - 1), code(later)), NOW, SEALER)
    assert found is not None
    assert found.drift == drift


def test_enabled_device_accepts_the_next_code() -> None:
    """Whatever its clock."""
    for later in range(-8, 9):
        found = check_pair(device(), (code(later - 1), code(later)), NOW, SEALER)
        assert found is not None
        row = device(last_step=found.step, drift=found.drift)
        ahead = found.drift
        soon = NOW + 5 * STEP_SECONDS
        assert check_code(row, code(5 + ahead), soon, SEALER) == STEP + 5 + ahead


def test_pair_must_be_newer_than_the_last_step() -> None:
    """The first code of the pair."""
    row = device(last_step=STEP)
    assert check_pair(row, (code(0), code(1)), NOW, SEALER) is None
    assert check_pair(row, (code(1), code(2)), NOW, SEALER) is not None


def test_pair_window_is_ten_minutes() -> None:
    """A wider window would make guessing easier."""
    assert PAIR_WINDOW * STEP_SECONDS == 600


def test_seeds_are_random() -> None:
    """64 base-32 characters."""
    first, second = new_seed(), new_seed()
    assert len(first) == len(second) == 64
    assert len(base64.b32decode(first)) == 40
    assert first != second
