"""Digests of passwords: argon2id in PHC form, one salt for each owner."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from iam_guard.api.iam import passwords
from iam_guard.api.iam.passwords import is_one_of, is_password, password_digest
from iam_guard.errors import StoreUnavailable


def test_a_digest_tells_its_password_from_others() -> None:
    """Letter by letter; texts beyond ASCII too."""
    digest = password_digest("Grüße, Welt 1")
    assert re.fullmatch(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}", digest)
    assert is_password("Grüße, Welt 1", digest)
    assert not is_password("grüße, Welt 1", digest)
    assert not is_password("", digest)


def test_salts_of_different_owners_differ() -> None:
    """So the same password of two owners does not look the same."""
    assert password_digest("the same") != password_digest("the same")


def test_digests_of_one_owner_share_a_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the digest of a new password is compared with all of them as it is, be they 24."""
    former = [password_digest("0")]
    former += [password_digest(str(number), beside=former[0]) for number in range(1, 5)]
    assert len({digest.rsplit("$", 1)[0] for digest in former}) == 1
    third, fifth = (password_digest(password, beside=former[-1]) for password in ("3", "5"))
    monkeypatch.setattr(passwords, "_derive", None)
    assert is_one_of("3", third, former)
    assert not is_one_of("5", fifth, former)


def test_what_is_older_is_compared_at_its_own_cost() -> None:
    """A digest stays good when the cost is chosen anew."""
    old = Argon2id(salt=b"0" * 16, length=32, iterations=1, lanes=1, memory_cost=64).derive_phc_encoded(b"old")
    new = password_digest("new", beside=old)
    assert new.split("$")[3] != old.split("$")[3]
    assert new.split("$")[4] == old.split("$")[4]
    assert is_password("old", old)
    for password, expected in (("old", True), ("new", True), ("neither", False)):
        digest = password_digest(password, beside=new)
        assert is_one_of(password, digest, [new, old]) is expected
        assert is_one_of(password, digest, []) is False


@pytest.mark.parametrize("damaged", ["", "$argon2id$", "plain", "$argon2i$v=19$m=64,t=1,p=1$MDAwMA$MDAwMA"])
def test_a_damaged_digest_lets_nobody_in(damaged: str) -> None:
    """It is a fault of the store, never a match."""
    for ask in (lambda: is_password("plain", damaged), lambda: is_one_of("plain", password_digest("plain"), [damaged])):
        with pytest.raises(StoreUnavailable) as caught:
            ask()
        assert "plain" not in str(caught.value)


def test_the_cost_of_a_guess() -> None:
    """What OWASP advises at least, for others wait meanwhile; a digest says what it cost."""
    assert "$m=19456,t=2,p=1$" in password_digest("password")
