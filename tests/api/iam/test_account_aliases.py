"""Account aliases: one per account, replaceable, unique (G-77, G-79)."""

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


def test_second_alias_replaces_the_first(iam: Any) -> None:
    """G-77."""
    assert aliases(iam) == []
    iam.create_account_alias(AccountAlias="acme")
    assert aliases(iam) == ["acme"]
    iam.create_account_alias(AccountAlias="acme-corp")
    assert aliases(iam) == ["acme-corp"]


@pytest.mark.parametrize("alias", ["acme", "abc", "a" * 63, "a-1-b", "123"])
def test_alias_accepts_dns_labels(iam: Any, alias: str) -> None:
    """G-79."""
    iam.create_account_alias(AccountAlias=alias)
    assert aliases(iam) == [alias]


@pytest.mark.parametrize("alias", ["Acme", "-acme", "acme-", "ac--me", "a" * 64, "ac.me", "ac me", "acmé", "acme\n"])
def test_malformed_alias_is_rejected(iam: Any, refused: Refused, alias: str) -> None:
    """G-79, by the model's pattern and lengths."""
    with refused("ValidationError", status=400):
        iam.create_account_alias(AccountAlias=alias)
    assert aliases(iam) == []


def test_too_short_alias_is_rejected_by_the_client(iam: Any) -> None:
    with pytest.raises(ParamValidationError):
        iam.create_account_alias(AccountAlias="ab")


def test_alias_must_not_be_an_account_id(iam: Any, refused: Refused) -> None:
    """G-79: it would be mistaken for that account."""
    with refused("ValidationError", "must not be an account ID"):
        iam.create_account_alias(AccountAlias="123456789012")


def test_taken_alias_is_rejected(iam: Any, other_account: Any, refused: Refused) -> None:
    """By another account or by the account itself; the message doesn't say which."""
    other_account.create_account_alias(AccountAlias="acme")
    with refused("EntityAlreadyExists", "The account alias acme already exists.", 409):
        iam.create_account_alias(AccountAlias="acme")
    assert aliases(iam) == []
    with refused("EntityAlreadyExists", "The account alias acme already exists.", 409):
        other_account.create_account_alias(AccountAlias="acme")
    assert aliases(other_account) == ["acme"]


def test_released_alias_can_be_reused(iam: Any, other_account: Any) -> None:
    other_account.create_account_alias(AccountAlias="acme")
    other_account.create_account_alias(AccountAlias="globex")
    iam.create_account_alias(AccountAlias="acme")
    assert (aliases(iam), aliases(other_account)) == (["acme"], ["globex"])


def test_foreign_alias_cannot_be_deleted(iam: Any, other_account: Any, refused: Refused) -> None:
    other_account.create_account_alias(AccountAlias="globex")
    iam.create_account_alias(AccountAlias="acme")
    for alias in ("globex", "nobody"):
        with refused("NoSuchEntity", alias, 404):
            iam.delete_account_alias(AccountAlias=alias)
    iam.delete_account_alias(AccountAlias="acme")
    assert (aliases(iam), aliases(other_account)) == ([], ["globex"])
    with refused("NoSuchEntity"):
        iam.delete_account_alias(AccountAlias="acme")


def test_alias_list_is_paged(iam: Any, refused: Refused) -> None:
    iam.create_account_alias(AccountAlias="acme")
    answer = iam.list_account_aliases(MaxItems=1)
    assert (answer["AccountAliases"], answer["IsTruncated"]) == (["acme"], False)
    assert list(iam.get_paginator("list_account_aliases").paginate().search("AccountAliases[]")) == ["acme"]
    with refused("ValidationError", "Invalid Marker."):
        iam.list_account_aliases(Marker="nonsense")
