"""The account's password policy by boto3: R-20 to R-24."""

from __future__ import annotations

from typing import Any

import pytest

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
NAME = "Password should not be a name of the user or account, alone or before digits"


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
    """The rules of an account without a policy."""
    iam.update_account_password_policy(MinimumPasswordLength=6)
    iam.delete_account_password_policy()
    with refusal("NoSuchEntity"):
        iam.get_account_password_policy()
    assert violations(iam, "simple7!") != ""


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
        ("fifteen charact", ""),
        ("Abcdef1!", "Password should have a minimum length of 15 (8 with an MFA device)"),
        ("PasswordPassword", "Password should not be commonly used"),
        ("probe20261128000", NAME),
        ("Root@Acme.Example", NAME),
        ("111122223333000", NAME),
    ],
)
def test_account_without_a_policy_has_nists_rules(iam: Client, password: str, expected: str) -> None:
    """Instead of AWS's default policy (R-23)."""
    assert violations(iam, password) == expected


def test_custom_policy_is_applied(iam: Client) -> None:
    """All violations at once (R-20); common passwords and names are rejected, too."""
    iam.update_account_password_policy(RequireSymbols=True, RequireNumbers=True)
    assert violations(iam, "Letters") == (
        "Password should have at least one number, Password should have at least one symbol"
    )
    assert violations(iam, "Letters2'") == ""
    iam.update_account_password_policy()
    assert violations(iam, "football") == "Password should not be commonly used"
    assert violations(iam, "probe1") == NAME


def test_longest_minimum_is_applied(iam: Client) -> None:
    """128 characters, which are the maximum, too."""
    iam.update_account_password_policy(MinimumPasswordLength=128)
    assert violations(iam, "xy" * 63 + "z") == "Password should have a minimum length of 128"
    assert violations(iam, "xy" * 64) == ""
