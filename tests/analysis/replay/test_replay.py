"""Recorded requests have the recorded outcome with the same policies, and another one only for a reported reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.analysis.replay import Comparison, Replayer, compare_decisions
from iam_guard.analysis.replay.recorded_requests import RecordedDecision, read_decision
from iam_guard.audit.consumer.reader import read_records
from iam_guard.audit.record.condition_values import ListedKeys
from iam_guard.audit.record.privacy import PrivacyRules, Treatment
from iam_guard.audit.record.pseudonyms import PseudonymKeys, make_pseudonym_key
from iam_guard.audit.record.redaction import to_line
from iam_guard.audit.trail import Trail
from iam_guard.audit.verify.signed_note import SignerKey
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.errors import ConfigurationError
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Credential, Principal
from iam_guard.model.request import Call, Resource
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store
from iam_guard.store.schema import inline_policies
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.snapshot import copy_to_memory
from iam_guard.store.sql_store import SqlStore
from tests.audit.list_sink import ListSink

SPOILT = "the caller, the action or the resource was redacted, truncated or pseudonymised"

ACME, GLOBEX = "111122223333", "444455556666"
SETTINGS = Settings(epoch_poll=0)


def statement(effect: str, action: str, sid: str, resource: str = "*", **condition: dict[str, Any]) -> dict[str, Any]:
    written: dict[str, Any] = {"Sid": sid, "Effect": effect, "Action": action, "Resource": resource}
    return written | ({"Condition": condition} if condition else {})


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


OWN_TEAM = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
SEED: dict[str, Any] = {
    "version": 1,
    "organization": {
        "id": "o-exampleorg1",
        "management_account": "999900000000",
        "units": [{"name": "tenants", "scps": ["FullAWSAccess", "Hold"], "accounts": [ACME]}],
        "policies": [
            {
                "name": "Hold",
                "type": "SCP",
                "document": document(
                    statement("Deny", "docs:Delete", "Hold", StringEquals={"aws:ResourceTag/hold": "legal"})
                ),
            }
        ],
    },
    "accounts": [
        {"id": "999900000000"},
        {
            "id": ACME,
            "root": {"email": "root@acme.example"},
            "users": [
                {
                    "name": "ada",
                    "tags": {"team": "red"},
                    "inline": {
                        "Docs": document(
                            statement("Allow", "docs:Delete", "Delete"),
                            statement("Allow", "docs:Get", "Team", **OWN_TEAM),
                            statement("Allow", "docs:Put", "Office", IpAddress={"aws:SourceIp": "203.0.113.0/24"}),
                            statement("Allow", "docs:Share", "Owner", StringEquals={"docs:owner": "ada"}),
                            statement("Allow", "docs:List", "Mine", "arn:aws:docs:*:*:document/${aws:username}-*"),
                        )
                    },
                },
                {
                    "name": "robot",
                    "inline": {"All": document(statement("Allow", "docs:*", "All"))},
                    "api_keys": [
                        {
                            "id": "ROBOT1",
                            "secret": "robotexamplesecret0123456789abcdefghijklmnop",
                            "session_policy": document(statement("Allow", "docs:Get", "Scope")),
                        }
                    ],
                },
            ],
            "roles": [
                {
                    "name": "auditor",
                    "tags": {"team": "blue"},
                    "trust": document(
                        {
                            "Effect": "Allow",
                            "Principal": {"AWS": f"arn:aws:iam::{ACME}:user/ada"},
                            "Action": "sts:AssumeRole",
                        }
                    ),
                    "inline": {"Read": document(statement("Allow", "docs:Get", "Team", **OWN_TEAM))},
                }
            ],
        },
        {"id": GLOBEX, "users": [{"name": "gus", "inline": {"A": document(statement("Allow", "docs:*", "All"))}}]},
    ],
}
CALL = Call("r-1", "http", "GET", "/documents/{id}", "docs.example.org", "203.0.113.7", "curl/8", secure=True)


class Deployment:
    """A guard on a store, its records, and the store with a change applied."""

    def __init__(self, keys: tuple[str, ...] = ("aws:*",)) -> None:
        self.store: SqlStore = create_store("sqlite://", SETTINGS)
        apply_seed(self.store, load_seed_text(json.dumps(SEED)))
        self.sink = ListSink()
        trail = Trail(self.sink, keys=ListedKeys(keys))
        self.guard = Guard(CachedStore(self.store, SETTINGS), trail, SETTINGS)

    def ask(self, who: Principal | str, action: str, *, call: Call | None = CALL, **requests: Any) -> bool:
        principal = Principal.from_arn(f"arn:aws:iam::{ACME}:user/{who}") if isinstance(who, str) else who
        resource = Resource(
            f"arn:aws:docs:us-east-1:{ACME}:document/{requests.pop('id', '7')}", **requests.pop("of", {})
        )
        return self.guard.decide(principal, action, resource, requests.pop("context", None), call=call).allowed

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.sink.lines]

    def replayed(self, change: dict[str, Any] | None = None) -> Comparison:
        present = Replayer(self.store, SETTINGS)
        if change is None:
            return compare_decisions(self.records, present)
        with closing(copy_to_memory(self.store)) as changed:
            apply_seed(changed, load_seed_text(json.dumps(change)))
            return compare_decisions(self.records, present, Replayer(changed, SETTINGS))


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    made = Deployment()
    yield made
    made.guard.close()


def users(*changed: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "accounts": [{"id": ACME, "users": list(changed)}]}


def session(**more: Any) -> Principal:
    return Principal.from_arn(
        f"arn:aws:sts::{ACME}:assumed-role/auditor/carol", role_arn=f"arn:aws:iam::{ACME}:role/auditor", **more
    )


RED, BLUE = {"of": {"tags": {"team": "red"}}}, {"of": {"tags": {"team": "blue"}}}


def fill(deployment: Deployment) -> None:
    """Make requests of every kind, half of them allowed."""
    key = deployment.store.api_key("ROBOT1")
    assert key is not None
    robot = Principal.from_arn(
        key.principal.arn,
        userid=key.principal.userid,
        session_policies=key.principal.session_policies,
    )
    object.__setattr__(robot, "credential", Credential("api-key", "ROBOT1"))
    assert deployment.ask("ada", "docs:Get", **RED)
    assert not deployment.ask("ada", "docs:Get", **BLUE)
    assert not deployment.ask("ada", "docs:Get")
    assert deployment.ask("ada", "docs:Put")
    assert not deployment.ask("ada", "docs:Put", call=None)
    assert deployment.ask("ada", "docs:List", id="ada-1")
    assert not deployment.ask("ada", "docs:List", id="bob-1")
    assert deployment.ask("ada", "docs:Delete")
    assert not deployment.ask("ada", "docs:Delete", of={"tags": {"hold": "legal"}})
    assert deployment.ask(session(), "docs:Get", **BLUE)
    assert deployment.ask(session(tags={"team": "red"}), "docs:Get", **RED)
    assert deployment.ask(robot, "docs:Get")
    assert not deployment.ask(robot, "docs:Put")
    assert deployment.ask(Principal.from_arn(f"arn:aws:iam::{ACME}:root"), "docs:Get")
    assert not deployment.ask(Principal.anonymous(), "docs:Get")
    assert not deployment.ask(Principal.service("mailer.amazonaws.com"), "docs:Get")
    assert not deployment.ask("closed_trust", "docs:Get")
    assert not deployment.ask(Principal.from_arn(f"arn:aws:iam::{GLOBEX}:user/gus"), "docs:Get")


def test_unchanged_store_gives_recorded_decisions(deployment: Deployment) -> None:
    """Callers and keys of every kind: all are compared with the recorded policies, and agree."""
    fill(deployment)
    result = deployment.replayed()
    assert (result.compared, result.recorded_policies, result.flips, result.contradictions) == (18, 18, [], [])
    assert not result.incomparable
    assert result.drifted == 0


def test_explanation_of_replayed_decision_has_its_outcome(deployment: Deployment) -> None:
    """It evaluates the recorded request again, with the values that the record has."""
    fill(deployment)
    present = Replayer(deployment.store, SETTINGS)
    for record in deployment.records:
        recorded = read_decision(record)
        assert isinstance(recorded, RecordedDecision)
        decision = present.decide(recorded).decision
        assert decision is not None
        explanation: Any = decision.explain()
        assert (explanation.outcome, explanation.message) == (recorded.outcome, decision.message())
        conditions = [
            element
            for type in explanation.types
            for level in type.levels
            for policy in level.policies
            for statement in policy.statements
            for element in statement.elements
            if element.key is not None
        ]
        for element in conditions:
            if element.seen and element.key.lower() in recorded.condition_values:
                assert element.seen == (recorded.condition_values[element.key.lower()],)


def test_unknown_value_is_marked_in_the_explanation(deployment: Deployment) -> None:
    """Neither as a key that the request lacked, nor as a variable without a value."""
    tests = {"StringEquals": {"docs:Owner": "${docs:Folder}"}, "StringNotLike": {"docs:Kind": "${docs:Shelf, 'x'}"}}
    policy = document(statement("Allow", "docs:Any", "A", **tests))
    apply_seed(deployment.store, load_seed_text(json.dumps(users({"name": "ada", "inline": {"A": policy}}))))
    context = {"docs:Owner": "a", "docs:Folder": "a", "docs:Kind": "k", "docs:Shelf": "s"}
    assert deployment.ask("ada", "docs:Any", context=context)
    [record] = deployment.records
    recorded = read_decision(record)
    assert isinstance(recorded, RecordedDecision)
    replayed = Replayer(deployment.store, SETTINGS).decide(recorded)
    assert set(replayed.unknown.values()) == {"withheld"}
    assert replayed.decision is not None
    explanation: Any = replayed.decision.explain()
    text = explanation.text()
    assert "docs:Owner `${docs:Folder}` (${docs:folder} was not recorded): the value was not recorded, and" in text
    assert "(${docs:shelf} was not recorded, and counts as `x`): the value was not recorded, and counts as" in text
    assert "missing from the request" not in text


def test_region_of_plain_call_comes_from_the_record() -> None:
    """Also if no policy read it at the time."""
    store = create_store("sqlite://", SETTINGS)
    apply_seed(store, load_seed_text(json.dumps(SEED)))
    settings, sink = Settings(epoch_poll=0, region="eu-west-1"), ListSink()
    guard = Guard(CachedStore(store, settings), Trail(sink, region="eu-west-1"), settings)
    ada = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
    assert not guard.decide(ada, "docs:Any", f"arn:aws:docs:eu-west-1:{ACME}:document/7").allowed
    near = document(statement("Allow", "docs:Any", "Near", StringEquals={"aws:RequestedRegion": "eu-west-1"}))
    apply_seed(store, load_seed_text(json.dumps(users({"name": "ada", "inline": {"A": near}}))))
    [flip] = compare_decisions([json.loads(sink.lines[0])], Replayer(store, SETTINGS)).flips
    assert flip.becomes == "Allowed"
    guard.close()


def test_copy_in_memory_decides_like_original(deployment: Deployment) -> None:
    """A change that declares the present state changes no outcome."""
    fill(deployment)
    result = deployment.replayed(SEED)
    assert (result.compared, result.flips) == (18, [])


CONDITIONS: tuple[tuple[str, str, str], ...] = (
    ("StringEquals", "aws:RequestTag/x", "a"),
    ("StringNotEquals", "aws:RequestTag/x", "a"),
    ("StringEqualsIfExists", "aws:RequestTag/y", "b"),
    ("Null", "aws:RequestTag/x", "true"),
    ("ForAnyValue:StringEquals", "aws:TagKeys", "a"),
    ("ForAllValues:StringEquals", "aws:TagKeys", "a"),
    ("IpAddress", "aws:SourceIp", "203.0.113.0/24"),
    ("Bool", "aws:SecureTransport", "true"),
    ("StringEquals", "aws:PrincipalTag/team", "${aws:RequestTag/x}"),
    ("StringLike", "aws:UserAgent", "curl*"),
    ("DateGreaterThan", "aws:CurrentTime", "2020-01-01T00:00:00Z"),
)
conditions = st.lists(st.sampled_from(CONDITIONS), max_size=3, unique=True)
texts = st.sampled_from(("a", "b", "red", ""))
contexts = st.fixed_dictionaries(
    {},
    optional={
        "aws:RequestTag/x": texts,
        "aws:RequestTag/y": texts,
        "aws:TagKeys": st.lists(texts, max_size=3),
        "aws:SourceIp": st.sampled_from(("203.0.113.9", "10.0.0.1", "none")),
    },
)
effects = st.sampled_from(("Allow", "Deny"))


@given(
    st.lists(st.tuples(effects, conditions), min_size=1, max_size=4),
    st.lists(st.tuples(contexts, st.sampled_from((CALL, None))), min_size=1, max_size=4),
)
def test_any_decision_is_replayed_from_its_record(written: list[Any], requests: list[Any]) -> None:
    """For any conditions and context the record is sufficient, and the outcome is the same."""
    deployment = Deployment()
    statements = []
    for number, (effect, tests) in enumerate(written):
        grouped: dict[str, dict[str, str]] = {}
        for operator, key, value in tests:
            grouped.setdefault(operator, {})[key] = value
        statements.append(statement(effect, "docs:Any", f"S{number}", **grouped))
    apply_seed(
        deployment.store, load_seed_text(json.dumps(users({"name": "ada", "inline": {"A": document(*statements)}})))
    )
    for context, call in requests:
        deployment.ask("ada", "docs:Any", context=context, call=call)
    result = deployment.replayed()
    deployment.guard.close()
    assert (result.compared, result.recorded_policies) == (len(requests), len(requests))
    assert (result.flips, result.contradictions) == ([], [])


def test_changes_are_grouped_by_statement(deployment: Deployment) -> None:
    """A new Deny is named, a removed Allow is named as before; other decisions are not listed."""
    for number in range(3):
        deployment.ask("ada", "docs:Get", id=f"plan-{number}", **RED)
    deployment.ask("ada", "docs:Put")
    deployment.ask("ada", "docs:Delete")
    deny = document(statement("Deny", "docs:Get", "Closed"), statement("Allow", "docs:Delete", "Delete"))
    result = deployment.replayed(users({"name": "ada", "tags": {"team": "red"}, "inline": {"Docs": deny}}))
    found = [(flip.count, flip.action, flip.was, flip.becomes, flip.before, flip.after) for flip in result.flips]
    [(count, action, was, becomes, before, after), put] = found
    assert (count, action, was, becomes) == (3, "docs:Get", "Allowed", "ExplicitlyDenied")
    assert before[0].startswith("Allow by Team of user/ada/Docs (identity-based policy")
    assert after[0].startswith("Deny by Closed of user/ada/Docs (identity-based policy")
    assert put[:4] == (1, "docs:Put", "Allowed", "ImplicitlyDenied")
    assert put[5] == ("no identity-based policy allows it",)
    assert result.flips[0].resource == f"arn:aws:docs:us-east-1:{ACME}:document/*"
    assert result.flips[0].event_id == deployment.records[0]["eventID"]
    assert (result.compared, result.flipped) == (5, 4)


def test_denial_that_becomes_allow_is_a_change(deployment: Deployment) -> None:
    deployment.ask("ada", "docs:Export")
    [flip] = deployment.replayed(
        users({"name": "ada", "inline": {"E": document(statement("Allow", "docs:*", "E"))}})
    ).flips
    assert (flip.was, flip.becomes) == ("ImplicitlyDenied", "Allowed")


def test_changed_tag_of_store_counts(deployment: Deployment) -> None:
    """A tag of the store is taken from the changed store; a session tag stays."""
    deployment.ask("ada", "docs:Get", **RED)
    deployment.ask(session(tags={"team": "red"}), "docs:Get", **RED)
    change = users({"name": "ada", "tags": {"team": "green"}, "inline": SEED["accounts"][1]["users"][0]["inline"]})
    result = deployment.replayed(change)
    assert [flip.principal for flip in result.flips] == [f"arn:aws:iam::{ACME}:user/ada"]


def test_policy_change_after_record_is_drift(deployment: Deployment) -> None:
    deployment.ask("ada", "docs:Put")
    with deployment.store.write_transaction() as records:
        records.delete(inline_policies)
    result = deployment.replayed()
    assert (result.drifted, result.flipped, result.recorded_policies) == (1, 1, 0)
    result = deployment.replayed(users({"name": "robot"}))
    assert (result.drifted, result.flipped) == (1, 0)


def test_unrecorded_value_is_not_compared(deployment: Deployment) -> None:
    """A withheld value is never guessed: the record is counted with the missing key."""
    assert deployment.ask("ada", "docs:Share", context={"docs:owner": "ada"})
    result = deployment.replayed()
    assert dict(result.incomparable) == {"it depends on `docs:owner`, whose value was not recorded": 1}
    assert result.compared == 0
    unlisted = Deployment(keys=("docs:*",))
    unlisted.ask("ada", "docs:Share", context={"docs:owner": "ada"})
    assert unlisted.replayed().recorded_policies == 1
    unlisted.guard.close()


def test_key_of_resource_is_replayed_from_record() -> None:
    """The store has no keys of resources: like any key of the application it counts if its value was recorded."""
    deployment = Deployment(keys=("docs:*", "aws:*"))
    assert deployment.ask("ada", "docs:Share", of={"keys": {"docs:owner": "ada"}})
    assert not deployment.ask("ada", "docs:Share", of={"keys": {"docs:owner": lambda: "bob"}})
    result = deployment.replayed()
    assert (result.compared, dict(result.incomparable), list(result.flips)) == (2, {}, [])
    deployment.guard.close()


def test_unusable_key_of_resource_is_not_compared() -> None:
    """It was read, and had no value: the record withholds it, and replay does not take it for absent."""
    deployment = Deployment(keys=("docs:*", "aws:*"))
    assert not deployment.ask("ada", "docs:Get", of={"tags": {"team": "red", "Team": "red"}})
    assert not deployment.ask("ada", "docs:Share", of={"keys": {"docs:owner": float("nan")}})
    assert dict(deployment.replayed().incomparable) == {
        "it depends on `aws:resourcetag/team`, whose value was not recorded": 1,
        "it depends on `docs:owner`, whose value was not recorded": 1,
    }
    deployment.guard.close()


def test_redacted_value_is_not_compared(deployment: Deployment) -> None:
    """A secret in a value that was read is redacted."""
    secret = "eyJhbGciOiJIUzI1NiJ9.hunter2hunter2.x"
    tagged = document(statement("Allow", "docs:*", "A", StringLike={"aws:RequestTag/x": "eyJ*"}))
    apply_seed(deployment.store, load_seed_text(json.dumps(users({"name": "ada", "inline": {"A": tagged}}))))
    assert deployment.ask("ada", "docs:Any", context={"aws:RequestTag/x": secret})
    assert "hunter2" not in deployment.sink.lines[0].decode()
    assert list(deployment.replayed().incomparable) == [
        "it depends on `aws:requesttag/x`, whose value was not recorded"
    ]


def test_key_read_only_by_change_is_unknown(deployment: Deployment) -> None:
    """Its value was not recorded, so the decision is neither an Allow nor a denial."""
    deployment.ask("ada", "docs:Put")
    change = document(statement("Allow", "docs:Put", "A", StringEquals={"docs:class": "open"}))
    result = deployment.replayed(users({"name": "ada", "inline": {"Docs": change}}))
    assert list(result.incomparable) == ["it depends on `docs:class`, whose value was not recorded"]
    change = document(statement("Allow", "docs:Put", "A", Bool={"aws:SecureTransport": "false"}))
    result = deployment.replayed(users({"name": "ada", "inline": {"Docs": change}}))
    assert [flip.becomes for flip in result.flips] == ["ImplicitlyDenied"]  # this follows from the rest of the record


def test_policies_outside_of_store_are_not_guessed(deployment: Deployment) -> None:
    """A policy passed by the application, session policies of STS: counted with the reason."""
    share = document(
        {
            "Sid": "S",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "docs:Get",
            "Resource": f"arn:aws:docs:us-east-1:{ACME}:*",
        }
    )
    deployment.ask("ada", "docs:Get", of={"policy": share})
    deployment.ask(session(session_policies=(json.dumps(document(statement("Allow", "*", "A"))),)), "docs:Get", **BLUE)
    assert set(deployment.replayed().incomparable) == {
        "the application passed the resource's policy, which no store contains",
        "the session had session policies, which records do not contain",
    }


def test_trust_policy_comes_from_store(deployment: Deployment) -> None:
    """Assuming a role is decided with the trust policy of the present and the changed store."""
    role = f"arn:aws:iam::{ACME}:role/auditor"
    trust = SEED["accounts"][1]["roles"][0]["trust"]
    ada = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
    assert deployment.guard.decide(ada, "sts:AssumeRole", Resource(role, ACME, policy=trust)).allowed
    assert deployment.replayed().recorded_policies == 1
    closed_trust = document({**trust["Statement"][0], "Effect": "Deny"})
    change = {"version": 1, "accounts": [{"id": ACME, "roles": [{"name": "auditor", "trust": closed_trust}]}]}
    [flip] = deployment.replayed(change).flips
    assert (flip.becomes, flip.resource) == ("ExplicitlyDenied", f"arn:aws:iam::{ACME}:role/*")


def test_record_contradicting_its_policies_is_named(deployment: Deployment) -> None:
    """An outcome changed in the file is found: the same policies lead to another one."""
    deployment.ask("ada", "docs:Put")
    [record] = deployment.records
    record["iamGuard"]["outcome"] = "ExplicitlyDenied"
    result = compare_decisions([record], Replayer(deployment.store, SETTINGS))
    assert result.contradictions == [record["eventID"]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"iamGuard": {"version": "1.0"}},
            "the record is of a version without the condition keys that the decision read",
        ),
        ({"iamGuard": {"error": "the store is away"}}, "no decision could be made at the time"),
        ({"iamGuard": {"redacted": ["/resources/0/ARN"]}}, SPOILT),
        (
            {"iamGuard": {"truncated": ["/userIdentity/arn"]}},
            SPOILT,
        ),
        (
            {"userIdentity": {"type": "AWSService", "invokedBy": "docs.example", "accountId": "111122223333"}},
            "the application's own policy is a setting, which records do not contain",
        ),
        (
            {"userIdentity": {"sessionContext": {"assumedRoot": True}}},
            "sessions of AssumeRoot have policies that records do not contain",
        ),
        ({"userIdentity": {"type": "Martian"}}, "the record is incomplete"),
        ({"userIdentity": 7}, "the record is incomplete"),
        ({"resources": [7]}, "the record is incomplete"),
        ({"eventTime": "yesterday"}, "the record is incomplete"),
        ({"iamGuard": {"conditions": [{}]}}, "the record is incomplete"),
    ],
)
def test_insufficient_record_is_counted_with_reason(
    deployment: Deployment, change: dict[str, Any], problem: str
) -> None:
    deployment.ask("ada", "docs:Put")
    [record] = deployment.records
    for name, value in change.items():
        record[name] = {**record[name], **value} if isinstance(value, dict) else value
    result = compare_decisions([record], Replayer(deployment.store, SETTINGS))
    assert (dict(result.incomparable), result.compared) == ({problem: 1}, 0)


def pointers_of(value: Any, pointer: str = "") -> set[str]:
    """Return JSON pointers to all members of a record, with `*` for elements."""
    inside = (
        value.items() if isinstance(value, dict) else (("*", each) for each in value) if isinstance(value, list) else ()
    )
    found = {pointer} if pointer else set()
    return found.union(*(pointers_of(each, f"{pointer}/{name}") for name, each in inside))


def test_removed_members_are_never_guessed(deployment: Deployment, tmp_path: Path) -> None:
    """With any member dropped, redacted or pseudonymised, compared outcomes agree, others are reported."""
    fill(deployment)
    make_pseudonym_key(tmp_path / "keys", ACME)
    keys, present = PseudonymKeys(tmp_path / "keys"), Replayer(deployment.store, SETTINGS)
    chosen = sorted(set().union(*map(pointers_of, deployment.records)))
    tried = 0
    for treatment in Treatment:
        for pointer in chosen:
            try:
                rules = PrivacyRules({treatment: (pointer,)}, keys)
            except ConfigurationError:
                continue
            tried += 1
            kept = [json.loads(to_line(record, rules)) for record in deployment.records]
            result = compare_decisions(kept, present)
            assert (result.flips, result.contradictions, result.drifted) == ([], [], 0), (treatment, pointer)
            assert result.compared + result.incomparable.total() == len(kept)
    assert tried > 60


@pytest.mark.parametrize("pointer", ["/userIdentity/arn", "/resources", "/resources/*/ARN"])
@pytest.mark.parametrize("treatment", [Treatment.MASK, Treatment.PSEUDONYMS])
def test_pseudonym_is_not_compared(deployment: Deployment, tmp_path: Path, pointer: str, treatment: Treatment) -> None:
    deployment.ask("ada", "docs:Put")
    make_pseudonym_key(tmp_path / "keys", ACME)
    rules = PrivacyRules({treatment: (pointer,)}, PseudonymKeys(tmp_path / "keys"))
    kept = [json.loads(to_line(record, rules)) for record in deployment.records]
    result = compare_decisions(kept, Replayer(deployment.store, SETTINGS))
    assert dict(result.incomparable) == {SPOILT: 1}


def test_call_without_details_is_no_plain_call(deployment: Deployment) -> None:
    """Keys that a plain function call doesn't have are not taken to be absent."""
    deployment.ask("ada", "docs:Put")
    rules = PrivacyRules({Treatment.DROP: [f"/requestParameters/{name}" for name in ("method", "path", "host")]})
    [record] = [json.loads(to_line(each, rules)) for each in deployment.records]
    recorded = read_decision(record)
    assert isinstance(recorded, RecordedDecision)
    assert recorded.call is not None
    assert (recorded.call.kind, recorded.call.source_ip) == ("http", CALL.source_ip)


