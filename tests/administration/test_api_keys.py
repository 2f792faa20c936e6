"""The lifecycle of API keys: `guard.api_keys`, `iam-guard api-key`, and AWS's own operation (S-51, R-30).

Real clients call a real server: httpx, curl, boto3.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx2
import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from iam_guard import Guard, GuardMiddleware, Principal, Service, aws_api, current_principal, open_guard
from iam_guard.audit.record.redaction import to_line
from iam_guard.authn import api_key
from iam_guard.authn.http_request import HttpRequest
from iam_guard.cli import main
from iam_guard.errors import (
    CredentialError,
    ExpiredToken,
    IamGuardError,
    InvalidClientTokenId,
    InvalidInput,
    LimitExceeded,
    NoSuchEntity,
    PolicyError,
    StoreIsReadOnly,
)
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import api_keys, identities, service_credentials
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.serving import serving

ACCOUNT = "111122223333"
RITA, READER = f"arn:aws:iam::{ACCOUNT}:user/rita", f"arn:aws:iam::{ACCOUNT}:role/team/Reader"
PLAN = f"arn:aws:docs:us-east-1:{ACCOUNT}:document/plan"
READS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}]}
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
}
ADMIN = ("AKIAADMIN", "admin-secret")
SEED: dict[str, Any] = {
    "version": 1,
    "accounts": [
        {
            "id": ACCOUNT,
            "name": "acme",
            "users": [
                {"name": "rita", "inline": {"All": ALL}},
                {"name": "ada", "inline": {"All": ALL}, "access_keys": [{"id": ADMIN[0], "secret": ADMIN[1]}]},
            ],
            "roles": [{"name": "Reader", "path": "/team/", "trust": TRUST, "inline": {"Reads": READS}}],
        }
    ],
}


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Harness:
    """A guard with a test clock."""

    guard: Guard
    clock: Clock

    def who(self, text: str, header: bytes = b"x-api-key") -> Principal:
        request = HttpRequest("GET", b"/", b"", ((b"host", b"localhost"), (header, text.encode())))
        return self.guard.authenticate(request, payload_hash=lambda: "")

    def refusal(self, text: str) -> tuple[type[CredentialError], str]:
        with pytest.raises(CredentialError) as caught:
            self.who(text)
        return type(caught.value), str(caught.value)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    store = create_store(f"sqlite:///{tmp_path}/iam.db", Settings())
    apply_seed(store, load_seed_text(json.dumps(SEED)))
    clock = Clock()
    guard = guard_with_store(store, Settings(epoch_poll=0.0))
    guard.clock = clock
    guard.api_keys._clock = lambda: clock.now.timestamp()
    yield Harness(guard, clock)
    guard.close()


# --- created, restricted, listed -----------------------------------------------------------------------------------


def test_user_key_authenticates_the_user(harness: Harness) -> None:
    """The principal is the owner, with the key's id as credential; in both headers."""
    made = harness.guard.api_keys.create(RITA)
    for caller in (harness.who(made.text), harness.who(f"Bearer {made.text}", b"authorization")):
        assert (caller.arn, caller.session_policies) == (RITA, None)
        assert caller.credential is not None
        assert (caller.credential.kind, caller.credential.id) == ("api-key", made.id)


def test_role_key_authenticates_as_session(harness: Harness) -> None:
    """The session name is the key's id, so that audit records name it."""
    made = harness.guard.api_keys.create(READER)
    caller = harness.who(made.text)
    assert caller.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/Reader/{made.id}"
    assert harness.guard.decide(caller, "docs:GetDocument", PLAN).allowed
    assert not harness.guard.decide(caller, "docs:PutDocument", PLAN).allowed


def test_session_policy_restricts_a_key(harness: Harness) -> None:
    """S-41: it restricts the owner's permissions and grants none."""
    caller = harness.who(harness.guard.api_keys.create(RITA, session_policy=READS).text)
    assert harness.guard.decide(caller, "docs:GetDocument", PLAN).allowed
    assert not harness.guard.decide(caller, "docs:PutDocument", PLAN).allowed
    reader = harness.who(harness.guard.api_keys.create(READER, session_policy=ALL).text)
    assert not harness.guard.decide(reader, "docs:PutDocument", PLAN).allowed


