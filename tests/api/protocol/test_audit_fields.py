"""Audit fields: CloudTrail's names, and every secret masked, even if the model doesn't mark it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from iam_guard.api.protocol.audit_fields import MASKED_IN_INPUTS, SECRET, audited_input, audited_output
from iam_guard.api.protocol.service_model import Operation, Shape, load_api
from iam_guard.audit.record.privacy import MASK
from iam_guard.model.own_services import SERVICES
from tests.tables import table

OPERATIONS = {
    f"{service.prefix}:{name}": each
    for service in SERVICES
    if service.operations is not None and service.model is not None
    for name, each in load_api(service.model).operations.items()
}

SUSPICIOUS = re.compile(r"(?i)passw|secret|token|private|assertion|seed|credential|code\d?$|message|png")
HARMLESS = frozenset(
    # ids, names and texts for people; modes and versions
    "AssertionEncryptionMode Credentials GlobalEndpointTokenVersion NextToken OwnerAccountId PrivateKeyId"
    " PrivateKeyList RemovePrivateKey RequestMessage ServiceCredentialAlias ServiceSpecificCredential"
    " ServiceSpecificCredentialId ServiceSpecificCredentials SubjectFromWebIdentityToken EvalDecisionDetails"
    " ResponseMessage JobCompletionMessage Code Message PasswordPolicy"
    # of Access Analyzer
    " clientToken nextToken code message secretsManagerSecret secretPolicy issueCode"
    " unusedIamUserPasswordDetails"
    # of Sign-In, besides what has secrets as members
    " issuedTokenType subjectTokenType tokenInput tokenOutput tokenType tokenTypeHint".split()
)


def inside(shape: Shape | None, seen: frozenset[str] = frozenset()) -> Iterator[tuple[str, Shape]]:
    """Return all members of a shape, at any depth."""
    if shape is None or shape.name in seen:
        return
    seen |= {shape.name}
    match shape.kind:
        case "structure":
            for name, member in shape.members.items():
                yield name, member
                yield from inside(member, seen)
        case "list":
            yield from inside(shape.element, seen)
        case "map":
            yield from inside(shape.value, seen)


def filled(shape: Shape, seen: frozenset[str] = frozenset()) -> Any:
    """Return a value in which every text is its own path."""
    match shape.kind:
        case "structure":
            return {
                name: filled(member, seen | {shape.name})
                for name, member in shape.members.items()
                if member.name not in seen
            }
        case "list":
            return [filled(shape.element, seen)]
        case "map":
            return {"key": filled(shape.value, seen)}
        case "blob":
            return b"hunter2"
        case "timestamp":
            return datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
        case "string" | "document":
            return "hunter2" if shape.is_sensitive else "text"
        case "boolean":
            return True
    return 7


def test_members_with_secret_names_are_masked_or_reviewed() -> None:
    """A new member in the model fails here until it is reviewed."""
    found = {
        name
        for operation in OPERATIONS.values()
        for shape in (operation.input, operation.output)
        for name, member in inside(shape)
        if SUSPICIOUS.search(name) and member.kind in ("string", "document", "list", "map", "structure")
        if not member.is_sensitive
    }
    assert found - SECRET - HARMLESS == set()


@table("name", OPERATIONS)
def test_secrets_of_all_operations_are_masked(name: str) -> None:
    """Sensitive members, blobs and the table's names, at any depth."""
    operation: Operation = OPERATIONS[name]
    for shape, audited, secret in (
        (operation.input, audited_input, SECRET | MASKED_IN_INPUTS),
        (operation.output, audited_output, SECRET),
    ):
        if shape is None:
            continue
        members, masked = audited(shape, planted(shape, filled(shape), secret))
        written = json.dumps(members)
        assert "hunter2" not in written
        assert written.count(MASK) == len(masked)
        for pointer in masked:
            assert at(members, pointer) == MASK


def planted(shape: Shape, values: Any, secret: frozenset[str]) -> Any:
    """Insert a secret into each member that the table names."""
    match values:
        case dict() if shape.kind == "structure":
            return {
                name: "hunter2" if name in secret else planted(shape.members[name], each, secret)
                for name, each in values.items()
            }
        case list():
            return [planted(shape.element, value, secret) for value in values]
        case dict():
            return {key: planted(shape.value, each, secret) for key, each in values.items()}
    return values


def at(members: Any, pointer: str) -> Any:
    for part in pointer.split("/")[2:]:
        members = members[int(part)] if isinstance(members, list) else members[part]
    return members


def test_names_and_times_are_written_as_in_cloudtrail() -> None:
    shape = OPERATIONS["iam:CreateSAMLProvider"].input
    members, _ = audited_input(
        shape, {"SAMLMetadataDocument": "<x/>", "Name": "corp", "Tags": [{"Key": "a", "Value": "b"}]}
    )
    assert members == {"sAMLMetadataDocument": "<x/>", "name": "corp", "tags": [{"key": "a", "value": "b"}]}
    made = datetime(2026, 5, 4, 3, 2, 1, 5, tzinfo=UTC)
    members, _ = audited_output(OPERATIONS["iam:CreateUser"].output, {"User": {"UserName": "eve", "CreateDate": made}})
    assert members == {"user": {"userName": "eve", "createDate": "2026-05-04T03:02:01Z"}}


def test_unknown_members_are_left_out() -> None:
    """A value of another kind than the model's is masked."""
    shape = OPERATIONS["iam:CreateUser"].input
    odd: Any = {"UserName": object(), "Unknown": "hunter2", "Path": None}
    assert audited_input(shape, odd) == ({"userName": MASK}, ("/requestParameters/userName",))
    assert audited_output(None, {"X": "hunter2"}) == ({}, ())


def test_private_key_instead_of_a_certificate_is_masked() -> None:
    """Accepted certificates are in the output."""
    operation = OPERATIONS["iam:UploadSigningCertificate"]
    parameters = audited_input(operation.input, {"UserName": "eve", "CertificateBody": "whatever it is"})
    assert parameters == ({"userName": "eve", "certificateBody": MASK}, ("/requestParameters/certificateBody",))
    gave = audited_output(operation.output, {"Certificate": {"CertificateBody": "a certificate"}})
    assert gave == ({"certificate": {"certificateBody": "a certificate"}}, ())
