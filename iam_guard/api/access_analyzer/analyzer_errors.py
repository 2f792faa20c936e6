"""The errors of Access Analyzer, with the members of its model."""

from __future__ import annotations

from iam_guard.api.service_errors import ServiceError


class _AboutResource(ServiceError):
    """Base class of errors that name what they are about."""

    def __init__(self, message: str, *, id: str, type: str) -> None:
        super().__init__(message)
        self.details = {"resourceId": id, "resourceType": type}


class AnalyzerResourceNotFound(_AboutResource, code="ResourceNotFoundException", status=404):
    """The account has no such analyzer, archive rule, finding, access preview or job."""


class AnalyzerConflict(_AboutResource, code="ConflictException", status=409):
    """The name, or the client token of another request, is in use."""


class AnalyzerQuotaExceeded(_AboutResource, code="ServiceQuotaExceededException", status=402):
    """A quota of Access Analyzer is used up."""


class InvalidMember(ServiceError, code="ValidationException"):
    """A member has a value that the operation does not accept."""

    details = {"reason": "fieldValidationFailed"}  # noqa: RUF012  as in the base class


class UnsupportedMember(ServiceError, code="ValidationException"):
    """A member asks for what the store has no counterpart for."""

    details = {"reason": "notSupported"}  # noqa: RUF012


class InvalidDocument(ServiceError, code="InvalidParameterException"):
    """A policy document can't be parsed, or is no policy of the requested type."""


class UnprocessableDocument(ServiceError, code="UnprocessableEntityException", status=422):
    """A policy document is valid, but too large to be analysed."""
