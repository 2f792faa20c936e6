"""A device that was guessed at too often takes no code for a while."""

from __future__ import annotations

from iam_guard.api.sts.mfa_attempts import MAX_DEVICES, MAX_WRONG, SPAN, WrongCodes


def test_a_handful_of_guesses_blocks_one_device_for_a_while() -> None:
    """Others are not blocked; after the span it takes codes again."""
    wrong = WrongCodes()
    for number in range(MAX_WRONG):
        assert not wrong.is_blocked("mine", 1000 + number)
        wrong.note("mine", 1000 + number)
    assert wrong.is_blocked("mine", 1010)
    assert not wrong.is_blocked("other", 1010)
    assert not wrong.is_blocked("mine", 1000 + MAX_WRONG + SPAN)


def test_what_is_counted_is_bounded() -> None:
    """Whoever makes up devices does not fill the memory, and the oldest counts go first."""
    wrong = WrongCodes()
    for number in range(MAX_DEVICES + 10):
        wrong.note(str(number), 1000)
    assert len(wrong._wrong) == MAX_DEVICES
    assert str(MAX_DEVICES + 9) in wrong._wrong
