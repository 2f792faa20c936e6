"""Rate limit for wrong MFA codes."""

from __future__ import annotations

from iam_guard.api.sts.mfa_codes import MAX_DEVICES, MAX_WRONG, WINDOW_SECONDS, WrongCodes


def test_wrong_codes_block_one_device_for_a_while() -> None:
    """Other devices are not blocked."""
    wrong = WrongCodes()
    for number in range(MAX_WRONG):
        assert not wrong.is_blocked("mine", 1000 + number)
        wrong.record("mine", 1000 + number)
    assert wrong.is_blocked("mine", 1010)
    assert not wrong.is_blocked("other", 1010)
    assert not wrong.is_blocked("mine", 1000 + MAX_WRONG + WINDOW_SECONDS)


def test_wrong_code_counters_are_bounded() -> None:
    """The oldest are evicted first."""
    wrong = WrongCodes()
    for number in range(MAX_DEVICES + 10):
        wrong.record(str(number), 1000)
    assert len(wrong._wrong) == MAX_DEVICES
    assert str(MAX_DEVICES + 9) in wrong._wrong
