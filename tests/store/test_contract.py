"""The contract of every Store (rules P-1 to P-16, S-21, E-10 to E-14, R-1, R-31)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from iam_guard.errors import StoreIsReadOnly
from iam_guard.model.credential import FederatedOrigin, Session
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Credential, Issued, Principal, PrincipalType
from iam_guard.policy.parser import parse
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.credentials.last_used_rows import SessionUse
from iam_guard.store.credentials.session_tokens import session_row
from iam_guard.store.protocol import AccountRecord, SourceStore, Store, StoredPolicy
from iam_guard.store.schema import browser_sessions, federated_sessions, identities

ACME, GLOBEX, MANAGEMENT, OUTSIDE = "111122223333", "444455556666", "999900000000", "555566667777"
ALICE = f"arn:aws:iam::{ACME}:user/staff/alice"
BOB = f"arn:aws:iam::{ACME}:user/bob"
AUDITOR = f"arn:aws:iam::{ACME}:role/audit/Auditor"
SESSION = f"arn:aws:sts::{ACME}:assumed-role/Auditor/friday"
ROOT = f"arn:aws:iam::{ACME}:root"
PLAN = f"arn:aws:docs:us-east-1:{ACME}:document/plan"


def names(policies: tuple[StoredPolicy, ...]) -> list[str]:
    return [policy.ref.name for policy in policies]


def levels(policies: tuple[tuple[StoredPolicy, ...], ...] | None) -> list[list[str]] | None:
    return None if policies is None else [names(level) for level in policies]


def test_user_with_groups(any_store: Store) -> None:
    """A user has its own policies and its groups', inline and attached, with readable names (E-15)."""
    record = any_store.principal(Principal.from_arn(ALICE))
    assert record.exists
    assert {policy.ref.name: policy.ref.arn for policy in record.identity} == {
        "DocsReader": "arn:aws:iam::aws:policy/docs/DocsReader",
        "EditDocs": f"arn:aws:iam::{ACME}:policy/team/EditDocs",
        "group/editors/ListDocs": None,
        "user/alice/EditOwn": None,
    }
    assert {policy.ref.type for policy in record.identity} == {PolicyType.IDENTITY}


def test_policy_documents_are_returned_as_written(any_store: Store) -> None:
    """JSON text is returned unchanged, with the digest that the parser computes."""
    record = any_store.principal(Principal.from_arn(ALICE))
    own = next(policy for policy in record.identity if policy.ref.name == "user/alice/EditOwn")
    assert own.text.startswith('{"Version": "2012-10-17", "Statement": [\n  {"Effect"')
    for policy in record.identity:
        assert policy.ref.digest == parse(policy.text, policy.ref.type).digest


def test_boundary_is_returned_with_its_own_type(any_store: Store) -> None:
    """A boundary is a managed policy with a type of its own, and `has_boundary` is set (G-38)."""
    record = any_store.principal(Principal.from_arn(ALICE))
    assert record.boundary is not None
    assert record.boundary.ref.type is PolicyType.BOUNDARY
    assert record.boundary.ref.arn == f"arn:aws:iam::{ACME}:policy/Boundary"
    assert record.principal.has_boundary
    bob = any_store.principal(Principal.from_arn(BOB))
    assert (bob.boundary, bob.principal.has_boundary, bob.identity) == (None, False, ())


def test_user_is_completed_with_id_and_tags(any_store: Store) -> None:
    """The caller gets its unique id and tags; its own tags win case-insensitively (P-4, S-21)."""
    caller = Principal.from_arn(ALICE, tags={"department": "Legal", "session": "1"})
    completed = any_store.principal(caller).principal
    assert completed.userid is not None
    assert completed.userid.startswith("AIDA")
    assert len(completed.userid) == 21
    assert completed.tags == {"department": "Legal", "session": "1", "cost": "100"}
    assert any_store.principal(completed).principal == completed


