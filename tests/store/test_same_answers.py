"""The same seed gives the same decisions on both databases."""

from __future__ import annotations

import re
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from iam_guard import Decision, Guard, Principal
from iam_guard.audit.trail import Trail
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.identifiers import derived_id
from iam_guard.store.opening import open_database
from iam_guard.store.seed import apply_seed, load_seed
from iam_guard.store.seed.seed_values import Seed
from tests.audit.list_sink import ListSink

EXAMPLE = Path(__file__).parents[2] / "examples" / "documents" / "iam.yaml"
ACTION = re.compile(r"\b[a-z]+:[A-Z]\w*")


def requests(seed: Seed) -> list[tuple[Principal, str, str]]:
    """Return requests of all principals in the seed, with its actions and resources, and some others."""
    callers: list[Principal] = []
    texts: list[str] = []
    arns: list[str] = []
    for account in seed.accounts:
        here = f"arn:aws:iam::{account.id}"
        callers.append(Principal.from_arn(f"{here}:root"))
        arns += [f"arn:aws:docs:us-east-1:{account.id}:document/9", *(resource.arn for resource in account.resources)]
        texts += [policy.document.text for policy in account.policies]
        texts += [resource.policy.text for resource in account.resources if resource.policy]
        for identity in account.identities:
            texts += [document.text for document in identity.inline.values()]
            if identity.kind == "user":
                callers += [
                    Principal.from_arn(f"{here}:user{path}{identity.name}") for path in (identity.path, "/else/")
                ]
            elif identity.kind == "role":
                session = f"arn:aws:sts::{account.id}:assumed-role/{identity.name}/friday"
                callers.append(Principal.from_arn(session, tags={"team": "docs"}))
    actions = sorted({*ACTION.findall(" ".join(texts)), "docs:GetDocument", "docs:DeleteDocument"})
    return list(product(callers, actions, arns))


def decisions(url: str, settings: Settings, seed: Seed) -> list[Decision]:
    store = open_database(url, settings, create=True)
    store.ids = derived_id
    apply_seed(store, seed)
    with closing(Guard(CachedStore(store, settings), Trail(ListSink()), settings)) as guard:
        context = {"aws:CurrentTime": "2026-01-01T00:00:00Z"}
        return [guard.decide(*request, context) for request in requests(seed)]


@pytest.mark.parametrize("name", ["example", "shared"])
def test_both_databases_decide_equally(
    name: str, tmp_path: Path, postgresql: str, settings: Settings, seed_text: str
) -> None:
    """Outcome, epoch, reasons and the completed caller are equal for each request."""
    path = EXAMPLE
    if name == "shared":
        path = tmp_path / "iam.yaml"
        path.write_text(seed_text)
    seed = load_seed(path)
    on_file, on_server = (decisions(url, settings, seed) for url in (f"sqlite:///{tmp_path}/iam.db", postgresql))
    assert len(on_file) == len(on_server) >= 100
    for ours, theirs in zip(on_file, on_server, strict=True):
        shown = f"{ours.request.principal.arn} {ours.request.action} {ours.request.resource}"
        assert (ours.outcome, ours.epoch, ours.error) == (theirs.outcome, theirs.epoch, None), shown
        assert ours.reasons == theirs.reasons, shown
        assert ours.request.principal == theirs.request.principal, shown
    assert len({decision.outcome for decision in on_file}) > 1
