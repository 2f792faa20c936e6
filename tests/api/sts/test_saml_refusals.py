"""AssumeRoleWithSAML: what is refused, with which code, and the reason in the trail."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iam_guard.authn.tokens.assertion_verifier import AWS_AUDIENCE, AWS_RECIPIENT
from iam_guard.settings import Settings
from tests.api.clock import CLOCK
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT
from tests.api.sts.saml_world import ARN, World, globex, provider_arn, saml_world, trusting, unsigned_sts
from tests.api.sts.sts_parts import policy, role_arn
from tests.api.test_on_postgresql import on_postgresql
from tests.authn.saml.identity_provider import RECIPIENT, IdentityProvider, encoded
from tests.authn.saml.xml_signer import key_pair
from tests.cli.test_serve import Served
from tests.store.databases import SEALING_KEY
from tests.tables import table

PAIR = f"{ARN},{provider_arn()}"
OTHERS = f"{role_arn('deploy', OTHER_ACCOUNT)},{provider_arn(account=OTHER_ACCOUNT)}"
INVALID = "InvalidIdentityToken"
DENIED = "AccessDenied"

ATTRIBUTES: dict[str, tuple[dict[str, Any], str, str]] = {
    "no Role": ({"Role": None}, INVALID, "Role is required"),
    "no value of Role": ({"Role": ()}, INVALID, "Role is required"),
    "Role in another case": ({"Role": None, "role": PAIR}, INVALID, "Role is required"),
    "a role only": ({"Role": ARN}, INVALID, "attribute Role"),
    "a provider only": ({"Role": provider_arn()}, INVALID, "attribute Role"),
    "a pair with a space": ({"Role": PAIR.replace(",", ", ")}, INVALID, "attribute Role"),
    "a pair with spaces around": ({"Role": f" {PAIR} "}, INVALID, "attribute Role"),
    "a pair with a third ARN": ({"Role": f"{PAIR},{ARN}"}, INVALID, "attribute Role"),
    "a pattern": ({"Role": PAIR.replace("deploy", "*")}, DENIED, "not a value of the attribute Role"),
    "a malformed value beside the pair": ({"Role": (PAIR, "reader")}, INVALID, "attribute Role"),
    "an empty value beside the pair": ({"Role": (PAIR, "")}, INVALID, "attribute Role"),
    "another role": ({"Role": PAIR.replace("deploy", "other")}, DENIED, "not a value of the attribute Role"),
    "a role in another case": ({"Role": PAIR.replace("deploy", "Deploy")}, DENIED, "not a value of the attribute Role"),
    "another provider": ({"Role": PAIR.replace("company", "other")}, DENIED, "not a value of the attribute Role"),
    "role and provider in two values": (
        {"Role": (PAIR.replace("company", "other"), PAIR.replace("deploy", "other"))},
        DENIED,
        "not a value of the attribute Role",
    ),
    "another account's pair": ({"Role": OTHERS}, DENIED, "not a value of the attribute Role"),
    "another partition": ({"Role": PAIR.replace("arn:aws:", "arn:aws-cn:")}, DENIED, "not a value of the attribute"),
    "no RoleSessionName": ({"RoleSessionName": None}, INVALID, "RoleSessionName is required"),
    "no value of RoleSessionName": ({"RoleSessionName": ()}, INVALID, "expected one value"),
    "two names": ({"RoleSessionName": ("ada", "bob")}, INVALID, "expected one value"),
    "the same name twice": ({"RoleSessionName": ("ada", "ada")}, INVALID, "expected one value"),
    "a short name": ({"RoleSessionName": "a"}, INVALID, "must match"),
    "a long name": ({"RoleSessionName": "a" * 65}, INVALID, "must match"),
    "a name with a space": ({"RoleSessionName": "ada lovelace"}, INVALID, "must match"),
    "a name with a space at the end": ({"RoleSessionName": "ada "}, INVALID, "must match"),
    "a name with a line end": ({"RoleSessionName": "ada\n"}, INVALID, "must match"),
    "a name with other letters": ({"RoleSessionName": "àdà"}, INVALID, "must match"),
    "a name with a slash": ({"RoleSessionName": "x/../admin"}, INVALID, "must match"),
    "two durations": ({"SessionDuration": ("900", "1800")}, INVALID, "expected one value"),
    "two source identities": ({"SourceIdentity": ("ada", "bob")}, INVALID, "expected one value"),
    "a source identity of AWS": ({"SourceIdentity": "AWS:root"}, INVALID, "Source Identity must match"),
    "a source identity with spaces": ({"SourceIdentity": "a b"}, INVALID, "Source Identity must match"),
    "a tag of two values": ({"PrincipalTag:team": ("a", "b")}, INVALID, "expected one value"),
    "a tag of no value": ({"PrincipalTag:team": ()}, INVALID, "expected one value"),
    "tags that differ by case": ({"PrincipalTag:team": "a", "PrincipalTag:Team": "a"}, INVALID, "letter case"),
    "a tag of AWS": ({"PrincipalTag:aws:x": "a"}, INVALID, "expected session tags"),
    "a tag without key": ({"PrincipalTag:": "a"}, INVALID, "expected session tags"),
    "a tag with a long key": ({f"PrincipalTag:{'k' * 129}": "a"}, INVALID, "expected session tags"),
    "a tag with a long value": ({"PrincipalTag:team": "v" * 257}, INVALID, "expected session tags"),
    "a tag with invalid characters": ({"PrincipalTag:team": "a&b"}, INVALID, "expected session tags"),
    "too many tags": ({f"PrincipalTag:{number}": "x" for number in range(51)}, INVALID, "at most 50"),
    "a transitive key that is no tag": ({"TransitiveTagKeys": ("team",)}, INVALID, "transitive tag keys"),
    "attribute names that differ by case": ({"urn:x": "a", "urn:X": "b"}, INVALID, "letter case"),
}


@table("attributes, code, reason", ATTRIBUTES.values(), list(ATTRIBUTES))
def test_invalid_attributes_are_refused(saml: World, attributes: dict[str, Any], code: str, reason: str) -> None:
    """S-16, S-20, S-24, S-31: whatever the trust policy; the trail has the reason."""
    saml.trust(trusting("sts:*"))
    text = saml.response(attributes)
    assert_refused(saml, code, reason, text)


def assert_refused(saml: World, code: str, reason: str, text: str, *arguments: str, **more: Any) -> None:
    """Expect an error, and its code and reason in the trail, without the assertion."""
    saml.sink.lines.clear()
    found, message = saml.error_of(text, *arguments, **more)
    assert (found, reason in message) == (code, True), (found, message)
    record = saml.records()[-1]
    assert record["errorCode"] == code
    assert reason in record["errorMessage"]
    assert text not in json.dumps(record)


def hostile_calls(saml: World) -> Iterator[tuple[str, dict[str, Any], str, str]]:
    """Return name, what is changed of a valid call, code and reason."""
    other = globex()
    valid = {"text": saml.response(), "arn": ARN, "principal": provider_arn()}
    changed: list[tuple[str, dict[str, Any], str, str]] = [
        ("no SAML", {"text": "none"}, INVALID, "expected XML"),
        ("no base64", {"text": "<Response/>"}, INVALID, "in base64"),
        ("JSON", {"text": base64.b64encode(b"{}").decode()}, INVALID, "well-formed XML"),
        ("an empty document", {"text": encoded("<a/>")}, INVALID, "expected a Response"),
        ("100,001 characters", {"text": "A" * 100_001}, "ValidationError", "100000"),
        ("500,000 characters", {"text": "A" * 500_000}, "ValidationError", "100000"),
        (
            "another provider's key",
            {"text": other.response(now=CLOCK(), issuer=saml.idp.entity_id)},
            INVALID,
            "signature is not valid",
        ),
        ("another issuer", {"text": saml.response(issuer="https://other.example")}, INVALID, "issuer of the provider"),
        ("no signature", {"text": saml.response(signed="none")}, INVALID, "expected a signature"),
        ("another recipient", {"text": saml.response(recipient=f"{RECIPIENT}/", destination="")}, INVALID, "Recipient"),
        ("another destination", {"text": saml.response(destination=f"{RECIPIENT}/")}, INVALID, "Destination"),
        ("another audience", {"text": saml.response(audiences=("urn:other",))}, INVALID, "Audience"),
        ("AWS's audience", {"text": saml.response(audiences=(AWS_AUDIENCE,))}, INVALID, "Audience"),
        (
            "an audience of another recipient",
            {"text": saml.response(recipient=AWS_RECIPIENT, audiences=(RECIPIENT,))},
            INVALID,
            "Audience",
        ),
        (
            "a failed sign-in",
            {"text": saml.response(status="urn:oasis:names:tc:SAML:2.0:status:Responder")},
            "IDPRejectedClaim",
            "status `Responder`",
        ),
        ("a long subject", {"text": saml.response(subject="x" * 257)}, INVALID, "NameID"),
        ("a subject of many bytes", {"text": saml.response(subject="\U00020000" * 65)}, INVALID, "NameID"),
        ("a long format", {"text": saml.response(subject_format="urn:" + "x" * 257)}, INVALID, "format"),
        ("a role of another account", {"arn": role_arn("deploy", OTHER_ACCOUNT)}, INVALID, "account of the role"),
        (
            "another account's provider",
            {"principal": provider_arn(account=OTHER_ACCOUNT)},
            INVALID,
            "account of the role",
        ),
        (
            "another account's role and provider",
            {"arn": role_arn("deploy", OTHER_ACCOUNT), "principal": provider_arn(account=OTHER_ACCOUNT)},
            INVALID,
            "issuer of the provider",
        ),
        ("a missing provider", {"principal": provider_arn("missing")}, INVALID, "provider doesn't exist"),
        ("a provider in another case", {"principal": provider_arn("Company")}, INVALID, "provider doesn't exist"),
        (
            "another partition",
            {"principal": provider_arn().replace("aws", "aws-cn")},
            INVALID,
            "provider doesn't exist",
        ),
        ("an OIDC provider", {"principal": f"arn:aws:iam::{ACCOUNT}:oidc-provider/x"}, "ValidationError", "ARN"),
        (
            "a provider with a path",
            {"principal": f"arn:aws:iam::{ACCOUNT}:saml-provider/x/company"},
            "ValidationError",
            "ARN",
        ),
        ("a role as provider", {"principal": ARN}, "ValidationError", "ARN"),
        ("no ARN as provider", {"principal": "x" * 20}, "ValidationError", "ARN"),
        ("a user as role", {"arn": f"arn:aws:iam::{ACCOUNT}:user/admin"}, "ValidationError", "ARN"),
        ("no ARN as role", {"arn": "x" * 20}, "ValidationError", "invalid"),
        ("a missing role", {"arn": role_arn("missing")}, DENIED, "Not authorized"),
        ("a session name of its own", {"DurationSeconds": 43_201}, "ValidationError", "43200"),
        (
            "eleven policies",
            {"PolicyArns": [{"arn": f"arn:aws:iam::aws:policy/{n}"} for n in "abcdefghijk"]},
            "ValidationError",
            "policyArns",
        ),
    ]
    for name, change, code, reason in changed:
        yield name, {**valid, **change}, code, reason


def test_hostile_calls_are_refused(saml: World, subtests: pytest.Subtests) -> None:
    """S-4, S-31: with one of AWS's codes, and the reason in the trail."""
    saml.trust(trusting("sts:*"))
    for name, call, code, reason in hostile_calls(saml):
        with subtests.test(name):
            assert_refused(saml, code, reason, **call)


