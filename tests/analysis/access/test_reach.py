"""`who_can` and `what_can`: the answers are the evaluator's, for principals of a store and outside principals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from iam_guard import open_guard
from iam_guard.analysis.access.access_answers import Access, AccessVerdict
from iam_guard.analysis.access.what_can import what_can
from iam_guard.analysis.access.who_can import who_can
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.model.principal import Principal
from iam_guard.model.reference import ServiceReference
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.opening import open_store
from iam_guard.store.protocol import SourceStore
from iam_guard.web.service import Service
from tests.tables import table

ALLOWED, CONDITIONAL, DENIED = AccessVerdict
ACME, GLOBEX, ELSEWHERE = "111122223333", "444455556666", "777788889999"
PLAN, SHARED = f"arn:aws:docs:us-east-1:{ACME}:document/plan", f"arn:aws:docs:us-east-1:{ACME}:document/shared"
NOW = datetime(2026, 1, 31, tzinfo=UTC)

SEED = """
version: 1
organization:
  id: o-exampleorg1
  management_account: "999900000000"
  policies:
    - name: NoHold
      type: SCP
      document:
        Version: "2012-10-17"
        Statement:
          - {Sid: Hold, Effect: Deny, Action: "docs:Delete*", Resource: "*", Condition: {Bool: {"docs:Hold": "true"}}}
  units:
    - {name: tenants, scps: [FullAWSAccess, NoHold], accounts: ["111122223333"]}
accounts:
  - {id: "999900000000", name: operator}
  - id: "111122223333"
    name: acme
    policies:
      - name: Reader
        document:
          Version: "2012-10-17"
          Statement: [{Sid: Read, Effect: Allow, Action: "docs:Get*", Resource: "*"}]
      - name: All
        document:
          Version: "2012-10-17"
          Statement: [{Sid: All, Effect: Allow, Action: "docs:*", Resource: "*"}]
      - name: OnlyRead
        document:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Action: "docs:Get*", Resource: "*"}]
    groups:
      - {name: readers, attached: [Reader]}
    users:
      - {name: ada, attached: [All]}
      - {name: rita, groups: [readers]}
      - {name: both, groups: [readers], attached: [Reader]}
      - {name: bound, attached: [All], boundary: OnlyRead}
      - {name: nobody}
      - name: office
        inline:
          FromTheOffice:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action: "docs:*"
                Resource: "*"
                Condition: {IpAddress: {"aws:SourceIp": "203.0.113.0/24"}}
      - name: tagged
        tags: {team: blue}
        inline:
          Team:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action: "docs:*"
                Resource: "*"
                Condition: {StringEquals: {"aws:PrincipalTag/team": blue}}
      - name: home
        inline:
          Home:
            Version: "2012-10-17"
            Statement:
              - {Effect: Allow, Action: "docs:GetDocument", Resource: "arn:aws:docs:*:*:document/${aws:username}/*"}
              - {Effect: Allow, Action: "docs:GetDocument", Resource: "arn:aws:docs:*:*:document/plan"}
    roles:
      - name: ops
        tags: {team: red}
        trust:
          Version: "2012-10-17"
          Statement:
            - {Effect: Allow, Principal: {AWS: "arn:aws:iam::111122223333:user/rita"}, Action: "sts:AssumeRole"}
            - Effect: Allow
              Principal: {AWS: "arn:aws:iam::777788889999:root"}
              Action: "sts:AssumeRole"
              Condition: {StringEquals: {"sts:ExternalId": "x"}}
        inline:
          Team:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action: "docs:*"
                Resource: "*"
                Condition: {StringEquals: {"aws:PrincipalTag/team": blue}}
      - name: taggable
        trust:
          Version: "2012-10-17"
          Statement:
            - Effect: Allow
              Principal: {AWS: "111122223333"}
              Action: ["sts:AssumeRole", "sts:TagSession"]
        inline:
          Team:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action: "docs:*"
                Resource: "*"
                Condition: {StringEquals: {"aws:PrincipalTag/team": blue}}
    resources:
      - arn: "arn:aws:docs:us-east-1:111122223333:document/shared"
        policy:
          Version: "2012-10-17"
          Statement:
            - Sid: Shared
              Effect: Allow
              Principal:
                AWS:
                  - "arn:aws:iam::444455556666:user/gus"
                  - "777788889999"
                  - "arn:aws:sts::111122223333:assumed-role/ops/night"
                Service: events.amazonaws.com
              Action: "docs:GetDocument"
              Resource: "*"
            - Sid: Organization
              Effect: Allow
              Principal: "*"
              Action: "docs:ListVersions"
              Resource: "*"
              Condition: {StringEquals: {"aws:PrincipalOrgID": o-exampleorg1}}
            - {Sid: Public, Effect: Allow, Principal: "*", Action: "docs:Preview", Resource: "*"}
            - {Sid: Never, Effect: Deny, Principal: "*", Action: "docs:Erase", Resource: "*"}
  - id: "444455556666"
    name: globex
    users:
      - name: gus
        inline:
          All:
            Version: "2012-10-17"
            Statement: [{Effect: Allow, Action: "docs:*", Resource: "*"}]
      - {name: gina}