def test_caller_keeps_own_session_data_behind_cache(any_store: Store) -> None:
    """Session keys, session policies and credential of each caller stay its own (K-21)."""
    for mfa, key in (("true", "AKIAALICE"), ("false", "AKIAOLD")):
        caller = replace(
            Principal.from_arn(ALICE, session_policies=("{}",)),
            session={"aws:MultiFactorAuthPresent": mfa},
            credential=Credential("sigv4", key),
        )
        completed = any_store.principal(caller).principal
        assert completed.key("aws:multifactorauthpresent") == mfa
        assert completed.credential == Credential("sigv4", key)
        assert completed.session_policies == ("{}",)


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::{ACME}:user/staff/Alice",  # P-16: ARNs are compared case-sensitively
        f"arn:aws:iam::{ACME}:user/alice",
        f"arn:aws:iam::{ACME}:user/Staff/alice",
        f"arn:aws:iam::{GLOBEX}:user/staff/alice",
        f"arn:aws-cn:iam::{ACME}:user/staff/alice",
        f"arn:aws:iam::{ACME}:user/missing",
        f"arn:aws:sts::{ACME}:assumed-role/auditor/friday",
        f"arn:aws:sts::{ACME}:assumed-role/alice/friday",
        f"arn:aws:iam::{OUTSIDE[:-1]}0:root",
        f"arn:aws-cn:iam::{ACME}:root",
    ],
)
def test_caller_with_any_other_arn_does_not_exist(any_store: Store, arn: str) -> None:
    """A caller that differs in any letter from the stored one does not exist and has no policies (P-6, P-16)."""
    record = any_store.principal(Principal.from_arn(arn))
    assert (record.exists, record.identity, record.boundary) == (False, (), None)


def test_caller_with_other_unique_id_does_not_exist(any_store: Store) -> None:
    """Another unique id means that the entity was deleted and created again (P-6)."""
    for arn, userid in ((ALICE, "AIDAOTHERBUTSAMENAMEX"), (SESSION, "AROAOTHERBUTSAMENAMEX:friday"), (ROOT, GLOBEX)):
        assert any_store.principal(Principal.from_arn(arn)).exists
        assert not any_store.principal(Principal.from_arn(arn, userid=userid)).exists


def test_role_session(any_store: Store) -> None:
    """A session finds its role by name, because its ARN has no path, and gets the role's full ARN (P-2, P-13)."""
    record = any_store.principal(Principal.from_arn(SESSION, tags={"project": "x"}))
    assert record.exists
    assert record.principal.role_arn == AUDITOR
    assert record.principal.userid is not None
    assert record.principal.userid.startswith("AROA")
    assert record.principal.userid.endswith(":friday")
    assert record.principal.tags == {"Department": "Audit", "project": "x"}
    assert names(record.identity) == ["DocsReader"]
    assert any_store.principal(record.principal).principal == record.principal


def test_role_session_with_other_role_path_does_not_exist(any_store: Store) -> None:
    """A role ARN with another path is another role (P-3)."""
    other = f"arn:aws:iam::{ACME}:role/other/Auditor"
    assert not any_store.principal(Principal.from_arn(SESSION, role_arn=other)).exists
    assert not any_store.principal(Principal.from_arn(SESSION, role_arn=BOB)).exists
    assert any_store.principal(Principal.from_arn(SESSION, role_arn=AUDITOR)).exists


def test_federated_user(any_store: Store) -> None:
    """A federated user has the policies, boundary and tags of the user that federated it (table F.2)."""
    arn = f"arn:aws:sts::{ACME}:federated-user/guest"
    record = any_store.principal(Principal.from_arn(arn, user_arn=ALICE))
    assert record.exists
    assert record.principal.key("aws:userid") == f"{ACME}:guest"
    assert record.principal.tags == {"Department": "Sales", "cost": "100"}
    assert len(record.identity) == 4
    assert record.boundary is not None
    assert not any_store.principal(Principal.from_arn(arn)).exists
    assert any_store.principal(Principal.from_arn(f"arn:aws:iam::{GLOBEX}:user/eve")).exists
    assert not any_store.principal(Principal.from_arn(arn, user_arn=f"arn:aws:iam::{GLOBEX}:user/eve")).exists