def test_removed_key_names_do_not_matter(deployment: Deployment) -> None:
    """A decision is compared as with them."""
    deployment.ask("ada", "docs:Put")
    rules = PrivacyRules({Treatment.DROP: ("/userIdentity/accessKeyId", "/userIdentity/userName", "/userAgent")})
    kept = [json.loads(to_line(record, rules)) for record in deployment.records]
    assert kept[0]["iamGuard"]["dropped"]
    assert compare_decisions(kept, Replayer(deployment.store, SETTINGS)).compared == 1


def test_trail_segments_are_replayed(deployment: Deployment, tmp_path: Path) -> None:
    """Records of the trail about itself are no decisions; all others are compared as from a file."""
    fill(deployment)
    writer = SegmentWriter(tmp_path, SignerKey("trail.example/audit", bytes(32)), service="docs")
    writer.append(deployment.sink.lines)
    writer.commit()
    writer.close()
    files = sorted(path for path in tmp_path.rglob("*") if path.suffix == ".jsonl")
    records = [record for file in files for record in read_records(file)]
    result = compare_decisions(records, Replayer(deployment.store, SETTINGS))
    assert (result.recorded_policies, result.contradictions) == (18, [])
    assert result.others > 0


def test_other_records_are_counted(deployment: Deployment) -> None:
    assert (
        compare_decisions([{"iamGuard": {"kind": "authentication"}}], Replayer(deployment.store, SETTINGS)).others == 1
    )


def test_replay_writes_nothing(deployment: Deployment, tmp_path: Path) -> None:
    """Neither to the store nor to the trail."""
    fill(deployment)
    before, lines = deployment.store.epoch(), len(deployment.sink.lines)
    deployment.replayed(SEED)
    deployment.replayed()
    assert (deployment.store.epoch(), len(deployment.sink.lines)) == (before, lines)