"""


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reach") / "iam.yaml"
    path.write_text(SEED)
    return path


@pytest.fixture(scope="module")
def store(seed: Path) -> Iterator[SourceStore]:
    opened = open_store(str(seed), Settings())
    yield opened
    opened.close()


def who_can_by_principal(store: SourceStore, action: str, resource: str, **more: object) -> dict[str, Access]:
    found = who_can(store, action, resource, now=NOW, **more)  # type: ignore[arg-type]
    return {
        each.principal.removeprefix("arn:aws:iam::").replace(":user/", " ").replace(":role/", " "): each
        for each in found
    }


# --- who can -----------------------------------------------------------------------------------------------------


def test_who_can_lists_every_principal(store: SourceStore) -> None:
    """Users, roles with their own policies, and root users of every account."""
    found = who_can_by_principal(store, "docs:GetDocument", PLAN)
    verdicts = {name.removeprefix(f"{ACME} "): each.verdict for name, each in found.items() if name.startswith(ACME)}
    assert verdicts == {
        f"{ACME}:root": ALLOWED,
        "ada": ALLOWED,
        "rita": ALLOWED,
        "both": ALLOWED,
        "bound": ALLOWED,
        "tagged": ALLOWED,
        "home": ALLOWED,
        "office": CONDITIONAL,
        "nobody": DENIED,
        "ops": DENIED,
        "taggable": CONDITIONAL,
    }
    assert {each.verdict for name, each in found.items() if not name.startswith(ACME)} == {DENIED}
    assert [each.verdict for each in found.values()] == sorted(
        (each.verdict for each in found.values()), key=list(AccessVerdict).index
    )


def test_answer_names_statements_and_groups(store: SourceStore) -> None:
    """Policies attached directly or through groups; the deciding statement of each."""
    found = who_can_by_principal(store, "docs:GetDocument", PLAN)
    [rita], [both] = found[f"{ACME} rita"].answer.spoken, found[f"{ACME} both"].answer.spoken
    assert (rita.policy, rita.sid, rita.through) == ("Reader", "Read", ("readers",))
    assert str(rita) == "Allow `Read` of Reader (identity-based policy) through group readers"
    assert both.through == ()


def test_answer_names_open_keys(store: SourceStore) -> None:
    """With a value for the key, the answer is definite."""
    found = who_can_by_principal(store, "docs:GetDocument", PLAN)
    assert found[f"{ACME} office"].answer.open_keys == ("aws:SourceIp",)
    assert found[f"{ACME} taggable"].answer.open_keys == ("aws:PrincipalTag/team",)
    known: Mapping[str, str] = {"aws:SourceIp": "203.0.113.7"}
    assert who_can_by_principal(store, "docs:GetDocument", PLAN, context=known)[f"{ACME} office"].verdict is ALLOWED
    known = {"aws:SourceIp": "198.51.100.1"}
    assert who_can_by_principal(store, "docs:GetDocument", PLAN, context=known)[f"{ACME} office"].verdict is DENIED


def test_deny_with_open_key_is_conditional(store: SourceStore) -> None:
    """An SCP limits the root user of the account too."""
    found = who_can_by_principal(store, "docs:DeleteDocument", PLAN)
    for name in ("ada", "tagged"):
        assert (found[f"{ACME} {name}"].verdict, found[f"{ACME} {name}"].answer.open_keys) == (
            CONDITIONAL,
            ("docs:Hold",),
        )
    assert found[f"{ACME}:root"].verdict is CONDITIONAL
    assert found[f"{ACME} bound"].verdict is DENIED
    free = who_can_by_principal(store, "docs:DeleteDocument", PLAN, context={"docs:Hold": "false"})
    assert free[f"{ACME} ada"].verdict is ALLOWED


def test_session_tags_count_if_trust_policy_allows(store: SourceStore) -> None:
    """S-20: sessions of `ops` have the role's tags only, those of `taggable` may add some."""
    found = who_can_by_principal(store, "docs:GetDocument", PLAN)
    assert found[f"{ACME} ops"].verdict is DENIED
    assert found[f"{ACME} taggable"].verdict is CONDITIONAL


