"""The law of policy generation: what identity policies allowed stays allowed, and nothing else becomes allowed.

Requests of every kind are decided by a guard, its records are gathered, and the generated documents decide again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard import AccessRequest, compile_policies
from iam_guard.analysis.activity import ArnTemplates, Generalization, aggregate_activity, generate_policy
from iam_guard.analysis.activity.policy_generation import GeneratedPolicy
from iam_guard.audit.trail import Trail
from iam_guard.guard.guard import Guard
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import Resource
from iam_guard.policy.parser import parse
from iam_guard.policy.quota import MANAGED
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.audit.list_sink import ListSink
from tests.policy.findings import check

ACME, GLOBEX, OTHER = "111122223333", "444455556666", "777788889999"
ROLE = f"arn:aws:iam::{ACME}:role/team/auditor"
USER = f"arn:aws:iam::{ACME}:user/rita"


def everything(*not_these: str) -> dict[str, Any]:
    statements: list[dict[str, Any]] = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    if not_these:
        statements.append({"Effect": "Deny", "Action": list(not_these), "Resource": "*"})
    return {"Version": "2012-10-17", "Statement": statements}


SEED = {
    "version": 1,
    "accounts": [
        {
            "id": ACME,
            "users": [{"name": "rita", "inline": {"All": everything("docs:Drop")}}],
            "roles": [
                {
                    "name": "auditor",
                    "path": "/team/",
                    "inline": {"All": everything("docs:Drop")},
                    "trust": {
                        "Version": "2012-10-17",
                        "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACME}, "Action": "sts:AssumeRole"}],
                    },
                }
            ],
        },
        {"id": GLOBEX},
    ],
}


def open_to_all(arn: str) -> dict[str, Any]:
    """Return a policy that allows callers of another account, so that their own policies decide."""
    statement = {"Effect": "Allow", "Principal": {"AWS": [ACME, GLOBEX, OTHER]}, "Action": "*", "Resource": arn}
    return {"Version": "2012-10-17", "Statement": [statement]}


class RecordingGuard:
    """A guard that keeps its records in memory."""

    def __init__(self) -> None:
        chosen = Settings()
        store = create_store("sqlite://", chosen)
        apply_seed(store, load_seed_text(json.dumps(SEED)))
        self.sink = ListSink()
        self.guard = Guard(CachedStore(store, chosen), Trail(self.sink), chosen)

    def records(self, caller: Principal, requests: list[tuple[str, str]]) -> list[dict[str, Any]]:
        self.sink.lines.clear()
        for action, arn in requests:
            foreign = f":{GLOBEX}:" in arn
            policy = open_to_all(arn.replace("*", "?").replace("$", "?")) if foreign else None
            self.guard.decide(caller, action, Resource(arn, policy=policy) if arn != "*" else arn)
        return [json.loads(line) for line in self.sink.lines]


@pytest.fixture(scope="module")
def recorder() -> Iterator[RecordingGuard]:
    made = RecordingGuard()
    yield made
    made.guard.close()


docs = Catalogue("docs")
for name, template in {
    "Get": "document/{id}",
    "Put": "document/{id}",
    "Note": "document/{id}/note/{number}",
    "List": "*",
    "Share": "arn:aws:docs:{region}:{account}:folder/{path}",
}.items():
    docs.declare(name, template)
TEMPLATES = ArnTemplates([docs])

IDS = st.text(st.sampled_from("ab1/*?$:{} é"), min_size=1, max_size=4).filter(lambda text: text.strip())
ARNS = st.one_of(
    st.just("*"),
    st.builds("arn:aws:docs:us-east-1:{}:document/{}".format, st.sampled_from([ACME, ACME, GLOBEX]), IDS),
    st.builds("arn:aws:docs:eu-west-1:{}:document/{}/note/{}".format, st.just(ACME), IDS, IDS),
    st.builds("arn:aws:docs:us-east-1:{}:folder/{}".format, st.sampled_from([ACME, GLOBEX]), IDS),
    st.builds("arn:aws:docs:us-east-1:{}:thing:{}".format, st.just(ACME), IDS),
    st.builds("arn:aws:iam::{}:role/{}".format, st.just(ACME), st.sampled_from(["a", "x/b", "aws-service-role/s/C"])),
)
NAMES = "Get get Put Note List Share Drop".split()
ACTIONS = st.sampled_from([*(f"docs:{name}" for name in NAMES), "mail:Send", "iam:GetRole", "iam:PassRole"])
REQUESTS = st.lists(st.tuples(ACTIONS, ARNS), min_size=1, max_size=12)
OPTIONS = st.builds(Generalization, above=st.integers(0, 3), own=st.booleans(), is_off=st.booleans())
CALLERS = {
    USER: Principal.from_arn(USER),
    ROLE: Principal.from_arn(f"arn:aws:sts::{ACME}:assumed-role/auditor/carol", role_arn=ROLE),
}


def allows(generated: GeneratedPolicy, caller: Principal, action: str, arn: str) -> bool:
    owner = ACME if arn == "*" else arn.split(":")[4]
    documents = [document.to_dict() for document in generated.documents]
    foreign = None if owner == ACME else open_to_all("*")
    request = AccessRequest(caller, action, arn, {"aws:ResourceAccount": owner}, resource_account=owner)
    return compile_policies(identity=documents, resource=foreign).decide(request).allowed


@given(
    principal=st.sampled_from([USER, ROLE]),
    requests=REQUESTS,
    options=OPTIONS,
    max_resources=st.sampled_from([2, 10_000]),
)
@settings(max_examples=150)
def test_policy_allows_activity_and_no_other_account(
    recorder: RecordingGuard,
    principal: str,
    requests: list[tuple[str, str]],
    options: Generalization,
    max_resources: int,
) -> None:
    """Replaying the activity with the generated policy allows all that identity policies allowed."""
    caller = CALLERS[principal]
    records = recorder.records(caller, requests)
    activity = aggregate_activity(records, principal, templates=TEMPLATES, max_resources=max_resources)
    generated = generate_policy(activity, TEMPLATES, options)
    has_left_out = any(note.about == "left out" for note in generated.notes)
    seen = set()
    for record, (action, arn) in zip(records, requests, strict=True):
        reasons = record["iamGuard"]["reasons"]
        if any(
            (reason["policyType"], reason.get("effect")) == ("identity-based policy", "Allow") for reason in reasons
        ):
            assert record["iamGuard"]["outcome"] == "Allowed"
            assert has_left_out or allows(generated, caller, action, arn), (action, arn, generated.documents)
            seen.add((action.lower(), arn))
    for action, arn in {(action, arn) for action, _ in requests for _, arn in requests}:
        owner = arn.split(":")[4] if arn != "*" else ACME
        if owner != ACME and (action.lower(), arn) not in seen:
            assert not allows(generated, caller, action, arn)
        if arn != "*":
            assert not allows(generated, caller, action, arn.replace(f":{owner}:", f":{OTHER}:"))
    assert not allows(generated, caller, "docs:Drop", f"arn:aws:docs:us-east-1:{ACME}:document/1")


@given(requests=REQUESTS, options=OPTIONS)
@settings(max_examples=60)
def test_documents_pass_validation(
    recorder: RecordingGuard, requests: list[tuple[str, str]], options: Generalization
) -> None:
    """No finding, no wildcard in an action, each within the quota of a managed policy."""
    generated = generate_policy(aggregate_activity(recorder.records(CALLERS[USER], requests), USER), TEMPLATES, options)
    for document in generated.documents:
        text = document.to_json()
        assert check(parse(text, PolicyType.IDENTITY)) == []
        assert MANAGED.size(text) <= MANAGED.characters
        for statement in document.document.statements:
            assert not any("*" in action or "?" in action for action in statement.actions or ())


@given(requests=REQUESTS)
@settings(max_examples=40)
def test_exact_policy_allows_no_other_resource(recorder: RecordingGuard, requests: list[tuple[str, str]]) -> None:
    records = recorder.records(CALLERS[USER], requests)
    generated = generate_policy(aggregate_activity(records, USER), TEMPLATES, Generalization(is_off=True))
    star_actions = {action.lower() for action, arn in requests if arn == "*"}
    for action, arn in requests:
        if action.lower() not in star_actions:
            assert not allows(generated, CALLERS[USER], action, f"{arn}-other")