PARAMETERS = ("RoleArn", "PrincipalArn", "SAMLAssertion", "Policy", "PolicyArns", "DurationSeconds")
ODD_VALUES: list[Any] = [
    "",
    " ",
    "x",
    "-1",
    "9" * 400,
    "\u00e9" * 30,
    "arn:aws:iam::1:role/x",
    "<x/>",
    "a" * 5_000,
    "A" * 48_000,
]


@table("name", PARAMETERS)
@table("value", ODD_VALUES)
def test_odd_parameters_are_client_errors(saml: World, name: str, value: Any) -> None:
    """Never a server error, and never a session."""
    given = {"RoleArn": ARN, "PrincipalArn": provider_arn(), "SAMLAssertion": saml.response(signed="none")}
    given[name] = [{"arn": value}] if name == "PolicyArns" else value
    with pytest.raises(ClientError) as caught:
        unsigned_sts(saml.server.url).assume_role_with_saml(**given)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] < 500


def test_reserved_roles_are_refused(saml: World) -> None:
    """S-31, I-7: roles of IAM Identity Center are for itself, though the assertion lists them."""
    path = "/aws-reserved/sso.amazonaws.com/"
    arn = f"arn:aws:iam::{ACCOUNT}:role{path}AWSReservedSSO_Admin_0123456789abcdef"
    text = saml.response({"Role": f"{arn},{provider_arn()}"})
    assert_refused(saml, DENIED, "IAM Identity Center", text, arn)


