"""Guards for tests are reused for the same seed, services and settings."""

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


def test_guard_is_reused(guards: Guards, seed: Path) -> None:
    """It need not be opened for each test."""
    docs = Service("docs")
    first = guards.get(seed, [docs], {})
    first.decide(RITA, "docs:GetDocument", DOCUMENT)
    assert guards.get(seed, [docs], {}) is first
    assert guards.get(seed, [], {}) is not first
    assert guards.get(seed, [docs], {"region": "eu-west-1"}) is not first


def test_guard_on_seed_is_read_only(guards: Guards, seed: Path) -> None:
    """It changes only with its file."""
    with pytest.raises(StoreIsReadOnly):
        guards.get(seed, [], {}).resource_policies.delete(DOCUMENT)


def test_seed_may_be_a_mapping(guards: Guards) -> None:
    """Of plain values, with the errors of a seed."""
    account = {"id": "111122223333", "name": "acme", "root": {"email": "r@a.example"}, "users": [{"name": "rita"}]}
    given = {"version": 1, "accounts": [account]}
    assert not guards.get(given, [], {}).decide(RITA, "docs:GetDocument", DOCUMENT).allowed
    with pytest.raises(InvalidInput, match="plain values"):
        guards.get({"version": object()}, [], {})
    with pytest.raises(SeedError):
        guards.get({"version": 7}, [], {})


def test_nothing_is_audited_by_default(
    guards: Guards, seed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever trail the environment configures."""
    monkeypatch.setenv("IAM_GUARD_AUDIT", str(tmp_path / "production.jsonl"))
    guards.get(seed, [], {}).decide(RITA, "docs:GetDocument", DOCUMENT)
    assert not (tmp_path / "production.jsonl").exists()
    guards.get(seed, [], {"audit": str(tmp_path / "mine.jsonl")}).decide(RITA, "docs:GetDocument", DOCUMENT)
    assert (tmp_path / "mine.jsonl").exists()