def test_secret_is_shown_once_and_not_stored(harness: Harness) -> None:
    """Neither text nor secret is in the store, a repr or a list."""
    made = harness.guard.api_keys.create(RITA)
    secret = made.text.split("_")[2]
    with harness.guard.store.read_transaction() as records:
        (row,) = records.all(api_keys)
    assert row["digest"] == api_key.digest_of(secret)
    for shown in (repr(dict(row)), repr(made), repr(harness.guard.api_keys.list())):
        assert secret not in shown


def test_list_describes_keys(harness: Harness) -> None:
    """Owner, status, times, session policy; of one principal or of all, in pages."""
    keys = harness.guard.api_keys
    ends = harness.clock.now + timedelta(days=30)
    first = keys.create(RITA, expires=ends, session_policy=READS)
    second = keys.create(READER)
    by_id = {each.id: each for each in keys.list()}
    listed = by_id[first.id]
    assert (listed.principal, listed.status, listed.replaces, listed.used) == (RITA, "Active", None, None)
    assert listed.expires == ends.replace(microsecond=0)
    assert listed.session_policy is not None
    assert json.loads(listed.session_policy) == READS
    assert [each.id for each in keys.list(READER)] == [second.id]
    one, other = sorted(by_id)
    assert [each.id for each in keys.list(limit=1)] == [one]
    assert [each.id for each in keys.list(limit=1, after=one)] == [other]


def test_last_use_is_recorded(harness: Harness) -> None:
    """R-33: in the background, and listed with the key."""
    made = harness.guard.api_keys.create(RITA)
    harness.who(made.text)
    harness.guard.uses.flush()
    (listed,) = harness.guard.api_keys.list()
    assert listed.used is not None
    assert abs(listed.used - datetime.now(UTC)) < timedelta(minutes=1)


def test_refused_key_has_no_last_use(harness: Harness) -> None:
    made = harness.guard.api_keys.create(RITA)
    harness.guard.api_keys.update(made.id, "Inactive")
    harness.refusal(made.text)
    harness.guard.uses.flush()
    assert harness.guard.api_keys.list()[0].used is None


@pytest.mark.parametrize(
    ("principal", "error"),
    [
        ("rita", InvalidInput),
        (f"arn:aws:iam::{ACCOUNT}:root", InvalidInput),
        (f"arn:aws:iam::{ACCOUNT}:group/rita", InvalidInput),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/Reader/x", InvalidInput),
        (f"arn:aws:iam::{ACCOUNT}:user/RITA", NoSuchEntity),
        (f"arn:aws:iam::{ACCOUNT}:role/Reader", NoSuchEntity),
        ("arn:aws:iam::444455556666:user/rita", NoSuchEntity),
        (f"arn:aws-cn:iam::{ACCOUNT}:user/rita", NoSuchEntity),
    ],
)
def test_key_needs_an_owner(harness: Harness, principal: str, error: type[IamGuardError]) -> None:
    """P-16: exact ARN; root users cannot have keys."""
    with pytest.raises(error):
        harness.guard.api_keys.create(principal)
    assert harness.guard.api_keys.list() == []


def test_invalid_policy_or_expiry_is_refused(harness: Harness) -> None:
    """G-30, G-73."""
    keys, now = harness.guard.api_keys, harness.clock.now
    named = {**READS, "Statement": [{**READS["Statement"][0], "Principal": "*"}]}  # type: ignore[dict-item]
    long = {**READS, "Statement": [{"Effect": "Allow", "Action": "docs:*", "Resource": "arn:aws:docs:::" + "x" * 2048}]}
    for policy, error in ((named, PolicyError), ("no JSON", PolicyError), (long, LimitExceeded)):
        with pytest.raises(error):
            keys.create(RITA, session_policy=policy)
    for expires in (now, now - timedelta(days=1), (now + timedelta(days=1)).replace(tzinfo=None)):
        with pytest.raises(InvalidInput):
            keys.create(RITA, expires=expires)
    assert keys.list() == []


# --- ended -----------------------------------------------------------------------------------------------------------


def test_invalid_keys_have_same_error(harness: Harness) -> None:
    """R-31: unknown, inactive, deleted and mistyped keys are indistinguishable."""
    keys = harness.guard.api_keys
    inactive, deleted, good = keys.create(RITA), keys.create(RITA), keys.create(RITA)
    harness.who(inactive.text)
    harness.who(deleted.text)
    keys.update(inactive.id, "Inactive")
    keys.delete(deleted.id)
    unknown = api_key.generate_api_key(lambda length: bytes(length))
    mistyped = good.text[:-1] + ("0" if good.text[-1] != "0" else "1")
    other_secret = api_key.format_api_key(good.id, unknown.text.split("_")[2])
    answers = {harness.refusal(text) for text in (inactive.text, deleted.text, unknown.text, mistyped, other_secret)}
    assert answers == {(InvalidClientTokenId, "The security token included in the request is invalid.")}
    keys.update(inactive.id, "Active")
    assert harness.who(inactive.text).arn == RITA


