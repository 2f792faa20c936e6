"""What can't be shared, and that nothing changes then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard, Resource, open_guard
from iam_guard.administration.sharing import ResourceSharing
from iam_guard.audit.consumer.reader import read_records
from iam_guard.errors import (
    ConfigurationError,
    IamGuardError,
    InvalidInput,
    LimitExceeded,
    NoSuchEntity,
    PolicyError,
    StoreIsReadOnly,
)
from iam_guard.factory import guard_with_store, share_analysis
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import resources
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.administration.sharing.sharing_parts import (
    ACME,
    BOB,
    BY_HAND,
    EVE,
    GLOBEX,
    MAX,
    OTHER,
    PLAN,
    SEED,
    declared,
    may,
    reset,
    seeded,
)
from tests.tables import table

GET = {"actions": "docs:GetDocument"}
REFUSED: list[tuple[dict[str, Any], type[IamGuardError], str]] = [
    ({**GET}, InvalidInput, "expected one of"),
    ({**GET, "with_account": GLOBEX, "with_principal": EVE}, InvalidInput, "expected one of"),
    ({**GET, "with_account": GLOBEX, "public": True}, InvalidInput, "expected one of"),
    ({**GET, "with_account": "*"}, InvalidInput, "account id of 12 digits"),
    ({**GET, "with_account": "44445555666"}, InvalidInput, "account id of 12 digits"),
    ({**GET, "with_account": int(GLOBEX)}, InvalidInput, "got `int`"),
    ({**GET, "with_account": OTHER}, NoSuchEntity, f"account {OTHER} cannot be found"),
    ({**GET, "with_account": ACME}, InvalidInput, "expected another account"),
    ({**GET, "with_principal": "*"}, InvalidInput, "ARN of a user, role or session"),
    ({**GET, "with_principal": GLOBEX}, InvalidInput, "ARN of a user, role or session"),
    ({**GET, "with_principal": f"arn:aws:iam::{GLOBEX}:root"}, InvalidInput, "ARN of a user, role or session"),
    ({**GET, "with_principal": f"arn:aws:iam::{GLOBEX}:group/x"}, InvalidInput, "ARN of a user, role or session"),
    ({**GET, "with_principal": "AIDAEXAMPLEEXAMPLE234"}, InvalidInput, "ARN of a user, role or session"),
    ({**GET, "with_principal": f"{EVE}2"}, PolicyError, "Invalid principal in policy"),
    ({**GET, "with_principal": EVE.replace("aws", "aws-cn")}, PolicyError, "Invalid principal in policy"),
    ({**GET, "with_principal": f"arn:aws:iam::{GLOBEX}:user/*"}, PolicyError, "wildcard"),
    ({**GET, "with_principal": EVE, "external": True}, InvalidInput, "principals must be in the store"),
    ({"with_account": GLOBEX, "actions": []}, InvalidInput, "expected 1 to 100 actions"),
    ({"with_account": GLOBEX, "actions": None}, InvalidInput, "expected 1 to 100 actions"),
    ({"with_account": GLOBEX, "actions": [7]}, InvalidInput, "expected 1 to 100 actions"),
    ({"with_account": GLOBEX, "actions": "*", "wildcards": True}, InvalidInput, "of the resource's service"),
    ({"with_account": GLOBEX, "actions": "s3:GetObject"}, InvalidInput, "of the resource's service"),
    ({"with_account": GLOBEX, "actions": "GetDocument"}, InvalidInput, "of the resource's service"),
    ({"with_account": GLOBEX, "actions": "docs:GetDocumnt"}, InvalidInput, "did you mean `docs:GetDocument`"),
    ({"with_account": GLOBEX, "actions": "docs:Get*"}, InvalidInput, "without wildcards unless"),
    ({"with_account": GLOBEX, "actions": "docs:Got*", "wildcards": True}, InvalidInput, "a declared action"),
    ({**GET, "with_account": GLOBEX, "account": GLOBEX}, InvalidInput, "expected another account"),
    ({"with_account": GLOBEX, "actions": "docs:PurgeDocument"}, InvalidInput, "`NoPurge` of the policy denies"),
    ({"with_account": GLOBEX, "actions": "docs:P*", "wildcards": True, "account": OTHER}, InvalidInput, "of the ARN"),
]


@table(("arguments", "error", "message"), REFUSED)
def test_invalid_share_changes_nothing(
    opened: Guard, arguments: dict[str, Any], error: type[IamGuardError], message: str
) -> None:
    reset(opened, BY_HAND)
    with pytest.raises(error, match=message):
        opened.sharing.share(PLAN, **arguments)
    assert opened.resource_policies.current(PLAN) == BY_HAND


@table(
    "arn", [f"{PLAN}*", "document/1", EVE, f"arn:aws:docs:us-east-1:{OTHER}:document/1", "arn:aws:docs:::document/1"]
)
def test_invalid_resource_is_refused(opened: Guard, arn: str) -> None:
    with pytest.raises((InvalidInput, NoSuchEntity)):
        opened.sharing.share(arn, with_account=GLOBEX, actions="docs:GetDocument")


def test_resource_that_is_no_arn_is_refused(guard: Guard) -> None:
    """A `Resource` may have a policy and tags of its own, which the store does not have."""
    described: Any = Resource(PLAN, ACME)
    for call in (
        lambda: guard.sharing.share(described, with_account=GLOBEX, actions="docs:GetDocument"),
        lambda: guard.sharing.unshare(described, with_account=GLOBEX),
        lambda: guard.sharing.shares_of(described),
    ):
        with pytest.raises(InvalidInput, match="expected the ARN of a resource, got `Resource`"):
            call()


def test_missing_share_cannot_be_ended(guard: Guard) -> None:
    guard.sharing.share(PLAN, with_account=GLOBEX, actions="docs:Get*", wildcards=True)
    for grantee in ({"with_principal": EVE}, {"public": True}):
        with pytest.raises(NoSuchEntity, match="The resource is not shared"):
            guard.sharing.unshare(PLAN, **grantee)  # type: ignore[arg-type]
    with pytest.raises(NoSuchEntity, match=r"`docs:GetDocument` is not shared .* as `docs:Get\*`"):
        guard.sharing.unshare(PLAN, with_account=GLOBEX, actions="docs:GetDocument")
    assert guard.sharing.shares_of(PLAN)[0].actions == ("docs:Get*",)


def test_wildcards_are_shared_when_asked_for(guard: Guard) -> None:
    guard.sharing.share(PLAN, with_account=GLOBEX, actions="docs:*", wildcards=True)
    assert may(guard, EVE, "docs:PurgeDocument")


def test_external_account_is_shared_with_when_asked_for(guard: Guard) -> None:
    guard.sharing.share(PLAN, with_account=OTHER, external=True, actions="docs:GetDocument")
    guard.sharing.share(PLAN, with_account=GLOBEX, actions="docs:GetDocument")
    assert [share.grantee for share in guard.sharing.shares_of(PLAN)] == [OTHER, GLOBEX]
    assert guard.sharing.unshare(PLAN, with_account=OTHER) == []


def test_too_long_policy_is_not_extended(guard: Guard) -> None:
    """But shares of one that a seed has stored are ended."""
    padding = {"Effect": "Deny", "Principal": "*", "Action": "x:Y", "Sid": "x" * 20_350}
    guard.resource_policies.put(PLAN, {"Statement": [padding]})
    with pytest.raises(LimitExceeded, match="20480"):
        guard.sharing.share(PLAN, with_account=GLOBEX, actions="docs:GetDocument")
    share = {"Sid": f"ShareWithAccount{GLOBEX}", "Effect": "Allow", "Principal": {"AWS": GLOBEX}}
    statement = {**share, "Action": "docs:GetDocument", "Resource": PLAN}
    policy = json.dumps({"Statement": [padding, statement]})
    document = f"resources: [{{arn: '{PLAN}', policy: {policy}}}]"
    seeded(guard, f'{{version: 1, accounts: [{{id: "{ACME}", name: acme, {document}}}]}}')
    assert may(guard, EVE)
    guard.sharing.unshare(PLAN, with_account=GLOBEX)
    assert not may(guard, EVE)


def test_unparsable_policy_is_not_extended(guard: Guard) -> None:
    """Nor listed as if it granted nothing."""
    guard.sharing.share(PLAN, with_account=GLOBEX, actions="docs:GetDocument")
    with guard.store.write_transaction() as records:
        records.update(resources, {"text": '{"Statement": [{"Effect": "Allow"}]}'}, arn=PLAN)
    for call in (guard.sharing.share, guard.sharing.unshare):
        with pytest.raises(PolicyError):
            call(PLAN, with_account=GLOBEX, actions="docs:GetDocument")
    with pytest.raises(PolicyError):
        guard.sharing.shares_of(PLAN)


@table(
    ("deny", "is_refused"),
    [
        ({"Principal": {"AWS": GLOBEX}, "Action": "docs:*"}, True),
        ({"Principal": {"AWS": EVE}, "NotAction": "docs:PutDocument"}, True),
        ({"NotPrincipal": {"AWS": BOB}, "Action": "docs:GetDocument"}, True),
        ({"Principal": {"AWS": GLOBEX}, "NotResource": f"{PLAN}2", "Action": "docs:*"}, True),
        ({"Principal": {"AWS": MAX}, "Action": "docs:*"}, False),
        ({"Principal": {"AWS": GLOBEX}, "Action": "docs:Put*"}, False),
        ({"Principal": {"AWS": GLOBEX}, "Action": "docs:*", "Resource": f"{PLAN}2"}, False),
        ({"Principal": "*", "Action": "docs:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}, False),
    ],
)
def test_share_that_is_denied_is_refused(opened: Guard, deny: dict[str, Any], is_refused: bool) -> None:
    """Only if a Deny of the policy applies to every request of the grantee."""
    reset(opened, json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", **deny}]}))
    if is_refused:
        with pytest.raises(InvalidInput, match="a share that has an effect: a Deny of the policy denies"):
            opened.sharing.share(PLAN, with_principal=EVE, actions="docs:GetDocument")
    else:
        opened.sharing.share(PLAN, with_principal=EVE, actions="docs:GetDocument")
    assert len(opened.sharing.shares_of(PLAN)) == (not is_refused)


def test_public_result_is_refused_unless_asked_for(guard: Guard) -> None:
    """By the analyzer's check of the resulting policy; one that was public before stays so."""

    class Suspicious:
        """Proves nothing."""

        def is_public(self, policy: str) -> bool:
            return "ShareWith" in policy

        def allows_none(self, policy: str, action: str) -> bool:
            return False

    sharing = ResourceSharing(guard.resource_policies, guard.catalogues, analysis=Suspicious)
    with pytest.raises(InvalidInput, match="not public"):
        sharing.share(PLAN, with_account=GLOBEX, actions="docs:GetDocument")
    assert guard.sharing.shares_of(PLAN) == []
    guard.sharing.share(PLAN, public=True, actions="docs:GetDocument")
    assert share_analysis().is_public(guard.resource_policies.current(PLAN) or "")
    guard.sharing.share(PLAN, with_account=GLOBEX, actions="docs:PutDocument")
    guard.sharing.unshare(PLAN, public=True)
    assert not share_analysis().is_public(guard.resource_policies.current(PLAN) or "")