def test_federated_user_of_root(any_store: Store) -> None:
    """A federated user of the root user has full access, limited by its session policies (R-1, S-32)."""
    arn = f"arn:aws:sts::{ACME}:federated-user/guest"
    record = any_store.principal(Principal.from_arn(arn, user_arn=ROOT))
    assert record.exists
    assert names(record.identity) == ["root user"]
    assert record.boundary is None
    unknown_account = "000000000001"
    arn = f"arn:aws:sts::{unknown_account}:federated-user/guest"
    for user_arn in (f"arn:aws:iam::{unknown_account}:root", ROOT):
        record = any_store.principal(Principal.from_arn(arn, user_arn=user_arn))
        assert (record.exists, record.identity) == (False, ())


def test_root_user(any_store: Store) -> None:
    """The root user exists with its account, without policies and boundary (R-1)."""
    record = any_store.principal(Principal.from_arn(ROOT))
    assert (record.exists, record.identity, record.boundary) == (True, (), None)
    assert record.principal.userid == ACME


def test_access_key_has_secret_owner_and_status(any_store: Store) -> None:
    """An inactive key is marked as such; an unknown one is None (R-31)."""
    alice = any_store.access_key("AKIAALICE")
    assert alice is not None
    assert (alice.secret, alice.active, alice.principal.arn) == ("alice-secret", True, ALICE)
    assert any_store.principal(alice.principal).exists
    old = any_store.access_key("AKIAOLD")
    assert old is not None
    assert not old.active
    root = any_store.access_key("AKIAROOT")
    assert root is not None
    assert root.principal.type is PrincipalType.ROOT
    assert root.principal.account == ACME
    assert any_store.access_key("AKIAalice") is None
    assert any_store.access_key("") is None


def test_key_owner_has_no_tags(any_store: Store) -> None:
    """Its tags would override newer ones like session tags (S-21)."""
    for key in (any_store.access_key("AKIAALICE"), any_store.api_key("alicekey"), any_store.api_key("auditkey")):
        assert key is not None
        assert key.principal.tags == {}
        assert "Department" in any_store.principal(key.principal).principal.tags


def test_api_key_has_digest_expiry_and_policy(any_store: Store) -> None:
    """An API key has the digest of its secret, its expiry, and its session policy."""
    key = any_store.api_key("alicekey")
    assert key is not None
    assert key.digest.hex().startswith("9f86d081")
    assert key.expires == datetime(2030, 1, 31, tzinfo=UTC)
    assert key.principal.arn == ALICE
    assert key.principal.session_policies is not None
    assert '"docs:Get*"' in key.principal.session_policies[0]
    assert any_store.api_key("ALICEKEY") is None


def test_browser_session_has_its_owner(any_store: Any) -> None:
    """That of a user and of a root user; its last use only moves forward. A store that follows a file has none."""
    assert any_store.browser_session("d1") is None
    times = {"created": 60, "seen": 60, "expires": 180, "task": "factor"}
    texts = {"methods": ["password", "totp"], "address": "::1", "user_agent": "é"}
    try:
        with any_store.write_transaction() as records:
            alice = records.one(identities, account=ACME, kind="user", name="alice")
            for number, owner, mfa_at in ((1, alice["id"], 90), (2, None, None)):
                owned = {"account": ACME, "user_id": owner, "mfa_at": mfa_at}
                records.insert(browser_sessions, digest=f"d{number}", id=f"bs-{number}", **owned, **times, **texts)
    except (StoreIsReadOnly, AttributeError):
        return
    for at, seen in ((120, 120), (100, 120), (150, 150)):
        any_store.save_uses([SessionUse("bs-1", at), SessionUse("bs-0", at)])
        found = getattr(any_store, "behind", any_store).browser_session("d1")
        assert found.seen == datetime.fromtimestamp(seen, UTC)
    assert (found.principal.arn, found.principal.userid) == (ALICE, alice["id"])
    assert (found.methods, found.address, found.user_agent, found.task) == (("password", "totp"), "::1", "é", "factor")
    assert found.principal.mfa_at == found.mfa_at == datetime.fromtimestamp(90, UTC)
    root = any_store.browser_session("d2")
    assert (root.principal.type, root.principal.account) == (PrincipalType.ROOT, ACME)
    assert root.principal.key("aws:multifactorauthpresent") == "false"
    assert [any_store.browser_session(odd) for odd in ("", "D1", "d1\0", "\udcff")] == [None] * 4
    with any_store.write_transaction() as records:
        records.delete(identities, id=alice["id"])
    assert any_store.browser_session("d1") is None
    assert any_store.browser_session("d2") is not None