def test_expired_key_error_needs_the_secret(harness: Harness) -> None:
    """As AWS's `ExpiredToken`; for an inactive key there is no such error."""
    keys = harness.guard.api_keys
    made = keys.create(RITA, expires=harness.clock.now + timedelta(hours=1))
    harness.who(made.text)
    harness.clock.now += timedelta(hours=1)
    assert harness.refusal(made.text)[0] is ExpiredToken
    guessed = api_key.format_api_key(made.id, "0" * 43)
    assert harness.refusal(guessed)[0] is InvalidClientTokenId
    assert keys.list()[0].status == "Expired"
    keys.update(made.id, "Inactive")
    assert harness.refusal(made.text)[0] is InvalidClientTokenId


def test_key_ends_with_its_owner(harness: Harness) -> None:
    """P-6: a recreated user has other keys."""
    made = harness.guard.api_keys.create(RITA)
    harness.who(made.text)
    without = {**SEED, "accounts": [{**SEED["accounts"][0], "users": SEED["accounts"][0]["users"][1:]}]}
    store: Any = harness.guard._store.behind
    apply_seed(store, load_seed_text(json.dumps(without)), prune=True)
    assert harness.refusal(made.text)[0] is InvalidClientTokenId
    apply_seed(store, load_seed_text(json.dumps(SEED)), prune=True)
    assert harness.refusal(made.text)[0] is InvalidClientTokenId


def test_missing_key_cannot_be_changed(harness: Harness) -> None:
    keys = harness.guard.api_keys
    for change in (lambda: keys.delete("NONE"), lambda: keys.rotate("NONE"), lambda: keys.update("NONE", "Active")):
        with pytest.raises(NoSuchEntity):
            change()
    made = keys.create(RITA)
    for status in ("Expired", "active", ""):
        with pytest.raises(InvalidInput):
            keys.update(made.id, status)


def test_followed_seed_has_keys_of_the_file_only(tmp_path: Path) -> None:
    (tmp_path / "iam.yaml").write_text(json.dumps(SEED))
    guard = open_guard(tmp_path / "iam.yaml")
    with pytest.raises(StoreIsReadOnly):
        guard.api_keys.create(RITA)
    assert guard.api_keys.list(RITA) == []
    guard.close()


# --- rotated -------------------------------------------------------------------------------------------------------


def test_both_keys_of_a_rotation_are_valid(harness: Harness) -> None:
    """Same owner and policy; a third is refused until the first has ended."""
    keys = harness.guard.api_keys
    old = keys.create(RITA, session_policy=READS)
    new = keys.rotate(old.id)
    assert harness.who(old.text).arn == harness.who(new.text).arn == RITA
    assert harness.who(new.text).session_policies == harness.who(old.text).session_policies
    assert {each.id: each.replaces for each in keys.list()} == {old.id: None, new.id: old.id}
    for third in (old.id, new.id):
        with pytest.raises(LimitExceeded, match="API keys of one rotation: 2"):
            keys.rotate(third)
    keys.delete(old.id)
    assert harness.refusal(old.text)[0] is InvalidClientTokenId
    assert keys.rotate(new.id).id not in (old.id, new.id)


def test_overlap_expires_the_old_key(harness: Harness) -> None:
    """Never later than before; the new key gets the old key's lifetime."""
    keys, start = harness.guard.api_keys, harness.clock.now.replace(microsecond=0)
    harness.clock.now = start
    old = keys.create(RITA, expires=start + timedelta(days=30))
    harness.clock.now = start + timedelta(days=20)
    new = keys.rotate(old.id, overlap=timedelta(hours=2))
    listed = {each.id: each for each in keys.list()}
    assert listed[old.id].expires == start + timedelta(days=20, hours=2)
    assert listed[new.id].expires == start + timedelta(days=50)
    harness.clock.now += timedelta(hours=2)
    assert harness.refusal(old.text)[0] is ExpiredToken
    assert harness.who(new.text).arn == RITA
    newest = keys.rotate(new.id, overlap=timedelta(days=400), expires=harness.clock.now + timedelta(days=1))
    listed = {each.id: each for each in keys.list()}
    assert listed[new.id].expires == start + timedelta(days=50)
    assert listed[newest.id].expires == harness.clock.now + timedelta(days=1)