def test_guard_without_analysis_shares_nothing(guard: Guard) -> None:
    sharing = ResourceSharing(guard.resource_policies)
    with pytest.raises(ConfigurationError, match="opened by `open_guard`"):
        sharing.share(PLAN, with_account=GLOBEX, actions="docs:GetDocument")


def test_policy_of_the_application_is_not_shared() -> None:
    """The guard would not read the one in the store."""
    store = create_store("sqlite://", Settings())
    apply_seed(store, load_seed_text(SEED))
    own = {PLAN: Resource(PLAN, ACME, policy=BY_HAND)}
    guard = guard_with_store(store, Settings(), resources=own.get)
    for call in (lambda: guard.sharing.share(PLAN, with_account=GLOBEX, **GET), lambda: guard.sharing.shares_of(PLAN)):
        with pytest.raises(InvalidInput, match="the application keeps that of"):
            call()
    guard.sharing.share(f"{PLAN}2", with_account=GLOBEX, actions="docs:GetDocument")
    guard.close()


def test_store_that_follows_a_file_shares_nothing(tmp_path: Path) -> None:
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    guard = open_guard(seed)
    with pytest.raises(StoreIsReadOnly):
        guard.sharing.share(PLAN, with_account=GLOBEX, actions="docs:GetDocument")
    assert guard.sharing.shares_of(PLAN) == []
    guard.close()