def test_principals_of_resource_policy_are_listed(store: SourceStore) -> None:
    """Principals of this store and of other accounts, sessions and services."""
    found = who_can_by_principal(store, "docs:GetDocument", SHARED)
    assert found[f"{GLOBEX} gus"].verdict is ALLOWED
    assert {each.sid for each in found[f"{GLOBEX} gus"].answer.spoken} == {"Shared", None}
    assert found[f"{GLOBEX} gina"].verdict is DENIED
    for name in (f"{ELSEWHERE}:root",):
        answer = found[name].answer
        assert (answer.verdict, [each.sid for each in answer.spoken]) == (CONDITIONAL, ["Shared"])
        assert answer.note is not None
        assert "not in this store" in answer.note
    night = found[f"arn:aws:sts::{ACME}:assumed-role/ops/night"]
    assert (night.kind, night.verdict) == ("session", ALLOWED)
    assert found["events.amazonaws.com"].verdict is ALLOWED
    assert found["anonymous"].verdict is DENIED


def test_public_resource_lists_anonymous_callers(store: SourceStore) -> None:
    """And principals of any other account."""
    found = who_can_by_principal(store, "docs:Preview", SHARED)
    assert found["anonymous"].verdict is ALLOWED
    assert found[f"{ACME} nobody"].verdict is ALLOWED
    assert found["*"].verdict is CONDITIONAL
    by_organization = who_can_by_principal(store, "docs:ListVersions", SHARED)
    assert by_organization["anonymous"].verdict is DENIED
    assert by_organization[f"{ACME} nobody"].verdict is ALLOWED
    assert by_organization[f"{GLOBEX} gus"].verdict is DENIED
    assert by_organization["*"].answer.open_keys == ("aws:PrincipalOrgID",)


def test_who_can_assume_role_by_trust_policy(store: SourceStore) -> None:
    """E-42: the trust policy is the resource's."""
    found = who_can_by_principal(store, "sts:AssumeRole", f"arn:aws:iam::{ACME}:role/ops")
    assert found[f"{ACME} rita"].verdict is ALLOWED
    assert found[f"{ACME} ada"].verdict is DENIED
    assert found[f"{ELSEWHERE}:root"].answer.open_keys == ("sts:ExternalId",)


def test_pattern_is_evaluated_as_a_whole(store: SourceStore) -> None:
    """All of its resources, or some; in another account, their policies must allow too."""
    found = who_can_by_principal(store, "docs:GetDocument", f"arn:aws:docs:us-east-1:{ACME}:document/*")
    assert found[f"{ACME} rita"].verdict is ALLOWED
    assert (found[f"{ACME} home"].verdict, found[f"{ACME} home"].answer.note) == (
        CONDITIONAL,
        "some of these resources only",
    )
    gus = found[f"{GLOBEX} gus"].answer
    assert (gus.verdict, gus.note) == (CONDITIONAL, "the resource's own policy allows it too")
    assert {each.policy_type for each in gus.spoken} == {"identity-based policy"}


