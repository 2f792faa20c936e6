"""The sealed values of a store: its own keys, and a rotation of keys while several processes run."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import pairwise

import pytest
from sqlalchemy import LargeBinary, select

from iam_guard.errors import ConfigurationError, StoreUnavailable
from iam_guard.settings import Settings
from iam_guard.store import schema
from iam_guard.store.database.engine import reading, writing
from iam_guard.store.opening import create_store, open_database
from iam_guard.store.sealed_values import resealed_batches
from iam_guard.store.sealing import Sealer
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore

OLD, NEW, LOST = (base64.b64encode(letter * 32).decode() for letter in (b"o", b"n", b"l"))
KEYS = tuple(f"AKIATEST{number:012}" for number in range(7))
SEED = f"""
version: 1
accounts:
  - id: "111122223333"
    users: [{", ".join(f"{{name: of-{id}, access_keys: [{{id: {id}, secret: of-{id}-0123456789}}]}}" for id in KEYS)}]
"""
Opening = Callable[..., SqlStore]


@pytest.fixture
def opening(bare_database: str) -> Opening:
    """Open the store with sealing keys, as a process does."""
    store = create_store(bare_database, Settings(sealing_keys=(OLD,)))
    apply_seed(store, load_seed_text(SEED))
    store.close()
    return lambda *keys: open_database(bare_database, Settings(sealing_keys=keys))


def test_every_binary_column_is_sealed_or_known() -> None:
    """A new secret that is not declared as sealed would be lost with the old key."""
    binary = {
        column for table in schema.metadata.sorted_tables for column in table.c if isinstance(column.type, LargeBinary)
    }
    others = {schema.api_keys.c.digest, schema.passkeys.c.public_key, schema.pseudonym_salts.c.salt}
    assert binary - schema.sealed_columns().keys() == others
    for column, names in schema.sealed_columns().items():
        assert len(column.table.primary_key) == 1
        assert set(names) <= set(column.table.c.keys())


def test_rotation_step_by_step_never_fails(opening: Opening) -> None:
    """At each step, a process that has restarted and one that has not open what both seal."""
    steps = [(OLD,), (OLD, NEW), (NEW, OLD)]
    for before, after in pairwise(steps):
        for keys, others in ((before, after), (after, before)):
            sealing, other = opening(*keys), opening(*others)
            text = sealing.sealer.seal_text(b"content", b"context")
            assert other.sealer.open_text(text, b"context") == b"content"
            assert all(other.access_key(id) is not None for id in KEYS)
            sealing.close()
            other.close()
    store = opening(NEW, OLD)
    done = list(resealed_batches(store, batch=3))
    assert sum(batch.resealed["access_keys"] for batch in done) == len(KEYS)
    assert max(batch.resealed.total() for batch in done) == 3
    assert not any(batch.unopened for batch in done)
    assert not list(resealed_batches(store))
    store.close()
    last = opening(NEW)
    assert {id: key and key.secret for id in KEYS for key in [last.access_key(id)]} == {
        id: f"of-{id}-0123456789" for id in KEYS
    }
    last.close()
    with pytest.raises(ConfigurationError, match="expected the sealing keys of this store"):
        opening(OLD)


def test_rotation_in_one_step_is_an_outage_not_a_forgery(opening: Opening) -> None:
    """What the restarted process seals fails in the other one for a while; no client takes it for invalid."""
    restarted, other = opening(NEW, OLD), opening(OLD)
    token = restarted.sealer.seal_text(b"content", b"context")
    with pytest.raises(StoreUnavailable, match="not among the sealing keys"):
        other.sealer.open_text(token, b"context")
    restarted.close()
    other.close()


def test_resealing_leaves_what_no_key_opens(opening: Opening) -> None:
    """It is counted, and all others are sealed again, in however many batches."""
    store = opening(NEW, OLD)
    lost = Sealer([base64.b64decode(LOST)])
    with writing(store.engine) as connection:
        for id in KEYS[:4]:
            sealed = lost.seal(b"secret", schema.sealing_context(schema.access_keys.c.sealed, id))
            connection.execute(schema.access_keys.update().where(schema.access_keys.c.id == id).values(sealed=sealed))
    done = list(resealed_batches(store, batch=2))
    assert sum(batch.unopened["access_keys"] for batch in done) == 4
    assert sum(batch.resealed["access_keys"] for batch in done) == len(KEYS) - 4
    assert sum(batch.resealed["meta"] for batch in done) == 1
    store.close()


def test_resealing_changes_no_epoch(opening: Opening) -> None:
    """No cached answer is dropped, as no answer changes."""
    store = opening(NEW, OLD)
    before = store.epoch()
    assert list(resealed_batches(store))
    assert store.epoch() == before
    store.close()


def test_store_of_an_earlier_version_gets_its_canary(opening: Opening, bare_database: str) -> None:
    """`iam-guard init` writes it, unless the store's values were sealed with other keys."""
    store = opening(OLD)
    with writing(store.engine) as connection:
        connection.execute(schema.meta.update().values(canary=None))
    for keys in ((NEW,), (LOST, NEW)):
        with pytest.raises(ConfigurationError, match="expected the sealing keys of this store"):
            opening(*keys)
        with pytest.raises(ConfigurationError, match="expected the sealing keys of this store"):
            create_store(bare_database, Settings(sealing_keys=keys))
    opening(NEW, OLD).close()
    with reading(store.engine) as connection:
        assert connection.execute(select(schema.meta.c.canary)).scalar_one() is None
    create_store(bare_database, Settings(sealing_keys=(NEW, OLD))).close()
    with reading(store.engine) as connection:
        assert connection.execute(select(schema.meta.c.canary)).scalar_one() is not None
    store.close()