def test_inactive_key_is_not_rotated(harness: Harness) -> None:
    """Rotation would activate it again."""
    made = harness.guard.api_keys.create(RITA)
    harness.guard.api_keys.update(made.id, "Inactive")
    with pytest.raises(InvalidInput):
        harness.guard.api_keys.rotate(made.id)
    harness.guard.api_keys.update(made.id, "Active")
    with pytest.raises(InvalidInput):
        harness.guard.api_keys.rotate(made.id, overlap=timedelta(seconds=-1))


def test_concurrent_rotations_succeed_once(harness: Harness) -> None:
    """The others find two keys; none creates a third."""
    old = harness.guard.api_keys.create(RITA)

    def rotate(_: int) -> str:
        try:
            return harness.guard.api_keys.rotate(old.id).id
        except LimitExceeded:
            return ""

    with ThreadPoolExecutor(8) as pool:
        made = [id for id in pool.map(rotate, range(16)) if id]
    assert len(made) == 1
    assert {each.id for each in harness.guard.api_keys.list(RITA)} == {old.id, *made}


# --- found when it leaks -------------------------------------------------------------------------------------------


def test_leaked_key_is_detected_and_redacted(harness: Harness) -> None:
    """The scanner pattern finds it in any text; audit records mask it."""
    made = harness.guard.api_keys.create(RITA)
    dump = f"export KEY={made.text}\nurl=https://x.example/?k={made.text}&a=1"
    assert re.findall(api_key.SCANNER_PATTERN, dump) == [made.text, made.text]
    assert made.text.encode() not in to_line({"userAgent": f"client/1 ({made.text})", "path": f"/a/{made.text}/b"})


# --- the command line ----------------------------------------------------------------------------------------------


