"""From a client certificate to what it may do: trust anchors, profiles, trust policies, and how long it lasts.

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
from iam_guard.audit.consumer.reader import read
from iam_guard.authn.client_certificate import read_client_certificate
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import CarriedCertificate
from iam_guard.cli import main
from iam_guard.errors import AccessDenied, IamGuardError, InvalidInput, NoSuchEntity, SeedError, UntrustedCertificate
from iam_guard.factory import guard_on
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.open_store import init_store
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
STRANGER = authority()
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
    """Account 111122223333 trusts our root, for one role; `changes` replaces keys of the account."""
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
class House:
    guard: Guard
    store: SqlStore
    clock: Clock
    audit: Path

    def declare(self, given: dict[str, Any]) -> None:
        apply_seed(self.store, load_seed_text(json.dumps(given)), prune=True)

    def who(self, party: Party = GOOD, role: str | None = None, call: Call | None = None) -> Principal:
        pems = tuple(Party(each, None).pem.encode() for each in party.chain)
        headers = [] if role is None else [(b"x-iam-guard-role", role.encode())]
        request = HttpRequest("GET", b"/", b"", tuple(headers), (CarriedCertificate("tls", pems, (), True),))
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
def house(tmp_path: Path) -> Iterator[House]:
    store = init_store(f"sqlite:///{tmp_path}/iam.db", Settings())
    clock = Clock()
    audit = tmp_path / "audit.jsonl"
    guard = guard_on(store, Settings(epoch_poll=0.0, audit=str(audit)))
    guard.clock = clock
    made = House(guard, store, clock, audit)
    made.declare(seed())
    yield made
    guard.close()


# --- the session ---------------------------------------------------------------------------------------------------


def test_a_certificate_is_a_session_of_the_role(house: House) -> None:
    """Named after its serial number, with the common name as source identity and its attributes as session tags."""
    caller = house.who()
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


def test_its_permissions_are_the_roles(house: House) -> None:
    """S-2: those of now; what attributes say, policies can ask."""
    caller = house.who()
    assert house.guard.decide(caller, "docs:GetDocument", PLAN).allowed
    only = document("docs:*", Condition={"StringEquals": {"aws:PrincipalTag/x509Subject/OU": "dock"}})
    for ou, allowed in (("dock", True), ("office", False)):
        text = json.loads(json.dumps(only).replace("dock", ou))
        roles = [{"name": "Robot", "path": "/team/", "trust": trust(), "inline": {"Docs": text}}]
        house.declare(seed(roles=roles))
        assert house.guard.decide(house.who(), "docs:GetDocument", PLAN).allowed is allowed


def test_what_is_recorded(house: House) -> None:
    """The decision about the role, then the caller as an assumed role, as CloudTrail has it."""
    house.guard.decide(house.who(), "docs:GetDocument", PLAN)
    house.refused(make("CN=x"))
    *asked, used, refused = [json.loads(line) for line in house.audit.read_text().splitlines()]
    assert {each["eventName"] for each in asked} == {"AssumeRole", "TagSession", "SetSourceIdentity"}
    assert {each["userIdentity"]["invokedBy"] for each in asked} == {"rolesanywhere.amazonaws.com"}
    identity = used["userIdentity"]
    assert (identity["type"], identity["credentialId"]) == ("AssumedRole", GOOD.fingerprint)
    assert identity["sessionContext"]["sourceIdentity"] == "robot-7"
    assert identity["sessionContext"]["sessionIssuer"]["arn"] == ROBOT
    assert (refused["userIdentity"]["type"], refused["errorCode"]) == ("Unknown", "UntrustedCertificate")
    assert len(list(read(house.audit))) == 5


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
def test_the_trust_policy_decides(house: House, condition: dict[str, Any], admitted: bool) -> None:
    """By what the certificate says, who vouches for it, and from where it comes."""
    house.declare(seed(roles=[role("Robot", trust(Condition=condition), path="/team/")]))
    call = Call("r", "http", source_ip="192.0.2.7")
    if admitted:
        assert house.who(call=call).role_arn == ROBOT
    else:
        with pytest.raises(AccessDenied):
            house.who(call=call)


def test_a_session_is_not_handed_to_another_address(house: House) -> None:
    """A trust policy may name addresses, so what it said of one is not remembered for another."""
    house.declare(
        seed(roles=[role("Robot", trust(Condition={"IpAddress": {"aws:SourceIp": "192.0.2.7"}}), path="/team/")])
    )
    assert house.who(call=Call("r", "http", source_ip="192.0.2.7"))
    with pytest.raises(AccessDenied):
        house.who(call=Call("r", "http", source_ip="192.0.2.8"))


@pytest.mark.parametrize("missing", TRUSTS)
def test_all_three_permissions_are_needed(house: House, missing: str) -> None:
    """E-47: to assume, to tag, to say who is behind it."""
    house.declare(seed(roles=[role("Robot", trust([each for each in TRUSTS if each != missing]), path="/team/")]))
    house.denied()


def test_a_role_that_trusts_others_does_not_trust_certificates(house: House) -> None:
    for principal in ({"Service": "ec2.amazonaws.com"}, {"AWS": ACCOUNT}, {"AWS": OTHER_ACCOUNT}):
        trusting = {**trust(), "Statement": [{"Effect": "Allow", "Principal": principal, "Action": TRUSTS}]}
        house.declare(seed(roles=[role("Robot", trusting, path="/team/")]))
        house.denied()


def test_a_role_that_is_gone_is_refused_as_one_that_does_not_trust(house: House) -> None:
    """S-11."""
    house.declare(seed(roles=[role("Robot", trust(["sts:TagSession"]), path="/team/")]))
    untrusting = house.denied()
    house.declare(seed())
    with house.store.changing() as records:
        records.update(certificate_profiles, {"roles": [ROBOT + "x"]}, name="robots")
    assert house.denied() == untrusting


# --- profiles ------------------------------------------------------------------------------------------------------


def test_a_choice_must_be_made(house: House) -> None:
    """With two roles the caller names one; a role that no profile has is none, whatever its trust policy says."""
    house.declare(seed(certificate_profiles=[{"name": "robots", "roles": ["Robot", KEEPER]}]))
    assert "X-Iam-Guard-Role" in house.refused()
    assert house.who(role=ROBOT).role_arn == ROBOT
    assert house.who(role=KEEPER).role_arn == KEEPER
    house.declare(seed())
    assert house.who(role=ROBOT) == house.who()
    assert "no profile" in house.refused(role=KEEPER)
    assert "no profile" in house.refused(role=f"arn:aws:iam::{OTHER_ACCOUNT}:role/Robot")


def test_two_profiles_with_one_role_are_no_choice(house: House) -> None:
    """They may limit differently, and nobody says which is meant."""
    profiles = [{"name": "a", "roles": ["Robot"]}, {"name": "b", "roles": ["Robot"], "duration": 900}]
    house.declare(seed(certificate_profiles=profiles))
    assert "one profile" in house.refused(role=ROBOT)


def test_a_profile_limits_its_sessions(house: House) -> None:
    """Session policy and managed policies limit, never grant (S-41); the duration is the profile's, at most the
    role's."""
    reads = document("docs:Get*")
    profile = {"name": "robots", "roles": ["Robot"], "duration": 900, "session_policy": reads}
    house.declare(seed(certificate_profiles=[profile]))
    caller = house.who()
    assert house.guard.decide(caller, "docs:GetDocument", PLAN).allowed
    assert not house.guard.decide(caller, "docs:PutDocument", PLAN).allowed
    assert caller.credential is not None
    assert caller.credential.issued is not None
    assert caller.credential.issued.expires == NOW + timedelta(minutes=15)
    managed = {"policies": [{"name": "Puts", "document": document("docs:Put*")}]}
    profile = {"name": "robots", "roles": ["Robot"], "duration": 43200, "managed_policies": ["Puts"]}
    house.declare(seed(certificate_profiles=[profile], **managed))
    caller = house.who()
    assert not house.guard.decide(caller, "docs:GetDocument", PLAN).allowed
    assert house.guard.decide(caller, "docs:PutDocument", PLAN).allowed
    assert caller.credential is not None
    assert caller.credential.issued is not None
    assert caller.credential.issued.expires == NOW + timedelta(hours=1)


