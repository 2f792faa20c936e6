"""Unused roles, keys, passwords and permissions: windows, exclusions, and the recommended policies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.analysis.allowed_services import SERVICE_NAMES
from iam_guard.analysis.checks.policy_checks import check_no_new_access
from iam_guard.analysis.findings.replacement_policies import RecommendedStep, replacement_policies
from iam_guard.analysis.findings.unused_findings import UnusedFinding, unused_findings
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.evaluation.authorizer import compile_policies
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.reference import ActionEntry, ServiceReference
from iam_guard.model.request import AccessRequest
from iam_guard.settings import Settings
from iam_guard.store.credentials.last_used_rows import KeyUse, ServiceUse, Use
from iam_guard.store.opening import create_store
from iam_guard.store.schema import access_keys, identities, login_profiles, policies, policy_versions
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.tables import table

DAY = 24 * 60 * 60
NOW = 1_800_000_000
BEGIN = NOW - 90 * DAY
ACME, GLOBEX = "111122223333", "444455556666"
ADA, OPS = f"arn:aws:iam::{ACME}:user/ada", f"arn:aws:iam::{ACME}:role/ops"
ACTIONS = ["GetDocument", "PutDocument", "DeleteDocument"]
DOCS = ServiceReference("docs", tuple(map(ActionEntry, ACTIONS)))
MAIL = ServiceReference("mail", (ActionEntry("Send"),))
OWN = [f"{service}:*" for service in SERVICE_NAMES]
TRUST = {"Effect": "Allow", "Principal": {"AWS": ACME}, "Action": "sts:AssumeRole"}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    full = [{"Effect": "Allow", "Resource": "*", **statement} for statement in statements]
    return {"Version": "2012-10-17", "Statement": full}


def account(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "name": f"a{id}", **more}


def role(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "trust": {"Version": "2012-10-17", "Statement": [TRUST]}, **more}


@contextmanager
def store_of(*accounts: dict[str, Any], created: int = BEGIN) -> Iterator[SqlStore]:
    """Yield a store whose users, roles and policies were created at a time."""
    with closing(create_store("sqlite://", Settings())) as store:
        apply_seed(store, load_seed_text(json.dumps({"version": 1, "accounts": list(accounts)})))
        with store.write_transaction() as records:
            for changed in (identities, policy_versions, policies):
                records.update(changed, {"created": created})
        yield store


def id_of(store: SqlStore, name: str, account: str = ACME) -> str:
    with store.read_transaction() as records:
        [row] = records.all(identities, name=name, account=account)
    return str(row["id"])


def use(store: SqlStore, name: str, *actions: str, at: int = NOW - DAY, account: str = ACME) -> None:
    pairs = [action.split(":") for action in actions]
    store.save_uses([ServiceUse(id_of(store, name, account), service, action, at, "r") for service, action in pairs])


def add_key(store: SqlStore, id: str, *, created: int = BEGIN, status: str = "Active", used: int | None = None) -> None:
    with store.write_transaction() as records:
        owner = {"account": ACME, "user_id": records.all(identities, name="ada")[0]["id"]}
        records.insert(access_keys, id=id, sealed=b"x", status=status, created=created, **owner)
    if used is not None:
        store.save_uses([KeyUse(id, used, "r", "docs")])


def add_password(store: SqlStore, *, created: int, used: int | None) -> None:
    id = id_of(store, "ada")
    with store.write_transaction() as records:
        columns = {"account": ACME, "user_id": id, "digest": "x", "reset_required": False, "changed": created}
        records.insert(login_profiles, owner=id, created=created, used=used, **columns)


def found(store: SqlStore, *, age: int = 90, **more: Any) -> list[UnusedFinding]:
    return unused_findings(store, None, now=NOW, age=age, references=[DOCS, MAIL], **more)


def short(findings: list[UnusedFinding]) -> list[tuple[str, ...]]:
    """Return the kind, the name, and the key, service or actions of each finding."""
    return [
        tuple(
            filter(
                None,
                (
                    finding.kind.removeprefix("Unused"),
                    finding.resource.rpartition("/")[2],
                    finding.access_key_id,
                    finding.service,
                    *(name.partition(":")[2] for name, _ in finding.actions),
                ),
            )
        )
        for finding in findings
    ]


# --- windows -----------------------------------------------------------------------------------------------------


@table(
    "created, used, age, expected",
    [
        (BEGIN, None, 90, True),
        (BEGIN + 1, None, 90, False),  # did not exist for the whole window
        (BEGIN - 1, BEGIN, 90, False),  # exactly 90 days ago
        (BEGIN - 1, BEGIN - 1, 90, True),
        (BEGIN, NOW, 90, False),
        (NOW - DAY, None, 1, True),
        (NOW - 365 * DAY, NOW - 365 * DAY, 365, False),
        (NOW - 365 * DAY, NOW - 365 * DAY - 1, 365, True),
    ],
)
def test_role_is_unused_by_window(created: int, used: int | None, age: int, expected: bool) -> None:
    with store_of(account(ACME, roles=[role("ops")]), created=created) as store:
        if used is not None:
            use(store, "ops", "docs:GetDocument", at=used)
        findings = [finding for finding in found(store, age=age) if finding.kind == "UnusedIAMRole"]
        assert [(finding.resource, finding.last_used) for finding in findings] == [(OPS, used)] * expected


@table(
    "created, used, status, expected",
    [
        (BEGIN, None, "Active", True),
        (BEGIN + 1, None, "Active", False),
        (BEGIN, BEGIN, "Active", False),
        (BEGIN, BEGIN - 1, "Active", True),
        (BEGIN, None, "Inactive", False),
    ],
)
def test_key_is_unused_by_window(created: int, used: int | None, status: str, expected: bool) -> None:
    with store_of(account(ACME, users=[{"name": "ada"}])) as store:
        add_key(store, "AKIAKEY", created=created, status=status, used=used)
        assert short(found(store)) == [("IAMUserAccessKey", "ada", "AKIAKEY")] * expected


@table(
    "created, used, expected",
    [(BEGIN, None, True), (BEGIN + 1, None, False), (BEGIN, BEGIN, False), (BEGIN, BEGIN - 1, True)],
)
def test_password_is_unused_by_window(created: int, used: int | None, expected: bool) -> None:
    with store_of(account(ACME, users=[{"name": "ada"}])) as store:
        add_password(store, created=created, used=used)
        assert short(found(store)) == [("IAMUserPassword", "ada")] * expected


@table("age", [0, 366, -1])
def test_invalid_age_is_refused(age: int) -> None:
    with store_of(account(ACME)) as store, pytest.raises(InvalidInput, match="1 to 365 days"):
        found(store, age=age)


# --- exclusions --------------------------------------------------------------------------------------------------


def test_exclusions_by_account_tag_and_kind() -> None:
    """Service-linked roles are never reported."""
    linked = role("linked", path="/aws-service-role/docs.example.com/")
    roles = [role("plain"), role("tagged", tags={"team": "blue"}), linked]
    with store_of(account(ACME, roles=roles), account(GLOBEX, roles=[role("other")])) as store:
        assert [name for _, name in short(found(store))] == ["plain", "tagged", "other"]
        assert [name for _, name in short(found(store, excluded_accounts=[GLOBEX]))] == ["plain", "tagged"]
        for tag, names in (
            (("team", None), ["plain", "other"]),
            (("team", "blue"), ["plain", "other"]),
            (("team", "red"), ["plain", "tagged", "other"]),
        ):
            assert [name for _, name in short(found(store, excluded_tags=[tag]))] == names
        [finding] = unused_findings(store, [GLOBEX], now=NOW)
        assert (finding.owner, finding.resource) == (GLOBEX, f"arn:aws:iam::{GLOBEX}:role/other")


def test_uses_of_another_account_do_not_count() -> None:
    """Roles of the same name in two accounts are apart."""
    with store_of(account(ACME, roles=[role("ops")]), account(GLOBEX, roles=[role("ops")])) as store:
        use(store, "ops", "docs:GetDocument", account=GLOBEX)
        assert [finding.resource for finding in found(store)] == [OPS]


def test_uses_of_a_trail_count() -> None:
    with store_of(account(ACME, users=[{"name": "ada"}], roles=[role("ops")])) as store:
        add_key(store, "AKIAKEY")
        uses: list[Use] = [ServiceUse(id_of(store, "ops"), "docs", "GetDocument", NOW, "r")]
        assert short(found(store, uses=uses)) == [("IAMUserAccessKey", "ada", "AKIAKEY")]
        assert short(found(store, uses=[*uses, KeyUse("AKIAKEY", NOW, "r", "docs")])) == []


# --- permissions -------------------------------------------------------------------------------------------------


@table(
    "statements, expected",
    [
        ([{"Action": "docs:*"}], [("Permission", "ada", "docs", "DeleteDocument", "PutDocument")]),
        ([{"Action": ["docs:Get*", "docs:Put*"]}], [("Permission", "ada", "docs", "PutDocument")]),
        ([{"Action": "docs:GetDocument"}], []),
        ([{"Action": ["docs:GetDocument", "mail:*"]}], [("Permission", "ada", "mail")]),
        ([{"Action": ["docs:GetDocument", "store:Buy"]}], [("Permission", "ada", "store")]),
        (
            [{"NotAction": [*OWN, "docs:PutDocument"]}],
            [("Permission", "ada", "docs", "DeleteDocument"), ("Permission", "ada", "mail")],
        ),
        (
            [{"Action": "docs:*"}, {"Effect": "Deny", "Action": "docs:Delete*"}],
            [("Permission", "ada", "docs", "PutDocument")],
        ),
        (
            [{"Action": "docs:*"}, {"Effect": "Deny", "NotAction": "docs:GetDocument"}],
            [],
        ),
        ([{"Effect": "Deny", "Action": "docs:*"}], []),
    ],
)
def test_permissions_not_used_are_found(statements: list[dict[str, Any]], expected: list[tuple[str, ...]]) -> None:
    """By service, and by action of services that were used; a permission used through a wildcard is used."""
    user = {"name": "ada", "inline": {"P": document(*statements)}}
    with store_of(account(ACME, users=[user])) as store:
        use(store, "ada", "docs:GetDocument")
        assert short(found(store)) == expected


def test_permissions_of_an_unused_principal_are_not_listed() -> None:
    """It is a finding itself, if it is a role."""
    policy = {"P": document({"Action": "docs:*"})}
    with store_of(
        account(ACME, users=[{"name": "ada", "inline": policy}], roles=[role("ops", inline=policy)])
    ) as store:
        use(store, "ada", "docs:GetDocument", at=BEGIN - 1)
        assert short(found(store)) == [("IAMRole", "ops")]


def test_last_use_before_the_window_is_named() -> None:
    with store_of(account(ACME, users=[{"name": "ada", "inline": {"P": document({"Action": "docs:*"})}}])) as store:
        use(store, "ada", "docs:putdocument", at=BEGIN - 5)
        use(store, "ada", "docs:GetDocument")
        [finding] = found(store)
        assert finding.actions == (("docs:DeleteDocument", None), ("docs:PutDocument", BEGIN - 5))
        assert finding.last_used == NOW - DAY
        assert finding.to_dict()["actions"][1]["lastAccessed"] == "2026-10-17T07:59:55Z"


def test_young_policy_is_not_evaluated() -> None:
    """Its permissions did not exist for the whole window."""
    managed = [{"name": "M", "document": document({"Action": "docs:*"})}]
    with store_of(account(ACME, policies=managed, users=[{"name": "ada", "attached": ["M"]}])) as store:
        use(store, "ada", "docs:GetDocument")
        assert short(found(store)) == [("Permission", "ada", "docs", "DeleteDocument", "PutDocument")]
        with store.write_transaction() as records:
            records.update(policy_versions, {"created": BEGIN + 1})
        assert short(found(store)) == []


# --- recommendations ---------------------------------------------------------------------------------------------


def steps_for(store: SqlStore, name: str = "ada") -> list[RecommendedStep]:
    first, *others = [finding for finding in found(store) if finding.resource.endswith(f"/{name}")]
    return replacement_policies(first, store, *others)


@table(
    "statements, expected",
    [
        ([{"Action": "docs:*"}], [{"Action": ["docs:GetDocument"]}]),
        ([{"Action": ["docs:GetDocument", "docs:PutDocument"]}], [{"Action": ["docs:GetDocument"]}]),
        ([{"Action": ["docs:Get*", "mail:*"]}], [{"Action": ["docs:Get*"]}]),
        ([{"Action": "mail:Send"}], None),
        (
            [{"Action": "mail:Send"}, {"Effect": "Deny", "Action": "docs:Delete*"}],
            [{"Effect": "Deny", "Action": "docs:Delete*"}],
        ),
        (
            [{"NotAction": OWN}],
            [{"NotAction": [*OWN, "mail:*", "docs:DeleteDocument", "docs:PutDocument"]}],
        ),
        (
            [{"Action": "docs:*", "Resource": "arn:aws:docs:::a", "Condition": {"Bool": {"docs:Open": "true"}}}],
            [
                {
                    "Action": ["docs:GetDocument"],
                    "Resource": "arn:aws:docs:::a",
                    "Condition": {"Bool": {"docs:Open": "true"}},
                }
            ],
        ),
    ],
)
def test_replacement_keeps_the_structure(statements: list[dict[str, Any]], expected: Any) -> None:
    user = {"name": "ada", "inline": {"P": document(*statements)}}
    with store_of(account(ACME, users=[user])) as store:
        use(store, "ada", "docs:GetDocument")
        [step] = steps_for(store)
        assert step.existing_policy == "P"
        if expected is None:
            assert (step.action, step.document) == ("DETACH_POLICY", None)
        else:
            assert step.action == "CREATE_POLICY"
            assert json.loads(step.document or "") == document(*expected)


def test_use_before_the_window_is_removed() -> None:
    """Though the store recorded it; a use in a trail stays."""
    with store_of(account(ACME, users=[{"name": "ada", "inline": {"P": document({"Action": "docs:*"})}}])) as store:
        use(store, "ada", "docs:PutDocument", at=BEGIN - 5)
        use(store, "ada", "docs:GetDocument")
        [step] = steps_for(store)
        assert json.loads(step.document or "") == document({"Action": ["docs:GetDocument"]})
        more: list[Use] = [ServiceUse(id_of(store, "ada"), "docs", "DeleteDocument", NOW, "r")]
        [finding] = found(store, uses=more)
        [step] = replacement_policies(finding, store, uses=more)
        assert json.loads(step.document or "") == document({"Action": ["docs:DeleteDocument", "docs:GetDocument"]})


def test_everything_becomes_everything_except_unused() -> None:
    with store_of(account(ACME, users=[{"name": "ada", "inline": {"P": document({"Action": "*"})}}])) as store:
        use(store, "ada", "docs:GetDocument")
        [step] = steps_for(store)
        [statement] = json.loads(step.document or "")["Statement"]
        assert {"iam:*", "sts:*", "mail:*", "docs:PutDocument"} <= {*statement["NotAction"]}


def test_policies_of_groups_and_managed_ones_are_named() -> None:
    managed = [{"name": "M", "document": document({"Action": "mail:*"})}]
    groups = [{"name": "g", "attached": ["M"]}]
    with store_of(account(ACME, policies=managed, groups=groups, users=[{"name": "ada", "groups": ["g"]}])) as store:
        use(store, "ada", "docs:GetDocument")
        [step] = steps_for(store)
        assert step == RecommendedStep("DETACH_POLICY", f"arn:aws:iam::{ACME}:policy/M", None, ("g",))


def test_recommendation_for_another_finding_is_refused() -> None:
    with store_of(account(ACME, roles=[role("ops")])) as store:
        [finding] = found(store)
        with pytest.raises(InvalidInput, match="unused permissions"):
            replacement_policies(finding, store)
        gone = UnusedFinding("UnusedPermission", ADA, "AWS::IAM::User", ACME, service="docs")
        with pytest.raises(NoSuchEntity):
            replacement_policies(gone, store)


_ENTRIES = ["docs:*", "docs:Get*", "docs:*Document", "docs:PutDocument", "mail:*", "mail:Send", "*", "iam:GetUser"]


@given(st.integers(min_value=0, max_value=2**32))
@settings(max_examples=60)
def test_replacements_allow_what_was_used_and_nothing_new(number: int) -> None:
    """The evaluator decides on each action, that was used or not."""
    random = Random(number)
    statements = []
    for _ in range(random.randint(1, 3)):
        element = "Action" if random.random() < 0.8 else "NotAction"
        statement: dict[str, Any] = {element: random.sample(_ENTRIES, random.randint(1, 3))}
        statement["Effect"] = "Allow" if random.random() < 0.8 else "Deny"
        statement["Resource"] = random.choice(["*", "arn:aws:docs:::a"])
        statements.append(statement)
    every = [*(f"docs:{action}" for action in ACTIONS), "mail:Send", "iam:GetUser", "iam:ListUsers", "docs:Unknown"]
    used = random.sample(every, random.randint(1, 4))
    before = document(*statements)
    with store_of(account(ACME, users=[{"name": "ada", "inline": {"P": before}}])) as store:
        use(store, "ada", *used)
        findings = found(store)
        steps = replacement_policies(findings[0], store, *findings[1:]) if findings else []
        if not findings:
            return
        after = [step.document for step in steps if step.document] if steps else [json.dumps(before)]
        unused = {name.lower() for finding in findings for name, _ in finding.actions}
        services = {finding.service for finding in findings if not finding.actions}
        for action in every:
            for resource in ("arn:aws:docs:::a", "arn:aws:docs:::b"):
                was, now = is_allowed([json.dumps(before)], action, resource), is_allowed(after, action, resource)
                assert was or not now
                if action in used:
                    assert now is was
                if action.lower() in unused or action.partition(":")[0] in services:
                    assert not now
        assert all(check_no_new_access(before, text, PolicyType.IDENTITY).passed for text in after)


def is_allowed(texts: list[str], action: str, resource: str) -> bool:
    request = AccessRequest(Principal.from_arn(ADA), action, resource, resource_account=ACME)
    return compile_policies(identity=texts).decide(request).allowed
