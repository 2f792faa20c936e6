"""A running API that accepts SAML assertions, an identity provider, and the audit trail."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from iam_guard.api.protocol.app import aws_api
from iam_guard.audit.trail import Trail
from iam_guard.authn.tokens.assertion_verifier import AWS_RECIPIENT
from iam_guard.guard.guard import Guard
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.api.clock import CLOCK
from tests.api.conftest import ACCOUNT, ADMIN_KEY, OTHER_ACCOUNT, OTHER_KEY, SEED, Client, Running
from tests.api.sts.sts_parts import policy, role_arn
from tests.audit.list_sink import ListSink
from tests.authn.saml.identity_provider import RECIPIENT, IdentityProvider
from tests.authn.saml.xml_signer import key_pair
from tests.serving import serving

AWS = "https://aws.amazon.com/SAML/Attributes/"
NAME = "company"
ARN = role_arn("deploy")
REGIONAL_RECIPIENTS = (
    "https://eu-central-1.signin.aws.amazon.com/saml",
    "https://us-gov-west-1.signin.aws.amazon.com/saml",
    "https://us-east-1.signin.aws.amazon.com/saml/acs/SAMLSP5QPS3OYDB6",
)
"""AWS's of a region, and of a provider that encrypts its assertions."""
SETTINGS = Settings(saml_recipients=(RECIPIENT, AWS_RECIPIENT, *REGIONAL_RECIPIENTS))
_NUMBERS = count()


def provider_arn(name: str = NAME, account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:saml-provider/{name}"


def trusting(*actions: str, effect: str = "Allow", principal: Any = None, **condition: Any) -> dict[str, Any]:
    """Return a statement of a trust policy."""
    found: dict[str, Any] = {
        "Effect": effect,
        "Principal": principal or {"Federated": provider_arn()},
        "Action": list(actions) or ["sts:AssumeRoleWithSAML"],
    }
    return found | ({"Condition": condition} if condition else {})


ADA = trusting(StringEquals={"SAML:aud": RECIPIENT, "saml:sub": "ada@example.com"})


@dataclass
class World:
    """A running API, the company's identity provider, and the audit trail."""

    server: Running
    idp: IdentityProvider
    sink: ListSink

    @property
    def iam(self) -> Client:
        return self.server.client(ADMIN_KEY)

    @property
    def others_iam(self) -> Client:
        """An administrator of another account."""
        return self.server.client(OTHER_KEY)

    def response(self, attributes: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """Return a response as the provider sends it; `attributes` are AWS's, by their short names."""
        own = {f"{AWS}Role": (f"{ARN},{provider_arn()}",), f"{AWS}RoleSessionName": ("ada",)}
        for name, values in (attributes or {}).items():
            name = name if ":/" in name or name.startswith(("urn:", "2.", "0.")) else f"{AWS}{name}"
            own[name] = (values,) if isinstance(values, str) else values
        present = {name: values for name, values in own.items() if values is not None}
        defaults = {"now": CLOCK(), "recipient": RECIPIENT, "assertion_id": f"_assertion{next(_NUMBERS)}"}
        return self.idp.response(**{**defaults, "attributes": present, **changes})

    def assume(self, text: str, arn: str = ARN, principal: str = provider_arn(), **more: Any) -> Any:
        return unsigned_sts(self.server.url).assume_role_with_saml(
            RoleArn=arn, PrincipalArn=principal, SAMLAssertion=text, **more
        )

    def error_of(self, text: str, arn: str = ARN, principal: str = provider_arn(), **more: Any) -> tuple[str, str]:
        """Return code and message of an error."""
        with pytest.raises(ClientError) as caught:
            self.assume(text, arn, principal, **more)
        return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]

    def trust(self, *statements: dict[str, Any], role: str = "deploy") -> None:
        self.iam.update_assume_role_policy(RoleName=role, PolicyDocument=policy(*statements))

    def records(self) -> list[dict[str, Any]]:
        """Return the audit records of the calls."""
        found = [json.loads(line) for line in self.sink.lines]
        return [record for record in found if record["eventName"] == "AssumeRoleWithSAML"]


def unsigned_sts(url: str) -> Client:
    """Return an unsigned STS client without parameter validation."""
    config = Config(
        signature_version=UNSIGNED, retries={"max_attempts": 1, "mode": "standard"}, parameter_validation=False
    )
    return boto3.client("sts", "us-east-1", endpoint_url=url, config=config)


def prepare(iam: Client, idp: IdentityProvider, account: str = ACCOUNT, name: str = NAME) -> None:
    """Register the provider, and create a role that trusts it for one subject."""
    iam.create_saml_provider(Name=name, SAMLMetadataDocument=idp.metadata())
    trust = {**ADA, "Principal": {"Federated": provider_arn(name, account)}}
    iam.create_role(RoleName="deploy", AssumeRolePolicyDocument=policy(trust), MaxSessionDuration=7200)
    iam.attach_role_policy(RoleName="deploy", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


@contextmanager
def saml_world(url: str = "sqlite://", settings: Settings = SETTINGS) -> Iterator[World]:
    """Run the API on a store with two accounts; both have a role `deploy` that trusts a provider `company`."""
    store, idp = create_store(url, settings), IdentityProvider()
    apply_seed(store, load_seed_text(SEED))
    sink = ListSink()
    guard = Guard(CachedStore(store, settings), Trail(sink), settings, clock=CLOCK)
    with serving(aws_api(guard)) as address:
        server = Running(address, guard, store, None)  # type: ignore[arg-type]
        prepare(server.client(ADMIN_KEY), idp)
        prepare(server.client(OTHER_KEY), globex(), OTHER_ACCOUNT)
        yield World(server, idp, sink)
    guard.close()


def globex() -> IdentityProvider:
    """Return the identity provider of the other account."""
    return IdentityProvider("https://idp.globex.example", key_pair("rsa", "globex"))
