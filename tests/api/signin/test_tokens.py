"""CreateOAuth2Token: what a code and a refresh token give, once or again, and to whom."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

from iam_guard.authn.people.sessions.tool_sessions import CODE_SECONDS, MAX_SECONDS
from tests.api.signin.conftest import ACME, Office

ADA = f"arn:aws:iam::{ACME}:user/ada"


def error_of(answer: Any) -> tuple[int, str, str]:
    """Return the status, the code and the member `error` of an answer."""
    return answer.status_code, answer.headers["x-amzn-errortype"], answer.json()["error"]


CODE_EXPIRED = 401, "AccessDeniedException", "AUTHCODE_EXPIRED"
TOKEN_EXPIRED = 401, "AccessDeniedException", "TOKEN_EXPIRED"
CHANGED = 403, "AccessDeniedException", "USER_CREDENTIALS_CHANGED"
NOT_ALLOWED = 403, "AccessDeniedException", "INSUFFICIENT_PERMISSIONS"
INVALID = 400, "ValidationException", "INVALID_REQUEST"


def test_code_gives_credentials_that_carry_the_session(office: Office) -> None:
    _, got = office.signed_in()
    assert got["tokenType"] == "aws_sigv4"
    assert got["expiresIn"] == 900
    assert got["refreshToken"].startswith("ASOR")
    assert office.client("sts", got).get_caller_identity()["Arn"] == ADA
    [used] = office.records("GetCallerIdentity")
    session = used["userIdentity"]["sessionContext"]["signInSessionArn"]
    assert session.startswith(f"arn:aws:signin:us-east-1:{ACME}:session/")


def test_id_token_names_the_person_and_the_session(office: Office) -> None:
    _, got = office.signed_in()
    header, claims, signature = got["idToken"].split(".")
    read = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims)]
    assert read[0] == {"alg": "HS256", "typ": "JWT"}
    assert read[1]["sub"] == ADA
    assert read[1]["aud"] == "arn:aws:signin:::devtools/same-device"
    assert ":session/" in read[1]["session_arn"]
    expected = hmac.digest(got["refreshToken"].encode(), f"{header}.{claims}".encode(), "sha256")
    assert base64.urlsafe_b64decode(signature + "==") == expected


def test_refresh_returns_new_credentials_and_no_id_token(office: Office) -> None:
    tool, got = office.signed_in()
    again = tool.refresh(got["refreshToken"]).json()
    assert "idToken" not in again
    assert again["refreshToken"] != got["refreshToken"]
    assert again["accessToken"]["accessKeyId"] != got["accessToken"]["accessKeyId"]
    assert office.client("sts", again).get_caller_identity()["Arn"] == ADA


def test_former_refresh_token_in_its_window_gives_the_same_successor(office: Office) -> None:
    """The answer may have been lost, or two processes share the tool's cache."""
    tool, got = office.signed_in()
    first, second = (tool.refresh(got["refreshToken"]).json() for _ in range(2))
    assert first["refreshToken"] == second["refreshToken"]
    assert first["accessToken"] != second["accessToken"]
    assert tool.refresh(second["refreshToken"]).status_code == 200


def test_former_refresh_token_after_its_window_ends_the_session(office: Office) -> None:
    tool, got = office.signed_in()
    now = tool.refresh(got["refreshToken"]).json()
    office.pass_time(seconds=901)
    at = office.now().timestamp()
    assert error_of(tool.refresh(got["refreshToken"], now=at)) == TOKEN_EXPIRED
    assert error_of(tool.refresh(now["refreshToken"], now=at)) == TOKEN_EXPIRED


def test_older_refresh_token_ends_the_session(office: Office) -> None:
    tool, got = office.signed_in()
    second = tool.refresh(got["refreshToken"]).json()["refreshToken"]
    third = tool.refresh(second).json()["refreshToken"]
    assert error_of(tool.refresh(got["refreshToken"])) == TOKEN_EXPIRED
    assert error_of(tool.refresh(third)) == TOKEN_EXPIRED


def test_code_used_twice_ends_its_session(office: Office) -> None:
    tool = office.tool()
    code = office.code(tool)
    got = tool.redeem(code).json()
    assert error_of(tool.redeem(code)) == CODE_EXPIRED
    assert error_of(tool.refresh(got["refreshToken"])) == TOKEN_EXPIRED
    refused = [record for record in office.records("CreateOAuth2Token") if "errorCode" in record]
    assert all(
        record["iamGuard"]["place"].startswith(f"arn:aws:signin:us-east-1:{ACME}:session/") for record in refused
    )
    assert len(refused) == 2


def test_code_expires(office: Office) -> None:
    tool = office.tool()
    code = office.code(tool)
    office.pass_time(seconds=CODE_SECONDS)
    assert error_of(tool.redeem(code, now=office.now().timestamp())) == CODE_EXPIRED


def test_wrong_verifier_ends_the_code(office: Office) -> None:
    """A code that is injected is not to be redeemed by anyone."""
    tool = office.tool()
    code = office.code(tool)
    assert error_of(tool.redeem(code, codeVerifier="x" * 43)) == INVALID
    assert error_of(tool.redeem(code)) == CODE_EXPIRED


def test_session_ends_with_the_time_of_the_sign_in(office: Office) -> None:
    tool, got = office.signed_in()
    office.pass_time(seconds=MAX_SECONDS - 100)
    last = tool.refresh(got["refreshToken"], now=office.now().timestamp()).json()
    assert 0 < last["expiresIn"] <= 100
    office.pass_time(seconds=101)
    assert error_of(tool.refresh(last["refreshToken"], now=office.now().timestamp())) == TOKEN_EXPIRED


def test_sign_out_in_the_browser_keeps_the_session(office: Office) -> None:
    browser = office.browser()
    tool = office.tool()
    got = tool.redeem(office.code(tool, browser)).json()
    assert office.guard.people.browser_sessions.end(browser.id, office.person("ada"))
    assert tool.refresh(got["refreshToken"]).status_code == 200


def test_managed_policy_allows_tools_and_nothing_else(office: Office) -> None:
    _, got = office.signed_in("cleo")
    assert office.client("sts", got).get_caller_identity()["Arn"].endswith(":user/cleo")


def test_record_has_the_caller_and_no_secret(office: Office) -> None:
    tool, got = office.signed_in()
    again = tool.refresh(got["refreshToken"]).json()
    text = (office.folder / "audit.jsonl").read_text(encoding="utf-8")
    secrets = [tool.verifier, *(got[name] for name in ("refreshToken", "idToken")), again["refreshToken"]]
    secrets += [answer["accessToken"][name] for answer in (got, again) for name in ("secretAccessKey", "sessionToken")]
    assert not [secret for secret in secrets if secret in text]
    issued = [record for record in office.records("CreateOAuth2Token") if record["iamGuard"]["kind"] == "session_issue"]
    assert [record["requestParameters"]["tokenInput"]["grantType"] for record in issued] == [
        "authorization_code",
        "refresh_token",
    ]
    assert {record["userIdentity"]["arn"] for record in issued} == {ADA}
    [approved] = [one for one in office.records("AuthorizeOAuth2Access") if one["iamGuard"]["kind"] == "admin_call"]
    assert approved["requestParameters"]["code_challenge_method"] == "SHA-256"
    assert approved["eventSource"] == "signin.amazonaws.com"
