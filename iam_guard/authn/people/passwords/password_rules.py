"""The rules for new passwords. Pure, except that the list of common passwords is read once.

Without a password policy of the account, and always for the root user (R-24), these are the rules of NIST SP 800-63B-4:
length instead of kinds of characters, no expiry, no common password, nothing known about the person. They replace AWS's
default policy of eight characters of three kinds (R-23), which such research has shown to lead to weak passwords. An
account's own policy has AWS's settings (R-20); common and known words are rejected under it, too.
"""

from __future__ import annotations

import gzip
import string
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from iam_guard.authn.people.passwords.passwords import MAX_CHARACTERS, normalized

MIN_LENGTH: Final = 15
MIN_LENGTH_WITH_FACTOR: Final = 8
"""For a person who has a second factor."""
SYMBOLS: Final = "!@#$%^&*()_+-=[]{}|'"

_COMMON: Final = Path(__file__).with_name("common-passwords.txt.gz")
"""Django's list of 20,000 common passwords, compiled by Royce Williams; see its license file next to it."""
_SHORTEST: Final = 6
"""The least length that any policy can accept."""
_CONTROLS: Final = {chr(code) for code in range(0x20)} - set("\t\n\r")  # AWS's API accepts these three
_UNDEFINED: Final = ("Cn", "Cs")
"""Categories of characters whose normalized form a later Unicode may define, and of halves of characters."""


class _Kind(NamedTuple):
    """A kind of character: the setting that requires it, its characters, AWS's message."""

    setting: str
    characters: str
    message: str


_KINDS: Final = (
    _Kind("RequireUppercaseCharacters", string.ascii_uppercase, "Password should have at least one uppercase letter"),
    _Kind("RequireLowercaseCharacters", string.ascii_lowercase, "Password should have at least one lowercase letter"),
    _Kind("RequireNumbers", string.digits, "Password should have at least one number"),
    _Kind("RequireSymbols", SYMBOLS, "Password should have at least one symbol"),
)


def problem_of(
    password: str, *, person_words: Iterable[str], policy: Mapping[str, Any] | None, has_second_factor: bool
) -> str | None:
    """Return all that is wrong with a new password, without the password itself; None if it is accepted.

    `person_words` are names of the person and of the account; `policy` is the account's own, None for the root user.
    """
    if len(password) > MAX_CHARACTERS:
        return f"Password should have a maximum length of {MAX_CHARACTERS}"
    if any(char in _CONTROLS or unicodedata.category(char) in _UNDEFINED for char in password):
        return "Password should not contain control characters or characters that Unicode does not define"
    if policy is None:
        problems = list(_length_problems(password, has_second_factor))
    else:
        problems = list(_policy_problems(policy, password))
    folded = _folded(password)
    if folded and _is_common(folded):
        problems.append("Password should not be commonly used")
    if _is_known(folded, person_words):
        problems.append("Password should not be a name of the user or account, alone or before digits")
    return ", ".join(problems) or None


def is_long_password(password: str) -> bool:
    """Return whether a password is accepted without a second factor and without a policy."""
    return len(normalized(password)) >= MIN_LENGTH


def _length_problems(password: str, has_second_factor: bool) -> Iterator[str]:
    if has_second_factor and len(normalized(password)) < MIN_LENGTH_WITH_FACTOR:
        yield f"Password should have a minimum length of {MIN_LENGTH_WITH_FACTOR}"
    elif not has_second_factor and not is_long_password(password):
        yield f"Password should have a minimum length of {MIN_LENGTH} ({MIN_LENGTH_WITH_FACTOR} with an MFA device)"


def _policy_problems(policy: Mapping[str, Any], password: str) -> Iterator[str]:
    """Check a policy of AWS's API, which counts the characters as typed."""
    if len(password) < policy["MinimumPasswordLength"]:
        yield f"Password should have a minimum length of {policy['MinimumPasswordLength']}"
    yield from (kind.message for kind in _KINDS if policy[kind.setting] and not set(password) & set(kind.characters))


def _is_common(folded: str) -> bool:
    """Return whether a password is in the list, or repeats one that is, such as `passwordpassword` or 15 times `1`."""
    unit = folded[: (folded + folded).find(folded, 1)]
    return folded in _common() or unit * -(-_SHORTEST // len(unit)) in _common()


def _is_known(folded: str, words: Iterable[str]) -> bool:
    found = [word for word in map(_folded, words) if word and folded.startswith(word)]
    return any(not folded[len(word) :].strip(string.digits) for word in found)


@cache
def _common() -> frozenset[str]:
    with gzip.open(_COMMON, "rt", encoding="utf-8") as lines:
        return frozenset(_folded(line.rstrip("\n")) for line in lines)


def _folded(text: str) -> str:
    return normalized(normalized(text).casefold())
