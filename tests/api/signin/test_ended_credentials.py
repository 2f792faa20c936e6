"""What ends a tool's session, and its credentials: the same that ends a person's sign-in, at the next renewal."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iam_guard.authn.people.passwords.stored_passwords import delete_password
from iam_guard.authn.people.person import PersonRef
from iam_guard.authn.people.sessions.federated_sessions import FederatedSignIn
from iam_guard.authn.people.sessions.role_switch import TypedRole
from iam_guard.errors import AccessDenied
from iam_guard.model.credential import BrowserSession, Session
from iam_guard.model.principal import Principal
from iam_guard.store.schema import identities, inline_policies, login_profiles, password_policies
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.api.conftest import refusal
from tests.api.signin.conftest import ACME, ADMIN_KEY, CALL, GLOBEX, NEW_PASSWORD, SEED, Office
from tests.api.signin.test_tokens import CHANGED, CODE_EXPIRED, NOT_ALLOWED, TOKEN_EXPIRED, error_of
from tests.tables import table


def change_password(office: Office) -> None:
    office.set_password(office.person("ada"), NEW_PASSWORD)


def delete_login_profile(office: Office) -> None:
    with office.guard.store.write_transaction() as records:
        delete_password(records, office.person("ada"))


def lock_out(office: Office) -> None:
    """The password has expired, and only an administrator can set another."""
    with office.guard.store.write_transaction() as records:
        records.update(login_profiles, {"changed": 0}, owner=office.person("ada").owner)
        policy = {"MaxPasswordAge": 1, "HardExpiry": True}
        records.insert(password_policies, account=ACME, policy=policy)


def delete_user(office: Office) -> None:
    with office.guard.store.write_transaction() as records:
        records.delete(identities, id=office.person("ada").user_id)


def recreate_user(office: Office) -> None:
    delete_user(office)
    apply_seed(office.store, load_seed_text(json.dumps(SEED)))
    office.guard.refresh()
    office.set_password(office.person("ada"))


ENDS: list[Callable[[Office], None]] = [change_password, delete_login_profile, lock_out, delete_user, recreate_user]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_end_of_the_sign_in_ends_the_refresh(office: Office, end: Callable[[Office], None]) -> None:
    tool, got = office.signed_in()
    assert tool.refresh(got["refreshToken"]).status_code == 200
    end(office)
    assert error_of(tool.refresh(got["refreshToken"])) == CHANGED


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_end_of_the_sign_in_ends_a_code(office: Office, end: Callable[[Office], None]) -> None:
    tool = office.tool()
    code = office.code(tool)
    end(office)
    assert tool.redeem(code).status_code in (401, 403)


def test_deleted_or_new_user_has_no_use_of_credentials(office: Office) -> None:
    """The credentials are those of the unique id, not of the name."""
    _, got = office.signed_in()
    recreate_user(office)
    with refusal("AccessDenied"):
        office.client("iam", got).list_users()


def test_renamed_user_gets_its_new_name_by_refresh(office: Office) -> None:
    tool, got = office.signed_in()
    office.client("iam", ADMIN_KEY).update_user(UserName="ada", NewUserName="eve")
    again = tool.refresh(got["refreshToken"]).json()
    assert office.client("sts", again).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACME}:user/eve"
    assert office.client("iam", again).list_users()["Users"]


def in_role(office: Office) -> BrowserSession:
    """Return a browser session of ada in a role."""
    switched = office.guard.people.role_switch.switch(office.browser(), TypedRole("acme", "team/auditor"), CALL)
    assert switched is not None
    return switched.session


def test_role_session_is_that_of_the_role(office: Office) -> None:
    tool = office.tool()
    got = tool.redeem(office.code(tool, in_role(office))).json()
    arn = f"arn:aws:sts::{ACME}:assumed-role/auditor/ada"
    assert office.client("sts", got).get_caller_identity()["Arn"] == arn
    assert office.client("iam", got).list_users()["Users"]
    with pytest.raises(ClientError, match="Cannot call GetSessionToken with session credentials"):
        office.client("sts", got).get_session_token()


def test_role_session_ends_with_the_role(office: Office) -> None:
    tool = office.tool()
    got = tool.redeem(office.code(tool, in_role(office))).json()
    with office.guard.store.write_transaction() as records:
        records.delete(identities, account=ACME, kind="role", name="auditor")
    assert error_of(tool.refresh(got["refreshToken"])) == CHANGED


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_role_session_ends_with_the_person(office: Office, end: Callable[[Office], None]) -> None:
    """A lock-out of the person holds for the roles that it has switched to."""
    tool = office.tool()
    got = tool.redeem(office.code(tool, in_role(office))).json()
    end(office)
    assert error_of(tool.refresh(got["refreshToken"])) == CHANGED


def test_renewed_role_session_counts_as_issued_when_it_began(office: Office) -> None:
    """Revoking older sessions of a role must hold for what a tool renews (S-50)."""
    tool = office.tool()
    got = tool.redeem(office.code(tool, in_role(office))).json()
    office.pass_time(seconds=30)
    condition = {"DateLessThan": {"aws:TokenIssueTime": office.now().strftime("%Y-%m-%dT%H:%M:%SZ")}}
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    office.client("iam", ADMIN_KEY).put_role_policy(RoleName="auditor", PolicyName="Revoke", PolicyDocument=document)
    with pytest.raises(ClientError, match="explicit deny"):
        office.client("iam", got).list_users()
    assert error_of(tool.refresh(got["refreshToken"])) == NOT_ALLOWED


def test_policy_that_denies_one_session_ends_it(office: Office) -> None:
    tool, got = office.signed_in()
    [session] = office.client("signin", got).list_sessions()["items"]
    condition = {"ArnEquals": {"aws:SignInSessionArn": session["sessionArn"]}}
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    office.client("iam", ADMIN_KEY).put_user_policy(UserName="ada", PolicyName="Lost", PolicyDocument=document)
    with refusal("AccessDenied", "explicit deny"):
        office.client("iam", got).list_users()
    assert error_of(tool.refresh(got["refreshToken"])) == NOT_ALLOWED
    other, more = office.signed_in()
    assert other.refresh(more["refreshToken"]).status_code == 200


def test_person_without_permission_can_neither_approve_nor_refresh(office: Office) -> None:
    with pytest.raises(AccessDenied):
        office.code(office.tool(), office.browser("bob"))
    tool, got = office.signed_in("cleo")
    office.client("iam", ADMIN_KEY).detach_user_policy(
        UserName="cleo", PolicyArn="arn:aws:iam::aws:policy/SignInLocalDevelopmentAccess"
    )
    assert error_of(tool.refresh(got["refreshToken"])) == NOT_ALLOWED


CONDITIONS = [
    ({"StringEquals": {"signin:OAuthClientId": "arn:aws:signin:::devtools/cross-device"}}, 0),
    ({"StringEquals": {"signin:OAuthClientId": "arn:aws:signin:::devtools/same-device"}}, 2),
    ({"StringLike": {"signin:OAuthRedirectUri": "http://127.0.0.1:*/oauth/callback"}}, 1),
    ({"StringEquals": {"signin:OAuthGrantType": "authorization_code"}}, 0),
]


@table("condition, steps", CONDITIONS)
def test_condition_keys_decide_about_approval_and_refresh(office: Office, condition: Any, steps: int) -> None:
    """`steps`: approval and redemption, then a refresh, which has no redirect."""
    statement = {"Effect": "Allow", "Action": "signin:*", "Resource": "*", "Condition": condition}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    with office.guard.store.write_transaction() as records:
        records.delete(inline_policies, identity_id=office.person("bob").user_id)
    office.client("iam", ADMIN_KEY).put_user_policy(UserName="bob", PolicyName="Tools", PolicyDocument=text)
    tool = office.tool()
    if steps == 0:
        with pytest.raises(AccessDenied):
            office.code(tool, office.browser("bob"))
        return
    got = tool.redeem(office.code(tool, office.browser("bob"))).json()
    assert tool.refresh(got["refreshToken"]).status_code == (200 if steps == 2 else 403)


def test_root_user_gets_credentials_of_the_root_user(office: Office) -> None:
    tool, got = office.signed_in(None)
    assert office.client("sts", got).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACME}:root"
    assert office.client("iam", got).list_users()["Users"]
    office.set_password(office.person(None), NEW_PASSWORD)
    assert error_of(tool.refresh(got["refreshToken"])) == CHANGED


def test_second_factor_of_the_browser_is_that_of_the_tool(office: Office) -> None:
    tool = office.tool()
    got = tool.redeem(office.code(tool, office.browser(mfa_at=office.now()))).json()
    office.client("iam", got).list_users()
    [record] = office.records("ListUsers")
    assert record["userIdentity"]["sessionContext"]["attributes"]["mfaAuthenticated"] == "true"


def test_revoked_session_keeps_its_last_credentials(office: Office) -> None:
    """As at AWS: they last 15 minutes at most; a policy ends them at once."""
    tool, got = office.signed_in()
    signin = office.client("signin", ADMIN_KEY)
    [session] = signin.list_sessions(principalArn=f"arn:aws:iam::{ACME}:*")["items"]
    signin.batch_revoke_sessions(principalArn=f"arn:aws:iam::{ACME}:*", sessionArns=[session["sessionArn"]])
    assert office.client("iam", got).list_users()["Users"]
    assert error_of(tool.refresh(got["refreshToken"])) == TOKEN_EXPIRED


def federated(office: Office, principal: Principal, **terms: Any) -> BrowserSession:
    """Return a browser session without a stored person."""
    session = Session("", "", principal, office.now(), office.now() + timedelta(hours=1), **terms)
    sign_in = FederatedSignIn(session=session, method="credentials", provider=None, evidence=())
    return office.guard.people.federated_sessions.sign_in(sign_in, CALL).session


def test_tool_of_a_federated_role_session_has_its_limits(office: Office) -> None:
    """Its session policies and tags are those of the browser session."""
    role = office.client("iam", ADMIN_KEY).get_role(RoleName="auditor")["Role"]
    only_roles = {"Effect": "Allow", "Action": ["iam:ListRoles", "signin:*"], "Resource": "*"}
    principal = Principal.from_arn(
        f"arn:aws:sts::{ACME}:assumed-role/auditor/grace",
        role_arn=role["Arn"],
        userid=f"{role['RoleId']}:grace",
        tags={"team": "audit"},
        session_policies=(json.dumps({"Version": "2012-10-17", "Statement": [only_roles]}),),
    )
    browser = federated(office, principal)
    tool = office.tool()
    got = tool.redeem(office.code(tool, browser)).json()
    assert office.client("iam", got).list_roles()["Roles"]
    with refusal("AccessDenied", "session policy"):
        office.client("iam", got).list_users()
    assert len(office.guard.people.tool_sessions.of(browser)) == 1
    with office.guard.store.write_transaction() as records:
        records.delete(identities, account=ACME, kind="role", name="auditor")
    assert error_of(tool.refresh(got["refreshToken"])) == CHANGED


def test_tool_of_a_federated_user_ends_with_the_key(office: Office) -> None:
    """As every session of GetFederationToken (S-51)."""
    iam = office.client("iam", ADMIN_KEY)
    admin = iam.get_user(UserName="admin")["User"]
    everything = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    )
    principal = Principal.from_arn(
        f"arn:aws:sts::{ACME}:federated-user/grace",
        user_arn=admin["Arn"],
        userid=f"{ACME}:grace",
        session_policies=(everything,),
    )
    browser = federated(office, principal, parent_key_id=ADMIN_KEY[0], parent_user_id=admin["UserId"])
    tool = office.tool()
    got = tool.redeem(office.code(tool, browser)).json()
    assert office.client("sts", got).get_caller_identity()["Arn"].endswith(":federated-user/grace")
    with pytest.raises(ClientError, match="Cannot call ListUsers with session credentials"):
        office.client("iam", got).list_users()
    iam.update_access_key(UserName="admin", AccessKeyId=ADMIN_KEY[0], Status="Inactive")
    with refusal("InvalidClientTokenId"):
        office.client("sts", got).get_caller_identity()
    assert error_of(tool.refresh(got["refreshToken"])) == CHANGED


@pytest.mark.parametrize("end", [delete_login_profile, lock_out, delete_user], ids=lambda end: end.__name__)
@pytest.mark.parametrize("begin", [Office.browser, in_role], ids=["person", "role"])
def test_person_who_was_locked_out_approves_nothing(
    office: Office, end: Callable[[Office], None], begin: Callable[[Office], BrowserSession]
) -> None:
    """Not even with a browser session that a request has found just before, in a role or not."""
    browser = begin(office)
    end(office)
    with pytest.raises(AccessDenied):
        office.code(office.tool(), browser)


@pytest.mark.parametrize("change", ["suspend", "close"])
def test_session_of_a_tool_goes_on_after_its_account_was_resumed(office: Office, change: str) -> None:
    """Meanwhile it gets no credentials, and those that it has are refused; its session is not revoked by trying."""
    tool, got = office.signed_in()
    sts = office.client("sts", got)
    assert sts.get_caller_identity()["Account"] == ACME
    getattr(office.guard.accounts, change)(ACME)
    assert error_of(tool.refresh(got["refreshToken"])) == CHANGED
    for call in (sts.get_caller_identity, office.client("sts", ADMIN_KEY).get_session_token):
        with refusal("InvalidClientTokenId", "the account of this credential is", 403):
            call()
    office.guard.accounts.resume(ACME)
    assert tool.refresh(got["refreshToken"]).status_code == 200
    assert sts.get_caller_identity()["Account"] == ACME


def test_administrator_who_ends_all_sessions_ends_tools(office: Office) -> None:
    """Of one person, in a role too, or of the account; codes that were not redeemed as well."""
    ada, own = office.signed_in("ada")
    cleo, other = office.signed_in("cleo")
    in_role, role = office.tool(), office.guard.people.role_switch
    browser = office.browser("ada")
    switched = role.switch(browser, TypedRole("acme", "team/auditor"), CALL).session
    unused = office.code(in_role, switched)
    sessions = office.guard.people.account_sessions
    sessions.end_all(PersonRef(ACME, "ada"))
    assert error_of(ada.refresh(own["refreshToken"])) == TOKEN_EXPIRED
    assert error_of(in_role.redeem(unused)) == CODE_EXPIRED
    assert cleo.refresh(other["refreshToken"]).status_code == 200
    sessions.end_all(GLOBEX)
    code = office.code(waiting := office.tool(), office.browser("cleo"))
    sessions.end_all(ACME)
    assert error_of(cleo.refresh(other["refreshToken"])) == TOKEN_EXPIRED
    assert error_of(waiting.redeem(code)) == CODE_EXPIRED
    ends = [record["requestParameters"] for record in office.records("EndBrowserSessions")]
    assert [end.get("endedTools") for end in ends] == [2, None, 2]
