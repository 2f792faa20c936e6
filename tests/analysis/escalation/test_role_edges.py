"""Escalation through roles: assumed, passed to services, or reached through identity providers."""

from __future__ import annotations

from tests.analysis.escalation.escalation_worlds import (
    ACME,
    EVERYTHING,
    GLOBEX,
    Found,
    Json,
    account,
    allow,
    arn,
    deny,
    found,
    role,
    trust,
    user,
)
from tests.tables import table

ADA = arn("user/ada")
TO_ADMINISTRATOR = ("user/ada", "administrator")
EC2 = trust("ec2.amazonaws.com", kind="Service")
DOCS = trust("docs.example.com", kind="Service")
SAML = trust(arn("saml-provider/idp"), kind="Federated", action="sts:AssumeRoleWithSAML")
OIDC = trust(arn("oidc-provider/idp.example"), kind="Federated", action="sts:AssumeRoleWithWebIdentity")
REGISTERED = {"oidc_providers": [{"url": "https://idp.example", "client_ids": ["app"]}]}
IN_MEMORY = allow("iam:PassRole", StringEquals={"iam:PassedToService": "lambda.amazonaws.com"})


def with_ops(trusted: Json, *statements: Json, **more: object) -> Json:
    """Return an account in which ada may do something, and the role ops everything."""
    return account(user("ada", *statements), role("ops", trusted, EVERYTHING)) | more


ASSUME = {TO_ADMINISTRATOR: ["sts:AssumeRole"]}


@table(
    ("world", "paths"),
    [
        (with_ops(trust(ADA)), ASSUME),
        (with_ops(trust(ADA), deny("sts:AssumeRole")), {}),
        (
            with_ops(
                trust(arn("user/bob")), allow("sts:*"), users=[user("ada", allow("sts:*")), user("bob", deny("sts:*"))]
            ),
            {},
        ),
        (with_ops(trust(arn("root"))), {}),
        (with_ops(trust(ACME), allow("sts:AssumeRole")), ASSUME),
        (with_ops(trust(ACME), allow("sts:AssumeRole", on=arn("role/other"))), {}),
        (with_ops(trust("*")), ASSUME),
        (with_ops(trust(ADA, StringEquals={"sts:ExternalId": "given"})), ASSUME),
        (with_ops(trust(ADA, Bool={"aws:MultiFactorAuthPresent": "true"})), ASSUME),
        (with_ops(trust(ADA, StringEquals={"aws:PrincipalTag/team": "red"})), {}),
        (with_ops(trust(ACME, ArnLike={"aws:PrincipalArn": arn("user/b*")}), allow("sts:AssumeRole")), {}),
        (with_ops(trust(ACME, ArnLike={"aws:PrincipalArn": arn("user/a*")}), allow("sts:AssumeRole")), ASSUME),
        (with_ops(trust("*", StringEquals={"aws:PrincipalOrgID": "o-elsewhere"})), {}),
    ],
    ids=str,
)
def test_role_that_trusts(world: Json, paths: Found) -> None:
    assert found(world) == paths


def test_chain_is_shortest_and_lists_other_roles() -> None:
    """A path stops at an administrator; without one, each role is a target."""
    first = role("first", trust(ADA), allow("sts:AssumeRole"))
    second = role("second", trust(arn("role/first")), allow("docs:*"))
    third = role("third", trust(arn("role/second"), arn("role/first")), allow("docs:*"))
    assert found(account(user("ada"), first, second, third)) == {
        ("user/ada", "role/first"): ["sts:AssumeRole"],
        ("user/ada", "role/second"): ["sts:AssumeRole"] * 2,
        ("user/ada", "role/third"): ["sts:AssumeRole"] * 2,
        ("role/first", "role/second"): ["sts:AssumeRole"],
        ("role/first", "role/third"): ["sts:AssumeRole"],
        ("role/second", "role/third"): ["sts:AssumeRole"],
    }


def test_session_that_is_trusted_by_name() -> None:
    """The trust policy of the second role names one session of the first."""
    session = f"arn:aws:sts::{ACME}:assumed-role/first/shift"
    first, second = role("first", trust(ADA)), role("second", trust(session), EVERYTHING)
    assert found(account(user("ada"), first, second)) == {
        TO_ADMINISTRATOR: ["sts:AssumeRole"] * 2,
        ("role/first", "administrator"): ["sts:AssumeRole"],
    }


