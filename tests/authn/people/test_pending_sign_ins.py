"""Sign-ins that wait for their browser: five minutes, sealed, limited for each provider."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from iam_guard import Guard
from iam_guard.authn.people import pending_sign_ins as pending
from iam_guard.authn.people.pending_sign_ins import MAX_AGE, MAX_TEXT, PendingSignIn
from iam_guard.authn.tokens.session_cookie import token_digest
from iam_guard.errors import InvalidIdentityToken, ServerBusy, StoreUnavailable
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import pending_sign_ins
from tests.authn.people.sign_on_world import ACME, SAML, add_identity_providers

NOON = datetime(2026, 3, 1, 12, 0, 0, 654_321, tzinfo=UTC)


class World:
    """A guard, a sign-on provider, and a clock that the test sets."""

    def __init__(self, guard: Guard) -> None:
        self.guard, self.now = guard, NOON
        guard.clock = lambda: self.now
        self.sign_ins = guard.people.pending_sign_ins
        self.provider = guard.people.sign_on_providers.add(ACME, "Acme", SAML).id

    def rows(self) -> int:
        with self.guard.store.read_transaction() as records:
            return records.count(pending_sign_ins)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = create_store(f"sqlite:///{tmp_path}/iam.db", Settings())
    add_identity_providers(store)
    with closing(guard_with_store(store, Settings(epoch_poll=3600))) as guard:
        yield World(guard)


def test_sign_in_is_found_for_five_minutes(world: World) -> None:
    """As it was received, to the microsecond: what the provider sent is verified again as of then."""
    token = world.sign_ins.put("saml", world.provider, "PHJlc3BvbnNlLz4=")
    world.now += MAX_AGE - timedelta(seconds=1)
    assert world.sign_ins.get(token) == PendingSignIn("saml", world.provider, "PHJlc3BvbnNlLz4=", NOON)
    assert "PHJlc" not in repr(world.sign_ins.get(token))
    world.now += timedelta(seconds=1)
    assert world.sign_ins.get(token) is None
    assert world.sign_ins.get("") is None
    assert world.sign_ins.get(token[:-1]) is None


def test_deleted_sign_in_is_not_found(world: World) -> None:
    token, other = (world.sign_ins.put("saml", world.provider, text) for text in ("one", "other"))
    with world.guard.store.write_transaction() as records:
        records.delete(pending_sign_ins, digest=token_digest(token))
    assert world.sign_ins.get(token) is None
    assert world.sign_ins.get(other) is not None


def test_sign_in_is_sealed_for_its_token(world: World) -> None:
    """Neither token nor text are stored, and the content of one row does not open in another."""
    token, other = (world.sign_ins.put("oidc", world.provider, text) for text in ("text-of-one", "text-of-other"))
    with world.guard.store.write_transaction() as records:
        rows = records.all(pending_sign_ins)
        assert not any(text in bytes(row["sealed"]) for row in rows for text in (b"text-of", token.encode()))
        assert not {row["digest"] for row in rows} & {token, other}
        for row in rows:
            [sealed] = (other["sealed"] for other in rows if other is not row)
            records.update(pending_sign_ins, {"sealed": sealed}, digest=row["digest"])
    for swapped in (token, other):
        with pytest.raises(StoreUnavailable):
            world.sign_ins.get(swapped)


def test_provider_has_limited_pending_sign_ins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends one response again and again neither fills the store nor stops other providers' people."""
    monkeypatch.setattr(pending, "MAX_PENDING", 3)
    other = world.guard.people.sign_on_providers.add(ACME, "other", SAML).id
    for _ in range(3):
        world.sign_ins.put("saml", world.provider, "text")
    with pytest.raises(ServerBusy):
        world.sign_ins.put("saml", world.provider, "text")
    world.sign_ins.put("saml", other, "text")
    world.now += MAX_AGE
    world.sign_ins.put("saml", world.provider, "text")
    assert world.rows() == 1


def test_long_text_is_refused(world: World) -> None:
    token = world.sign_ins.put("saml", world.provider, "x" * MAX_TEXT)
    assert world.sign_ins.get(token) is not None
    with pytest.raises(InvalidIdentityToken):
        world.sign_ins.put("saml", world.provider, "x" * (MAX_TEXT + 1))


def test_removed_provider_ends_its_pending_sign_ins(world: World) -> None:
    token = world.sign_ins.put("saml", world.provider, "text")
    world.guard.people.sign_on_providers.remove(ACME, "Acme")
    assert world.sign_ins.get(token) is None
    with pytest.raises(InvalidIdentityToken):
        world.sign_ins.put("saml", world.provider, "text")
