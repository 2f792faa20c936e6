"""Password digests: argon2id in PHC form, one salt per owner."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from iam_guard.api.iam import passwords
from iam_guard.api.iam.passwords import matches_any, matches_digest, password_digest
from iam_guard.errors import StoreUnavailable
from tests.tables import table


def test_digest_matches_only_its_password() -> None:
    """Case-sensitive; beyond ASCII too."""
    digest = password_digest("Grüße, Welt 1")
    assert re.fullmatch(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}", digest)
    assert matches_digest("Grüße, Welt 1", digest)
    assert not matches_digest("grüße, Welt 1", digest)
    assert not matches_digest("", digest)


def test_digests_of_different_owners_have_different_salts() -> None:
    assert password_digest("the same") != password_digest("the same")


def test_digests_of_one_owner_share_a_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the digest of a new password is compared with all former ones."""
    former = [password_digest("0")]
    former += [password_digest(str(number), same_salt_as=former[0]) for number in range(1, 5)]
    assert len({digest.rsplit("$", 1)[0] for digest in former}) == 1
    third, fifth = (password_digest(password, same_salt_as=former[-1]) for password in ("3", "5"))
    monkeypatch.setattr(passwords, "_derive", None)
    assert matches_any("3", third, former)
    assert not matches_any("5", fifth, former)


def test_digest_with_other_cost_is_still_compared() -> None:
    """Changed cost parameters don't invalidate old digests."""
    old = Argon2id(salt=b"0" * 16, length=32, iterations=1, lanes=1, memory_cost=64).derive_phc_encoded(b"old")
    new = password_digest("new", same_salt_as=old)
    assert new.split("$")[3] != old.split("$")[3]
    assert new.split("$")[4] == old.split("$")[4]
    assert matches_digest("old", old)
    for password, expected in (("old", True), ("new", True), ("neither", False)):
        digest = password_digest(password, same_salt_as=new)
        assert matches_any(password, digest, [new, old]) is expected
        assert matches_any(password, digest, []) is False


@table("damaged", ["", "$argon2id$", "plain", "$argon2i$v=19$m=64,t=1,p=1$MDAwMA$MDAwMA"])
def test_damaged_digest_raises_store_unavailable(damaged: str) -> None:
    """It never matches."""
    for ask in (
        lambda: matches_digest("plain", damaged),
        lambda: matches_any("plain", password_digest("plain"), [damaged]),
    ):
        with pytest.raises(StoreUnavailable) as caught:
            ask()
        assert "plain" not in str(caught.value)


def test_digest_cost_meets_owasps_minimum() -> None:
    """The digest contains its cost."""
    assert "$m=19456,t=2,p=1$" in password_digest("password")
