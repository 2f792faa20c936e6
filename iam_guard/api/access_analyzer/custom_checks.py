"""The custom policy checks: stateless, on the documents of the call alone (rules AA-30 to AA-35).

A check that can't be decided is FAIL with the reason, never PASS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from iam_guard.analysis.checks.check_results import CheckResult
from iam_guard.analysis.checks.policy_checks import (
    CHECKED_TYPES,
    ListedAccess,
    check_access_not_granted,
    check_no_new_access,
    check_no_public_access,
)
from iam_guard.api.access_analyzer.analyzer_errors import InvalidDocument, InvalidMember, UnprocessableDocument
from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.errors import InvalidInput, PolicyError

MAX_CHARACTERS: Final = 128 * 1024
"""Characters of a document that is analysed; the largest policies of AWS have a tenth of them."""


def check_new_access(call: ServiceCall, parameters: Input) -> Output:
    """Check that the new document allows nothing that the existing one does not (AA-31)."""
    existing, new = (
        policy_document(parameters, "existingPolicyDocument"),
        policy_document(parameters, "newPolicyDocument"),
    )
    type = CHECKED_TYPES[parameters["policyType"]]
    return _output(lambda: check_no_new_access(existing, new, type))


def check_granted_access(call: ServiceCall, parameters: Input) -> Output:
    """Check that the document grants none of the listed access (AA-32)."""
    text, type = policy_document(parameters, "policyDocument"), CHECKED_TYPES[parameters["policyType"]]
    access = [
        ListedAccess(tuple(listed.get("actions", ())), tuple(listed.get("resources", ())))
        for listed in parameters["access"]
    ]
    return _output(lambda: check_access_not_granted(text, access, type))


def check_public_access(call: ServiceCall, parameters: Input) -> Output:
    """Check that the resource-based policy does not grant access to everyone (AA-33)."""
    text = policy_document(parameters, "policyDocument")
    return _output(lambda: check_no_public_access(text, parameters["resourceType"]))


def policy_document(parameters: Input, member: str) -> str:
    text: str = parameters[member]
    if len(text) > MAX_CHARACTERS:
        raise UnprocessableDocument(f"expected at most {MAX_CHARACTERS} characters in {member}, got {len(text)}")
    return text


def _output(check: Callable[[], CheckResult]) -> Output:
    """Return the result of a check in the form of AWS's API. Raises the errors of the model for invalid input."""
    try:
        result = check()
    except PolicyError as error:
        raise InvalidDocument(f"The policy document is invalid: {error}") from None
    except InvalidInput as error:
        raise InvalidMember(error.message) from None
    reasons = [
        {name: value for name, value in reason.to_dict().items() if value is not None} for reason in result.reasons
    ]
    return {"result": "PASS" if result.passed else "FAIL", "message": result.message, "reasons": reasons}