def test_command_manages_api_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output has only the key, so that it can be piped into a vault."""
    monkeypatch.chdir(tmp_path)
    store = create_store("sqlite:///iam-guard.db", Settings())
    apply_seed(store, load_seed_text(json.dumps(SEED)))
    store.close()

    def run(*arguments: str, stdin: str | None = None, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["api-key", *arguments], input=stdin)
        assert result.exit_code == code, result.output
        return result.output

    text = run("create", RITA, "--days", "30", "--session-policy", "-", stdin=json.dumps(READS)).strip()
    id = api_key.parse(text).id
    made = json.loads(run("rotate", id, "--overlap-hours", "1", "--json"))
    assert api_key.parse(made["key"]).id == made["id"]
    listed = json.loads(run("list", RITA, "--json"))
    assert {each["id"]: each["replaces"] for each in listed} == {id: None, made["id"]: id}
    assert all(each["expires"] for each in listed)
    assert "is inactive" in run("deactivate", id)
    assert "Inactive" in run("list")
    assert "is active" in run("activate", id)
    assert "deleted" in run("delete", id)
    assert "cannot be found" in run("delete", id, code=2)
    assert text not in run("list")
    assert json.loads(run("list", READER, "--json")) == []


# --- over a real server ------------------------------------------------------------------------------------------

docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(request: Request) -> Response:
    return PlainTextResponse(current_principal().arn)


@docs.requires("PutDocument", resource="document/{document_id}")
async def put_document(request: Request) -> Response:
    return PlainTextResponse(current_principal().arn)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Guard]]:
    """Serve an application with our own API mounted, which declares the service `docs`."""
    store = create_store(f"sqlite:///{tmp_path}/iam.db", Settings())
    apply_seed(store, load_seed_text(json.dumps(SEED)))
    store.close()
    guard = open_guard(f"sqlite:///{tmp_path}/iam.db", services=[docs], epoch_poll=0.0)
    routes = [
        Route("/documents/{document_id}", get_document),
        Route("/documents/{document_id}", put_document, methods=["PUT"]),
        Mount("/iam", aws_api(guard)),
    ]
    with serving(Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])) as url:
        yield url, guard
    guard.close()


def test_clients_send_a_key_in_either_header(served: tuple[str, Guard]) -> None:
    """httpx and curl, with one header only."""
    url, guard = served
    made = guard.api_keys.create(RITA, session_policy=READS)
    target = f"{url}/documents/plan"
    by_header = httpx2.get(target, headers={"X-Api-Key": made.text})
    by_bearer = httpx2.get(target, headers={"Authorization": f"Bearer {made.text}"})
    assert [by_header.text, by_bearer.text] == [RITA, RITA]
    assert httpx2.put(target, headers={"X-Api-Key": made.text}).status_code == 403
    both = httpx2.get(target, headers={"X-Api-Key": made.text, "Authorization": f"Bearer {made.text}"})
    assert (both.status_code, both.json()["code"]) == (401, "IncompleteSignature")
    guard.api_keys.update(made.id, "Inactive")
    off = httpx2.get(target, headers={"X-Api-Key": made.text})
    assert (off.status_code, off.json()["code"]) == (401, "InvalidClientTokenId")
    assert made.text not in off.text


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_sends_a_key(served: tuple[str, Guard]) -> None:
    url, guard = served
    made = guard.api_keys.create(READER)
    command = ["curl", "-s", "-H", f"X-Api-Key: {made.text}", f"{url}/documents/plan"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert answer == f"arn:aws:sts::{ACCOUNT}:assumed-role/Reader/{made.id}"


def test_boto3_creates_keys_for_a_service(served: tuple[str, Guard]) -> None:
    """CreateServiceSpecificCredential and related operations: valid for that service only."""
    url, guard = served
    iam = boto3.client(
        "iam",
        endpoint_url=f"{url}/iam/",
        region_name="us-east-1",
        aws_access_key_id=ADMIN[0],
        aws_secret_access_key=ADMIN[1],
    )
    name = {"UserName": "rita", "ServiceName": "docs.amazonaws.com"}
    made = iam.create_service_specific_credential(**name, CredentialAgeDays=30)["ServiceSpecificCredential"]
    text, id = made["ServiceCredentialSecret"], made["ServiceSpecificCredentialId"]
    assert api_key.parse(text).id == id
    assert made["ServiceCredentialAlias"] == f"rita-at-{ACCOUNT}"
    assert (made["ExpirationDate"] - made["CreateDate"]).days == 30

    def status_of(key: str, method: str = "PUT") -> int:
        return httpx2.request(method, f"{url}/documents/plan", headers={"X-Api-Key": key}).status_code

    def iam_says(key: str) -> str:
        form = {"Action": "ListUsers", "Version": "2010-05-08"}
        return httpx2.post(f"{url}/iam/", data=form, headers={"X-Api-Key": key}).text

    assert status_of(text) == 200
    assert "<Code>AccessDenied</Code>" in iam_says(text)  # rita may do everything, this key may not
    whose = {"UserName": "rita", "ServiceSpecificCredentialId": id}
    iam.update_service_specific_credential(**whose, Status="Inactive")
    assert status_of(text) == 401
    iam.update_service_specific_credential(**whose, Status="Active")
    other = iam.reset_service_specific_credential(**whose)["ServiceSpecificCredential"]["ServiceCredentialSecret"]
    assert (status_of(text), status_of(other)) == (401, 200)
    second = iam.create_service_specific_credential(**name)["ServiceSpecificCredential"]
    assert status_of(second["ServiceCredentialSecret"]) == 200
    with pytest.raises(iam.exceptions.LimitExceededException):
        iam.create_service_specific_credential(**name)
    with pytest.raises(iam.exceptions.ServiceNotSupportedException):
        iam.create_service_specific_credential(UserName="rita", ServiceName="notes.amazonaws.com")
    guard.uses.flush()
    with guard.store.read_transaction() as records:
        used = {row["id"]: row["used"] for row in records.all(service_credentials)}
    assert all(used[each] for each in (id, second["ServiceSpecificCredentialId"]))
    iam.delete_service_specific_credential(**whose)
    assert status_of(other) == 401
    assert guard.api_keys.list() == []  # these are managed by their own operations


def test_password_of_another_service_is_refused(served: tuple[str, Guard]) -> None:
    """It is no API key: its digest is of the whole secret."""
    url, guard = served
    secret = "s" * 43
    with guard.store.write_transaction() as records:
        who = records.one(identities, account=ACCOUNT, kind="user", folded="rita")
        assert who is not None
        records.insert(
            service_credentials,
            id="ACCAPASSWORDPASSWORD1",
            account=ACCOUNT,
            user_id=who["id"],
            service="codecommit.amazonaws.com",
            user_name="rita",
            digest=api_key.digest_of(secret).hex(),
            status="Active",
            created=0,
        )
    text = api_key.format_api_key("ACCAPASSWORDPASSWORD1", secret)
    assert httpx2.get(f"{url}/documents/plan", headers={"X-Api-Key": text}).status_code == 401
