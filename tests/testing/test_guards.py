"""Guards for tests: the same one for the same seed, services and settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from iam_guard import Principal, Service
from iam_guard.errors import InvalidInput, SeedError, StoreIsReadOnly
from iam_guard.testing.guards import Guards
from tests.conftest import SEED

RITA = Principal.from_arn("arn:aws:iam::111122223333:user/rita")
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"


@pytest.fixture
def guards(tmp_path: Path) -> Iterator[Guards]:
    opened = Guards(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    path = tmp_path / "iam.yaml"
    path.write_text(SEED)
    return path


def test_the_same_guard_is_given_again(guards: Guards, seed: Path) -> None:
    """It need not be opened for each test."""
    docs = Service("docs")
    first = guards.get(seed, [docs], {})
    first.decide(RITA, "docs:GetDocument", DOCUMENT)
    assert guards.get(seed, [docs], {}) is first
    assert guards.get(seed, [], {}) is not first
    assert guards.get(seed, [docs], {"region": "eu-west-1"}) is not first


def test_a_test_cannot_change_what_others_see(guards: Guards, seed: Path) -> None:
    """A guard on a seed changes with its file only."""
    with pytest.raises(StoreIsReadOnly):
        guards.get(seed, [], {}).resource_policies.delete(DOCUMENT)


def test_a_seed_may_be_a_mapping(guards: Guards) -> None:
    """Of plain values; its mistakes are those of a seed."""
    account = {"id": "111122223333", "name": "acme", "root": {"email": "r@a.example"}, "users": [{"name": "rita"}]}
    given = {"version": 1, "accounts": [account]}
    assert not guards.get(given, [], {}).decide(RITA, "docs:GetDocument", DOCUMENT).allowed
    with pytest.raises(InvalidInput, match="plain values"):
        guards.get({"version": object()}, [], {})
    with pytest.raises(SeedError):
        guards.get({"version": 7}, [], {})


def test_nothing_is_audited_unless_it_is_wanted(
    guards: Guards, seed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment says of production's trail."""
    monkeypatch.setenv("IAM_GUARD_AUDIT", str(tmp_path / "production.jsonl"))
    guards.get(seed, [], {}).decide(RITA, "docs:GetDocument", DOCUMENT)
    assert not (tmp_path / "production.jsonl").exists()
    guards.get(seed, [], {"audit": str(tmp_path / "mine.jsonl")}).decide(RITA, "docs:GetDocument", DOCUMENT)
    assert (tmp_path / "mine.jsonl").exists()