def test_browser_session_has_its_role(any_store: Any) -> None:
    """The role's session, and the person beside it; it ends with the role."""
    times = {"created": 60, "seen": 120, "expires": 900, "role_since": 120, "role_until": 300}
    texts = {"methods": ["password"], "address": "", "user_agent": "", "role_session": "ali", "role_label": "Audit"}
    try:
        with any_store.write_transaction() as records:
            alice = records.one(identities, account=ACME, kind="user", name="alice")
            role = records.one(identities, account=ACME, kind="role", name="Auditor")
            owned = {"account": ACME, "user_id": alice["id"], "role_id": role["id"], "mfa_at": 90}
            records.insert(browser_sessions, digest="d1", id="bs-1", **owned, **times, **texts)
    except (StoreIsReadOnly, AttributeError):
        return
    found = any_store.browser_session("d1")
    assert (found.principal.type, found.principal.arn) == (PrincipalType.ASSUMED_ROLE, SESSION.replace("friday", "ali"))
    assert (found.principal.role_arn, found.principal.userid) == (AUDITOR, f"{role['id']}:ali")
    assert (found.principal.mfa_at, found.person.mfa_at) == (None, datetime.fromtimestamp(90, UTC))
    assert (found.person.arn, found.person.userid) == (ALICE, alice["id"])
    issued = [principal.credential.issued for principal in (found.principal, found.person)]
    assert [(times.issued.timestamp(), times.expires.timestamp()) for times in issued] == [(120, 300), (60, 900)]
    assert (found.role.arn, found.role.account, found.role.label) == (AUDITOR, ACME, "Audit")
    with any_store.write_transaction() as records:
        records.delete(identities, id=role["id"])
        assert records.one(browser_sessions, digest="d1") is None
    assert any_store.browser_session("d1") is None


def test_browser_session_without_a_person_is_that_of_its_role(any_store: Any) -> None:
    """As the terms say, with the role of the row; its last use moves forward, and it ends with the role."""
    issued = datetime.fromtimestamp(30, UTC)
    times = {"created": 60, "seen": 60, "expires": 900}
    texts = {"method": "saml", "provider": "arn:p", "address": "::1", "user_agent": "é"}
    try:
        with any_store.write_transaction() as records:
            role = records.one(identities, account=ACME, kind="role", name="Auditor")
            caller = Principal.from_arn(SESSION, role_arn=AUDITOR, userid=f"{role['id']}:friday", tags={"Team": "é"})
            terms = session_row(Session("", "", caller, issued, datetime.fromtimestamp(9000, UTC), source_identity="f"))
            owned = {"account": ACME, "role_id": role["id"], "userid": caller.userid, "terms": terms}
            records.insert(federated_sessions, digest="d1", id="fs-1", **owned, **times, **texts)
            records.insert(federated_sessions, digest="d2", id="fs-2", **{**owned, "role_id": None}, **times, **texts)
    except (StoreIsReadOnly, AttributeError):
        return
    any_store.save_uses([SessionUse("fs-1", 120), SessionUse("fs-1", 90)])
    found = getattr(any_store, "behind", any_store).browser_session("d1")
    assert found.principal == found.person == caller
    assert (found.seen.timestamp(), found.expires.timestamp(), found.user_agent) == (120, 900, "é")
    assert found.principal.credential == Credential(
        "session", "fs-1", issued=Issued(issued, found.expires, source_identity="f")
    )
    assert found.federation == FederatedOrigin("saml", "arn:p")
    assert any_store.browser_session("d2") is None
    with any_store.write_transaction() as records:
        records.delete(identities, id=role["id"])
        assert records.one(federated_sessions, digest="d1") is None
    assert any_store.browser_session("d1") is None


