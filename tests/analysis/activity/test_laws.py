"""The law of policy generation: what was allowed by identity policies stays allowed, and nobody else's comes in.

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
from iam_guard.analysis.activity import ArnTemplates, Generalising, aggregate_activity, generate_policy
from iam_guard.analysis.activity.policy_generation import GeneratedPolicy
from iam_guard.audit.sinks import ListSink
from iam_guard.audit.trail import Trail
from iam_guard.guard.guard import Guard
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import Resource
from iam_guard.policy.document_check import check
from iam_guard.policy.parser import parse
from iam_guard.policy.quota import MANAGED
from iam_guard.settings import Settings
from iam_guard.store.cached_store import CachedStore
from iam_guard.store.open_store import init_store
from iam_guard.store.seed import apply_seed, load_seed_text

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
    """Return what lets another account's caller in, so that its own policies decide."""
    statement = {"Effect": "Allow", "Principal": {"AWS": [ACME, GLOBEX, OTHER]}, "Action": "*", "Resource": arn}
    return {"Version": "2012-10-17", "Statement": [statement]}


class House:
    """A guard whose records are kept in memory."""

    def __init__(self) -> None:
        chosen = Settings()
        store = init_store("sqlite://", chosen)
        apply_seed(store, load_seed_text(json.dumps(SEED)))
        self.sink = ListSink()
        self.guard = Guard(CachedStore(store, chosen), Trail(self.sink), chosen)

    def records(self, who: Principal, asked: list[tuple[str, str]]) -> list[dict[str, Any]]:
        self.sink.lines.clear()
        for action, arn in asked:
            foreign = f":{GLOBEX}:" in arn
            policy = open_to_all(arn.replace("*", "?").replace("$", "?")) if foreign else None
            self.guard.decide(who, action, Resource(arn, policy=policy) if arn != "*" else arn)
        return [json.loads(line) for line in self.sink.lines]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    made = House()
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
ASKED = st.lists(st.tuples(ACTIONS, ARNS), min_size=1, max_size=12)
WAYS = st.builds(Generalising, above=st.integers(0, 3), own=st.booleans(), is_off=st.booleans())
CALLERS = {
    USER: Principal.from_arn(USER),
    ROLE: Principal.from_arn(f"arn:aws:sts::{ACME}:assumed-role/auditor/carol", role_arn=ROLE),
}


def allows(generated: GeneratedPolicy, who: Principal, action: str, arn: str) -> bool:
    owner = ACME if arn == "*" else arn.split(":")[4]
    documents = [document.to_dict() for document in generated.documents]
    foreign = None if owner == ACME else open_to_all("*")
    request = AccessRequest(who, action, arn, {"aws:ResourceAccount": owner}, resource_account=owner)
    return compile_policies(identity=documents, resource=foreign).decide(request).allowed


@given(principal=st.sampled_from([USER, ROLE]), asked=ASKED, way=WAYS, room=st.sampled_from([2, 10_000]))
@settings(max_examples=150)
def test_what_was_allowed_stays_allowed_and_nothing_of_others_comes_in(
    house: House, principal: str, asked: list[tuple[str, str]], way: Generalising, room: int
) -> None:
    """Replaying the activity against the generated policy allows all of it that identity policies allowed."""
    who = CALLERS[principal]
    records = house.records(who, asked)
    activity = aggregate_activity(records, principal, templates=TEMPLATES, most_resources=room)
    generated = generate_policy(activity, TEMPLATES, way)
    has_left_out = any(note.about == "left out" for note in generated.notes)
    seen = set()
    for record, (action, arn) in zip(records, asked, strict=True):
        reasons = record["iamGuard"]["reasons"]
        if any(
            (reason["policyType"], reason.get("effect")) == ("identity-based policy", "Allow") for reason in reasons
        ):
            assert record["iamGuard"]["outcome"] == "Allowed"
            assert has_left_out or allows(generated, who, action, arn), (action, arn, generated.documents)
            seen.add((action.lower(), arn))
    for action, arn in {(action, arn) for action, _ in asked for _, arn in asked}:
        owner = arn.split(":")[4] if arn != "*" else ACME
        if owner != ACME and (action.lower(), arn) not in seen:
            assert not allows(generated, who, action, arn)
        if arn != "*":
            assert not allows(generated, who, action, arn.replace(f":{owner}:", f":{OTHER}:"))
    assert not allows(generated, who, "docs:Drop", f"arn:aws:docs:us-east-1:{ACME}:document/1")


@given(asked=ASKED, way=WAYS)
@settings(max_examples=60)
def test_documents_pass_the_house_own_checks(house: House, asked: list[tuple[str, str]], way: Generalising) -> None:
    """No finding, no wildcard in an action, and each within the quota of a managed policy."""
    generated = generate_policy(aggregate_activity(house.records(CALLERS[USER], asked), USER), TEMPLATES, way)
    for document in generated.documents:
        text = document.to_json()
        assert check(parse(text, PolicyType.IDENTITY)) == ()
        assert MANAGED.size(text) <= MANAGED.characters
        for statement in document.document.statements:
            assert not any("*" in action or "?" in action for action in statement.actions or ())


@given(asked=ASKED)
@settings(max_examples=40)
def test_exact_policy_allows_no_other_resource(house: House, asked: list[tuple[str, str]]) -> None:
    records = house.records(CALLERS[USER], asked)
    generated = generate_policy(aggregate_activity(records, USER), TEMPLATES, Generalising(is_off=True))
    asked_of_all = {action.lower() for action, arn in asked if arn == "*"}
    for action, arn in asked:
        if action.lower() not in asked_of_all:
            assert not allows(generated, CALLERS[USER], action, f"{arn}-other")
