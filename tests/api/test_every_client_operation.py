"""Every operation through a client of the process: its answers, errors and audit records are those over HTTP.

As an administrator and as a user without permission. What differs is listed: `OF_THE_REQUEST`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from iam_guard.api.sts.operations import STS
from tests.api.access_analyzer.analyzer_parts import create
from tests.api.access_analyzer.test_authorized_operations import OPERATIONS as ANALYZER_OPERATIONS
from tests.api.conftest import ACCOUNT
from tests.api.every_operation import OPERATIONS as IAM_OPERATIONS
from tests.api.every_operation import parameters_of
from tests.api.in_process import KeyClient
from tests.api.sample_entities import key_of
from tests.api.sample_server import SampleServer, sample_server

RANDOM = re.compile(r"\b(?:A[A-Z]{3})[A-Z0-9]{12,}|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32,}|\b[A-Z0-9]{32}\b")
SECRETS = {
    "SecretAccessKey",
    "SessionToken",
    "Base32StringSeed",
    "QRCodePNG",
    "ServicePassword",
    "ServiceCredentialSecret",
}
MEASURED = re.compile(r"(?i)expiration|.*(?:date|time)|\w+At|durationMicros|epoch")
OF_THE_REQUEST = {"eventID", "requestID", "sourceIPAddress", "userAgent", "tlsDetails", "ResponseMetadata"}
"""What a client of the process has not, or has its own of."""
HTTP_MEMBERS = {"method", "path", "host"}
"""The parameters of a request in the record of its decision, which a call in the process has not."""
WITHOUT_SIGNATURE = {"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"}
"""Boto3 does not sign these: over HTTP, the record has an anonymous caller; a client of the process has one."""
NEED_NO_PERMISSION = {"AssumeRoleWithWebIdentity", "GetCallerIdentity", "GetSessionToken"}

STS_OPERATIONS: dict[str, dict[str, Any]] = {
    "AssumeRole": {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/team/given", "RoleSessionName": "session"},
    "AssumeRoleWithSAML": {
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/x",
        "PrincipalArn": f"arn:aws:iam::{ACCOUNT}:saml-provider/x",
        "SAMLAssertion": "abcd",
    },
    "AssumeRoleWithWebIdentity": {
        "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/x",
        "RoleSessionName": "two",
        "WebIdentityToken": "a.b.c",
    },
    "AssumeRoot": {
        "TargetPrincipal": "999988887777",
        "TaskPolicyArn": {"arn": "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"},
    },
    "DecodeAuthorizationMessage": {"EncodedMessage": "x"},
    "GetAccessKeyInfo": {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"},
    "GetCallerIdentity": {},
    "GetFederationToken": {"Name": "two"},
    "GetSessionToken": {},
    "GetWebIdentityToken": {"Audience": ["https://example.com"], "SigningAlgorithm": "ES384"},
}
RULE = {"ruleName": "r", "filter": {"isPublic": {"eq": ["true"]}}}
CALLS = [
    *(("iam", name) for name in sorted(IAM_OPERATIONS)),
    *(("accessanalyzer", name) for name in sorted(ANALYZER_OPERATIONS)),
    *(("sts", name) for name in STS_OPERATIONS),
]


@pytest.fixture(scope="module")
def sample() -> Iterator[SampleServer]:
    with sample_server() as made:
        yield made


def parameters(sample: SampleServer, service: str, operation: str) -> dict[str, Any]:
    if service == "iam":
        return parameters_of(operation, sample.parameters)
    return STS_OPERATIONS[operation] if service == "sts" else ANALYZER_OPERATIONS[operation][1]


def plain(value: Any) -> Any:
    """Return an answer or a record without what is random or about the request itself."""
    if isinstance(value, dict):
        return {
            name: "…" if name in SECRETS or MEASURED.fullmatch(name) else plain(element)
            for name, element in value.items()
            if name not in OF_THE_REQUEST
        }
    if isinstance(value, list):
        return [plain(element) for element in value]
    return RANDOM.sub("…", value) if isinstance(value, str) else value


def answer_of(call: Callable[[], Any]) -> Any:
    try:
        return plain(call())
    except ClientError as error:
        return type(error).__name__, plain(error.response), error.operation_name


def test_table_is_complete() -> None:
    assert set(STS_OPERATIONS) == {*STS.operations}


@pytest.mark.parametrize("caller", ["admin", "nobody"])
@pytest.mark.parametrize(("service", "operation"), CALLS)
def test_answer_and_records_are_those_over_http(
    sample: SampleServer, service: str, operation: str, caller: str
) -> None:
    """And without permission, the operation is refused and changes nothing."""
    found = []
    given = parameters(sample, service, operation)
    for client in (sample.client(key_of(caller), service), KeyClient(sample.guard, key_of(caller), service)):
        sample.reset()
        if service == "accessanalyzer":
            create(sample.client(key_of("admin"), service), archiveRules=[RULE])
        before, answers = sample.rows(), list[Any]()
        call = partial(getattr(client, xform_name(operation)), **given)
        records = sample.recorded(lambda: answers.append(answer_of(call)))  # noqa: B023  called at once
        found.append((answers, [*map(without_http, records)], sample.rows() == before))
    over_http, in_process = found
    assert in_process == over_http
    if caller == "nobody" and operation not in NEED_NO_PERMISSION:
        [[answer], _, is_unchanged] = in_process
        assert answer[1]["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")
        assert is_unchanged


def without_http(record: dict[str, Any]) -> Any:
    if set(record.get("requestParameters") or ()) == HTTP_MEMBERS:
        record["requestParameters"] = None
    if record["eventName"] in WITHOUT_SIGNATURE:
        del record["userIdentity"], record["recipientAccountId"]
    return plain(record)
