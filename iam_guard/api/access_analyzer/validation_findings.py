"""ValidatePolicy: the findings of the linter in AWS's form (AA-20 to AA-26)."""

from __future__ import annotations

from iam_guard.analysis.lint.policy_validation import validate_policy
from iam_guard.api.access_analyzer.analyzer_errors import InvalidMember
from iam_guard.api.access_analyzer.custom_checks import policy_document
from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.paging import page_of_positions
from iam_guard.errors import InvalidInput


def validate_document(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the findings about a document; the texts are in English. Raises `InvalidMember`."""
    text = policy_document(parameters, "policyDocument")
    try:
        found = validate_policy(
            text,
            parameters["policyType"],
            parameters.get("validatePolicyResourceType"),
            partition=call.partition,
        )
    except InvalidInput as error:
        raise InvalidMember(error.message) from None
    return page_of_positions(parameters, found).listed("findings")
