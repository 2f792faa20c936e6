"""Recorded requests come out as recorded with the same policies, and otherwise only for a reason that is named."""

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
from iam_guard.audit.consumer.reader import read
from iam_guard.audit.record.condition_values import ListedKeys
from iam_guard.audit.record.privacy import PrivacyRules, Treatment
from iam_guard.audit.record.pseudonyms import PseudonymKeys, make_pseudonym_key
from iam_guard.audit.record.redaction import to_line
from iam_guard.audit.sinks import ListSink
from iam_guard.audit.trail import Trail
from iam_guard.audit.verify.signed_note import SignerKey
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.errors import ConfigurationError
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Credential, Principal
from iam_guard.model.request import Call, Resource
from iam_guard.settings import Settings
from iam_guard.store.cached_store import CachedStore
from iam_guard.store.open_store import init_store
from iam_guard.store.schema import inline_policies
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.snapshot import copied_to_memory
from iam_guard.store.sql_store import SqlStore

SPOILT = "the caller, the action or the resource was masked, cut or made a pseudonym"

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


class House:
    """A guard on a store, what it noted, and the store that a change makes of it."""

    def __init__(self, keys: tuple[str, ...] = ("aws:*",)) -> None:
        self.store: SqlStore = init_store("sqlite://", SETTINGS)
        apply_seed(self.store, load_seed_text(json.dumps(SEED)))
        self.sink = ListSink()
        trail = Trail(self.sink, keys=ListedKeys(keys))
        self.guard = Guard(CachedStore(self.store, SETTINGS), trail, SETTINGS)

    def ask(self, who: Principal | str, action: str, *, call: Call | None = CALL, **asked: Any) -> bool:
        principal = Principal.from_arn(f"arn:aws:iam::{ACME}:user/{who}") if isinstance(who, str) else who
        resource = Resource(f"arn:aws:docs:us-east-1:{ACME}:document/{asked.pop('id', '7')}", **asked.pop("of", {}))
        return self.guard.decide(principal, action, resource, asked.pop("context", None), call=call).allowed

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.sink.lines]

    def replayed(self, change: dict[str, Any] | None = None) -> Comparison:
        present = Replayer(self.store, SETTINGS)
        if change is None:
            return compare_decisions(self.records, present)
        with closing(copied_to_memory(self.store)) as changed:
            apply_seed(changed, load_seed_text(json.dumps(change)))
            return compare_decisions(self.records, present, Replayer(changed, SETTINGS))


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.guard.close()


def users(*changed: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "accounts": [{"id": ACME, "users": list(changed)}]}


def session(**more: Any) -> Principal:
    return Principal.from_arn(
        f"arn:aws:sts::{ACME}:assumed-role/auditor/carol", role_arn=f"arn:aws:iam::{ACME}:role/auditor", **more
    )


RED, BLUE = {"of": {"tags": {"team": "red"}}}, {"of": {"tags": {"team": "blue"}}}


def fill(house: House) -> None:
    """Ask something of every kind, half of it allowed."""
    key = house.store.api_key("ROBOT1")
    assert key is not None
    robot = Principal.from_arn(
        key.principal.arn,
        userid=key.principal.userid,
        session_policies=key.principal.session_policies,
    )
    object.__setattr__(robot, "credential", Credential("api-key", "ROBOT1"))
    assert house.ask("ada", "docs:Get", **RED)
    assert not house.ask("ada", "docs:Get", **BLUE)
    assert not house.ask("ada", "docs:Get")
    assert house.ask("ada", "docs:Put")
    assert not house.ask("ada", "docs:Put", call=None)
    assert house.ask("ada", "docs:List", id="ada-1")
    assert not house.ask("ada", "docs:List", id="bob-1")
    assert house.ask("ada", "docs:Delete")
    assert not house.ask("ada", "docs:Delete", of={"tags": {"hold": "legal"}})
    assert house.ask(session(), "docs:Get", **BLUE)
    assert house.ask(session(tags={"team": "red"}), "docs:Get", **RED)
    assert house.ask(robot, "docs:Get")
    assert not house.ask(robot, "docs:Put")
    assert house.ask(Principal.from_arn(f"arn:aws:iam::{ACME}:root"), "docs:Get")
    assert not house.ask(Principal.anonymous(), "docs:Get")
    assert not house.ask(Principal.service("mailer.amazonaws.com"), "docs:Get")
    assert not house.ask("nobody", "docs:Get")
    assert not house.ask(Principal.from_arn(f"arn:aws:iam::{GLOBEX}:user/gus"), "docs:Get")