def test_shares_are_recorded(tmp_path: Path) -> None:
    """With the digests of the policy; a share that is there already changes none."""
    store = create_store("sqlite://", Settings())
    apply_seed(store, load_seed_text(SEED))
    guard = guard_with_store(store, Settings(audit=f"{tmp_path}/audit.jsonl"), services=[declared()])
    for _ in range(2):
        guard.sharing.share(PLAN, with_account=GLOBEX, actions="docs:GetDocument")
    guard.sharing.unshare(PLAN, with_account=GLOBEX)
    guard.close()
    first, again, last = read_records(tmp_path / "audit.jsonl")
    assert [fact["eventName"] for fact in (first, again, last)] == ["ShareResource", "ShareResource", "UnshareResource"]
    assert {fact["iamGuard"]["kind"] for fact in (first, again, last)} == {"policy_change"}
    assert first["requestParameters"] == {"resourceArn": PLAN, "grantee": GLOBEX, "actions": ["docs:GetDocument"]}
    assert last["requestParameters"] == {"resourceArn": PLAN, "grantee": GLOBEX, "actions": None}
    digest = first["iamGuard"]["document"]["after"]
    assert again["iamGuard"]["document"] == {"before": digest, "after": digest}
    assert last["iamGuard"]["document"] == {"before": digest}
    assert [fact["iamGuard"]["changed"] for fact in (first, again, last)] == [True, False, True]