def test_provider_is_for_roles_of_its_own_account(saml: World) -> None:
    """Another account's role that trusts the provider gives no session, nor by that account's own provider."""
    trust = policy(trusting(principal={"Federated": provider_arn()}))
    saml.others_iam.create_role(RoleName="theirs", AssumeRolePolicyDocument=trust)
    arn = role_arn("theirs", OTHER_ACCOUNT)
    text = saml.response({"Role": f"{arn},{provider_arn()}"})
    assert_refused(saml, INVALID, "account of the role", text, arn)
    own = saml.response({"Role": f"{arn},{provider_arn(account=OTHER_ACCOUNT)}"})
    assert_refused(saml, INVALID, "", own, arn, provider_arn(account=OTHER_ACCOUNT))  # signed by the other company


def test_deleted_or_replaced_provider_ends_its_assertions(saml: World) -> None:
    """At once, though the assertion would have been accepted before."""
    text = saml.response()
    rotated = IdentityProvider(key=key_pair("rsa", "rotated"))
    saml.iam.update_saml_provider(SAMLProviderArn=provider_arn(), SAMLMetadataDocument=rotated.metadata())
    assert_refused(saml, INVALID, "", text)
    saml.iam.update_saml_provider(SAMLProviderArn=provider_arn(), SAMLMetadataDocument=saml.idp.metadata())
    assert saml.assume(text)
    saml.iam.delete_saml_provider(SAMLProviderArn=provider_arn())
    assert_refused(saml, INVALID, "provider doesn't exist", saml.response())