def test_a_profile_whose_policy_is_gone_gives_no_session(house: House) -> None:
    """It would be one without limits."""
    managed = {"policies": [{"name": "Puts", "document": document("docs:Put*")}]}
    profile = {"name": "robots", "roles": ["Robot"], "managed_policies": ["Puts"]}
    house.declare(seed(certificate_profiles=[profile], **managed))
    house.who()
    with house.store.changing() as records:
        records.update(certificate_profiles, {"policy_ids": ["ANPAGONE"]}, name="robots")
    assert "gone" in house.refused()


def test_a_profile_chooses_the_tags(house: House) -> None:
    house.declare(
        seed(certificate_profiles=[{"name": "robots", "roles": ["Robot"], "mappings": {"x509Subject": ["CN"]}}])
    )
    assert house.who().tags == {"x509Subject/CN": "robot-7"}


@pytest.mark.parametrize("subject", ["CN=robot, seven", "CN=x", "CN=robot 7", "OU=a,b/CN=robot"])
def test_an_attribute_that_no_session_may_have_is_told(house: House, subject: str) -> None:
    """S-16, S-20: a comma in a tag, a blank or a single letter in a source identity. Nothing is left out in silence."""
    assert "profile's mappings" in house.refused(make(subject, ISSUING))


@pytest.mark.parametrize("key", ["trust_anchors", "certificate_profiles"])
def test_what_is_turned_off_is_not_there(house: House, key: str) -> None:
    house.who()
    given = seed()["accounts"][0][key]
    house.declare(seed(**{key: [{**given[0], "enabled": False}]}))
    house.refused()
    house.declare(seed())
    house.who()


