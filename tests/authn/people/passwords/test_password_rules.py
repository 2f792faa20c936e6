"""Rules for new passwords: NIST's without a policy, AWS's settings with one (R-20 to R-24)."""

from __future__ import annotations

from typing import Any

from iam_guard.authn.people.passwords.password_rules import SYMBOLS, is_long_password, problem_of
from iam_guard.authn.people.passwords.passwords import MAX_CHARACTERS
from tests.tables import table

WORDS = ["jane", "Acme Corp", "acme-alias", "root@acme.example", "root", "111122223333", "jane7", "a"]
POLICY = {
    "MinimumPasswordLength": 6,
    "RequireSymbols": False,
    "RequireNumbers": False,
    "RequireUppercaseCharacters": False,
    "RequireLowercaseCharacters": False,
    "AllowUsersToChangePassword": False,
}
SHORT = "Password should have a minimum length of"
LONG = "Password should have a maximum length of 128"
COMMON = "Password should not be commonly used"
NAME = "Password should not be a name of the user or account, alone or before digits"
CONTROLS = "Password should not contain control characters or characters that Unicode does not define"
UPPER = "Password should have at least one uppercase letter"
LOWER = "Password should have at least one lowercase letter"
NUMBER = "Password should have at least one number"
SYMBOL = "Password should have at least one symbol"


def problem(password: str, policy: dict[str, Any] | None = None, *, has_factor: bool = False) -> str | None:
    return problem_of(password, person_words=WORDS, policy=policy, has_second_factor=has_factor)


@table(
    ("password", "expected"),
    [
        ("fourteen chars", f"{SHORT} 15 (8 with an MFA device)"),
        ("fifteen charact", None),
        ("all lower case letters", None),
        ("729104658230917", None),
        ("", f"{SHORT} 15 (8 with an MFA device)"),
        ("½½½½½", None),  # 15 code points in NFKC
        ("é" * 14 + "x", None),
        ("e\u0301" * 14, f"{SHORT} 15 (8 with an MFA device)"),  # 28 code points as typed
        ("пароль для входа", None),
        ("密码" * 8, None),
        ("x y" * 42 + "zz", None),
        ("x y" * 43, LONG),
    ],
)
def test_length_without_a_policy(password: str, expected: str | None) -> None:
    """At least 15 characters in NFKC, of any kind; at most 128 as typed."""
    assert problem(password) == expected


@table(("password", "expected"), [("sev7en!", f"{SHORT} 8"), ("eight 88", None), ("½½½", None)])
def test_length_with_a_second_factor(password: str, expected: str | None) -> None:
    assert problem(password, has_factor=True) == expected


@table(
    "password",
    [
        "football",
        "FOOTBALL",
        "ＦootBall",
        "passwordpassword",
        "password" * 16,
        "PassWordPassword",
        "1" * 15,
        "a" * 128,
        "123" * 5,
        "1qaz2wsx3edc4rfv",
    ],
)
def test_common_password_is_rejected(password: str) -> None:
    """In any case, and repeated; with a policy, too."""
    assert problem(password, has_factor=True) == COMMON
    assert problem(password, POLICY) == COMMON


@table("password", ["footballs", "football is my life", "my password is long", "abcabcabcabcabd"])
def test_password_with_a_common_part_is_accepted(password: str) -> None:
    """The whole is compared."""
    assert problem(password, has_factor=True) is None


@table(
    "password",
    [
        "jane20261128000",
        "JANE00000000000",
        "acme corp2026",
        "Acme-Alias12345",
        "root@acme.example",
        "Root@Acme.Example1",
        "111122223333",
        "a00000000000000",
        "111122223333000",
        "jane72026112800",
    ],
)
def test_names_are_rejected(password: str) -> None:
    """Alone and before digits, in any case; with a policy, too."""
    assert problem(password, has_factor=True) == NAME
    assert problem(password, POLICY) == NAME


@table("password", ["janet is here 1", "2026jane2026jane", "my acme-alias 1"])
def test_password_with_a_name_is_accepted(password: str) -> None:
    """The whole is compared."""
    assert problem(password) is None


def test_empty_words_reject_nothing() -> None:
    """They would make a name of digits alone."""
    words = ["", "5"]
    assert problem_of("729104658230917", person_words=words, policy=None, has_second_factor=False) is None


@table("char", ["\0", "\x1b", "\x0b", "\ud800", "\udfff", "\U000e0080", "\uffff", "\u0378"])
def test_controls_and_undefined_characters_are_rejected(char: str) -> None:
    """A later Unicode could normalize an undefined one differently."""
    for policy in (None, POLICY):
        assert problem("long enough without " + char, policy) == CONTROLS


@table("char", ["\t", "\n", "\r", "\x7f", "\x85", "ÿ", "½"])
def test_characters_of_the_api_are_accepted(char: str) -> None:
    """Those of AWS's API."""
    assert problem("long enough without " + char) is None


def test_huge_password_is_rejected_by_its_length() -> None:
    """First, whatever its characters."""
    for password in ("x" * 10_000_000, "\0" * 10_000_000, "\ufdfa" * 129):
        assert problem(password) == problem(password, POLICY) == LONG


@table(
    ("settings", "bad", "expected", "good"),
    [
        ({}, "five5", f"{SHORT} 6", "sixsi6"),
        ({"MinimumPasswordLength": 12}, "elevenchars", f"{SHORT} 12", "twelve chars"),
        ({"MinimumPasswordLength": 128}, "½x" * 63 + "z", f"{SHORT} 128", "½x" * 64),
        ({"RequireUppercaseCharacters": True}, "lower1!É", UPPER, "loweR1"),
        ({"RequireLowercaseCharacters": True}, "UPPER1!é", LOWER, "UPPEr1"),
        ({"RequireNumbers": True}, "Letters²", NUMBER, "Letters2"),
        ({"RequireSymbols": True}, "Letters2~", SYMBOL, "Letters2'"),
        ({"RequireSymbols": True, "RequireNumbers": True}, "Letters", f"{NUMBER}, {SYMBOL}", "Letters2'"),
        ({"RequireUppercaseCharacters": True}, "a50", f"{SHORT} 6, {UPPER}, {NAME}", "Jane7x"),
    ],
)
def test_policy_of_the_account(settings: dict[str, Any], bad: str, expected: str, good: str) -> None:
    """Each setting, and all problems at once; characters count as typed (R-20). A second factor changes nothing."""
    policy = {**POLICY, **settings}
    for has_factor in (False, True):
        assert problem(bad, policy, has_factor=has_factor) == expected
        assert problem(good, policy, has_factor=has_factor) is None


@table("symbol", list(SYMBOLS))
def test_documented_symbols_are_accepted(symbol: str) -> None:
    """Exactly those in the documentation (R-22)."""
    assert problem(f"Letters{symbol}", {**POLICY, "RequireSymbols": True}) is None


def test_symbols_match_the_documentation() -> None:
    """Twenty (R-22)."""
    assert sorted(SYMBOLS) == sorted("! @ # $ % ^ & * ( ) _ + - = [ ] { } | '".split())


def test_problem_never_quotes_the_password() -> None:
    for password in ("secret", "jane2026", "football", "\0secret", "secret" * 50):
        assert password not in (problem(password) or "")


@table(("password", "expected"), [("x" * 14, False), ("x" * 15, True), ("½½½½½", True), ("e\u0301" * 14, False)])
def test_long_password_needs_no_second_factor(password: str, expected: bool) -> None:
    assert is_long_password(password) is expected


def test_maximum_is_that_of_the_api() -> None:
    assert MAX_CHARACTERS == 128