def test_recorded_state_gives_the_recorded_decisions(house: House) -> None:
    """Callers of every kind, with keys of every kind: all are compared, with the very policies, and all agree."""
    fill(house)
    result = house.replayed()
    assert (result.compared, result.recorded_policies, result.flips, result.contradictions) == (18, 18, [], [])
    assert not result.incomparable
    assert result.drifted == 0


def test_copy_in_memory_decides_as_its_original(house: House) -> None:
    """A change that declares what is there already flips nothing."""
    fill(house)
    result = house.replayed(SEED)
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
def test_any_decision_is_made_again_from_its_record(written: list[Any], asked: list[Any]) -> None:
    """Whatever the conditions and the context, what the record tells is enough, and the outcome is the same."""
    house = House()
    statements = []
    for number, (effect, tests) in enumerate(written):
        grouped: dict[str, dict[str, str]] = {}
        for operator, key, value in tests:
            grouped.setdefault(operator, {})[key] = value
        statements.append(statement(effect, "docs:Any", f"S{number}", **grouped))
    apply_seed(house.store, load_seed_text(json.dumps(users({"name": "ada", "inline": {"A": document(*statements)}}))))
    for context, call in asked:
        house.ask("ada", "docs:Any", context=context, call=call)
    result = house.replayed()
    house.guard.close()
    assert (result.compared, result.recorded_policies) == (len(asked), len(asked))
    assert (result.flips, result.contradictions) == ([], [])


def test_what_flips_is_grouped_with_the_statement_that_did_it(house: House) -> None:
    """A Deny that comes names itself; an Allow that goes is named as what was; the rest stays out."""
    for number in range(3):
        house.ask("ada", "docs:Get", id=f"plan-{number}", **RED)
    house.ask("ada", "docs:Put")
    house.ask("ada", "docs:Delete")
    deny = document(statement("Deny", "docs:Get", "Closed"), statement("Allow", "docs:Delete", "Delete"))
    result = house.replayed(users({"name": "ada", "tags": {"team": "red"}, "inline": {"Docs": deny}}))
    found = [(flip.count, flip.action, flip.was, flip.becomes, flip.before, flip.after) for flip in result.flips]
    [(count, action, was, becomes, before, after), put] = found
    assert (count, action, was, becomes) == (3, "docs:Get", "Allowed", "ExplicitlyDenied")
    assert before[0].startswith("Allow by Team of user/ada/Docs (identity-based policy")
    assert after[0].startswith("Deny by Closed of user/ada/Docs (identity-based policy")
    assert put[:4] == (1, "docs:Put", "Allowed", "ImplicitlyDenied")
    assert put[5] == ("no identity-based policy allows it",)
    assert result.flips[0].resource == f"arn:aws:docs:us-east-1:{ACME}:document/*"
    assert result.flips[0].event_id == house.records[0]["eventID"]
    assert (result.compared, result.flipped) == (5, 4)


def test_denial_that_becomes_an_allow_flips_too(house: House) -> None:
    house.ask("ada", "docs:Export")
    [flip] = house.replayed(users({"name": "ada", "inline": {"E": document(statement("Allow", "docs:*", "E"))}})).flips
    assert (flip.was, flip.becomes) == ("ImplicitlyDenied", "Allowed")


def test_change_of_a_tag_counts(house: House) -> None:
    """A tag that was the store's own is taken from the changed store; one of the session stays what it was."""
    house.ask("ada", "docs:Get", **RED)
    house.ask(session(tags={"team": "red"}), "docs:Get", **RED)
    change = users({"name": "ada", "tags": {"team": "green"}, "inline": SEED["accounts"][1]["users"][0]["inline"]})
    result = house.replayed(change)
    assert [flip.principal for flip in result.flips] == [f"arn:aws:iam::{ACME}:user/ada"]


def test_change_after_the_record_is_drift_and_not_laid_to_the_change(house: House) -> None:
    house.ask("ada", "docs:Put")
    with house.store.changing() as records:
        records.delete(inline_policies)
    result = house.replayed()
    assert (result.drifted, result.flipped, result.recorded_policies) == (1, 1, 0)
    result = house.replayed(users({"name": "robot"}))
    assert (result.drifted, result.flipped) == (1, 0)


def test_unlisted_value_cannot_be_compared(house: House) -> None:
    """What was withheld is never guessed: the record is counted with the key that lacks."""
    assert house.ask("ada", "docs:Share", context={"docs:owner": "ada"})
    result = house.replayed()
    assert dict(result.incomparable) == {"it asks for `docs:owner`, whose value was not recorded": 1}
    assert result.compared == 0
    told = House(keys=("docs:*",))
    told.ask("ada", "docs:Share", context={"docs:owner": "ada"})
    assert told.replayed().recorded_policies == 1
    told.guard.close()


