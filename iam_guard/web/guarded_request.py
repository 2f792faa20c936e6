"""The steps of a guarded request, the same for every framework: authenticate, serve, leave or refuse, end.

What may wait differs: the body is read, and keys and sessions are looked up, by `asgi/bridge` and `wsgi/bridge`. All
other steps are here, and neither await nor block.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, MutableMapping
from typing import Any

from iam_guard.errors import ConfigurationError, IamGuardError
from iam_guard.guard.guard import Guard
from iam_guard.model.principal import Principal
from iam_guard.web.body_verification import SignedBody, headers_of_content
from iam_guard.web.browser.browser_caller import BrowserCaller
from iam_guard.web.browser.sign_in_redirect import answer_for_browser, sign_in_redirect
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.connection import Connection, headers_at_host
from iam_guard.web.refusal import Refusal, RefusalFormat, problem
from iam_guard.web.response_guard import UNKNOWN_ENDPOINT, check_answer, neutral_answer, record_failure

_log = logging.getLogger("iam_guard.web")


class Bridge:
    """What the guarded requests of an application share: created once. `refusal` formats error responses."""

    def __init__(self, guard: Guard, *, refusal: RefusalFormat = problem, oidc_audiences: tuple[str, ...] = ()) -> None:
        """Create a bridge; `oidc_audiences` replaces the setting for the application."""
        self.guard = guard
        self.connection = Connection(guard.settings, oidc_audiences)
        self.refusal = refusal


class GuardedRequest:
    """One request; `scope` is an ASGI scope, which is replaced if the application gets other headers than received."""

    call: CurrentCall | None = None
    """The call to serve, once the caller is authenticated."""
    body: SignedBody | None = None
    """The body, if it was read or wrapped."""
    changes_headers = False
    """Whether the headers for the application differ from those received: another signed host, a decoded body."""

    def __init__(self, bridge: Bridge, scope: MutableMapping[str, Any]) -> None:
        self.bridge = bridge
        self.scope = scope
        self.facts = bridge.connection.facts(scope)

    @property
    def request_id(self) -> str:
        """The id of the request, for the header `x-amzn-requestid`."""
        return self.facts.request_id

    def admit(self, caller: Principal | BrowserCaller) -> CurrentCall:
        """Return the call of an authenticated caller.

        The headers in its scope are those for the application: with the signed host, and of the decoded body.
        """
        body = self.body
        if body is not None and body.chunks is not None:
            self._replace_headers(headers_of_content(self.scope["headers"], body.chunks.length))
        if isinstance(caller, BrowserCaller):
            call = self.admit_principal(caller.principal)
            call.browser = caller
        else:
            call = self.admit_principal(caller)
        call.has_unsigned_payload = body is not None and body.is_unsigned
        return call

    def admit_principal(self, principal: Principal) -> CurrentCall:
        """Return the call of a caller without a session cookie, whose request has no body that is read or wrapped."""
        credential = principal.credential
        if credential is not None and credential.host is not None:
            self._replace_headers(headers_at_host(self.scope["headers"], credential.host))
            self.facts = self.facts._replace(host=credential.host)
        self.call = call = CurrentCall(self.bridge.guard, principal, self.facts, self.scope)
        return call

    def _replace_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.scope, self.changes_headers = {**self.scope, "headers": headers}, True

    def check_body(self) -> None:
        """Raise if the body does not match its signature; its results must not be sent."""
        if self.body is not None and self.body.refusal is not None:
            raise self.body.refusal

    def leave(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> Refusal | None:
        """Check that a response may be sent; raise if it was not decided, or the body does not match its signature.

        Returns a response to send instead if only the status may be sent, and the redirect to a sign-in page instead of
        a refusal; otherwise None. A refusal that the framework answered itself is recorded here.
        """
        self.check_body()
        call = self.call
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
        return [] if self.call is None else self.call.browser_headers(headers)

    def record(self, error: IamGuardError) -> None:
        """Record an error that was not recorded yet; those of authentication already are."""
        if self.call is not None:
            is_body = self.body is not None and self.body.refusal is error
            record_failure(self.call, error, _log, is_body=is_body)

    def refuse(self, error: IamGuardError) -> Refusal:
        """Record an error that was not recorded yet, and return its response; to HEAD without a body."""
        self.record(error)
        refusal = self.bridge.refusal(error, self.request_id)
        return self._sized(refusal if self.call is None else answer_for_browser(self.call, error, refusal))

    def _sized(self, refusal: Refusal) -> Refusal:
        size = ("content-length", str(len(refusal.body)))
        body = b"" if self.scope.get("method") == "HEAD" else refusal.body
        return Refusal(refusal.status, (*refusal.headers, size), body)

    def end(self) -> None:
        """End the call after the response; code that the application runs later, as in a task, has no caller."""
        if self.call is not None:
            self.call.is_over = True
        if self.body is not None:
            self.body.release()
