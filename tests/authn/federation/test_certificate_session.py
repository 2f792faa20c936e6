"""Sessions of client certificates: trust anchors, profiles, trust policies, and lifetime.

The rules are those of IAM Roles Anywhere; the decisions are S-20 to S-23 and E-46, E-47.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509

from iam_guard import Guard, Principal, open_guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.authn.certificates.client_certificate import read_client_certificate
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import ReceivedCertificate
from iam_guard.cli import main
from iam_guard.errors import AccessDenied, IamGuardError, InvalidInput, NoSuchEntity, SeedError, UntrustedCertificate
from iam_guard.factory import guard_with_store
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import certificate_profiles, identities, inline_policies
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.authn.authorities import DAY, NOW, Party, authority, make, revocation_list

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
ROBOT, KEEPER = f"arn:aws:iam::{ACCOUNT}:role/team/Robot", f"arn:aws:iam::{ACCOUNT}:role/Keeper"
ANCHOR = "0b2a7d54-5a0e-4a52-9f0e-3f0f6c1f2a10"
ANCHOR_ARN = f"arn:aws:rolesanywhere:us-east-1:{ACCOUNT}:trust-anchor/{ANCHOR}"
PLAN = f"arn:aws:docs:us-east-1:{ACCOUNT}:document/plan"
ROOT = authority("CN=Root/O=Acme")
ISSUING = authority("CN=Issuing/O=Acme", ROOT)
OTHER_ROOT = authority()
GOOD = make("CN=robot-7/OU=dock", ISSUING, names=[x509.DNSName("robot.acme.example")], serial=0xBEEF)
TRUSTS = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


def document(action: Any, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": "*", **more}]}


def trust(actions: list[str] = TRUSTS, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": {"Service": "rolesanywhere.amazonaws.com"}, "Action": actions, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def role(name: str, trusting: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "trust": trusting, "inline": {"Docs": document("docs:*")}, **more}


def seed(**changes: Any) -> dict[str, Any]:
    """Return a seed whose account trusts our root, for one role; `changes` replaces keys of the account."""
    account = {
        "id": ACCOUNT,
        "name": "acme",
        "roles": [role("Robot", trust(), path="/team/"), role("Keeper", trust())],
        "trust_anchors": [{"name": "fleet", "id": ANCHOR, "certificates": ROOT.pem}],
        "certificate_profiles": [{"name": "robots", "roles": ["Robot"]}],
        **changes,
    }
    return {"version": 1, "accounts": [account]}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Harness:
    guard: Guard
    store: SqlStore
    clock: Clock
    audit: Path

    def declare(self, declared: dict[str, Any]) -> None:
        apply_seed(self.store, load_seed_text(json.dumps(declared)), prune=True)

    def who(self, party: Party = GOOD, role: str | None = None, call: Call | None = None) -> Principal:
        pems = tuple(Party(each, None).pem.encode() for each in party.chain)
        headers = [] if role is None else [(b"x-iam-guard-role", role.encode())]
        request = HttpRequest("GET", b"/", b"", tuple(headers), (ReceivedCertificate("tls", pems, (), True),))
        return self.guard.authenticate(request, payload_hash=lambda: "", call=call)

    def refused(self, party: Party = GOOD, role: str | None = None) -> str:
        with pytest.raises(UntrustedCertificate) as caught:
            self.who(party, role)
        return str(caught.value)

    def denied(self, party: Party = GOOD, role: str | None = None) -> str:
        with pytest.raises(AccessDenied) as caught:
            self.who(party, role)
        return str(caught.value)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    store = create_store(f"sqlite:///{tmp_path}/iam.db", Settings())
    clock = Clock()
    audit = tmp_path / "audit.jsonl"
    guard = guard_with_store(store, Settings(epoch_poll=0.0, audit=str(audit)))
    guard.clock = clock
    harness = Harness(guard, store, clock, audit)
    harness.declare(seed())
    yield harness
    guard.close()


# --- the session ---------------------------------------------------------------------------------------------------


def test_certificate_becomes_role_session(harness: Harness) -> None:
    """Named by its serial number; common name as source identity, attributes as tags."""
    caller = harness.who()
    assert caller.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/Robot/beef"
    assert caller.role_arn == ROBOT
    assert caller.tags == {
        "x509Subject/CN": "robot-7",
        "x509Subject/OU": "dock",
        "x509Issuer/CN": "Issuing",
        "x509Issuer/O": "Acme",
        "x509SAN/DNS": "robot.acme.example",
    }
    assert caller.key("aws:principaltag/x509subject/cn") == "robot-7"
    assert caller.key("aws:sourceidentity") == "robot-7"
    assert caller.key("aws:tokenissuetime") is not None
    credential = caller.credential
    assert credential is not None
    assert (credential.kind, credential.id) == ("x509", GOOD.fingerprint)
    assert credential.issued is not None
    assert credential.issued.expires - credential.issued.issued == timedelta(hours=1)


def test_certificate_session_has_permissions_of_the_role(harness: Harness) -> None:
    """S-2: the current ones; policies can use its attributes."""
    caller = harness.who()
    assert harness.guard.decide(caller, "docs:GetDocument", PLAN).allowed
    only = document("docs:*", Condition={"StringEquals": {"aws:PrincipalTag/x509Subject/OU": "dock"}})
    for ou, allowed in (("dock", True), ("office", False)):
        text = json.loads(json.dumps(only).replace("dock", ou))
        roles = [{"name": "Robot", "path": "/team/", "trust": trust(), "inline": {"Docs": text}}]
        harness.declare(seed(roles=roles))
        assert harness.guard.decide(harness.who(), "docs:GetDocument", PLAN).allowed is allowed


def test_certificate_session_is_recorded(harness: Harness) -> None:
    """The decision about the role, then the caller as an assumed role, as in CloudTrail."""
    harness.guard.decide(harness.who(), "docs:GetDocument", PLAN)
    harness.refused(make("CN=x"))
    *decisions, used, refused = [json.loads(line) for line in harness.audit.read_text().splitlines()]
    assert {each["eventName"] for each in decisions} == {"AssumeRole", "TagSession", "SetSourceIdentity"}
    assert {each["userIdentity"]["invokedBy"] for each in decisions} == {"rolesanywhere.amazonaws.com"}
    identity = used["userIdentity"]
    assert (identity["type"], identity["credentialId"]) == ("AssumedRole", GOOD.fingerprint)
    assert identity["sessionContext"]["sourceIdentity"] == "robot-7"
    assert identity["sessionContext"]["sessionIssuer"]["arn"] == ROBOT
    assert (refused["userIdentity"]["type"], refused["errorCode"]) == ("Unknown", "UntrustedCertificate")
    assert len(list(read_records(harness.audit))) == 5


# --- the trust policy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "admitted"),
    [
        ({"StringEquals": {"aws:PrincipalTag/x509Subject/CN": "robot-7"}}, True),
        ({"StringEquals": {"aws:PrincipalTag/x509Subject/CN": "robot-8"}}, False),
        ({"StringEquals": {"aws:PrincipalTag/x509Issuer/CN": "Issuing"}}, True),
        ({"StringLike": {"aws:PrincipalTag/x509SAN/DNS": "*.acme.example"}}, True),
        ({"StringEquals": {"aws:RequestTag/x509Subject/OU": "dock"}}, True),
        ({"StringEquals": {"sts:SourceIdentity": "robot-7", "sts:RoleSessionName": "beef"}}, True),
        ({"ArnEquals": {"aws:SourceArn": ANCHOR_ARN}}, True),
        ({"ArnEquals": {"aws:SourceArn": ANCHOR_ARN[:-1] + "1"}}, False),
        ({"StringEquals": {"aws:SourceAccount": ACCOUNT}}, True),
        ({"StringEquals": {"aws:SourceAccount": OTHER_ACCOUNT}}, False),
        ({"StringEquals": {"aws:PrincipalTag/x509Subject/UID": "robot-7"}}, False),
        ({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, False),
    ],
)
def test_trust_policy_decides_about_certificate(harness: Harness, condition: dict[str, Any], admitted: bool) -> None:
    """By attributes, anchor and source address."""
    harness.declare(seed(roles=[role("Robot", trust(Condition=condition), path="/team/")]))
    call = Call("r", "http", source_ip="192.0.2.7")
    if admitted:
        assert harness.who(call=call).role_arn == ROBOT
    else:
        with pytest.raises(AccessDenied):
            harness.who(call=call)


def test_session_is_not_reused_for_another_address(harness: Harness) -> None:
    """A trust policy may name addresses, so the cache distinguishes them."""
    harness.declare(
        seed(roles=[role("Robot", trust(Condition={"IpAddress": {"aws:SourceIp": "192.0.2.7"}}), path="/team/")])
    )
    assert harness.who(call=Call("r", "http", source_ip="192.0.2.7"))
    with pytest.raises(AccessDenied):
        harness.who(call=Call("r", "http", source_ip="192.0.2.8"))


@pytest.mark.parametrize("missing", TRUSTS)
def test_certificate_needs_all_three_permissions(harness: Harness, missing: str) -> None:
    """E-47: to assume, to tag, to set the source identity."""
    harness.declare(seed(roles=[role("Robot", trust([each for each in TRUSTS if each != missing]), path="/team/")]))
    harness.denied()


def test_role_without_trust_in_certificates_is_refused(harness: Harness) -> None:
    for principal in ({"Service": "ec2.amazonaws.com"}, {"AWS": ACCOUNT}, {"AWS": OTHER_ACCOUNT}):
        trusting = {**trust(), "Statement": [{"Effect": "Allow", "Principal": principal, "Action": TRUSTS}]}
        harness.declare(seed(roles=[role("Robot", trusting, path="/team/")]))
        harness.denied()


def test_missing_role_has_same_error_as_untrusting_one(harness: Harness) -> None:
    """S-11."""
    harness.declare(seed(roles=[role("Robot", trust(["sts:TagSession"]), path="/team/")]))
    untrusting = harness.denied()
    harness.declare(seed())
    with harness.store.write_transaction() as records:
        records.update(certificate_profiles, {"roles": [ROBOT + "x"]}, name="robots")
    assert harness.denied() == untrusting


# --- profiles ------------------------------------------------------------------------------------------------------


def test_role_must_be_named_if_several_are_possible(harness: Harness) -> None:
    """A role in no profile is refused, whatever its trust policy says."""
    harness.declare(seed(certificate_profiles=[{"name": "robots", "roles": ["Robot", KEEPER]}]))
    assert "X-Iam-Guard-Role" in harness.refused()
    assert harness.who(role=ROBOT).role_arn == ROBOT
    assert harness.who(role=KEEPER).role_arn == KEEPER
    harness.declare(seed())
    assert harness.who(role=ROBOT) == harness.who()
    assert "no profile" in harness.refused(role=KEEPER)
    assert "no profile" in harness.refused(role=f"arn:aws:iam::{OTHER_ACCOUNT}:role/Robot")


def test_two_profiles_with_one_role_are_refused(harness: Harness) -> None:
    """Their limits may differ, so the choice would be ambiguous."""
    profiles = [{"name": "a", "roles": ["Robot"]}, {"name": "b", "roles": ["Robot"], "duration": 900}]
    harness.declare(seed(certificate_profiles=profiles))
    assert "one profile" in harness.refused(role=ROBOT)


def test_profile_restricts_its_sessions(harness: Harness) -> None:
    """Session policies restrict only (S-41); the shorter duration of profile and role applies."""
    reads = document("docs:Get*")
    profile = {"name": "robots", "roles": ["Robot"], "duration": 900, "session_policy": reads}
    harness.declare(seed(certificate_profiles=[profile]))
    caller = harness.who()
    assert harness.guard.decide(caller, "docs:GetDocument", PLAN).allowed
    assert not harness.guard.decide(caller, "docs:PutDocument", PLAN).allowed
    assert caller.credential is not None
    assert caller.credential.issued is not None
    assert caller.credential.issued.expires == NOW + timedelta(minutes=15)
    managed = {"policies": [{"name": "Puts", "document": document("docs:Put*")}]}
    profile = {"name": "robots", "roles": ["Robot"], "duration": 43200, "managed_policies": ["Puts"]}
    harness.declare(seed(certificate_profiles=[profile], **managed))
    caller = harness.who()
    assert not harness.guard.decide(caller, "docs:GetDocument", PLAN).allowed
    assert harness.guard.decide(caller, "docs:PutDocument", PLAN).allowed
    assert caller.credential is not None
    assert caller.credential.issued is not None
    assert caller.credential.issued.expires == NOW + timedelta(hours=1)


def test_profile_with_missing_policy_has_no_sessions(harness: Harness) -> None:
    """They would be unrestricted."""
    managed = {"policies": [{"name": "Puts", "document": document("docs:Put*")}]}
    profile = {"name": "robots", "roles": ["Robot"], "managed_policies": ["Puts"]}
    harness.declare(seed(certificate_profiles=[profile], **managed))
    harness.who()
    with harness.store.write_transaction() as records:
        records.update(certificate_profiles, {"policy_ids": ["ANPAGONE"]}, name="robots")
    assert "no longer exists" in harness.refused()


def test_profile_mappings_select_session_tags(harness: Harness) -> None:
    harness.declare(
        seed(certificate_profiles=[{"name": "robots", "roles": ["Robot"], "mappings": {"x509Subject": ["CN"]}}])
    )
    assert harness.who().tags == {"x509Subject/CN": "robot-7"}


@pytest.mark.parametrize("subject", ["CN=robot, seven", "CN=x", "CN=robot 7", "OU=a,b/CN=robot"])
def test_invalid_attribute_is_reported(harness: Harness, subject: str) -> None:
    """S-16, S-20: a comma in a tag, a blank or one letter in a source identity."""
    assert "profile's mappings" in harness.refused(make(subject, ISSUING))


@pytest.mark.parametrize("key", ["trust_anchors", "certificate_profiles"])
def test_disabled_anchor_or_profile_is_ignored(harness: Harness, key: str) -> None:
    harness.who()
    declared = seed()["accounts"][0][key]
    harness.declare(seed(**{key: [{**declared[0], "enabled": False}]}))
    harness.refused()
    harness.declare(seed())
    harness.who()


def test_anchor_is_valid_in_its_account_only(harness: Harness) -> None:
    """Trust of one tenant gives no access to another tenant's roles."""
    other = {
        "id": OTHER_ACCOUNT,
        "name": "globex",
        "roles": [role("Robot", trust())],
        "certificate_profiles": [{"name": "robots", "roles": ["Robot"]}],
    }
    theirs = authority("CN=Globex")
    other["trust_anchors"] = [{"name": "theirs", "certificates": theirs.pem}]
    declared = seed()
    declared["accounts"].append(other)
    harness.declare(declared)
    foreign = make("CN=robot-7", theirs)
    assert harness.who(foreign).account == OTHER_ACCOUNT
    assert harness.who().account == ACCOUNT
    assert "no profile" in harness.refused(foreign, role=ROBOT)


