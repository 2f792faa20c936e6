"""The signed operations: sessions are listed, shown, revoked, introspected, by those who may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.authn.people.sessions import tool_sessions
from iam_guard.store.database.records import MAX_PURGED, Records, Table
from iam_guard.store.schema import tool_sessions as rows
from tests.api.conftest import refusal
from tests.api.signin.conftest import ACME, ADMIN_KEY, GLOBEX, OTHER_KEY, Office
from tests.api.signin.test_tokens import TOKEN_EXPIRED, error_of

ALL = f"arn:aws:iam::{ACME}:*"
ADA = f"arn:aws:iam::{ACME}:user/ada"


def arns(answer: Any) -> set[str]:
    return {item["sessionArn"] for item in answer["items"]}


def own_arn(office: Office, got: Any) -> str:
    """Return the session of these credentials, the only one of its person."""
    [session] = office.client("signin", got).list_sessions()["items"]
    return str(session["sessionArn"])


def test_sessions_are_listed_by_identity_and_filter(office: Office) -> None:
    _, ada = office.signed_in()
    _, root = office.signed_in(None)
    signin = office.client("signin", ADMIN_KEY)
    own, of_root = own_arn(office, ada), own_arn(office, root)
    assert arns(signin.list_sessions()) == set()
    assert arns(signin.list_sessions(principalArn=ALL)) == {own, of_root}
    assert arns(signin.list_sessions(principalArn=ADA)) == {own}
    assert arns(signin.list_sessions(principalArn=f"arn:aws:iam::{ACME}:root")) == {of_root}
    assert arns(signin.list_sessions(principalArn=f"arn:aws:iam::{ACME}:user/no-one")) == set()
    assert arns(signin.list_sessions(principalArn=f"arn:aws:iam::{GLOBEX}:*")) == set()
    assert arns(signin.list_sessions(principalArn=ALL, status="REVOKED")) == set()
    assert arns(signin.list_sessions(principalArn=ALL, clientId="arn:aws:signin:::devtools/cross-device")) == set()
    later = int(office.now().timestamp()) + 10
    assert arns(signin.list_sessions(principalArn=ALL, issuedAfter=later)) == set()
    assert arns(signin.list_sessions(principalArn=ALL, issuedBefore=later, issuedAfter=later - 100)) == {own, of_root}


def test_pages_of_sessions_show_each_once(office: Office) -> None:
    for _ in range(5):
        office.signed_in()
    signin = office.client("signin", ADMIN_KEY)
    pages = list(signin.get_paginator("list_sessions").paginate(principalArn=ALL, PaginationConfig={"PageSize": 2}))
    found = [item["sessionArn"] for page in pages for item in page["items"]]
    assert len(pages) == 3
    assert len(found) == len({*found}) == 5


def test_further_session_ends_the_oldest(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its person only."""
    monkeypatch.setattr(tool_sessions, "MAX_SESSIONS", 3)
    others = own_arn(office, office.signed_in(None)[1])
    signin = office.client("signin", ADMIN_KEY)
    for _ in range(5):
        office.signed_in()
        office.pass_time(seconds=1)
    listed = signin.list_sessions(principalArn=ALL)["items"]
    live = [item["sessionArn"] for item in listed if item["status"] == "ACTIVE"]
    assert len(live) == 4
    assert others in live
    revoked = [item["issuedAt"] for item in listed if item["status"] == "REVOKED"]
    assert len(revoked) == 2
    assert max(revoked) < min(item["issuedAt"] for item in listed if item["sessionArn"] in {*live} - {others})