def test_pattern_with_resource_policies_is_conditional(store: SourceStore) -> None:
    """A Deny in one makes "all" conditional, an Allow makes "none" conditional."""
    pattern = f"arn:aws:docs:us-east-1:{ACME}:document/*"
    erased = who_can_by_principal(store, "docs:Erase", pattern)
    assert (erased[f"{ACME} ada"].verdict, erased[f"{ACME} ada"].answer.note) == (
        CONDITIONAL,
        "no policy of one of these resources denies it",
    )
    assert erased[f"{ACME} nobody"].verdict is DENIED
    preview = who_can_by_principal(store, "docs:Preview", pattern)
    assert preview[f"{ACME} nobody"].answer.note == "some of these resources only, whose own policies allow it"
    assert (
        who_can_by_principal(store, "docs:Erase", f"arn:aws:docs:us-east-1:{ACME}:folder/*")[f"{ACME} ada"].verdict
        is ALLOWED
    )


@pytest.mark.parametrize(
    ("action", "resource", "more"),
    [
        ("docs", "*", {}),
        ("docs:Get*", "*", {}),
        ("docs:Get:x", "*", {}),
        ("docs:Get", "document/7", {}),
        ("docs:Get", "arn:aws:docs", {}),
        ("docs:Get", "arn:aws:docs:::nobodys", {}),
        ("docs:Get", PLAN, {"resource_account": "acme"}),
    ],
)
def test_invalid_question_is_refused(store: SourceStore, action: str, resource: str, more: dict[str, str]) -> None:
    """Including one about a resource without owner, on which every request is denied."""
    with pytest.raises(InvalidInput):
        who_can(store, action, resource, **more)  # type: ignore[arg-type]


USERS = ["ada", "rita", "both", "bound", "nobody", "office", "tagged", "home"]
CALLS = [None, *(Call("r", "http", source_ip=ip, secure=True) for ip in ("203.0.113.7", "198.51.100.1"))]
GIVEN: list[dict[str, str]] = [{}, {"docs:Hold": "true"}, {"docs:Hold": "false"}]


@pytest.mark.parametrize("action", ["docs:GetDocument", "docs:DeleteDocument", "docs:ListVersions", "docs:Preview"])
def test_answers_agree_with_guard(store: SourceStore, seed: Path, action: str) -> None:
    """What is allowed, the guard allows for every request; what is denied, never."""
    guard = open_guard(str(seed), services=[Service("docs")])
    try:
        for resource in (PLAN, SHARED):
            found = who_can_by_principal(store, action, resource)
            for name in USERS:
                principal = Principal.from_arn(f"arn:aws:iam::{ACME}:user/{name}")
                outcomes = {
                    guard.decide(principal, action, resource, given, call=call).allowed
                    for call in CALLS
                    for given in GIVEN
                }
                verdict = found[f"{ACME} {name}"].verdict
                expected = {ALLOWED: {True}, DENIED: {False}, CONDITIONAL: {True, False}}
                assert outcomes == expected[verdict], (name, resource)
    finally:
        guard.close()


# --- what can ----------------------------------------------------------------------------------------------------


def services() -> Service:
    docs = Service("docs")
    docs.requires("GetDocument", resource="document/{id}")
    docs.requires("DeleteDocument", resource="document/{id}")
    docs.requires("GetFolder", resource="folder/{id}")
    docs.requires("ListDocuments")
    return docs


def able(store: SourceStore, name: str, **more: str) -> set[tuple[str, str, AccessVerdict]]:
    found = what_can(store, f"arn:aws:iam::{ACME}:{name}", references=[services().reference()], now=NOW, **more)  # type: ignore[arg-type]
    return {
        (action, each.resource, each.verdict) for each in found for action in each.actions if action.startswith("docs:")
    }


def test_abilities_have_resources_of_policies(store: SourceStore) -> None:
    """Patterns as written; `*` for all."""
    assert able(store, "user/rita") == {
        ("docs:GetDocument", "*", ALLOWED),
        ("docs:GetFolder", "*", ALLOWED),
    }
    assert able(store, "user/home") == {
        ("docs:GetDocument", "arn:aws:docs:*:*:document/*/*", CONDITIONAL),
        ("docs:GetDocument", "arn:aws:docs:*:*:document/plan", ALLOWED),
    }
    assert able(store, "user/nobody") == set()