def test_authority_of_two_accounts_needs_a_role_name(harness: Harness) -> None:
    declared = seed()
    declared["accounts"].append(
        {
            "id": OTHER_ACCOUNT,
            "name": "globex",
            "trust_anchors": [{"name": "theirs", "certificates": ROOT.pem}],
            "roles": [role("Robot", trust())],
            "certificate_profiles": [{"name": "robots", "roles": ["Robot"]}],
        }
    )
    harness.declare(declared)
    harness.refused()
    assert harness.who(role=ROBOT).account == ACCOUNT
    assert harness.who(role=f"arn:aws:iam::{OTHER_ACCOUNT}:role/Robot").account == OTHER_ACCOUNT


# --- caching and expiry ----------------------------------------------------------------------------------------------


def test_cached_certificate_needs_no_store(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is decided or verified again either."""
    guard = guard_with_store(harness.store, Settings(epoch_poll=3600.0))
    guard.clock = harness.clock
    cold = Harness(guard, harness.store, harness.clock, harness.audit)
    caller = cold.who()
    for name in ("certificate_trust", "read_transaction", "epoch", "account", "principal", "resource"):
        monkeypatch.setattr(harness.store, name, lambda *_: pytest.fail("decisions the store"))
    monkeypatch.setattr(
        "iam_guard.authn.certificates.certificate.TrustedAuthorities.verify", lambda *_: pytest.fail("verified")
    )
    assert cold.who() is caller
    assert guard.authenticators._certificates.is_cached(_credential(), None)


def _credential() -> Any:
    pems = tuple(Party(each, None).pem.encode() for each in GOOD.chain)
    return read_client_certificate([ReceivedCertificate("tls", pems, (), True)], [])


def test_expired_session_is_renewed(harness: Harness) -> None:
    first = harness.who()
    harness.clock.now += timedelta(minutes=59)
    assert harness.who() is first
    harness.clock.now += timedelta(minutes=1)
    second = harness.who()
    assert second is not first
    assert second.credential != first.credential


def test_session_ends_with_its_certificate(harness: Harness) -> None:
    short = make("CN=robot-9", ISSUING, ends=NOW + timedelta(minutes=10))
    harness.who(short)
    harness.clock.now += timedelta(minutes=10, seconds=1)
    harness.refused(short)


def test_clock_going_back_creates_a_new_session(harness: Harness) -> None:
    """A session is not valid before its start."""
    first = harness.who()
    harness.clock.now -= timedelta(minutes=5)
    assert harness.who() is not first


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"trust_anchors": []}, id="its anchor"),
        pytest.param({"certificate_profiles": []}, id="its profile"),
        pytest.param(
            {"trust_anchors": [{"name": "fleet", "id": ANCHOR, "certificates": authority().pem}]}, id="another"
        ),
        pytest.param({"roles": [role("Robot", trust(["sts:TagSession"]), path="/team/")]}, id="the role's trust"),
    ],
)
def test_change_of_trust_ends_the_session(harness: Harness, change: dict[str, Any]) -> None:
    """After the next poll of the store."""
    harness.who()
    harness.declare(seed(**change))
    with pytest.raises(IamGuardError) as caught:
        harness.who()
    assert caught.value.code in ("UntrustedCertificate", "AccessDenied")


def test_unrelated_change_keeps_sessions_cached(harness: Harness) -> None:
    """Writes about other entities cause no verification."""
    first = harness.who()
    with harness.guard.store.write_transaction() as records:
        keeper = records.one(identities, folded="keeper")
        assert keeper is not None
        text = json.dumps(document("docs:*"))
        records.insert(
            inline_policies, identity_id=keeper["id"], folded="more", name="more", text=text, digest="0" * 64
        )
    assert harness.who() is first


# --- revoked ---------------------------------------------------------------------------------------------------------


def test_imported_revocation_list_ends_sessions(harness: Harness) -> None:
    """An older list does not undo it; an expired one refuses all certificates."""
    lists = harness.guard.revocation_lists
    harness.who()
    lists.put(ANCHOR, revocation_list(ISSUING, issued=NOW - 2 * DAY))
    harness.who()
    lists.put(ANCHOR, revocation_list(ISSUING, GOOD, issued=NOW - DAY))
    assert "revoked" in harness.refused()
    with pytest.raises(InvalidInput, match="not older"):
        lists.put(ANCHOR, revocation_list(ISSUING, issued=NOW - 2 * DAY))
    assert "revoked" in harness.refused()
    other = make("CN=other", ISSUING)
    harness.who(other)
    harness.clock.now += 8 * DAY
    assert "has expired" in harness.refused(other)
    lists.put(ANCHOR, revocation_list(ISSUING, GOOD, issued=NOW + 7 * DAY, ends=NOW + 14 * DAY))
    harness.who(other)
    (listed,) = lists.list()
    assert (listed.anchor, listed.issuer, listed.revoked) == (ANCHOR, "O=Acme,CN=Issuing", 1)
    with pytest.raises(NoSuchEntity):
        lists.put("0" * 36, revocation_list(ISSUING))


def test_reapplied_seed_keeps_imported_list(harness: Harness) -> None:
    """A newer list takes precedence over the seed's."""
    old, new = revocation_list(ISSUING, issued=NOW - 2 * DAY), revocation_list(ISSUING, GOOD, issued=NOW - DAY)
    anchor = {"name": "fleet", "id": ANCHOR, "certificates": ROOT.pem}
    with_list = seed(trust_anchors=[{**anchor, "revocation_lists": [old]}])
    harness.declare(with_list)
    harness.who()
    harness.guard.revocation_lists.put(ANCHOR, new)
    for declared in (with_list, seed(), with_list):
        harness.declare(declared)
        assert "revoked" in harness.refused()


def test_command_imports_and_lists_revocation_lists(harness: Harness) -> None:
    """Exit code 2 and a message for an invalid list."""
    folder = harness.audit.parent
    (folder / "issuing.crl").write_text(revocation_list(ISSUING, GOOD))

    def run(*arguments: str, code: int = 0) -> str:
        url = f"sqlite:///{folder}/iam.db"
        result = CliRunner().invoke(main, ["revocation-list", *arguments, "--store", url])
        assert result.exit_code == code, result.output
        return result.output

    assert "imported" in run("put", ANCHOR, str(folder / "issuing.crl"))
    assert "revoked" in harness.refused()
    assert "1 revoked" in run("list")
    assert json.loads(run("list", "--json"))[0]["issuer"] == "O=Acme,CN=Issuing"
    assert "one revocation list in PEM" in run("put", ANCHOR, str(folder / "audit.jsonl"), code=2)


# --- seeds ---------------------------------------------------------------------------------------------------------


ANCHOR_ROW = {"name": "x", "certificates": ROOT.pem}
PROFILE_ROW = {"name": "x", "roles": ["Robot"]}


@pytest.mark.parametrize(
    ("key", "row", "problem"),
    [
        ("trust_anchors", {**ANCHOR_ROW, "certificates": GOOD.pem}, "may sign certificates"),
        ("trust_anchors", {**ANCHOR_ROW, "certificates": "no PEM"}, "certificates in PEM"),
        ("trust_anchors", {"name": "x"}, "expected the key `certificates`"),
        ("trust_anchors", {**ANCHOR_ROW, "id": "1"}, "a UUID"),
        ("trust_anchors", {**ANCHOR_ROW, "name": "FLEET"}, "declared twice"),
        ("trust_anchors", {**ANCHOR_ROW, "revocation_lists": ["y"]}, "one revocation list"),
        ("certificate_profiles", {"name": "x"}, "expected the key `roles`"),
        ("certificate_profiles", {**PROFILE_ROW, "roles": ["Nobody"]}, "no role `Nobody`"),
        ("certificate_profiles", {**PROFILE_ROW, "roles": [f"arn:aws:iam::{ACCOUNT}:user/x"]}, "no role"),
        ("certificate_profiles", {**PROFILE_ROW, "duration": 60}, "from 900 to 43200"),
        ("certificate_profiles", {**PROFILE_ROW, "managed_policies": ["No"]}, "no managed policy"),
        ("certificate_profiles", {**PROFILE_ROW, "mappings": {"x509": ["CN"]}}, "`x509Subject`"),
        ("certificate_profiles", {**PROFILE_ROW, "mappings": {"x509SAN": ["c n"]}}, "such as `CN`"),
    ],
)
def test_invalid_certificate_seed_changes_nothing(
    harness: Harness, key: str, row: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SeedError) as caught:
        harness.declare(seed(**{key: [*seed()["accounts"][0][key], row]}))
    assert problem in "\n".join(caught.value.problems)
    harness.who()


def test_followed_seed_includes_files(tmp_path: Path) -> None:
    """`{file: …}` is followed like the seed itself: a renewed list counts at once."""
    (tmp_path / "ca.pem").write_text(ROOT.pem)
    (tmp_path / "issuing.crl").write_text(revocation_list(ISSUING, issued=NOW - 2 * DAY))
    anchor = {
        "name": "fleet",
        "certificates": {"file": "ca.pem"},
        "revocation_lists": [{"file": "issuing.crl"}],
    }
    (tmp_path / "iam.yaml").write_text(json.dumps(seed(trust_anchors=[anchor])))
    guard = open_guard(tmp_path / "iam.yaml", epoch_poll=0.0)
    harness = Harness(guard, guard._store, Clock(), tmp_path)  # type: ignore[arg-type]
    guard.clock = harness.clock
    harness.who()
    (tmp_path / "issuing.crl").write_text(revocation_list(ISSUING, GOOD, issued=NOW - DAY))
    guard.refresh()
    assert "revoked" in harness.refused()
    guard.close()


def test_certificate_gets_no_session_of_a_suspended_account(harness: Harness) -> None:
    """Not even one that was admitted before; the answer is that of a role that does not trust it."""
    harness.declare(seed())
    assert harness.who(role=ROBOT) is harness.who(role=ROBOT)
    for change in (harness.guard.accounts.suspend, harness.guard.accounts.close):
        change(ACCOUNT)
        assert harness.denied(role=ROBOT) == "Not authorized to perform sts:AssumeRole"
    harness.guard.accounts.resume(ACCOUNT)
    assert harness.who(role=ROBOT).account == ACCOUNT