def test_masked_value_cannot_be_compared(house: House) -> None:
    """A secret in a value that was read is masked, and a masked value proves nothing."""
    secret = "eyJhbGciOiJIUzI1NiJ9.hunter2hunter2.x"
    tagged = document(statement("Allow", "docs:*", "A", StringLike={"aws:RequestTag/x": "eyJ*"}))
    apply_seed(house.store, load_seed_text(json.dumps(users({"name": "ada", "inline": {"A": tagged}}))))
    assert house.ask("ada", "docs:Any", context={"aws:RequestTag/x": secret})
    assert "hunter2" not in house.sink.lines[0].decode()
    assert list(house.replayed().incomparable) == ["it asks for `aws:requesttag/x`, whose value was not recorded"]


def test_key_that_only_the_change_asks_for_is_unknown(house: House) -> None:
    """Nobody read it, so nobody knows it: neither an Allow nor a denial is made of that."""
    house.ask("ada", "docs:Put")
    change = document(statement("Allow", "docs:Put", "A", StringEquals={"docs:class": "open"}))
    result = house.replayed(users({"name": "ada", "inline": {"Docs": change}}))
    assert list(result.incomparable) == ["it asks for `docs:class`, whose value was not recorded"]
    change = document(statement("Allow", "docs:Put", "A", Bool={"aws:SecureTransport": "false"}))
    result = house.replayed(users({"name": "ada", "inline": {"Docs": change}}))
    assert [flip.becomes for flip in result.flips] == ["ImplicitlyDenied"]  # this follows from the rest of the record


def test_what_no_store_has_is_not_guessed(house: House) -> None:
    """A policy that the application gave, session policies of STS: counted, with the reason."""
    share = document(
        {
            "Sid": "S",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "docs:Get",
            "Resource": f"arn:aws:docs:us-east-1:{ACME}:*",
        }
    )
    house.ask("ada", "docs:Get", of={"policy": share})
    house.ask(session(session_policies=(json.dumps(document(statement("Allow", "*", "A"))),)), "docs:Get", **BLUE)
    assert set(house.replayed().incomparable) == {
        "the application gave the resource's policy, which no store has",
        "the session had policies of its own, which no record has",
    }


def test_trust_of_a_role_comes_from_the_store(house: House) -> None:
    """Who may take a role is decided again with the trust policy of the store, and of the changed one."""
    role = f"arn:aws:iam::{ACME}:role/auditor"
    trust = SEED["accounts"][1]["roles"][0]["trust"]
    ada = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
    assert house.guard.decide(ada, "sts:AssumeRole", Resource(role, ACME, policy=trust)).allowed
    assert house.replayed().recorded_policies == 1
    nobody = document({**trust["Statement"][0], "Effect": "Deny"})
    change = {"version": 1, "accounts": [{"id": ACME, "roles": [{"name": "auditor", "trust": nobody}]}]}
    [flip] = house.replayed(change).flips
    assert (flip.becomes, flip.resource) == ("ExplicitlyDenied", f"arn:aws:iam::{ACME}:role/*")


def test_record_that_contradicts_its_policies_is_named(house: House) -> None:
    """An outcome that was changed in the file stands out: the same policies decide otherwise."""
    house.ask("ada", "docs:Put")
    [record] = house.records
    record["iamGuard"]["outcome"] = "ExplicitlyDenied"
    result = compare_decisions([record], Replayer(house.store, SETTINGS))
    assert result.contradictions == [record["eventID"]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"iamGuard": {"version": "1.0"}}, "the record is of a version that does not tell what the decision read"),
        ({"iamGuard": {"error": "the store is away"}}, "no decision could be made at the time"),
        ({"iamGuard": {"redacted": ["/resources/0/ARN"]}}, SPOILT),
        (
            {"iamGuard": {"truncated": ["/userIdentity/arn"]}},
            SPOILT,
        ),
        ({"userIdentity": {"type": "Martian"}}, "the record is not whole"),
        ({"userIdentity": 7}, "the record is not whole"),
        ({"resources": [7]}, "the record is not whole"),
        ({"eventTime": "yesterday"}, "the record is not whole"),
        ({"iamGuard": {"conditions": [{}]}}, "the record is not whole"),
    ],
)
def test_record_that_is_not_enough_is_counted_with_the_reason(
    house: House, change: dict[str, Any], problem: str
) -> None:
    house.ask("ada", "docs:Put")
    [record] = house.records
    for name, value in change.items():
        record[name] = {**record[name], **value} if isinstance(value, dict) else value
    result = compare_decisions([record], Replayer(house.store, SETTINGS))
    assert (dict(result.incomparable), result.compared) == ({problem: 1}, 0)