def test_abilities_are_limited_by_boundary_and_scp(store: SourceStore) -> None:
    """A boundary removes access; an SCP with an open key makes it conditional."""
    assert ("docs:DeleteDocument", "*", CONDITIONAL) in able(store, "user/ada")
    assert able(store, "user/bound") == {("docs:GetDocument", "*", ALLOWED), ("docs:GetFolder", "*", ALLOWED)}


def test_abilities_include_resources_naming_principal(store: SourceStore) -> None:
    """By their policies in the store."""
    found = what_can(store, f"arn:aws:iam::{GLOBEX}:user/gus", references=[services().reference()], now=NOW)
    answers = {(action, each.resource): each.answer.verdict for each in found for action in each.actions}
    assert answers[("docs:GetDocument", SHARED)] is ALLOWED
    assert answers[("docs:GetDocument", "*")] is ALLOWED


def test_abilities_of_one_resource(store: SourceStore) -> None:
    """Only the actions that support it."""
    assert able(store, "user/ada", resource=PLAN) == {
        ("docs:GetDocument", PLAN, ALLOWED),
        ("docs:DeleteDocument", PLAN, CONDITIONAL),
    }


def test_root_user_can_do_everything(store: SourceStore) -> None:
    """In IAM too, without any policy."""
    found = what_can(store, f"arn:aws:iam::{ACME}:root", references=[services().reference()], now=NOW)
    actions = {action for each in found for action in each.actions if each.verdict is ALLOWED}
    assert {"docs:GetFolder", "iam:CreateUser", "sts:GetCallerIdentity"} <= actions


def docs_reference() -> ServiceReference:
    docs = Service("docs")
    docs.declare_action("GetDocument", resource_types=[])
    return docs.reference()


@table(
    ("action", "references", "message"),
    [
        ("iam:CreatUser", (), "the service `iam` has no action `CreatUser`, did you mean `iam:CreateUser`?"),
        ("STS:AsumeRole", (), "the service `sts` has no action `AsumeRole`, did you mean `sts:AssumeRole`?"),
        (
            "docs:GetDocumnt",
            ("docs",),
            "the service `docs` has no action `GetDocumnt`, did you mean `docs:GetDocument`?",
        ),
        ("docs:Xyz", ("docs",), "the service `docs` has no action `Xyz`"),
        ("dosc:GetDocument", ("docs",), "unknown service `dosc`, did you mean `docs`?"),
    ],
)
def test_unknown_action_is_refused(store: SourceStore, action: str, references: tuple[str, ...], message: str) -> None:
    """Instead of the answer that only the root user can do it."""
    with pytest.raises(InvalidInput) as refused:
        who_can(store, action, references=[docs_reference() for _ in references], now=NOW)
    assert str(refused.value) == f"{message} (at action)"


@table(
    ("action", "references"),
    [
        ("iam:createuser", ()),
        ("iam:PassRole", ()),
        ("iam:ExplainDecision", ()),
        ("docs:Anything", ()),
        ("s3:GetObject", ()),
        ("docs:getdocument", ("docs",)),
        ("sts:AssumeRole", ("docs",)),
    ],
)
def test_known_action_is_accepted(store: SourceStore, action: str, references: tuple[str, ...]) -> None:
    """And any action of a service whose reference is unknown."""
    assert who_can(store, action, references=[docs_reference() for _ in references], now=NOW)


def test_actions_without_permission_are_listed(store: SourceStore) -> None:
    """E-66."""
    found = what_can(store, f"arn:aws:iam::{ACME}:user/nobody", now=NOW)
    assert [each.actions for each in found] == [("sts:GetCallerIdentity", "sts:GetSessionToken")]


def test_unknown_principal_is_refused(store: SourceStore) -> None:
    """Instead of an empty list of abilities."""
    with pytest.raises(NoSuchEntity):
        what_can(store, f"arn:aws:iam::{ACME}:user/ghost")
    with pytest.raises(InvalidInput):
        what_can(store, f"arn:aws:iam::{ACME}:user/ada", resource="document/7")
