"""Tokens that count once."""

from __future__ import annotations

from iam_guard.store.credentials.used_tokens import use_token
from iam_guard.store.database.records import MAX_PURGED
from iam_guard.store.schema import used_tokens
from iam_guard.store.sql_store import SqlStore


def test_token_counts_once_until_it_expires(empty: SqlStore) -> None:
    """A second use is refused until the token has expired; purposes and parts of an identity are kept apart."""
    with empty.write_transaction() as records:
        assert use_token(records, "proof", "a", "bc", expires=100, now=10)
        assert not use_token(records, "proof", "a", "bc", expires=100, now=99)
        assert use_token(records, "proof", "ab", "c", expires=100, now=10)
        assert use_token(records, "assertion", "a", "bc", expires=100, now=10)
    with empty.write_transaction() as records:
        assert not use_token(records, "proof", "a", "bc", expires=200, now=99)
        assert use_token(records, "proof", "a", "bc", expires=200, now=100)
        assert not use_token(records, "proof", "a", "bc", expires=200, now=150)


def test_uses_delete_expired_tokens(empty: SqlStore) -> None:
    """The table does not grow with tokens that have expired; others stay."""
    with empty.write_transaction() as records:
        for number in range(MAX_PURGED + 20):
            records.insert(used_tokens, digest=f"{number:064}", expires=number)
        records.insert(used_tokens, digest="f" * 64, expires=10_000)
        assert use_token(records, "proof", "a", expires=10_000, now=1_000)
        assert records.count(used_tokens) == 22
        assert use_token(records, "proof", "b", expires=10_000, now=1_000)
        assert records.count(used_tokens) == 3
