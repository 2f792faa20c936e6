"""The effective access of principals of a store through all policy types, case by case."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.invariants.access_query import query_of
from iam_guard.analysis.invariants.effective_access import effective_access
from iam_guard.analysis.invariants.store_access import StoreAccess, read_store_access
from iam_guard.errors import NoSuchEntity
from iam_guard.settings import Settings
from iam_guard.store.opening import open_store
from tests.tables import table

PASS, FAIL, UNKNOWN = CheckVerdict
ACME, GLOBEX, MANAGER = "111122223333", "444455556666", "999900000000"
REPORT = f"arn:aws:docs:us-east-1:{ACME}:document/report"
SHARED = f"arn:aws:docs:us-east-1:{GLOBEX}:document/shared"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [*statements]}


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


def trust(principal: Any, action: Any = "sts:AssumeRole") -> dict[str, Any]:
    return policy({"Effect": "Allow", "Principal": principal, "Action": action})


def user(name: str) -> str:
    return f"arn:aws:iam::{ACME}:user/{name}"


BOX = f"arn:aws:docs:us-east-1:{ACME}:box/eve"
TEAMS = policy(allow("docs:*", "*", Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}}))
SEED = {
    "version": 1,
    "organization": {
        "id": "o-exampleorg1",
        "management_account": MANAGER,
        "policies": [
            {"name": "NoPurge", "type": "SCP", "document": policy(deny("docs:Purge"))},
            {"name": "NoWipe", "type": "RCP", "document": policy({**deny("docs:Wipe"), "Principal": "*"})},
        ],
        "units": [
            {"name": "tenants", "scps": ["FullAWSAccess", "NoPurge"], "rcps": ["NoWipe"], "accounts": [ACME, GLOBEX]}
        ],
    },
    "accounts": [
        {"id": MANAGER, "name": "manager", "users": [{"name": "boss", "inline": {"a": policy(allow("docs:*"))}}]},
        {
            "id": ACME,
            "name": "acme",
            "policies": [{"name": "Readers", "document": policy(allow("docs:Get*"))}],
            "groups": [{"name": "staff", "inline": {"List": policy(allow("docs:List"), deny("docs:Secret"))}}],
            "users": [
                {"name": "all", "inline": {"a": policy(allow("docs:*"))}},
                {"name": "bounded", "boundary": "Readers", "inline": {"a": policy(allow("docs:*"))}},
                {"name": "member", "groups": ["staff"]},
                {"name": "own", "inline": {"a": policy(allow("docs:*", "arn:aws:docs:*:*:home/${aws:username}/*"))}},
                {
                    "name": "tagged",
                    "tags": {"team": "red"},
                    "inline": {
                        "a": policy(
                            allow(
                                "docs:*",
                                Condition={"StringEquals": {"aws:PrincipalTag/team": "${aws:ResourceTag/team}"}},
                            )
                        )
                    },
                },
                {"name": "nothing"},
                {"name": "keeper", "inline": {"a": policy(allow("iam:GetRole"))}},
                {"name": "trays", "inline": {"a": policy(allow("docs:*", "arn:aws:docs:*:*:tray/${docs:Owner}/*"))}},
            ],
            "roles": [
                {"name": "ops", "trust": trust({"AWS": user("nothing")}), "inline": {"a": policy(allow("docs:Put"))}},
                {"name": "open", "trust": trust({"AWS": ACME})},
                {"name": "capped", "trust": trust({"AWS": ACME}), "boundary": "Readers"},
                {"name": "kept", "trust": trust({"AWS": user("keeper")})},
                {"name": "abac", "trust": trust({"AWS": ACME}), "tags": {"team": "red"}, "inline": {"a": TEAMS}},
                {
                    "name": "session-abac",
                    "trust": trust({"AWS": ACME}, ["sts:AssumeRole", "sts:TagSession"]),
                    "tags": {"team": "red"},
                    "inline": {"a": TEAMS},
                },
            ],
            "resources": [
                {
                    "arn": REPORT,
                    "policy": policy(
                        allow("docs:Read", Principal={"AWS": user("nothing")}),
                        allow("docs:Sign", Principal={"AWS": f"arn:aws:sts::{ACME}:assumed-role/ops/night"}),
                        deny("docs:Drop", Principal="*"),
                        allow(["docs:GetCap", "docs:Cap"], Principal={"AWS": f"arn:aws:iam::{ACME}:role/capped"}),
                    ),
                },
                {
                    "arn": BOX,
                    "policy": policy(
                        allow("docs:Open", "arn:aws:docs:*:*:box/${docs:Owner}", Principal={"AWS": user("nothing")})
                    ),
                },
            ],
        },
        {
            "id": GLOBEX,
            "name": "globex",
            "resources": [
                {"arn": SHARED, "policy": policy(allow("docs:*", Principal={"AWS": f"arn:aws:iam::{ACME}:root"}))}
            ],
        },
    ],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StoreAccess:
    path: Path = tmp_path_factory.mktemp("seed") / "iam.yaml"
    path.write_text(json.dumps(SEED), encoding="utf-8")
    with closing(open_store(str(path), Settings())) as opened:
        return read_store_access(opened)


TAGGED = {"StringEquals": {"aws:ResourceTag/team": "red"}}


@table(
    ("principal", "action", "resource", "condition", "verdict"),
    [
        (user("all"), "docs:Delete", REPORT, None, FAIL),
        (user("all"), "docs:Drop", REPORT, None, PASS),  # the resource's policy denies it
        (user("all"), "docs:Drop", "*", None, FAIL),
        (user("all"), "docs:Purge", "*", None, PASS),  # SCP
        (user("all"), "docs:Wipe", "*", None, PASS),  # RCP
        (f"arn:aws:iam::{MANAGER}:user/boss", "docs:Purge", "*", None, FAIL),  # no SCP limits the management account
        (user("all"), "docs:Get", SHARED, None, FAIL),  # both accounts allow
        (user("own"), "docs:Get", SHARED, None, PASS),
        (user("bounded"), "docs:Get*", "*", None, FAIL),
        (user("bounded"), "docs:Delete", "*", None, PASS),
        (user("member"), "docs:List", "*", None, FAIL),
        (user("member"), "docs:Secret", "*", None, PASS),
        (user("own"), "docs:*", "arn:aws:docs:*:*:home/own/*", None, FAIL),
        (user("own"), "docs:*", f"arn:aws:docs:us-east-1:{ACME}:home/all/x", None, PASS),
        (user("tagged"), "docs:*", "*", TAGGED, FAIL),
        (user("tagged"), "docs:*", "*", {"StringNotEquals": {"aws:ResourceTag/team": "red"}}, PASS),
        (user("nothing"), "docs:Read", REPORT, None, FAIL),  # a direct grant
        (user("nothing"), "docs:Read", f"arn:aws:docs:us-east-1:{ACME}:document/other", None, PASS),
        (user("nothing"), "sts:AssumeRole", f"arn:aws:iam::{ACME}:role/ops", None, FAIL),
        (
            user("nothing"),
            "sts:AssumeRole",
            f"arn:aws:iam::{ACME}:role/open",
            None,
            PASS,
        ),  # only its account is trusted
        (user("all"), "sts:AssumeRole", "*", None, PASS),
        (f"arn:aws:iam::{ACME}:role/ops", "docs:Put", "*", None, FAIL),
        (f"arn:aws:iam::{ACME}:role/ops", "docs:Sign", REPORT, None, FAIL),  # one session
        (f"arn:aws:iam::{ACME}:role/ops", "docs:Sign", "arn:aws:docs:*:*:document/other", None, PASS),
        (f"arn:aws:iam::{ACME}:root", "docs:Delete", "*", None, FAIL),
        (f"arn:aws:iam::{ACME}:root", "docs:Purge", "*", None, PASS),
        (f"arn:aws:iam::{ACME}:root", "docs:Get", SHARED, None, FAIL),
        (f"arn:aws:iam::{MANAGER}:root", "docs:Get", SHARED, None, PASS),
        (user("keeper"), "iam:GetRole", f"arn:aws:iam::{ACME}:role/kept", None, FAIL),
        (user("nothing"), "docs:Open", BOX, None, FAIL),  # for one value of the variable
        (user("trays"), "docs:Get", "arn:aws:docs:*:*:tray/eve/*", None, FAIL),
        (user("trays"), "docs:Get", f"arn:aws:docs:us-east-1:{ACME}:trays/eve/x", None, PASS),
        (f"arn:aws:iam::{ACME}:role/capped", "docs:GetCap", REPORT, None, FAIL),
        (f"arn:aws:iam::{ACME}:role/capped", "docs:Cap", REPORT, None, PASS),  # the boundary limits sessions of a role
        (f"arn:aws:iam::{ACME}:role/abac", "docs:Get", "*", None, PASS),
        (f"arn:aws:iam::{ACME}:role/session-abac", "docs:Get", "*", None, FAIL),  # a session may have another tag
    ],
)
def test_access_is_that_of_all_policy_types(
    store: StoreAccess, principal: str, action: str, resource: str, condition: Any, verdict: CheckVerdict
) -> None:
    result = effective_access(store, principal, query_of([action], [resource], condition))
    assert result.verdict is verdict, (result.problem, result.found)
    if result.found is not None:
        assert result.found.decision.allowed
        assert result.found.request.action.lower().startswith(action.lower().rstrip("*"))


def test_access_of_an_unknown_principal_is_an_error(store: StoreAccess) -> None:
    with pytest.raises(NoSuchEntity):
        effective_access(store, user("missing"), query_of())
