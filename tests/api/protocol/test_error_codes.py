"""Errors in each protocol: code, status, message."""

from __future__ import annotations

import json
from collections.abc import Callable

from iam_guard import errors
from iam_guard.api.protocol.dispatch import codec_of
from iam_guard.api.protocol.protocol_errors import MalformedQuery, ValidationFailure
from iam_guard.model.own_services import MODELS
from tests.api.protocol.client import received
from tests.tables import table

SAID: list[tuple[Callable[[str], errors.IamGuardError], dict[str, tuple[str, int]]]] = [
    (
        errors.AccessDenied,
        {
            "iam": ("AccessDenied", 403),
            "organizations": ("AccessDeniedException", 400),
            "accessanalyzer": ("AccessDeniedException", 403),
        },
    ),
    (
        errors.ExpiredToken,
        {"sts": ("ExpiredToken", 403), "identitystore": ("ExpiredTokenException", 400)},
    ),
    (
        errors.SignatureDoesNotMatch,
        {"iam": ("SignatureDoesNotMatch", 403), "sso-admin": ("InvalidSignatureException", 400)},
    ),
    (
        errors.InvalidClientTokenId,
        {"iam": ("InvalidClientTokenId", 403), "organizations": ("UnrecognizedClientException", 400)},
    ),
    (
        ValidationFailure,
        {
            "iam": ("ValidationError", 400),
            "sso-admin": ("ValidationException", 400),
            "accessanalyzer": ("ValidationException", 400),
        },
    ),
    (errors.NoSuchEntity, {"iam": ("NoSuchEntity", 404)}),
    (errors.InvalidInput, {"iam": ("InvalidInput", 400), "organizations": ("InvalidInputException", 400)}),
    (MalformedQuery, {"iam": ("MalformedQueryString", 404)}),
    (errors.RequestTooLarge, dict.fromkeys(("iam", "organizations"), ("RequestEntityTooLarge", 413))),
    (
        errors.StoreUnavailable,
        dict.fromkeys(MODELS, ("ServiceUnavailable", 503)) | {"signin": ("ServiceUnavailableException", 503)},
    ),
]


@table(
    ("make", "service", "code", "status"),
    [(make, service, *said) for make, services in SAID for service, said in services.items()],
)
def test_common_error_has_the_protocols_code(
    make: Callable[[str], errors.IamGuardError], service: str, code: str, status: int
) -> None:
    """Codes and statuses of AWS's common errors differ by protocol."""
    answer = codec_of(service).error_response(make("because"), "r-1")
    parsed = received(service, answer, None)
    assert (parsed["Error"]["Code"], answer.status) == (code, status)
    assert dict(answer.headers)["x-amzn-requestid"] == "r-1"


def test_validation_failure_has_required_members() -> None:
    """Access Analyzer's clients read the reason."""
    answer = codec_of("accessanalyzer").error_response(ValidationFailure("x"), "r")
    assert json.loads(answer.body) == {"message": "x", "reason": "fieldValidationFailed"}


@table("service", MODELS)
def test_internal_errors_have_a_general_message(service: str) -> None:
    """What happened inside stays inside."""
    for error in (errors.ConfigurationError("secret one"), errors.StoreUnavailable("secret two")):
        answer = codec_of(service).error_response(error, "r")
        assert answer.status >= 500
        assert b"secret" not in answer.body
        assert received(service, answer, None)["Error"]["Message"].startswith("The request")


def test_policy_error_has_awss_message() -> None:
    """Clients rely on it; our own finding is for people."""
    answer = codec_of("iam").error_response(
        errors.PolicyError("expected `{`", sentence="Syntax errors in policy."), "r"
    )
    assert received("iam", answer, None)["Error"] == {
        "Type": "Sender",
        "Code": "MalformedPolicyDocument",
        "Message": "Syntax errors in policy.",
    }
