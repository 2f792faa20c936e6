"""The limits of the models, with AWS's messages."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from iam_guard.api.protocol.model_patterns import compiled, matches
from iam_guard.api.protocol.protocol_errors import ValidationFailure
from iam_guard.api.protocol.service_model import Shape, load_api
from iam_guard.api.protocol.validation import MAX_FAILURES, validate
from iam_guard.model.own_services import MODELS
from tests.tables import table

NAME = r"Member must satisfy regular expression pattern: [\w+=,.@-]+"
TAG = r"Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*"


def failure(service: str, operation: str, parameters: dict[str, Any]) -> str:
    with pytest.raises(ValidationFailure) as caught:
        validate(load_api(service).operations[operation], parameters)
    return caught.value.message


@table(
    ("operation", "parameters", "violation"),
    [
        ("CreateUser", {}, "Value null at 'userName' failed to satisfy constraint: Member must not be null"),
        ("CreateUser", {"UserName": "a b"}, f"Value 'a b' at 'userName' failed to satisfy constraint: {NAME}"),
        (
            "GetRole",
            {"RoleName": "x" * 65},
            f"Value '{'x' * 65}' at 'roleName' failed to satisfy constraint: Member must have length less than or "
            "equal to 64",
        ),
        (
            "ListUsers",
            {"MaxItems": 0},
            "Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "UpdateAccessKey",
            {"AccessKeyId": "A" * 20, "Status": "On"},
            "Value 'On' at 'status' failed to satisfy constraint: Member must satisfy enum value set: "
            "[Active, Inactive, Expired]",
        ),
        (
            "TagUser",
            {"UserName": "u", "Tags": [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "(d)"}]},
            f"Value '(d)' at 'tags.2.member.value' failed to satisfy constraint: {TAG}",
        ),
        (
            "UntagUser",
            {"UserName": "u", "TagKeys": ["a", ""]},
            "Value '[a, ]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must "
            "have length less than or equal to 128, Member must have length greater than or equal to 1, "
            r"Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+]",
        ),
    ],
)
def test_violation_has_awss_message(operation: str, parameters: dict[str, Any], violation: str) -> None:
    """`1 validation error detected: …`."""
    assert failure("iam", operation, parameters) == f"1 validation error detected: {violation}"


def test_several_violations_are_joined() -> None:
    """With their number, by `; `."""
    violation = failure("iam", "CreateUser", {"UserName": "a b", "Path": "x"})
    assert violation.startswith("2 validation errors detected: Value 'x' at 'path' failed")
    assert "; Value 'a b' at 'userName' failed" in violation


def test_at_most_ten_violations_are_reported() -> None:
    """A request of thousands of faults gets a short answer."""
    violation = failure("iam", "TagUser", {"UserName": "u", "Tags": [{"Key": "(", "Value": "("}] * 40})
    assert violation.count("failed to satisfy") == MAX_FAILURES


def test_valid_values_pass() -> None:
    """Tags may have letters and digits of any script."""
    tags = [{"Key": "zażółć 日本", "Value": ""}]
    validate(load_api("iam").operations["CreateUser"], {"UserName": "anna+1@x.y", "Path": "/a/", "Tags": tags})


def test_sensitive_values_are_not_quoted() -> None:
    """The member is named."""
    violation = failure("iam", "CreateLoginProfile", {"UserName": "u", "Password": "\u4e00hunter2"})
    assert "Value at 'password' failed to satisfy constraint" in violation
    assert "hunter2" not in violation


@table(
    ("service", "operation", "member", "others"),
    [
        ("iam", "EnableMFADevice", "AuthenticationCode1", {"UserName": "u", "SerialNumber": "s" * 9}),
        ("iam", "ResyncMFADevice", "AuthenticationCode2", {"UserName": "u", "SerialNumber": "s" * 9}),
        ("sts", "GetSessionToken", "TokenCode", {}),
    ],
)
def test_device_codes_are_not_quoted(service: str, operation: str, member: str, others: dict[str, Any]) -> None:
    """They stay valid for a while, and messages are audited."""
    violation = failure(service, operation, {**others, member: "123 456"})
    assert f"Value at '{member[0].lower()}{member[1:]}' failed" in violation
    assert "123 456" not in violation

    violation = failure("sts", "AssumeRoleWithWebIdentity", {"WebIdentityToken": "tok", "RoleArn": "x"})
    assert "Value at 'webIdentityToken'" in violation
    assert "tok'" not in violation


def patterns_of(shape: Shape, seen: set[str]) -> set[str]:
    if shape.name in seen:
        return set()
    seen.add(shape.name)
    parts = {
        "structure": lambda: shape.members.values(),
        "list": lambda: [shape.element],
        "map": lambda: [shape.key, shape.value],
    }.get(shape.kind, list)()
    own = {shape.limits.pattern} if shape.limits.pattern else set()
    return own.union(*(patterns_of(part, seen) for part in parts))


@table("service", MODELS)
def test_all_patterns_of_the_models_compile(service: str) -> None:
    """Java's expressions, without a warning."""
    seen: set[str] = set()
    inputs = [operation.input for operation in load_api(service).operations.values() if operation.input]
    patterns = set().union(*(patterns_of(shape, seen) for shape in inputs))
    assert len(patterns) >= (1 if service == "iam-guard" else 7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(compiled(pattern).fullmatch("\x00") is None or "\\S" in pattern for pattern in patterns)


@table(
    ("pattern", "value", "expected"),
    [
        (r"[\w]+", "a_1", True),
        (r"[\w]+", "é", False),
        (r"[\d]*", "٣", False),
        (r"[\w]+", "a\n", False),
        (r"^\d{12}$", "123456789012\n", False),
        (r"^(\d{12})|(r-[0-9a-z]{4})$", "123456789012", True),
        (r"^(\d{12})|(r-[0-9a-z]{4})$", "123456789012x", False),
        (r"\p{L}+(?:\.\p{L}+){0,2}", "név.имя", True),
        (r"\p{L}+", "a1", False),
        (r"[\p{L}\p{N}]+", "a²Ⅷ", True),
        (r"a.b", "a\u2028b", False),
        (r"a[.]b", "a.b", True),
        (r"a[.]b", "axb", False),
    ],
)
def test_patterns_have_javas_meaning(pattern: str, value: str, expected: bool) -> None:
    """ASCII classes, Unicode categories, the whole value, and the dot's line ends."""
    assert matches(pattern, value) is expected


def test_pasted_private_key_is_not_quoted() -> None:
    """Neither in the response nor in the audit trail."""
    operation = load_api("iam").operations["UploadSigningCertificate"]
    body = "-----BEGIN RSA PRIVATE KEY-----\nsecret\n\u2603"
    with pytest.raises(ValidationFailure) as refused:
        validate(operation, {"CertificateBody": body})
    assert "secret" not in refused.value.message
    assert "certificateBody" in refused.value.message