def test_api_key_of_role_is_a_session(any_store: Store) -> None:
    """A role's API key is a session of the role, named after the key's id."""
    key = any_store.api_key("auditkey")
    assert key is not None
    assert key.digest == hashlib.sha256(b"AuditorSecretAuditorSecretAuditor01").digest()
    assert key.principal.arn == f"arn:aws:sts::{ACME}:assumed-role/Auditor/auditkey"
    assert key.principal.role_arn == AUDITOR
    assert key.principal.session_policies is None
    assert key.expires is None
    assert any_store.principal(key.principal).exists


FULL, RCP_FULL = ["FullAWSAccess"], ["RCPFullAWSAccess"]


def test_control_policies_have_levels_root_first(any_store: Store) -> None:
    """SCPs and RCPs are returned by level, from the root to the account (E-12, E-13)."""
    acme, globex = any_store.account(ACME), any_store.account(GLOBEX)
    assert levels(acme.scps) == [FULL, ["DenyDelete", "FullAWSAccess"], FULL, FULL]
    assert levels(globex.scps) == [FULL, ["DenyDelete", "FullAWSAccess"], FULL, ["DenyDelete"]]
    gold = [RCP_FULL, RCP_FULL, ["OnlyTls", "RCPFullAWSAccess"], RCP_FULL]
    assert levels(acme.rcps) == levels(globex.rcps) == gold
    assert acme.organization is not None
    assert acme.organization.path == "o-exampleorg/r-ab12/ou-ab12-11111111/ou-ab12-22222222/"
    assert (acme.organization.id, acme.organization.is_management) == ("o-exampleorg", False)


def test_control_policies_have_arns(any_store: Store) -> None:
    """A control policy has the ARN that the denial message names (X-5)."""
    scps = any_store.account(GLOBEX).scps
    assert scps is not None
    prefix = f"arn:aws:organizations::{MANAGEMENT}:policy/o-exampleorg/service_control_policy/p-"
    assert str(scps[-1][0].ref.arn).startswith(prefix)
    full = "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"
    assert scps[0][0].ref.arn == full


def test_accounts_without_control_policies(any_store: Store) -> None:
    """The management account and accounts outside the organization have no levels (E-10, E-11, E-14)."""
    management = any_store.account(MANAGEMENT)
    assert (management.exists, management.scps, management.rcps) == (True, None, None)
    assert management.organization is not None
    assert management.organization.is_management
    assert management.organization.path == "o-exampleorg/r-ab12/"
    outside = any_store.account(OUTSIDE)
    assert outside == AccountRecord(outside.epoch, OUTSIDE, exists=True)
    missing = any_store.account("000000000000")
    assert missing == AccountRecord(missing.epoch, "000000000000", exists=False)


def test_resource_has_owner_tags_and_policy(any_store: Store) -> None:
    """Another has an owner only; an unknown one has neither."""
    plan = any_store.resource(PLAN)
    assert (plan.account, dict(plan.tags)) == (ACME, {"stage": "draft"})
    assert plan.policy is not None
    assert plan.policy.ref.type is PolicyType.RESOURCE
    assert plan.policy.ref.digest == parse(plan.policy.text, PolicyType.RESOURCE).digest
    bare = any_store.resource(PLAN.replace("plan", "bare"))
    assert (bare.account, dict(bare.tags), bare.policy) == (ACME, {}, None)
    unknown = any_store.resource(PLAN.replace("plan", "PLAN"))
    assert (unknown.account, dict(unknown.tags), unknown.policy) == (None, {}, None)


