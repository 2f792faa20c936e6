"""Several answers from one snapshot: the fallback of decisions during concurrent writes (rule T-9)."""

from __future__ import annotations

from contextlib import closing

from iam_guard.settings import Settings
from iam_guard.store.opening import open_database
from iam_guard.store.seed import apply_seed, load_seed_text

SEED = '{"version": 1, "accounts": [{"id": "111122223333", "name": "%s"}]}'


def test_snapshot_does_not_show_concurrent_write(database: str, settings: Settings) -> None:
    """Inside the block every answer has the epoch of the first one; afterwards, the new epoch."""
    with closing(open_database(database, settings)) as reader, closing(open_database(database, settings)) as writer:
        apply_seed(writer, load_seed_text(SEED % "acme"))
        with reader.at_once():
            before = reader.account("111122223333").epoch
            apply_seed(writer, load_seed_text(SEED % "other"))
            assert reader.resource("arn:aws:docs:us-east-1:111122223333:document/7").epoch == before
        assert reader.account("111122223333").epoch == before + 1


def test_snapshot_ends_when_block_raises(database: str, settings: Settings) -> None:
    """The next query has a new transaction."""
    with closing(open_database(database, settings)) as store:
        try:
            with store.at_once():
                raise LookupError
        except LookupError:
            pass
        assert apply_seed(store, load_seed_text(SEED % "acme")).epoch == store.epoch()