def pointers_of(value: Any, pointer: str = "") -> set[str]:
    """Return pointers to all that is in a record, with `*` for elements."""
    inside = (
        value.items() if isinstance(value, dict) else (("*", each) for each in value) if isinstance(value, list) else ()
    )
    found = {pointer} if pointer else set()
    return found.union(*(pointers_of(each, f"{pointer}/{name}") for name, each in inside))


def test_what_an_operator_keeps_out_is_never_guessed(house: House, tmp_path: Path) -> None:
    """Whatever is dropped, masked or made a pseudonym: what is compared agrees, and the rest is said to be missing."""
    fill(house)
    make_pseudonym_key(tmp_path / "keys", ACME)
    keys, present = PseudonymKeys(tmp_path / "keys"), Replayer(house.store, SETTINGS)
    chosen = sorted(set().union(*map(pointers_of, house.records)))
    tried = 0
    for treatment in Treatment:
        for pointer in chosen:
            try:
                rules = PrivacyRules({treatment: (pointer,)}, keys)
            except ConfigurationError:
                continue
            tried += 1
            kept = [json.loads(to_line(record, rules)) for record in house.records]
            result = compare_decisions(kept, present)
            assert (result.flips, result.contradictions, result.drifted) == ([], [], 0), (treatment, pointer)
            assert result.compared + result.incomparable.total() == len(kept)
    assert tried > 60


@pytest.mark.parametrize("pointer", ["/userIdentity/arn", "/resources", "/resources/*/ARN"])
@pytest.mark.parametrize("treatment", [Treatment.MASK, Treatment.PSEUDONYMS])
def test_a_pseudonym_cannot_be_compared(house: House, tmp_path: Path, pointer: str, treatment: Treatment) -> None:
    house.ask("ada", "docs:Put")
    make_pseudonym_key(tmp_path / "keys", ACME)
    rules = PrivacyRules({treatment: (pointer,)}, PseudonymKeys(tmp_path / "keys"))
    kept = [json.loads(to_line(record, rules)) for record in house.records]
    result = compare_decisions(kept, Replayer(house.store, SETTINGS))
    assert dict(result.incomparable) == {SPOILT: 1}


def test_a_call_of_which_nothing_is_told_is_no_plain_call(house: House) -> None:
    """It came from somewhere: what a plain call of a function would not have is not taken to be absent."""
    house.ask("ada", "docs:Put")
    rules = PrivacyRules({Treatment.DROP: [f"/requestParameters/{name}" for name in ("method", "path", "host")]})
    [record] = [json.loads(to_line(each, rules)) for each in house.records]
    recorded = read_decision(record)
    assert isinstance(recorded, RecordedDecision)
    assert recorded.call is not None
    assert (recorded.call.kind, recorded.call.source_ip) == ("http", CALL.source_ip)


def test_the_names_of_keys_are_not_needed(house: House) -> None:
    """Without them a decision is compared as with them."""
    house.ask("ada", "docs:Put")
    rules = PrivacyRules({Treatment.DROP: ("/userIdentity/accessKeyId", "/userIdentity/userName", "/userAgent")})
    kept = [json.loads(to_line(record, rules)) for record in house.records]
    assert kept[0]["iamGuard"]["dropped"]
    assert compare_decisions(kept, Replayer(house.store, SETTINGS)).compared == 1


def test_segments_of_a_trail_are_replayed(house: House, tmp_path: Path) -> None:
    """What the trail notes about itself is no decision; all else is compared as from any file."""
    fill(house)
    writer = SegmentWriter(tmp_path, SignerKey("trail.example/audit", bytes(32)), service="docs")
    writer.append(house.sink.lines)
    writer.commit()
    writer.close()
    files = sorted(path for path in tmp_path.rglob("*") if path.suffix == ".jsonl")
    records = [record for file in files for record in read(file)]
    result = compare_decisions(records, Replayer(house.store, SETTINGS))
    assert (result.recorded_policies, result.contradictions) == (18, [])
    assert result.others > 0


def test_records_of_other_kinds_are_counted(house: House) -> None:
    assert compare_decisions([{"iamGuard": {"kind": "authentication"}}], Replayer(house.store, SETTINGS)).others == 1


def test_replay_writes_nothing(house: House, tmp_path: Path) -> None:
    """Neither the store nor the trail is changed by deciding again."""
    fill(house)
    before, lines = house.store.epoch(), len(house.sink.lines)
    house.replayed(SEED)
    house.replayed()
    assert (house.store.epoch(), len(house.sink.lines)) == (before, lines)