def test_answers_of_one_state_have_one_epoch(any_store: Store) -> None:
    """All answers of one state have the same epoch (T-9)."""
    any_store.refresh()
    epoch = any_store.epoch()
    records = (
        any_store.principal(Principal.from_arn(ALICE)),
        any_store.principal(Principal.from_arn(SESSION)),
        any_store.principal(Principal.from_arn(ROOT)),
        any_store.principal(Principal.from_arn(f"{BOB}2")),
        any_store.principal(Principal.from_arn(f"arn:aws:sts::{ACME}:federated-user/guest")),
        any_store.account(ACME),
        any_store.account("000000000000"),
        any_store.resource(PLAN),
        any_store.resource("arn:aws:docs:::empty"),
    )
    assert {record.epoch for record in records} == {epoch}


def test_repr_shows_no_secret(any_store: Store) -> None:
    """No repr of a store or of its records contains a secret (design, section 5)."""
    objects = [any_store, any_store.access_key("AKIAALICE"), any_store.api_key("auditkey")]
    shown = repr(objects) + repr(vars(any_store))
    assert "alice-secret" not in shown
    assert "AuditorSecret" not in shown
    assert hashlib.sha256(b"AuditorSecretAuditorSecretAuditor01").hexdigest() not in shown


ODD = ["", "\0", "a\0b", "\ud800", "é\udfff", "\x7f\u202e", "x" * 100_000, "%", "' OR 1=1 --", "𝒳" * 3000]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_unstorable_names_are_not_found(any_store: Store, odd: str) -> None:
    """Names from requests, with characters that a database can't store too, are not found; there is no error."""
    assert any_store.access_key(odd) is None
    assert any_store.api_key(odd) is None
    assert not any_store.account(odd).exists
    assert any_store.resource(f"{PLAN}{odd}x").account is None
    for arn in (f"{BOB}{odd}x", f"arn:aws:iam::{ACME}:user/{odd}"):
        assert not any_store.principal(Principal.from_arn(arn)).exists
    session = any_store.principal(Principal.from_arn(f"{SESSION}{odd}x"))  # a session may be called anything
    assert (session.exists, session.principal.role_arn) == (True, AUDITOR)


def test_decision_records_equal_single_answers(any_store: Store) -> None:
    """One query for a decision returns the same as the single methods, of one epoch (T-9)."""
    store = any_store.behind if isinstance(any_store, CachedStore) else any_store
    callers = [
        Principal.from_arn(ALICE),
        Principal.from_arn(BOB),
        Principal.from_arn(SESSION, role_arn=AUDITOR),
        Principal.from_arn(f"arn:aws:sts::{ACME}:federated-user/f", user_arn=ALICE),
        Principal.from_arn(f"arn:aws:sts::{ACME}:federated-user/f", user_arn=ROOT),
        Principal.from_arn(ROOT),
        Principal.from_arn(f"arn:aws:iam::{ACME}:user/missing"),
        Principal.from_arn(f"arn:aws:iam::{OUTSIDE}:root"),
    ]
    accounts = (ACME, GLOBEX, MANAGEMENT, OUTSIDE, "000000000000")
    for caller in callers:
        for arn in (PLAN, f"{PLAN}-missing", None):
            found = cast(SourceStore, store).decision_records(caller, accounts, arn)
            assert found.principal == store.principal(caller)
            assert dict(found.accounts) == {id: store.account(id) for id in accounts}
            assert found.resource == (None if arn is None else store.resource(arn))
    empty = cast(SourceStore, store).decision_records(None, (), None)
    assert (empty.principal, dict(empty.accounts), empty.resource) == (None, {}, None)
