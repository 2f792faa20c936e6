"""The account's password policy by boto3: R-20 to R-24."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard.api.iam.password_policy import SYMBOLS
from tests.api.conftest import Client, refusal

pytestmark = pytest.mark.usefixtures("cheap_passwords")

DEFAULTS = {
    "MinimumPasswordLength": 6,
    "RequireSymbols": False,
    "RequireNumbers": False,
    "RequireUppercaseCharacters": False,
    "RequireLowercaseCharacters": False,
    "AllowUsersToChangePassword": False,
}
UPPER = "Password should have at least one uppercase letter"
LOWER = "Password should have at least one lowercase letter"
NUMBER = "Password should have at least one number"
SYMBOL = "Password should have at least one symbol"


def policy_of(iam: Client) -> dict[str, Any]:
    policy: dict[str, Any] = iam.get_account_password_policy()["PasswordPolicy"]
    return policy


def test_account_has_no_policy_at_first(iam: Client) -> None:
    """The default policy can't be read or deleted (R-23)."""
    with refusal("NoSuchEntity", "The Password Policy with domain name 111122223333 cannot be found.", 404):
        iam.get_account_password_policy()
    with refusal("NoSuchEntity", "The account policy with name PasswordPolicy cannot be found.", 404):
        iam.delete_account_password_policy()


def test_policy_without_settings_has_defaults(iam: Client) -> None:
    """Members without a default are left out (R-20, R-21)."""
    iam.update_account_password_policy()
    assert policy_of(iam) == {**DEFAULTS, "ExpirePasswords": False}


def test_all_settings_are_returned(iam: Client) -> None:
    """`ExpirePasswords` follows from the maximum age (R-20)."""
    parameters = {
        "MinimumPasswordLength": 10,
        "RequireSymbols": True,
        "RequireNumbers": True,
        "RequireUppercaseCharacters": True,
        "RequireLowercaseCharacters": True,
        "AllowUsersToChangePassword": True,
        "MaxPasswordAge": 60,
        "PasswordReusePrevention": 3,
        "HardExpiry": True,
    }
    iam.update_account_password_policy(**parameters)
    assert policy_of(iam) == {**parameters, "ExpirePasswords": True}


def test_any_maximum_age_expires_passwords(iam: Client) -> None:
    """R-20."""
    iam.update_account_password_policy(MaxPasswordAge=1)
    assert policy_of(iam) == {**DEFAULTS, "MaxPasswordAge": 1, "ExpirePasswords": True}


def test_policy_update_resets_absent_settings(iam: Client) -> None:
    """R-21."""
    iam.update_account_password_policy(MinimumPasswordLength=20, RequireNumbers=True, MaxPasswordAge=60)
    iam.update_account_password_policy(RequireSymbols=True)
    assert policy_of(iam) == {**DEFAULTS, "RequireSymbols": True, "ExpirePasswords": False}


def test_deleted_policy_restores_the_default(iam: Client) -> None:
    """R-23."""
    iam.update_account_password_policy(MinimumPasswordLength=6)
    iam.delete_account_password_policy()
    with refusal("NoSuchEntity"):
        iam.get_account_password_policy()
    assert violations(iam, "simple") != ""


@pytest.mark.parametrize(
    "parameters",
    [
        {"MinimumPasswordLength": 129},
        {"MaxPasswordAge": 1096},
        {"PasswordReusePrevention": 25},
    ],
)
def test_settings_have_the_limits_of_the_model(iam: Client, parameters: dict[str, int]) -> None:
    """R-20."""
    with refusal("ValidationError", status=400):
        iam.update_account_password_policy(**parameters)


def test_policy_is_per_account(iam: Client, other_account: Client) -> None:
    """One account's policy is not another's."""
    iam.update_account_password_policy()
    with refusal("NoSuchEntity"):
        other_account.get_account_password_policy()
    with refusal("NoSuchEntity"):
        other_account.delete_account_password_policy()
    assert policy_of(iam)


# --- validation --------------------------------------------------------------------------------------------------


def violations(iam: Client, password: str) -> str:
    """Return the violations of a user's password; empty if it is accepted."""
    iam.create_user(UserName="probe")
    message = ""
    try:
        iam.create_login_profile(UserName="probe", Password=password)
        iam.delete_login_profile(UserName="probe")
    except iam.exceptions.PasswordPolicyViolationException as error:
        message = error.response["Error"]["Message"]
    iam.delete_user(UserName="probe")
    return message


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("Abcdefg1", ""),
        ("Abcdef1!", ""),
        ("abcdef1!", ""),
        ("ABCDEFG1!", ""),
        ("Abcdef1", "Password should have a minimum length of 8"),
        ("abcdefg1", f"Password should meet 1 more of the following requirements: {UPPER}, {SYMBOL}"),
        ("abcdefgh", f"Password should meet 2 more of the following requirements: {UPPER}, {NUMBER}, {SYMBOL}"),
        (
            "äöüäöüäöü",
            f"Password should meet 3 more of the following requirements: {UPPER}, {LOWER}, {NUMBER}, {SYMBOL}",
        ),
        ("Root@Acme.Example", "Password should not be the name or the e-mail address of the account"),
    ],
)
def test_default_policy_violations(iam: Client, password: str, expected: str) -> None:
    """Eight characters, three of four kinds, not the account's name or e-mail address (R-23)."""
    assert violations(iam, password) == expected
    assert password not in expected


@pytest.mark.parametrize(
    ("parameters", "bad", "expected", "good"),
    [
        ({}, "five5", "Password should have a minimum length of 6", "sixsix"),
        ({"MinimumPasswordLength": 12}, "elevenchars", "Password should have a minimum length of 12", "twelve chars"),
        ({"RequireUppercaseCharacters": True}, "lower1!É", UPPER, "loweR1"),
        ({"RequireLowercaseCharacters": True}, "UPPER1!é", LOWER, "UPPEr1"),
        ({"RequireNumbers": True}, "Letters²", NUMBER, "Letters2"),
        ({"RequireSymbols": True}, "Letters2~", SYMBOL, "Letters2'"),
        ({"RequireSymbols": True, "RequireNumbers": True}, "Letters", f"{NUMBER}, {SYMBOL}", "Letters2'"),
    ],
)
def test_custom_policy_violations(iam: Client, parameters: dict[str, Any], bad: str, expected: str, good: str) -> None:
    """Each setting, and all violations at once (R-20)."""
    iam.update_account_password_policy(**parameters)
    assert violations(iam, bad) == expected
    assert violations(iam, good) == ""


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_documented_symbols_are_accepted(iam: Client, symbol: str) -> None:
    """Exactly those in the documentation (R-22)."""
    iam.update_account_password_policy(RequireSymbols=True)
    assert violations(iam, f"Letters{symbol}") == ""


def test_symbols_match_the_documentation() -> None:
    """Twenty (R-22)."""
    assert sorted(SYMBOLS) == sorted("! @ # $ % ^ & * ( ) _ + - = [ ] { } | '".split())
