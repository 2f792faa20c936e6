"""Decide which responses may be sent, and record calls that end in an error.

The response of an endpoint without a decision that is not public is replaced by a 500 and logged. If the endpoint is
unknown, the response may come from a router without a match, or from a handler of an application that doesn't report
its endpoints. Then only its status is sent, in a neutral response (`neutral_answer`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from iam_guard.audit.record.redaction import loggable
from iam_guard.errors import DecisionUnavailable, IamGuardError, UndecidedEndpoint
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.endpoints import mark_of, name_of
from iam_guard.web.refusal import Refusal
from iam_guard.web.requirement import PUBLIC

ROUTER_ANSWERS: Final = frozenset({301, 307, 308, 404})
"""The statuses of a router without a matching endpoint; such a response needs no decision."""
UNKNOWN_ENDPOINT: Final = object()
"""Stands for an endpoint when it is unknown what the router matched."""
_METHODS: Final = re.compile(r"[A-Z]{1,32}(?: ?, ?[A-Z]{1,32}){0,31}")
_NO_ACTION: Final = "iam-guard:UndecidedEndpoint"


def check_answer(call: CurrentCall, status: int, endpoint: Any, method: str | None) -> bool:
    """Raise for a response that was not decided or was denied, and for a framework's 500 after a refusal.

    `endpoint` is what the router matched: None if it matched none, `UNKNOWN_ENDPOINT` if it may have matched one.
    Returns whether the response may be sent as it is; otherwise `neutral_answer` replaces it.
    """
    if call.refusal is not None and status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise call.refusal
    is_decided = bool(call.decisions) or call.is_public
    if is_decided and call.refused_by is None:
        return True
    mark = None if endpoint is UNKNOWN_ENDPOINT else mark_of(endpoint, method)
    if status < HTTPStatus.MULTIPLE_CHOICES and _is_refused(
        call, UNKNOWN_ENDPOINT if endpoint is UNKNOWN_ENDPOINT else mark
    ):
        raise call.refusal or UndecidedEndpoint(f"expected no success after the denial of `{call.attempted_action}`")
    if is_decided or mark == PUBLIC or (status in ROUTER_ANSWERS and endpoint is None):
        return True
    if status >= HTTPStatus.BAD_REQUEST and (mark is not None or endpoint is None):
        return True  # an error of the framework, such as a bad parameter, before the guarded handler ran
    if status == HTTPStatus.METHOD_NOT_ALLOWED or (status in ROUTER_ANSWERS and endpoint is UNKNOWN_ENDPOINT):
        return False
    if endpoint in (None, UNKNOWN_ENDPOINT):
        hint = "put CORS and similar middlewares outside of the guard"
        raise UndecidedEndpoint(f"an unknown endpoint answered without a decision; {hint}")
    hint = "" if mark is None else "; its decorator used another guard inside of this one, or did not run"
    raise UndecidedEndpoint(f"the endpoint `{name_of(endpoint)}` answered without a decision and is not public{hint}")


def neutral_answer(status: int, headers: Iterable[tuple[str, str]], scope: Mapping[str, Any]) -> Refusal:
    """Return a response with the same status and no content, for a router's response that may be a handler's.

    A 405 keeps its list of methods. A redirect may only differ from the request's URL in the scheme and a trailing
    slash; raises `UndecidedEndpoint` for other redirects.
    """
    received = {name.lower(): value for name, value in headers}
    kept: list[tuple[str, str]] = []
    body = HTTPStatus(status).phrase.encode()
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        kept += [("allow", received["allow"])] if _METHODS.fullmatch(received.get("allow", "")) else []
    elif status != HTTPStatus.NOT_FOUND:
        if not _is_own_url(received.get("location", ""), scope):
            message = "an unknown endpoint answered without a decision, with a redirect to another URL"
            raise UndecidedEndpoint(message)
        kept, body = [("location", received["location"])], b""
    kept += [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body)))]
    return Refusal(status, tuple(kept), b"" if scope.get("method") == "HEAD" else body)


def _is_own_url(location: str, scope: Mapping[str, Any]) -> bool:
    if not location:
        return False
    try:
        parts = urlsplit(location)
    except ValueError:
        return False
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"host"]
    is_here = (parts.scheme in ("", "http", "https")) and (not parts.netloc or [parts.netloc] == hosts)
    path, query = unquote(parts.path).rstrip("/"), unquote(parts.query)
    own = scope["path"].rstrip("/"), unquote(scope.get("query_string", b"").decode("latin-1"))
    return is_here and not parts.fragment and (path, query) == own


def _is_refused(call: CurrentCall, mark: Any) -> bool:
    """Return whether the guard of an endpoint denied the call, so that other code must have answered.

    An unguarded handler may handle a denial by itself. An unknown endpoint counts as guarded.
    """
    if call.refused_by is None or mark in (None, PUBLIC) or call.is_public:
        return False
    return call.refused_by is mark or not any(decision.allowed for decision in call.decisions)


def record_failure(call: CurrentCall, error: IamGuardError, log: logging.Logger, *, is_body: bool = False) -> None:
    """Record an error that no decision has recorded: bad input, wrong configuration, an undecided endpoint, a cookie.

    `is_body` means that the body does not match its signature.
    """
    trail, facts, credential = call.guard.trail, call.facts, call.principal.credential
    if is_body and credential is not None:
        trail.record_authentication(error, facts, credential.kind, credential.id)
        return
    if call.browser is not None and error is call.browser.refusal:
        trail.record_authentication(error, facts, "session", call.browser.session_id)
        return
    if error.fault == "receiver" and not isinstance(error, DecisionUnavailable):
        log.error("%s %s: %s", *map(loggable, (facts.method, facts.path, error)))
    if call.decisions:
        return  # decisions are already recorded
    action = call.attempted_action or _NO_ACTION
    trail.record_error(error, facts, action=action, resource="*", principal=call.principal)
