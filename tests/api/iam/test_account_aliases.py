"""The alias of an account: one, replaced by the next, and nobody else's (G-77, G-79; account_aliases.py)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

Refused = Callable[..., AbstractContextManager[None]]


def aliases(client: Any) -> list[str]:
    found: list[str] = client.list_account_aliases()["AccountAliases"]
    return found


def test_an_account_has_no_alias_at_first_and_one_at_most(iam: Any) -> None:
    """G-77: a second alias takes the place of the first."""
    assert aliases(iam) == []
    iam.create_account_alias(AccountAlias="acme")
    assert aliases(iam) == ["acme"]
    iam.create_account_alias(AccountAlias="acme-corp")
    assert aliases(iam) == ["acme-corp"]


@pytest.mark.parametrize("alias", ["acme", "abc", "a" * 63, "a-1-b", "123"])
def test_an_alias_is_as_dns_has_it(iam: Any, alias: str) -> None:
    """G-79."""
    iam.create_account_alias(AccountAlias=alias)
    assert aliases(iam) == [alias]


@pytest.mark.parametrize("alias", ["Acme", "-acme", "acme-", "ac--me", "a" * 64, "ac.me", "ac me", "acmé", "acme\n"])
def test_an_alias_of_another_form_is_refused(iam: Any, refused: Refused, alias: str) -> None:
    """G-79, by the model's pattern and lengths."""
    with refused("ValidationError", status=400):
        iam.create_account_alias(AccountAlias=alias)
    assert aliases(iam) == []


def test_an_alias_that_is_too_short_is_refused_by_the_client_already(iam: Any) -> None:
    with pytest.raises(ParamValidationError):
        iam.create_account_alias(AccountAlias="ab")


def test_an_alias_is_no_account_id(iam: Any, refused: Refused) -> None:
    """G-79: it would be taken for that account."""
    with refused("ValidationError", "must not be an account ID"):
        iam.create_account_alias(AccountAlias="123456789012")


def test_an_alias_that_is_taken_is_refused(iam: Any, other_account: Any, refused: Refused) -> None:
    """By another account, and by the account itself; the sentence does not tell by whom."""
    other_account.create_account_alias(AccountAlias="acme")
    with refused("EntityAlreadyExists", "The account alias acme already exists.", 409):
        iam.create_account_alias(AccountAlias="acme")
    assert aliases(iam) == []
    with refused("EntityAlreadyExists", "The account alias acme already exists.", 409):
        other_account.create_account_alias(AccountAlias="acme")
    assert aliases(other_account) == ["acme"]


def test_an_alias_can_be_taken_once_it_is_given_up(iam: Any, other_account: Any) -> None:
    other_account.create_account_alias(AccountAlias="acme")
    other_account.create_account_alias(AccountAlias="globex")
    iam.create_account_alias(AccountAlias="acme")
    assert (aliases(iam), aliases(other_account)) == (["acme"], ["globex"])


def test_only_the_own_alias_is_deleted(iam: Any, other_account: Any, refused: Refused) -> None:
    other_account.create_account_alias(AccountAlias="globex")
    iam.create_account_alias(AccountAlias="acme")
    for alias in ("globex", "nobody"):
        with refused("NoSuchEntity", alias, 404):
            iam.delete_account_alias(AccountAlias=alias)
    iam.delete_account_alias(AccountAlias="acme")
    assert (aliases(iam), aliases(other_account)) == ([], ["globex"])
    with refused("NoSuchEntity"):
        iam.delete_account_alias(AccountAlias="acme")


def test_it_is_listed_in_pages(iam: Any, refused: Refused) -> None:
    iam.create_account_alias(AccountAlias="acme")
    answer = iam.list_account_aliases(MaxItems=1)
    assert (answer["AccountAliases"], answer["IsTruncated"]) == (["acme"], False)
    assert list(iam.get_paginator("list_account_aliases").paginate().search("AccountAliases[]")) == ["acme"]
    with refused("ValidationError", "Invalid Marker."):
        iam.list_account_aliases(Marker="nonsense")