@table(
    ("trusting", "statements", "own", "target"),
    [
        (arn("user/ada"), [], [allow("sts:AssumeRole")], "administrator"),
        (arn("user/ada"), [], [], None),
        (arn("root"), [], [allow("sts:AssumeRole")], "administrator"),
        (arn("root"), [], [allow("sts:AssumeRole"), deny("sts:*")], None),
        (arn("role/first"), [allow("sts:AssumeRole")], [allow("sts:AssumeRole")], "administrator"),
        (arn("user/bob"), [], [allow("iam:CreateAccessKey")], "administrator"),
        (arn("user/bob"), [], [EVERYTHING], arn("role/away", GLOBEX)),
        (arn("root"), [], [EVERYTHING], arn("role/away", GLOBEX)),
    ],
    ids=str,
)
def test_role_of_another_account(trusting: str, statements: list[Json], own: list[Json], target: str | None) -> None:
    """An administrator of its own account still gains access to another one, by any principal of its account."""
    acme = account(user("ada", *own), user("bob", allow("sts:AssumeRole")), role("first", trust(ADA), *statements))
    globex = account(role("away", trust(trusting), EVERYTHING), id=GLOBEX)
    targets = {
        name for start, name in found(acme, globex) if start == "user/ada" and name not in ("role/first", "user/bob")
    }
    assert targets == ({target} if target else set())


# --- services ----------------------------------------------------------------------------------------------------

PASS = allow("iam:PassRole")


@table(
    ("world", "actions"),
    [
        (with_ops(EC2, PASS, allow("ec2:RunInstances")), ["iam:PassRole", "ec2:RunInstances"]),
        (
            with_ops(EC2, allow("iam:PassRole", on=arn("role/ops")), allow("ec2:*")),
            ["iam:PassRole", "ec2:RunInstances"],
        ),
        (with_ops(EC2, PASS), None),
        (with_ops(EC2, allow("ec2:*")), None),
        (with_ops(EC2, allow("iam:PassRole", on=arn("role/other")), allow("ec2:*")), None),
        (with_ops(EC2, IN_MEMORY, allow("ec2:*", "lambda:*")), None),
        (with_ops(EC2, PASS, allow("ec2:*"), deny("ec2:R*", "ec2:A*")), None),
        (with_ops(EC2, PASS, allow("lambda:*")), None),
        (
            with_ops(trust("lambda.amazonaws.com", kind="Service"), IN_MEMORY, allow("lambda:*")),
            ["iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"],
        ),
        (with_ops(trust("lambda.amazonaws.com", kind="Service"), PASS, allow("lambda:CreateFunction")), None),
        (
            with_ops(DOCS, PASS, allow("docs:Convert", on="arn:aws:docs:*:*:document/*")),
            ["iam:PassRole", "docs:Convert"],
        ),
        (with_ops(DOCS, PASS, allow("docs:*")), ["iam:PassRole", "docs:*"]),
        (with_ops(DOCS, PASS, allow("notes:*")), None),
        (with_ops(DOCS, PASS, allow("docs:*"), deny("docs:*")), None),
        (with_ops(trust("docs.example.com", kind="Service", action="sts:TagSession"), PASS, allow("docs:*")), None),
    ],
    ids=str,
)
def test_role_that_is_passed(world: Json, actions: list[str] | None) -> None:
    """The role trusts the service, which gets it and does what the caller wants."""
    assert found(world).get(TO_ADMINISTRATOR) == actions


# --- identity providers ------------------------------------------------------------------------------------------


@table(
    ("world", "actions"),
    [
        (with_ops(SAML, allow("iam:CreateSAMLProvider")), ["iam:CreateSAMLProvider", "sts:AssumeRoleWithSAML"]),
        (with_ops(SAML, allow("iam:UpdateSAMLProvider")), None),
        (with_ops(SAML, allow("iam:CreateSAMLProvider", on=arn("saml-provider/other"))), None),
        (with_ops(SAML, allow("iam:CreateOpenIDConnectProvider")), None),
        (
            with_ops(OIDC, allow("iam:CreateOpenIDConnectProvider")),
            ["iam:CreateOpenIDConnectProvider", "sts:AssumeRoleWithWebIdentity"],
        ),
        (with_ops(OIDC, allow("iam:CreateOpenIDConnectProvider"), **REGISTERED), None),
        (
            with_ops(OIDC, allow("iam:UpdateOpenIDConnectProviderThumbprint"), **REGISTERED),
            ["iam:UpdateOpenIDConnectProviderThumbprint", "sts:AssumeRoleWithWebIdentity"],
        ),
        (
            with_ops(OIDC, allow("iam:AddClientIDToOpenIDConnectProvider"), **REGISTERED),
            ["iam:AddClientIDToOpenIDConnectProvider", "sts:AssumeRoleWithWebIdentity"],
        ),
    ],
    ids=str,
)
def test_role_that_trusts_a_provider(world: Json, actions: list[str] | None) -> None:
    assert found(world).get(TO_ADMINISTRATOR) == actions
