"""The steps of a guarded request after the application has answered: checks, refusals, and headers for browsers.

They are the same for synchronous and asynchronous frameworks, whose steps before the application differ.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, MutableMapping
from typing import Any

from iam_guard.errors import ConfigurationError, IamGuardError
from iam_guard.guard.guard import Guard
from iam_guard.web.browser.sign_in_redirect import answer_for_browser, sign_in_redirect
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.connection import Connection
from iam_guard.web.refusal import Refusal, RefusalFormat
from iam_guard.web.response_guard import UNKNOWN_ENDPOINT, check_answer, neutral_answer, record_failure

_log = logging.getLogger("iam_guard.web")


class GuardedAnswer(ABC):
    """Checks the response of one request, or refuses it; `scope` is an ASGI scope."""

    def __init__(
        self, guard: Guard, connection: Connection, refusal: RefusalFormat, scope: MutableMapping[str, Any]
    ) -> None:
        self._guard = guard
        self._connection = connection
        self._refusal = refusal
        self._scope = scope
        self._call: CurrentCall | None = None
        self.facts = connection.facts(scope)

    @property
    def request_id(self) -> str:
        """The id of the request, for the header `x-amzn-requestid`."""
        return self.facts.request_id

    @property
    @abstractmethod
    def _body_refusal(self) -> IamGuardError | None:
        """The error of a body that does not match its signature."""

    def check_body(self) -> None:
        """Raise if the body does not match its signature; its results must not be sent."""
        if self._body_refusal is not None:
            raise self._body_refusal

    def leave(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> Refusal | None:
        """Check that a response may be sent; raise if it was not decided, or the body does not match its signature.

        Returns a response to send instead if only the status may be sent, and the redirect to a sign-in page instead of
        a refusal; otherwise None. A refusal that the framework answered itself is recorded here.
        """
        self.check_body()
        call = self._call
        if call is None:
            raise ConfigurationError("expected `authenticate` before `leave`")
        is_whole = check_answer(call, status, call.scope.get("endpoint", UNKNOWN_ENDPOINT), call.scope.get("method"))
        instead = None if is_whole else neutral_answer(status, headers, call.scope)
        if call.refusal is not None:
            record_failure(call, call.refusal, _log)
            redirect = sign_in_redirect(call, call.refusal, status)
            if redirect is not None:
                return self._sized(redirect)
        return instead

    def added_headers(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return what to add to the headers of a response, because of the session cookie of the request."""
        return [] if self._call is None else self._call.browser_headers(headers)

    def refuse(self, error: IamGuardError) -> Refusal:
        """Record an error that was not recorded yet, and return its response; to HEAD without a body."""
        if self._call is None:  # authentication errors are already recorded
            return self._sized(self._refusal(error, self.request_id))
        record_failure(self._call, error, _log, is_body=self._body_refusal is error)
        return self._sized(answer_for_browser(self._call, error, self._refusal(error, self.request_id)))

    def _sized(self, refusal: Refusal) -> Refusal:
        size = ("content-length", str(len(refusal.body)))
        body = b"" if self._scope["method"] == "HEAD" else refusal.body
        return Refusal(refusal.status, (*refusal.headers, size), body)