def test_an_anchor_is_good_in_its_account_alone(house: House) -> None:
    """A tenant that trusts an authority gets no callers into another tenant's roles."""
    other = {
        "id": OTHER_ACCOUNT,
        "name": "globex",
        "roles": [role("Robot", trust())],
        "certificate_profiles": [{"name": "robots", "roles": ["Robot"]}],
    }
    theirs = authority("CN=Globex")
    other["trust_anchors"] = [{"name": "theirs", "certificates": theirs.pem}]
    given = seed()
    given["accounts"].append(other)
    house.declare(given)
    stranger = make("CN=robot-7", theirs)
    assert house.who(stranger).account == OTHER_ACCOUNT
    assert house.who().account == ACCOUNT
    assert "no profile" in house.refused(stranger, role=ROBOT)


def test_one_authority_in_two_accounts_needs_the_role_named(house: House) -> None:
    given = seed()
    given["accounts"].append(
        {
            "id": OTHER_ACCOUNT,
            "name": "globex",
            "trust_anchors": [{"name": "theirs", "certificates": ROOT.pem}],
            "roles": [role("Robot", trust())],
            "certificate_profiles": [{"name": "robots", "roles": ["Robot"]}],
        }
    )
    house.declare(given)
    house.refused()
    assert house.who(role=ROBOT).account == ACCOUNT
    assert house.who(role=f"arn:aws:iam::{OTHER_ACCOUNT}:role/Robot").account == OTHER_ACCOUNT


# --- remembered, and ended -------------------------------------------------------------------------------------------


