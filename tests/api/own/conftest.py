"""The service `iam-guard` on the sample server: what both accounts have, and clients of boto3 for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config

from iam_guard.api.protocol.service_model import OWN_MODELS
from iam_guard.authn.people.person import Person, find_person
from iam_guard.factory import share_analysis
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, Client, allow
from tests.api.in_process import KeyClient
from tests.api.sample_entities import key_of
from tests.api.sample_server import SampleServer, sample_server
from tests.signed_in import give_password, issue_session


def open_policy(resource: str, action: str = "docs:Read") -> str:
    """Return a policy by which everyone may do an action."""
    return json.dumps({"Version": "2012-10-17", "Statement": allow(action, resource) | {"Principal": "*"}})


@dataclass(frozen=True)
class Things:
    """What one account has: a user with a password, and another without one; its API key, session, provider, policy."""

    account: str
    user: str
    invited: str
    api_key: str
    session: str
    provider: str
    resource: str

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account}:user/team/given"


@pytest.fixture(scope="module")
def sample_session() -> Iterator[SampleServer]:
    with sample_server() as sample:
        sample.guard.sharing.analysis = share_analysis
        yield sample


@pytest.fixture
def sample(sample_session: SampleServer) -> SampleServer:
    """The server in its initial state."""
    sample_session.reset()
    return sample_session


def person_of(sample: SampleServer, account: str, name: str) -> Person:
    with sample.store.read_transaction() as records:
        person = find_person(records, "aws", account=account, name=name)
    assert person is not None
    return person


def make_things(sample: SampleServer, account: str, invited: str) -> Things:
    guard = sample.guard
    person = person_of(sample, account, "given")
    give_password(guard, person)
    key, (_, session) = guard.api_keys.create(person.arn), issue_session(guard, person)
    provider = f"arn:aws:iam::{account}:saml-provider/given"
    guard.people.sign_on_providers.add(account, f"Company{account[0]}", provider)
    resource = f"arn:aws:docs:us-east-1:{account}:document/given"
    guard.sharing.share(resource, public=True, actions=["docs:Read"])
    return Things(account, "given", invited, key.id, session.id, f"Company{account[0]}", resource)


@pytest.fixture
def things(sample: SampleServer) -> Things:
    return make_things(sample, ACCOUNT, "nobody")


@pytest.fixture
def other_things(sample: SampleServer) -> Things:
    return make_things(sample, OTHER_ACCOUNT, "member")


def boto3_client(sample: SampleServer, name: str) -> Client:
    """Return a client of boto3 for a user's key, which has read our model from its folder."""
    core = botocore.session.Session()
    core.get_component("data_loader").search_paths.append(str(OWN_MODELS))
    id, secret = key_of(name)
    session = boto3.Session(botocore_session=core, aws_access_key_id=id, aws_secret_access_key=secret)
    config = Config(retries={"max_attempts": 1, "mode": "standard"})
    return session.client("iam-guard", endpoint_url=sample.url, region_name="us-east-1", config=config)


@pytest.fixture(params=["boto3", "in process"])
def own(request: pytest.FixtureRequest, sample: SampleServer) -> Callable[[str], Client]:
    """Return a client of a user, over HTTP or in the process."""

    def client_of(name: str) -> Any:
        if request.param == "boto3":
            return boto3_client(sample, name)
        return KeyClient(sample.guard, key_of(name), "iam-guard")

    return client_of
