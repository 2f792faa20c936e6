"""Shadow mode: a candidate also decides, differences are recorded, and responses do not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from iam_guard import Guard, open_guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.errors import CacheMiss, ConfigurationError, SeedError, StoreUnavailable
from iam_guard.guard.loader import Loader
from iam_guard.guard.shadow_mode import ShadowMode
from iam_guard.model.principal import Principal
from iam_guard.model.request import Resource
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import identities
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.conftest import ACME, SEED

RITA = Principal.from_arn(f"arn:aws:iam::{ACME}:user/rita")
DOCUMENT = f"arn:aws:docs:us-east-1:{ACME}:document/7"
CANDIDATE = SEED.replace('"docs:Get*"', '"docs:Put*"')
Open = Callable[..., Guard]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open a guard on a seed with a candidate for shadow mode."""
    guards: list[Guard] = []

    def make(candidate: str = CANDIDATE, **more: Any) -> Guard:
        (tmp_path / "iam.yaml").write_text(SEED)
        (tmp_path / "candidate.yaml").write_text(candidate)
        audit, shadow = tmp_path / "audit.jsonl", tmp_path / "candidate.yaml"
        guards.append(open_guard(tmp_path / "iam.yaml", audit=str(audit), shadow=shadow, **more))
        return guards[-1]

    yield make
    for guard in guards:
        guard.close()


def recorded(tmp_path: Path) -> list[dict[str, Any]]:
    return [record["iamGuard"] for record in read_records(tmp_path / "audit.jsonl")]


def test_difference_is_recorded_and_decision_stands(opened: Open, tmp_path: Path) -> None:
    """Both ways: only the candidate denies, or only the candidate allows."""
    guard = opened()
    assert guard.decide(RITA, "docs:Get", DOCUMENT).allowed
    assert not guard.decide(RITA, "docs:Put", DOCUMENT).allowed
    refused, allowed = recorded(tmp_path)
    assert (refused["outcome"], refused["enforced"]) == ("Allowed", True)
    assert (refused["shadow"]["outcome"], refused["shadow"]["enforced"]) == ("ImplicitlyDenied", False)
    assert refused["shadow"]["reasons"] == [{"policyType": "identity-based policy"}]
    assert (allowed["outcome"], allowed["shadow"]["outcome"]) == ("ImplicitlyDenied", "Allowed")
    assert allowed["shadow"]["reasons"][0]["sid"] == "Read"
    assert allowed["shadow"]["policySet"] != allowed["policySet"]


def test_equal_outcome_does_not_change_the_record(opened: Open, tmp_path: Path) -> None:
    guard = opened(SEED)
    guard.decide(RITA, "docs:Get", DOCUMENT)
    guard.decide(RITA, "docs:Put", DOCUMENT)
    assert not any("shadow" in each for each in recorded(tmp_path))


def test_candidate_sees_the_same_request(opened: Open, tmp_path: Path) -> None:
    """Keys that only the candidate reads are not recorded as read."""
    condition = '"docs:Get*", Condition: {StringEquals: {"aws:RequestTag/x": "a"}}'
    guard = opened(SEED.replace('"docs:Get*"', condition))
    guard.decide(RITA, "docs:Get", DOCUMENT, {"aws:RequestTag/x": "a"})
    guard.decide(RITA, "docs:Get", DOCUMENT, {"aws:RequestTag/x": "b"})
    same, other = recorded(tmp_path)
    assert "shadow" not in same
    assert other["shadow"]["outcome"] == "ImplicitlyDenied"
    assert "conditions" not in other


def test_caller_missing_in_candidate_is_a_difference(opened: Open, tmp_path: Path) -> None:
    opened(SEED.replace("name: rita", "name: rosa")).decide(RITA, "docs:Get", DOCUMENT)
    [record] = recorded(tmp_path)
    assert record["shadow"]["reasons"][0]["note"] == "the principal does not exist (any more)"


def test_candidate_with_other_ids_finds_callers_by_name(tmp_path: Path) -> None:
    """A store from the same seed has other unique ids and decides alike."""
    (tmp_path / "iam.yaml").write_text(SEED)
    settings = Settings()
    for name in ("one", "two"):
        store = create_store(f"sqlite:///{tmp_path}/{name}.db", settings)
        apply_seed(store, load_seed_text(SEED))
        store.close()
    one, two = (f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "two"))
    guard = open_guard(one, audit=str(tmp_path / "audit.jsonl"), shadow=two)
    with guard.store.read_transaction() as records:
        userid = next(row["id"] for row in records.all(identities) if row["name"] == "rita")
    assert guard.decide(replace(RITA, userid=userid), "docs:Get", DOCUMENT).allowed
    assert not guard.decide(replace(RITA, userid="AIDAOFSOMEBODYELSE01"), "docs:Get", DOCUMENT).allowed
    guard.close()
    assert not any("shadow" in each for each in recorded(tmp_path))


@pytest.mark.parametrize("fault", [StoreUnavailable("the store is away"), RuntimeError("secret")])
def test_candidate_error_does_not_change_the_decision(opened: Open, tmp_path: Path, fault: Exception) -> None:
    """The record reports that the candidate has no decision, without the error's text."""
    guard = opened()
    load = Loader.load

    def failing(self: Loader, *given: Any, **more: Any) -> Any:
        if self is guard._shadow._loader:  # type: ignore[union-attr]
            raise fault
        return load(self, *given, **more)

    with mock.patch.object(Loader, "load", failing):
        assert guard.decide(RITA, "docs:Get", DOCUMENT).allowed
    [record] = recorded(tmp_path)
    assert record["shadow"] == {
        "enforced": False,
        "reason": "Error",
        "reasons": [],
        "error": f"the candidate cannot decide: {type(fault).__name__}",
    }