def test_approval_reads_no_revoked_sessions(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person can make thousands in a day."""
    office.signed_in()
    with office.store.write_transaction() as records:
        [row] = records.all(rows)
        names = {"id": lambda number: f"id{number}", "code_digest": str, "revoked": lambda _: 1}
        made = [{**row, **{name: value(number) for name, value in names.items()}} for number in range(2_000)]
        records.insert_all(rows, made, ())
    read: list[int] = []

    def counting(method: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        def count(records: Records, table: Table, **more: Any) -> list[Any]:
            found = method(records, table, **more)
            read.extend([len(found)] if table is rows else [])
            return found

        return count

    for name in ("all", "page"):
        monkeypatch.setattr(Records, name, counting(getattr(Records, name)))
    office.code(office.tool())
    assert sum(read) <= MAX_PURGED + 2
    assert read


def test_unredeemed_code_is_no_session(office: Office) -> None:
    office.code(office.tool())
    assert arns(office.client("signin", ADMIN_KEY).list_sessions(principalArn=ALL)) == set()


def test_session_is_shown_to_its_owner_and_by_the_named_identity(office: Office) -> None:
    _, got = office.signed_in()
    arn = own_arn(office, got)
    shown = office.client("signin", got).get_session(sessionArn=arn)
    assert (shown["principalArn"], shown["status"], shown["clientType"]) == (ADA, "ACTIVE", "CLI")
    assert shown["userAgent"].startswith("python-requests")
    signin = office.client("signin", ADMIN_KEY)
    with refusal("ResourceNotFoundException", status=404):
        signin.get_session(sessionArn=arn)
    assert signin.get_session(sessionArn=arn, principalArn=ADA)["issuedInRegion"] == "us-east-1"


def test_sessions_of_another_account_are_not_found(office: Office) -> None:
    tool, got = office.signed_in()
    arn = own_arn(office, got)
    outsider = office.client("signin", OTHER_KEY)
    for principal in (ALL, ADA, f"arn:aws:iam::{GLOBEX}:*"):
        with refusal("ResourceNotFoundException"):
            outsider.get_session(sessionArn=arn, principalArn=principal)
        answer = outsider.batch_revoke_sessions(sessionArns=[arn], principalArn=principal)
        assert answer["revokedSessions"] == []
        assert [error["code"] for error in answer["errors"]] == ["RESOURCE_NOT_FOUND"]
    renamed = arn.replace(ACME, GLOBEX)
    with refusal("ResourceNotFoundException"):
        outsider.get_session(sessionArn=renamed, principalArn=f"arn:aws:iam::{GLOBEX}:*")
    assert outsider.introspect_oauth2_token_with_iam(token=got["refreshToken"])["active"] is False
    outsider.revoke_oauth2_token_with_iam(token=got["refreshToken"])
    assert tool.refresh(got["refreshToken"]).status_code == 200


def test_revocation_is_idempotent_and_ends_the_refresh(office: Office) -> None:
    tool, got = office.signed_in()
    arn, signin = own_arn(office, got), office.client("signin", ADMIN_KEY)
    for _ in range(2):
        answer = signin.batch_revoke_sessions(sessionArns=[arn, f"{arn[:-1]}!"], principalArn=ADA, reason="lost laptop")
        assert answer["revokedSessions"] == [{"sessionArn": arn}]
        assert len(answer["errors"]) == 1
    assert error_of(tool.refresh(got["refreshToken"])) == TOKEN_EXPIRED
    assert signin.get_session(sessionArn=arn, principalArn=ADA)["status"] == "REVOKED"
    with refusal("ValidationException"):
        signin.batch_revoke_sessions(sessionArns=[arn] * 6)


def test_token_is_introspected_and_revoked(office: Office) -> None:
    tool, got = office.signed_in()
    signin = office.client("signin", ADMIN_KEY)
    shown = signin.introspect_oauth2_token_with_iam(token=got["refreshToken"])
    assert (shown["active"], shown["sub"], shown["accountId"]) == (True, ADA, ACME)
    assert shown["signinSession"] == own_arn(office, got)
    signin.revoke_oauth2_token_with_iam(token=got["refreshToken"])
    answer = signin.introspect_oauth2_token_with_iam(token=got["refreshToken"])
    assert {name: value for name, value in answer.items() if name != "ResponseMetadata"} == {"active": False}
    assert error_of(tool.refresh(got["refreshToken"])) == TOKEN_EXPIRED


def test_operations_need_permissions(office: Office) -> None:
    _, got = office.signed_in("cleo")
    signin = office.client("signin", got)
    arn = f"arn:aws:signin:us-east-1:{ACME}:session/00000000-0000-0000-0000-000000000000"
    for operation, parameters in (
        ("list_sessions", {}),
        ("get_session", {"sessionArn": arn}),
        ("batch_revoke_sessions", {"sessionArns": [arn]}),
        ("introspect_oauth2_token_with_iam", {"token": "ASORabc"}),
        ("revoke_oauth2_token_with_iam", {"token": "ASORabc"}),
    ):
        with refusal("AccessDeniedException"):
            getattr(signin, operation)(**parameters)


def test_permission_on_one_session_is_enough(office: Office) -> None:
    _, got = office.signed_in()
    arn = own_arn(office, got)
    statement = f'{{"Effect": "Allow", "Action": "signin:*Session*", "Resource": "{arn}"}}'
    document = f'{{"Version": "2012-10-17", "Statement": [{statement}]}}'
    iam = office.client("iam", ADMIN_KEY)
    iam.put_user_policy(UserName="cleo", PolicyName="One", PolicyDocument=document)
    _, cleo = office.signed_in("cleo")
    signin = office.client("signin", cleo)
    assert signin.get_session(sessionArn=arn, principalArn=ADA)["sessionArn"] == arn
    with refusal("AccessDeniedException"):
        signin.list_sessions(principalArn=ADA)


@pytest.mark.parametrize("operation", ["get_resource_policy", "list_resource_permission_statements"])
def test_other_operations_answer_a_documented_error(office: Office, operation: str) -> None:
    with refusal("NotSupported"):
        getattr(office.client("signin", ADMIN_KEY), operation)()