def test_a_known_certificate_touches_no_store(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anything decided or verified again."""
    guard = guard_on(house.store, Settings(epoch_poll=3600.0))
    guard.clock = house.clock
    cold = House(guard, house.store, house.clock, house.audit)
    caller = cold.who()
    for name in ("certificate_trust", "viewing", "epoch", "account", "principal", "resource"):
        monkeypatch.setattr(house.store, name, lambda *_: pytest.fail("asked the store"))
    monkeypatch.setattr("iam_guard.authn.certificate.TrustedAuthorities.verify", lambda *_: pytest.fail("verified"))
    assert cold.who() is caller
    assert guard._authenticators._certificates.is_warm(_credential(), None)


def _credential() -> Any:
    pems = tuple(Party(each, None).pem.encode() for each in GOOD.chain)
    return read_client_certificate([CarriedCertificate("tls", pems, (), True)], [])


def test_a_session_is_renewed_when_it_ends(house: House) -> None:
    first = house.who()
    house.clock.now += timedelta(minutes=59)
    assert house.who() is first
    house.clock.now += timedelta(minutes=1)
    second = house.who()
    assert second is not first
    assert second.credential != first.credential


def test_a_session_ends_with_its_certificate(house: House) -> None:
    short = make("CN=robot-9", ISSUING, ends=NOW + timedelta(minutes=10))
    house.who(short)
    house.clock.now += timedelta(minutes=10, seconds=1)
    house.refused(short)


def test_a_clock_that_goes_back_makes_a_new_session(house: House) -> None:
    """A session is not good before it began."""
    first = house.who()
    house.clock.now -= timedelta(minutes=5)
    assert house.who() is not first


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
def test_a_session_ends_when_what_it_stands_on_does(house: House, change: dict[str, Any]) -> None:
    """At the next look at the store, and for the next request already."""
    house.who()
    house.declare(seed(**change))
    with pytest.raises(IamGuardError) as caught:
        house.who()
    assert caught.value.code in ("UntrustedCertificate", "AccessDenied")


def test_other_changes_leave_sessions_alone(house: House) -> None:
    """A write that concerns somebody else does not make everybody be verified again."""
    first = house.who()
    with house.guard.store.changing() as records:
        keeper = records.one(identities, folded="keeper")
        assert keeper is not None
        text = json.dumps(document("docs:*"))
        records.insert(
            inline_policies, identity_id=keeper["id"], folded="more", name="more", text=text, digest="0" * 64
        )
    assert house.who() is first


# --- revoked ---------------------------------------------------------------------------------------------------------


def test_a_revocation_list_is_imported(house: House) -> None:
    """It ends sessions that stand; an older one does not take it back; one that is over refuses everybody."""
    lists = house.guard.revocation_lists
    house.who()
    lists.put(ANCHOR, revocation_list(ISSUING, issued=NOW - 2 * DAY))
    house.who()
    lists.put(ANCHOR, revocation_list(ISSUING, GOOD, issued=NOW - DAY))
    assert "revoked" in house.refused()
    with pytest.raises(InvalidInput, match="not older"):
        lists.put(ANCHOR, revocation_list(ISSUING, issued=NOW - 2 * DAY))
    assert "revoked" in house.refused()
    other = make("CN=other", ISSUING)
    house.who(other)
    house.clock.now += 8 * DAY
    assert "has expired" in house.refused(other)
    lists.put(ANCHOR, revocation_list(ISSUING, GOOD, issued=NOW + 7 * DAY, ends=NOW + 14 * DAY))
    house.who(other)
    (told,) = lists.list()
    assert (told.anchor, told.issuer, told.revoked) == (ANCHOR, "O=Acme,CN=Issuing", 1)
    with pytest.raises(NoSuchEntity):
        lists.put("0" * 36, revocation_list(ISSUING))


def test_applying_a_seed_again_does_not_lose_a_list(house: House) -> None:
    """A list that was imported since stays, and a newer one stands before the seed's."""
    old, new = revocation_list(ISSUING, issued=NOW - 2 * DAY), revocation_list(ISSUING, GOOD, issued=NOW - DAY)
    anchor = {"name": "fleet", "id": ANCHOR, "certificates": ROOT.pem}
    with_list = seed(trust_anchors=[{**anchor, "revocation_lists": [old]}])
    house.declare(with_list)
    house.who()
    house.guard.revocation_lists.put(ANCHOR, new)
    for given in (with_list, seed(), with_list):
        house.declare(given)
        assert "revoked" in house.refused()


def test_the_command_imports_and_lists(house: House) -> None:
    """Exit code 2 and a line that says why, where a list is no good."""
    folder = house.audit.parent
    (folder / "issuing.crl").write_text(revocation_list(ISSUING, GOOD))

    def run(*arguments: str, code: int = 0) -> str:
        url = f"sqlite:///{folder}/iam.db"
        result = CliRunner().invoke(main, ["revocation-list", *arguments, "--store", url])
        assert result.exit_code == code, result.output
        return result.output

    assert "imported" in run("put", ANCHOR, str(folder / "issuing.crl"))
    assert "revoked" in house.refused()
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
def test_a_wrong_seed_changes_nothing(house: House, key: str, row: dict[str, Any], problem: str) -> None:
    with pytest.raises(SeedError) as caught:
        house.declare(seed(**{key: [*seed()["accounts"][0][key], row]}))
    assert problem in "\n".join(caught.value.problems)
    house.who()


def test_a_followed_seed_names_files(tmp_path: Path) -> None:
    """`{file: …}` beside it, followed like the seed itself: a list that is renewed there counts at once."""
    (tmp_path / "ca.pem").write_text(ROOT.pem)
    (tmp_path / "issuing.crl").write_text(revocation_list(ISSUING, issued=NOW - 2 * DAY))
    anchor = {
        "name": "fleet",
        "certificates": {"file": "ca.pem"},
        "revocation_lists": [{"file": "issuing.crl"}],
    }
    (tmp_path / "iam.yaml").write_text(json.dumps(seed(trust_anchors=[anchor])))
    guard = open_guard(tmp_path / "iam.yaml", epoch_poll=0.0)
    house = House(guard, guard._store, Clock(), tmp_path)  # type: ignore[arg-type]
    guard.clock = house.clock
    house.who()
    (tmp_path / "issuing.crl").write_text(revocation_list(ISSUING, GOOD, issued=NOW - DAY))
    guard.refresh()
    assert "revoked" in house.refused()
    guard.close()