def test_expired_metadata_is_refused(saml: World) -> None:
    """By the `validUntil` of the document."""
    until = f"{CLOCK() + timedelta(seconds=60):%Y-%m-%dT%H:%M:%SZ}"
    document = saml.idp.metadata().replace("entityID=", f'validUntil="{until}" entityID=')
    saml.iam.update_saml_provider(SAMLProviderArn=provider_arn(), SAMLMetadataDocument=document)
    assert saml.assume(saml.response())
    document = document.replace(until, f"{CLOCK():%Y-%m-%dT%H:%M:%SZ}")
    saml.iam.update_saml_provider(SAMLProviderArn=provider_arn(), SAMLMetadataDocument=document)
    assert_refused(saml, INVALID, "metadata of the provider has expired", saml.response())


def test_assertions_are_refused_without_a_recipient() -> None:
    """The default: with a clear error, for long ones, too."""
    with saml_world(settings=Settings()) as world:
        for text in (world.response(), "A" * 90_000):
            code, message = world.error_of(text)
            assert (code, "saml_recipients" in message) == (DENIED, True)


def test_provider_change_during_verification_is_refused(saml: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider is compared again in the transaction that issues the credentials."""
    changes: list[Callable[[], object]] = [
        lambda: saml.iam.update_saml_provider(
            SAMLProviderArn=provider_arn(), SAMLMetadataDocument=saml.idp.metadata("<!---->")
        ),
        lambda: saml.iam.update_saml_provider(
            SAMLProviderArn=provider_arn(), AddPrivateKey=key_pair("rsa", "receiver").pem
        ),
        lambda: saml.iam.delete_saml_provider(SAMLProviderArn=provider_arn()),
    ]
    authorize = saml.server.guard.authorize
    for change in changes:

        def after_change(*arguments: Any, act: Callable[[], object] = change, **more: Any) -> Any:
            monkeypatch.setattr(saml.server.guard, "authorize", authorize)
            act()
            return authorize(*arguments, **more)

        text = saml.response()
        monkeypatch.setattr(saml.server.guard, "authorize", after_change)
        assert saml.error_of(text)[0] == INVALID


def test_assertion_counts_once_across_processes() -> None:
    """Two servers on one database receive the same assertions at the same time: one session of each."""
    settings = Settings(saml_recipients=(RECIPIENT,), sealing_keys=(SEALING_KEY,))
    with on_postgresql() as url, saml_world(url, settings) as world:
        second = Served(
            *("--store", url, "--saml-recipient", RECIPIENT), environment={"IAM_GUARD_SEALING_KEYS": SEALING_KEY}
        )
        clients = [unsigned_sts(world.server.url), unsigned_sts(second.url)]
        arguments = {"RoleArn": ARN, "PrincipalArn": provider_arn()}

        def outcome(number: int, text: str) -> str:
            try:
                clients[number].assume_role_with_saml(SAMLAssertion=text, **arguments)
            except ClientError as error:
                return str(error.response["Error"]["Code"])
            return "issued"

        try:
            with ThreadPoolExecutor(8) as pool:
                for _ in range(10):
                    text = world.response()
                    outcomes = sorted(pool.map(lambda number, text=text: outcome(number % 2, text), range(8)))
                    assert outcomes == [INVALID] * 7 + ["issued"]
        finally:
            second.end()