def test_warm_requires_both_stores(opened: Open) -> None:
    """A decision that waits for the candidate's store must not run in the event loop."""
    guard = opened(epoch_poll=3600.0)
    guard.decide(RITA, "docs:Get", DOCUMENT)
    assert guard.decide_from_cache(RITA, "docs:Get", DOCUMENT) is not None
    with mock.patch.object(ShadowMode, "difference", side_effect=CacheMiss):
        assert guard.decide_from_cache(RITA, "docs:Get", DOCUMENT) is None


def test_application_resource_is_loaded_once_for_both(opened: Open, tmp_path: Path) -> None:
    share = {"Effect": "Deny", "Principal": "*", "Action": "docs:Get", "Resource": DOCUMENT}
    policy = {"Version": "2012-10-17", "Statement": [share]}
    guard = opened(CANDIDATE, resources=lambda arn: Resource(arn, ACME, policy=policy))
    assert not guard.decide(RITA, "docs:Get", DOCUMENT).allowed
    assert "shadow" not in recorded(tmp_path)[0]  # the same explicit deny


def test_missing_candidate_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "iam.yaml").write_text(SEED)
    with pytest.raises(ConfigurationError):
        open_guard(tmp_path / "iam.yaml", shadow=f"sqlite:///{tmp_path}/nowhere.db")


# --- only some actions -------------------------------------------------------------------------------------------


def test_only_shadow_actions_are_decided_with_candidate(opened: Open, tmp_path: Path) -> None:
    """Patterns are case-insensitive; other actions cause no query."""
    guard = opened(shadow_actions=["DOCS:P*", "iam:*"], epoch_poll=3600.0)
    shadow = guard._shadow
    assert shadow is not None
    with mock.patch.object(ShadowMode, "_decide", side_effect=AssertionError):
        guard.decide(RITA, "docs:Get", DOCUMENT)
    guard.decide(RITA, "docs:Put", DOCUMENT)
    assert ["shadow" in each for each in recorded(tmp_path)] == [False, True]
    shadow._store.refresh()
    with mock.patch.object(shadow._store, "_due", 0.0):  # a look is due, which would wait for the store
        assert guard.decide_from_cache(RITA, "docs:Get", DOCUMENT) is not None
        assert guard.decide_from_cache(RITA, "docs:Put", DOCUMENT) is None


def test_bracket_in_a_pattern_is_literal(opened: Open, tmp_path: Path) -> None:
    guard = opened(shadow_actions=["docs:[GP]*"])
    with mock.patch.object(ShadowMode, "_decide", side_effect=AssertionError):
        guard.decide(RITA, "docs:Get", DOCUMENT)
    assert "shadow" not in recorded(tmp_path)[-1]


# --- a few policies laid over ------------------------------------------------------------------------------------

CHANGE = f"""
version: 1
policy_changes:
  - put: Read
    in: arn:aws:iam::{ACME}:user/rita
    document: {{Version: "2012-10-17", Statement: [{{Sid: New, Effect: Allow, Action: "docs:Put*", Resource: "*"}}]}}
"""


def test_change_file_is_applied_to_the_current_state(opened: Open, tmp_path: Path) -> None:
    """Only its changes differ; a change of the first store applies to both at once."""
    guard = opened(CHANGE, epoch_poll=3600.0)
    guard.decide(RITA, "docs:Get", DOCUMENT)
    guard.decide(RITA, "docs:Put", DOCUMENT)
    assert [each["shadow"]["outcome"] for each in recorded(tmp_path)] == ["ImplicitlyDenied", "Allowed"]
    assert recorded(tmp_path)[1]["shadow"]["reasons"][0]["sid"] == "New"
    (tmp_path / "iam.yaml").write_text(SEED.replace('"docs:*"', '"docs:List"'))
    guard.refresh()
    ada = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
    assert guard.decide_from_cache(ada, "docs:Get", DOCUMENT) is None
    assert not guard.decide(ada, "docs:Get", DOCUMENT).allowed
    assert "shadow" not in recorded(tmp_path)[-1]
    guard.decide(RITA, "docs:Get", DOCUMENT)
    assert guard.decide_from_cache(RITA, "docs:Get", DOCUMENT) is not None


def test_change_between_both_decisions_is_not_reported(opened: Open, tmp_path: Path) -> None:
    """The candidate may see a newer state than the guard."""
    guard = opened(CHANGE, epoch_poll=3600.0)
    guard.decide(RITA, "docs:Get", DOCUMENT)
    (tmp_path / "iam.yaml").write_text(SEED.replace("name: acme", "name: acme-2"))
    shadow = guard._shadow
    assert shadow is not None
    shadow._store.refresh()
    guard.decide(RITA, "docs:Get", DOCUMENT)
    assert ["shadow" in each for each in recorded(tmp_path)] == [True, False]


@pytest.mark.parametrize(
    ("candidate", "problem"),
    [
        (CHANGE.replace("user/rita", "user/nobody"), "candidate.yaml:4: there is no `arn:"),
        (CHANGE.replace("Effect: Allow", "Effect: Perhaps"), "candidate.yaml:6: "),
    ],
)  # fmt: skip
def test_inapplicable_change_file_is_refused_at_start(opened: Open, candidate: str, problem: str) -> None:
    with pytest.raises(SeedError) as caught:
        opened(candidate)
    assert problem in str(caught.value)
