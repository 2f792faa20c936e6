"""The limits of the models, in AWS's sentences."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from iam_guard.api.protocol.model_patterns import compiled, matches
from iam_guard.api.protocol.protocol_errors import ValidationFailure
from iam_guard.api.protocol.service_model import Shape, load_api
from iam_guard.api.protocol.traversal import HIDDEN, masked
from iam_guard.api.protocol.validation import MAX_FAILURES, validate
from iam_guard.model.own_services import MODELS

NAME = r"Member must satisfy regular expression pattern: [\w+=,.@-]+"
TAG = r"Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*"


def failure(service: str, operation: str, parameters: dict[str, Any]) -> str:
    with pytest.raises(ValidationFailure) as caught:
        validate(load_api(service).operations[operation], parameters)
    return caught.value.message


@pytest.mark.parametrize(
    ("operation", "parameters", "told"),
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
def test_a_limit_is_told_in_awss_sentence(operation: str, parameters: dict[str, Any], told: str) -> None:
    """Rules of the wire API: `1 validation error detected: …`."""
    assert failure("iam", operation, parameters) == f"1 validation error detected: {told}"


def test_several_failures_are_told_together() -> None:
    """They are counted and joined by `; `."""
    told = failure("iam", "CreateUser", {"UserName": "a b", "Path": "x"})
    assert told.startswith("2 validation errors detected: Value 'x' at 'path' failed")
    assert "; Value 'a b' at 'userName' failed" in told


def test_no_more_than_ten_failures_are_told() -> None:
    """A request of thousands of faults gets a short answer."""
    told = failure("iam", "TagUser", {"UserName": "u", "Tags": [{"Key": "(", "Value": "("}] * 40})
    assert told.count("failed to satisfy") == MAX_FAILURES


def test_what_keeps_the_limits_passes() -> None:
    """Letters and digits of any script are letters and digits in a tag."""
    tags = [{"Key": "zażółć 日本", "Value": ""}]
    validate(load_api("iam").operations["CreateUser"], {"UserName": "anna+1@x.y", "Path": "/a/", "Tags": tags})


def test_secrets_are_not_quoted() -> None:
    """A member that the model marks as sensitive is named, its value is not."""
    told = failure("iam", "CreateLoginProfile", {"UserName": "u", "Password": "\u4e00hunter2"})
    assert "Value at 'password' failed to satisfy constraint" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("service", "operation", "member", "others"),
    [
        ("iam", "EnableMFADevice", "AuthenticationCode1", {"UserName": "u", "SerialNumber": "s" * 9}),
        ("iam", "ResyncMFADevice", "AuthenticationCode2", {"UserName": "u", "SerialNumber": "s" * 9}),
        ("sts", "GetSessionToken", "TokenCode", {}),
    ],
)
def test_a_code_of_a_device_is_not_quoted(service: str, operation: str, member: str, others: dict[str, Any]) -> None:
    """It is good for a while, with a blank in it too, and the sentence stands in the audit trail."""
    told = failure(service, operation, {**others, member: "123 456"})
    assert f"Value at '{member[0].lower()}{member[1:]}' failed" in told
    assert "123 456" not in told

    told = failure("sts", "AssumeRoleWithWebIdentity", {"WebIdentityToken": "tok", "RoleArn": "x"})
    assert "Value at 'webIdentityToken'" in told
    assert "tok'" not in told


def test_secrets_are_masked() -> None:
    """The same value with what is sensitive hidden, for logs and the audit trail."""
    create = load_api("iam").operations["CreateLoginProfile"]
    access_key = load_api("iam").operations["CreateAccessKey"]
    assert create.input is not None
    assert access_key.output is not None
    assert masked(create.input, {"UserName": "u", "Password": "p"}) == {"UserName": "u", "Password": HIDDEN}
    key = {"AccessKey": {"AccessKeyId": "AKIA", "SecretAccessKey": "s"}}
    assert masked(access_key.output, key) == {"AccessKey": {"AccessKeyId": "AKIA", "SecretAccessKey": HIDDEN}}


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


@pytest.mark.parametrize("service", MODELS)
def test_every_pattern_of_the_models_is_understood(service: str) -> None:
    """Java's expressions compile here, without a warning."""
    seen: set[str] = set()
    inputs = [operation.input for operation in load_api(service).operations.values() if operation.input]
    patterns = set().union(*(patterns_of(shape, seen) for shape in inputs))
    assert len(patterns) >= 7
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(compiled(pattern).fullmatch("\x00") is None or "\\S" in pattern for pattern in patterns)


@pytest.mark.parametrize(
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
def test_patterns_mean_what_they_mean_in_java(pattern: str, value: str, expected: bool) -> None:
    """ASCII classes, Unicode categories, the whole value, and a dot that stops at line ends."""
    assert matches(pattern, value) is expected


def test_a_pasted_key_is_not_quoted() -> None:
    """A private key where a certificate belongs is refused, and neither the answer nor the audit trail repeats it."""
    operation = load_api("iam").operations["UploadSigningCertificate"]
    body = "-----BEGIN RSA PRIVATE KEY-----\nsecret\n\u2603"
    with pytest.raises(ValidationFailure) as refused:
        validate(operation, {"CertificateBody": body})
    assert "secret" not in refused.value.message
    assert "certificateBody" in refused.value.message
