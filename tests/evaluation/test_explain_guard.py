"""A guard explains with uncached policies, and without an audit record."""

from __future__ import annotations

from pathlib import Path

import pytest

from iam_guard import Guard, Outcome, Principal, Resource
from iam_guard.errors import StoreUnavailable
from iam_guard.evaluation.explanation import Explanation

RITA = Principal.from_arn("arn:aws:iam::111122223333:user/rita")
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"


def test_guard_explains_a_denial_without_a_record(guard: Guard, audit_file: Path) -> None:
    """The explanation names the stored policies; nothing is recorded, since no access was requested."""
    explanation = guard.explain(RITA, "docs:PutDocument", DOCUMENT)
    assert isinstance(explanation, Explanation)
    assert explanation.outcome is Outcome.IMPLICITLY_DENIED
    assert explanation.epoch is not None
    (miss,) = explanation.nearest
    assert (miss.policy, miss.sid, miss.outcome) == ("user/rita/Read", "Read", Outcome.ALLOWED)
    assert miss.change == "the action would have to match `docs:Get*`"
    guard.trail.close()
    assert not audit_file.exists() or audit_file.read_text() == ""


def test_decision_of_a_guard_explains_itself(guard: Guard) -> None:
    """`decide` and `explain` agree, with the epoch of the decision."""
    decision = guard.decide(RITA, "docs:GetDocument", Resource(DOCUMENT, tags={"class": "secret"}))
    found = decision.explain()
    assert isinstance(found, Explanation)
    assert (found.outcome, found.epoch) == (Outcome.ALLOWED, decision.epoch)


def test_explanation_bypasses_the_caches(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed is loaded again, even if it was written just before."""
    assert guard.decide(RITA, "docs:GetDocument", DOCUMENT).allowed
    for name in ("principal", "account", "resource", "epoch"):
        monkeypatch.setattr(guard._store, name, lambda *_: pytest.fail("the cache was queried"))
    seed = tmp_path / "iam.yaml"
    seed.write_text(seed.read_text().replace('"docs:Get*"', '"docs:List*"'))
    explanation = guard.explain(RITA, "docs:GetDocument", DOCUMENT)
    assert explanation.outcome is Outcome.IMPLICITLY_DENIED
    assert "docs:List*" in explanation.text()


def test_deleted_principal_is_explained(guard: Guard) -> None:
    """P-6: no policy is evaluated, and the explanation has the reason."""
    gone = Principal.from_arn("arn:aws:iam::111122223333:user/gone")
    for explanation in (guard.explain(gone, "docs:GetDocument"), guard.decide(gone, "docs:GetDocument").explain()):
        assert isinstance(explanation, Explanation)
        assert explanation.types == ()
        assert explanation.reasons == ("the principal does not exist (any more)",)


def test_failing_store_is_explained(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    """E-6: a decision that failed before the policies were loaded has the error."""

    def fail(*_: object) -> None:
        raise StoreUnavailable("the database is away")

    for question in ("principal", "decision_records"):
        monkeypatch.setattr(guard._store.behind, question, fail)
    explanation = guard.explain(RITA, "docs:GetDocument", DOCUMENT)
    assert explanation.outcome is Outcome.IMPLICITLY_DENIED
    assert explanation.error == "the database is away"
    assert "the database is away" in guard.decide(RITA, "docs:GetDocument", DOCUMENT).explain().text()
